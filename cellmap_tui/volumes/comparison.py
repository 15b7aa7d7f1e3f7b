"""Predictions beside the truth in a picture: right, hallucinated and missed pixels, and how they are coloured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.volumes.colours import OKABE_ITO, RGB

if TYPE_CHECKING:
    from numpy.typing import NDArray

TP, FP, FN = 1, 2, 3
"""Both, only predicted, only true."""

ERROR_COLOURS: dict[int, RGB] = {TP: OKABE_ITO[1], FP: OKABE_ITO[3], FN: OKABE_ITO[5]}
"""Sky, yellow, vermillion: far apart in hue and in brightness, also to the colour-blind."""
ERROR_NAMES = {TP: "TP right", FP: "FP hallucinated", FN: "FN missed"}

PREDICTED_OUTLINE: RGB = (255, 235, 60)
"""Colour of predictions over the truth of the same class: brighter than every class, on dark and on light EM."""
PROCESSED_OUTLINE: RGB = (255, 255, 255)
"""The same for processed predictions."""

PROBABLE = 0.5
"""Probability from which a voxel counts as foreground unless somebody says otherwise."""


def foreground(values: NDArray[Any], threshold: float | None = None) -> NDArray[Any]:
    """Return predictions as labels: ids stay ids, probabilities become 0 and 1.

    Parameters
    ----------
    values
        What is stored ``[h, w]``.
    threshold
        Values from here on are foreground; None: all that are not 0, and probabilities from one half on.
    """
    if threshold is None and values.dtype.kind != "f":
        return values
    known = np.nan_to_num(values, nan=0.0) if values.dtype.kind == "f" else values
    return (known >= (PROBABLE if threshold is None else threshold)).astype(np.uint8)


def errors(truth: NDArray[Any], prediction: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return `TP`, `FP`, `FN` or 0 for each pixel; 0 also where the truth is not known.

    Objects are not matched here: a pixel is right where truth and prediction are both foreground.
    """
    true, predicted = truth != 0, prediction != 0
    codes = np.zeros(truth.shape, np.uint8)
    codes[true & predicted] = TP
    codes[~true & predicted] = FP
    codes[true & ~predicted] = FN
    codes[~known] = 0
    return codes
