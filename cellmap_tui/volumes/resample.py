"""Values of one grid at the voxels of another, in world space, without any shift.

Two steps that each keep a linear ramp exact: whole cells of source voxels are averaged (or put to
the vote) where the target is coarser by a whole factor or more, then values are taken between cell
centres, linearly for grey values and from the nearest cell for labels. Arrays in, arrays out; no
files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.volumes.downsample import Kind, reduced
from cellmap_tui.volumes.geometry import TOLERANCE_VOXELS, Box, to_voxel, to_world
from cellmap_tui.volumes.levels import TOLERANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.arrays import Voxels


@dataclass(frozen=True, slots=True)
class Cells:
    """A source grid seen in cells of whole voxels, about as large as the target's voxels."""

    factor: Shape3
    """Source voxels of a cell on each axis."""
    phase: Shape3
    """Source voxel at which cell 0 starts; 0 or below, so that cell 0 holds source voxel 0."""
    grid: Grid
    """The cells as a grid; its first and last cell may reach beyond the source."""
    source: Grid
    """The grid of the source voxels."""

    def voxels(self, cells: Box) -> Box:
        """Return the source voxels of a box of cells; may reach beyond the source."""
        start = [p + f * i for p, f, i in zip(self.phase, self.factor, cells.start, strict=True)]
        stop = [p + f * i for p, f, i in zip(self.phase, self.factor, cells.stop, strict=True)]
        return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

    def reduce(self, block: Voxels, cells: Box, kind: Kind) -> Voxels:
        """Return the values of a box of cells from the source voxels in it, those that exist."""
        first = self.voxels(cells).start
        missing = [(max(0, -a), 0) for a in first]
        if any(before for before, _ in missing):
            block = np.pad(block, missing, mode="edge")
        return reduced(block, self.factor, kind)


def cells_for(source: Grid, target: Grid) -> Cells:
    """Return the cells of `source` that come nearest to the voxels of `target` without exceeding them.

    Their edges lie on the target's edges wherever whole source voxels allow it.
    """
    factor = []
    phase = []
    lower = to_voxel(source, target.lower_nm)
    for want, have, edge in zip(target.voxel_size_nm, source.voxel_size_nm, lower, strict=True):
        by = max(1, math.floor(want / have * (1 + TOLERANCE)))
        factor.append(by)
        phase.append(-((-math.floor(edge + 0.5 + 0.5)) % by))
    return _cells(source, (factor[0], factor[1], factor[2]), (phase[0], phase[1], phase[2]))


def _cells(source: Grid, factor: Shape3, phase: Shape3) -> Cells:
    size = [f * s for f, s in zip(factor, source.voxel_size_nm, strict=True)]
    first = to_world(source, [p + (f - 1) / 2 for p, f in zip(phase, factor, strict=True)])
    shape = [-(-(n - p) // f) for n, p, f in zip(source.shape, phase, factor, strict=True)]
    grid = Grid((size[0], size[1], size[2]), first, (shape[0], shape[1], shape[2]))
    return Cells(factor, phase, grid, source)


def needed(cells: Grid, target: Grid) -> Box:
    """Return the box of cells that values at the voxels of `target` are taken from.

    Outside of the cells the nearest ones stand in, so the box is never empty.
    """
    start = []
    stop = []
    for positions, length in zip(positions_in(cells, target), cells.shape, strict=True):
        start.append(min(max(math.floor(positions[0]), 0), length - 1))
        stop.append(min(max(math.floor(positions[-1]) + 2, 1), length))
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def positions_in(grid: Grid, target: Grid) -> list[NDArray[np.float64]]:
    """Return, for each axis, the centres of the target's voxels in the index space of `grid`."""
    axes = zip(grid.voxel_size_nm, grid.translation_nm, target.voxel_size_nm, target.translation_nm, strict=True)
    found = []
    for (size, origin, target_size, target_origin), count in zip(axes, target.shape, strict=True):
        positions = (target_origin - origin + np.arange(count) * target_size) / size
        whole = np.rint(positions)
        found.append(np.where(np.abs(positions - whole) < TOLERANCE_VOXELS, whole, positions))
    return found


def linear(values: Voxels, start: Shape3, cells: Grid, target: Grid) -> Voxels:
    """Return values at the voxels of `target`, interpolated linearly between cells.

    Parameters
    ----------
    values
        Floats ``[z, y, x]`` of the cells from `start` on; see `needed`.
    start
        Number of the first cell of `values`.
    cells, target
        Where cells and target voxels lie. Beyond the outermost cell centres the values go on flat.

    Returns
    -------
    Voxels
        Floats of the target's shape and the dtype of `values`.
    """
    for axis, positions in enumerate(positions_in(cells, target)):
        values = _linear_axis(values, positions - start[axis], axis)
    return values


def nearest(values: Voxels, start: Shape3, cells: Grid, target: Grid) -> Voxels:
    """Return, at each voxel of `target`, the value of the cell that holds its centre; see `linear`."""
    for axis, positions in enumerate(positions_in(cells, target)):
        index = np.floor(positions - start[axis] + 0.5 + TOLERANCE_VOXELS).astype(np.intp)
        values = values.take(np.clip(index, 0, values.shape[axis] - 1), axis=axis)
    return values


def valid_mask(source: Grid, target: Grid) -> NDArray[np.bool_]:
    """Return which voxels of `target` have their centre inside the box of `source`; bool ``[z, y, x]``."""
    inside = []
    for positions, length in zip(positions_in(source, target), source.shape, strict=True):
        index = np.floor(positions + 0.5 + TOLERANCE_VOXELS)
        inside.append((index >= 0) & (index < length))
    z, y, x = inside
    mask: NDArray[np.bool_] = z[:, None, None] & y[None, :, None] & x[None, None, :]
    return mask


def _linear_axis(values: Voxels, positions: NDArray[np.float64], axis: int) -> Voxels:
    last = values.shape[axis] - 1
    positions = np.clip(positions, 0, last)
    below = np.floor(positions).astype(np.intp)
    weight = (positions - below).astype(values.dtype)
    low = values.take(below, axis=axis)
    if not weight.any():
        return low
    shape = [1, 1, 1]
    shape[axis] = len(weight)
    high = values.take(np.minimum(below + 1, last), axis=axis)
    high -= low
    high *= weight.reshape(shape)
    high += low
    return high
