"""Values of one grid at the voxels of another, as a product of three small matrices: on any device, slab by slab.

The rule is that of `volumes.resample`, by which grey values get onto the grid: cells of whole voxels are
averaged where the target is coarser, then values are taken linearly between cell centres. A ramp stays a ramp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cellmap_tui.volumes.geometry import Box, is_aligned, to_voxel, whole
from cellmap_tui.volumes.resample import cells_for, positions_in

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cellmap_tui.challenge.grid import Grid, Shape3


class GridMap:
    """From a network's grid to the grid that is written.

    Parameters
    ----------
    source
        Where values are.
    target
        Where they are wanted.
    """

    def __init__(self, source: Grid, target: Grid) -> None:
        self._source = source
        z, y, x = (round(place) for place in to_voxel(source, target.translation_nm))
        shift: Shape3 = (z, y, x)
        inside = whole(source).contains(whole(target).shifted(shift))
        self._shift = shift if is_aligned(source, target) and inside else None
        self._axes = [] if self._shift is not None else _axes(source, target)

    @property
    def is_copy(self) -> bool:
        """Whether values are taken as they are."""
        return self._shift is not None

    def source_box(self, box: Box) -> Box:
        """Return the source voxels that the values of a box of the target depend on."""
        if self._shift is not None:
            return box.shifted(self._shift)
        ranges = [axis.needed(a, b) for axis, a, b in zip(self._axes, box.start, box.stop, strict=True)]
        (z0, z1), (y0, y1), (x0, x1) = ranges
        return Box((z0, y0, x0), (z1, y1, x1))

    def values(self, box: Box, source: Tensor) -> Tensor:
        """Return the values of a box of the target.

        Parameters
        ----------
        box
            Voxels of the target.
        source
            float32 ``[columns, z, y, x]`` of `source_box`.
        """
        if self._shift is not None:
            return source
        for number, axis in enumerate(self._axes):
            matrix = torch.from_numpy(axis.matrix(box.start[number], box.stop[number])).to(source.device)
            source = torch.tensordot(source, matrix, dims=([number + 1], [1])).movedim(-1, number + 1)
        return source.contiguous()


class _Axis:
    """What each voxel of the target takes from which source voxels, along one axis."""

    def __init__(self, positions: NDArray[np.float64], factor: int, phase: int, count: int, cells: int) -> None:
        self._factor, self._phase, self._count = factor, phase, count
        inside = np.clip(positions, 0, cells - 1)
        self._below = np.floor(inside).astype(np.int64)
        self._weight = (inside - self._below).astype(np.float32)
        self._last = cells - 1

    def needed(self, start: int, stop: int) -> tuple[int, int]:
        """Return first and one past the last source voxel of a range of the target."""
        low, _ = self._cell(int(self._below[start]))
        _, high = self._cell(min(int(self._below[stop - 1]) + 1, self._last))
        return low, high

    def matrix(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the weights of a range of the target, float32 ``[target, source]``; rows add up to 1."""
        low, high = self.needed(start, stop)
        found = np.zeros((stop - start, high - low), np.float32)
        for row in range(start, stop):
            below, weight = int(self._below[row]), self._weight[row]
            for cell, share in ((below, 1 - weight), (min(below + 1, self._last), weight)):
                first, last = self._cell(cell)
                found[row - start, first - low : last - low] += share / (last - first)
        return found

    def _cell(self, number: int) -> tuple[int, int]:
        first = self._phase + self._factor * number
        return max(first, 0), min(first + self._factor, self._count)


def _axes(source: Grid, target: Grid) -> list[_Axis]:
    cells = cells_for(source, target)
    positions = positions_in(cells.grid, target)
    return [
        _Axis(places, factor, phase, count, along)
        for places, factor, phase, count, along in zip(
            positions, cells.factor, cells.phase, source.shape, cells.grid.shape, strict=True
        )
    ]
