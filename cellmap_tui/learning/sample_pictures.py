"""Example slices as pictures, a row a class: grey values, truth, probability, error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.learning.codebook import PRESENT, UNKNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.learning.samples import Sample

MOST_CLASSES = 12
"""Pictures of a slice; those classes with most voxels in truth or prediction."""
_MISSED = (86, 180, 233)  # colours that the colour-blind tell apart (Okabe and Ito)
_FALSE = (213, 94, 0)
_RIGHT = (0, 158, 115)
_HATCH = 6
_GAP = 2


def sample_pictures(sample: Sample) -> dict[str, NDArray[np.uint8]]:
    """Return a picture for each class that the slice shows, by the class's name.

    Each is uint8 ``[h, 4 w + gaps, 3]``: grey values; truth over them, unknown hatched; probability; and error:
    right green, missed blue, false orange.
    """
    shown = ((sample.truth == PRESENT) | (sample.probability >= 128)).sum(axis=(1, 2))
    order = [number for number in np.argsort(-shown).tolist() if shown[number]][:MOST_CLASSES]
    return {sample.names[number]: _picture(sample, number) for number in sorted(order)}


def _picture(sample: Sample, number: int) -> NDArray[np.uint8]:
    truth, probability = sample.truth[number], sample.probability[number]
    grey = np.repeat(sample.raw[..., None], 3, axis=2)
    present, unknown, predicted = truth == PRESENT, truth == UNKNOWN, probability >= 128
    labelled = _hatched(_tinted(grey, present, _RIGHT), unknown)
    error = _tinted(grey, present & predicted, _RIGHT)
    error = _tinted(error, present & ~predicted, _MISSED)
    error = _hatched(_tinted(error, ~present & predicted & ~unknown, _FALSE), unknown)
    parts = [grey, labelled, np.repeat(probability[..., None], 3, axis=2), error]
    gap = np.zeros((len(grey), _GAP, 3), np.uint8)
    row = [piece for part in parts for piece in (part, gap)][:-1]
    picture: NDArray[np.uint8] = np.concatenate(row, axis=1)
    return picture


def _tinted(grey: NDArray[np.uint8], where: NDArray[np.bool_], colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    out = grey.copy()
    out[where] = (0.5 * grey[where] + 0.5 * np.array(colour)).astype(np.uint8)
    return out


def _hatched(grey: NDArray[np.uint8], where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    y, x = np.indices(where.shape)
    out = grey.copy()
    out[where & ((y + x) % _HATCH == 0)] = 90
    return out
