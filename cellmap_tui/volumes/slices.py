"""A slice as a picture: grey EM, labels over it, and a hatch where nothing is known.

Works on arrays that lie on one pixel grid already; reading and resampling is `read`'s business.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellmap_tui.errors import RefusedError
from cellmap_tui.volumes.colours import RGB, object_colours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Overlay = Literal["tint", "outline", "off"]
"""How labels are drawn: as a tint over the EM, as outlines, or not at all."""

TINT = 0.4
"""Share of the label's colour in a tinted pixel, unless another is asked for."""
HATCH_PERIOD = 6
"""Pixels from one diagonal line to the next; narrower ones become a grey in a small picture."""
_HATCH_STEP = 80
"""Grey levels between a hatch line and the pixel below it: lighter on dark, darker on light."""
_HATCH_TURN = 170
"""Grey from which lines are darker; well above the mean of EM, so that they do not flicker in its noise."""
_NO_EM = 24
"""Grey of pixels outside the EM."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One label array to draw."""

    labels: NDArray[Any]
    """Ids on the pixel grid ``[h, w]``; 0 is background."""
    colours: RGB | Mapping[int, RGB] | None
    """One colour, a colour by id (ids that are not in it are not drawn), or None: each id its own."""
    overlay: Overlay | None = None
    """How this layer is drawn, unless labels are off; None: as the others."""


def render_slice(
    em: NDArray[Any],
    layers: Sequence[Layer] = (),
    *,
    overlay: Overlay = "tint",
    unknown: NDArray[np.bool_] | None = None,
    em_valid: NDArray[np.bool_] | None = None,
    window: tuple[float, float] | None = None,
    opacity: float = TINT,
) -> NDArray[np.uint8]:
    """Draw a slice.

    Parameters
    ----------
    em
        Grey values ``[h, w]``, any numeric dtype.
    layers
        Labels, later ones over earlier ones.
    overlay
        How labels are drawn.
    unknown
        Pixels ``[h, w]`` that are hatched, whatever `overlay` says.
    em_valid
        Pixels ``[h, w]`` inside the EM; the others are a flat dark grey.
    window
        Values that become black and white; None: the dtype's range for uint8, else the 1st and 99th
        percentile of the slice.
    opacity
        Share of the label's colour in a tinted pixel.

    Returns
    -------
    NDArray[np.uint8]
        RGB ``[h, w, 3]``.
    """
    grey = grey_levels(em, window)
    if em_valid is not None:
        grey = np.where(em_valid, grey, np.uint8(_NO_EM))
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    for layer in layers if overlay != "off" else ():
        _draw(rgb, layer, layer.overlay or overlay, opacity)
    if unknown is not None:
        _hatch(rgb, unknown)
    return rgb


def grey_levels(em: NDArray[Any], window: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return grey values as 0 to 255; see `render_slice` for `window`."""
    if window is None:
        if em.dtype == np.uint8:
            return em
        window = percentile_window(em)
    low, high = window
    scaled = (np.nan_to_num(em.astype(np.float32), nan=low) - low) * (255.0 / max(high - low, 1e-30))
    grey: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return grey


def percentile_window(em: NDArray[Any]) -> tuple[float, float]:
    """Return the 1st and 99th percentile of the finite values; 0 and 1 where there are none."""
    finite = em[np.isfinite(em)]
    if not finite.size:
        return (0.0, 1.0)
    low, high = np.percentile(finite, (1, 99))
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)


def outline(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels of labels ``[h, w]`` that touch another id or the background by an edge."""
    edge = np.zeros(labels.shape, np.bool_)
    down = labels[1:] != labels[:-1]
    right = labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    edge &= labels != 0
    return edge


def save_png(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write a picture ``[h, w, 3]`` as a PNG file, by way of a temporary name; its folder is made.

    Raises
    ------
    RefusedError
        If it cannot be written.
    """
    from PIL import Image

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb).save(temporary, format="PNG")
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise RefusedError(f"{path} cannot be written: {reason}", "make room, or choose another place") from None


def _draw(rgb: NDArray[np.uint8], layer: Layer, overlay: Overlay, opacity: float) -> None:
    where = outline(layer.labels) if overlay == "outline" else layer.labels != 0
    if isinstance(layer.colours, Mapping):
        where &= np.isin(layer.labels, list(layer.colours))
    if not where.any():
        return
    colours = _colours(layer, where)
    share = 1.0 if overlay == "outline" else opacity
    rgb[where] = np.rint(rgb[where] * np.float32(1 - share) + colours * np.float32(share)).astype(np.uint8)


def _colours(layer: Layer, where: NDArray[np.bool_]) -> NDArray[Any]:
    """Return a colour for each drawn pixel, ``[n, 3]``, or one for all, ``[3]``."""
    if layer.colours is None:
        return object_colours(layer.labels[where])
    if isinstance(layer.colours, tuple):
        return np.array(layer.colours)
    ids, index = np.unique(layer.labels[where], return_inverse=True)
    table: NDArray[Any] = np.array([layer.colours[int(i)] for i in ids])[index]
    return table


def _hatch(rgb: NDArray[np.uint8], unknown: NDArray[np.bool_]) -> None:
    height, width = unknown.shape
    diagonal = (np.arange(height)[:, None] + np.arange(width)) % HATCH_PERIOD == 0
    lines = unknown & diagonal
    below = rgb[lines].astype(np.int16)
    is_dark = below.mean(axis=1, keepdims=True) < _HATCH_TURN
    rgb[lines] = np.clip(below + np.where(is_dark, _HATCH_STEP, -_HATCH_STEP), 0, 255).astype(np.uint8)
