"""The score of a semantic class in one crop: voxels on both sides, counted block by block.

Nothing is kept but the counts, so memory does not depend on the size of the crop.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.scoring.results import ratio
from cellmap_tui.scoring.sources import InMemory, Volume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.arrays import Voxels

BLOCK_VOXELS = 2**20
"""Voxels read at once where there are no chunks."""

CACHED_VOXELS = 2**16
"""Voxels counted at once: what the first caches of a processor hold of both sides, three times faster."""


@dataclass(frozen=True, slots=True)
class SemanticScore:
    """Voxel counts of one semantic class in one crop."""

    tp: int
    """Foreground on both sides."""
    fp: int
    """Foreground in the prediction alone."""
    fn: int
    """Foreground in the truth alone."""
    num_voxels: int
    """Voxels of the crop."""

    @property
    def tn(self) -> int:
        """Background on both sides, masked voxels included."""
        return self.num_voxels - self.tp - self.fp - self.fn

    @property
    def iou(self) -> float:
        """Intersection over union; 1 where there is nothing on either side."""
        return ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def dice(self) -> float:
        """Dice score; 1 where there is nothing on either side."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def score_semantic(
    truth: Voxels | Volume, prediction: Voxels | Volume, *, mask: Voxels | Volume | None = None
) -> SemanticScore:
    """Count the voxels above 0 on both sides.

    Parameters
    ----------
    truth, prediction
        Arrays or volumes of the same shape, of any numeric type; NaN is background.
    mask
        Of the same shape; voxels where it is 0 are background on both sides.
    """
    sides = [_volume(truth), _volume(prediction)]
    if mask is not None:
        sides.append(_volume(mask))
    tp = predicted = expected = 0
    for start, stop in _blocks(sides[0].shape, _step(sides)):
        flat = [side.read(start, stop).reshape(-1) for side in sides]
        for first in range(0, flat[0].size, CACHED_VOXELS):
            here, there = _foregrounds([block[first : first + CACHED_VOXELS] for block in flat])
            expected += int(np.count_nonzero(here))
            predicted += int(np.count_nonzero(there))
            tp += int(np.count_nonzero(np.logical_and(here, there)))
    z, y, x = sides[0].shape
    return SemanticScore(tp, predicted - tp, expected - tp, z * y * x)


def _volume(side: Voxels | Volume) -> Volume:
    return InMemory(side) if isinstance(side, np.ndarray) else side


def _foregrounds(blocks: list[Voxels]) -> tuple[Voxels, Voxels]:
    """Return truth and prediction, not 0 where they are foreground inside the mask."""
    here, there, *masks = (block if block.dtype.kind in "ub" else block > 0 for block in blocks)
    for mask in masks:
        here, there = np.logical_and(here, mask), np.logical_and(there, mask)
    return here, there


def _step(sides: list[Volume]) -> Shape3:
    """Return the shape of blocks: whole chunks of the truth where it has any, else whole planes."""
    _, y, x = sides[0].shape
    chunks: Shape3 | None = getattr(sides[0], "chunks", None)
    if chunks is None:
        return (max(1, BLOCK_VOXELS // (y * x)), y, x)
    return chunks


def _blocks(shape: Shape3, step: Shape3) -> Iterator[tuple[Shape3, Shape3]]:
    starts = (range(0, length, by) for length, by in zip(shape, step, strict=True))
    for z, y, x in itertools.product(*starts):
        stop = (min(z + step[0], shape[0]), min(y + step[1], shape[1]), min(x + step[2], shape[2]))
        yield (z, y, x), stop
