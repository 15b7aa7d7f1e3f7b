"""World and voxel space: where positions, boxes and pyramid levels of a `Grid` lie.

World space is in nanometres, index space in voxels, axes are z, y, x. A translation is the *centre*
of voxel (0, 0, 0), so voxel ``i`` covers ``[t + (i - 1/2) s, t + (i + 1/2) s)`` on each axis, and
whole numbers in index space are voxel centres. Pure arithmetic: no arrays, no files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.grid import Grid, Shape3, Vec3

if TYPE_CHECKING:
    from collections.abc import Iterable

TOLERANCE_VOXELS = 1e-6
"""Sizes such as 5.24 nm do not divide in floats: an edge this near to a voxel's edge lies on it."""


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open box of voxels; any part may lie outside the array, and it may be empty."""

    start: Shape3
    """First voxel on each axis; may be negative."""
    stop: Shape3
    """One past the last voxel on each axis."""

    @property
    def shape(self) -> Shape3:
        """Number of voxels on each axis, never negative."""
        return _shape3(max(0, b - a) for a, b in zip(self.start, self.stop, strict=True))

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def is_empty(self) -> bool:
        """Whether it holds no voxel."""
        return self.voxels == 0

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index into an array; only for boxes without negative starts."""
        z, y, x = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return (z, y, x)

    def padded(self, voxels: int | Shape3) -> Box:
        """Return the box widened by `voxels` on both sides of each axis."""
        width = (voxels,) * 3 if isinstance(voxels, int) else voxels
        start = _shape3(a - w for a, w in zip(self.start, width, strict=True))
        return Box(start, _shape3(b + w for b, w in zip(self.stop, width, strict=True)))

    def shifted(self, offset: Shape3) -> Box:
        """Return the box moved by `offset` voxels."""
        start = _shape3(a + o for a, o in zip(self.start, offset, strict=True))
        return Box(start, _shape3(b + o for b, o in zip(self.stop, offset, strict=True)))

    def clipped(self, shape: Shape3) -> Box:
        """Return the part inside an array of `shape`; empty where they do not meet."""
        return self.intersected(Box((0, 0, 0), shape))

    def intersected(self, other: Box) -> Box:
        """Return the common part; an empty box where there is none."""
        start = _shape3(max(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = _shape3(min(a, b) for a, b in zip(self.stop, other.stop, strict=True))
        return Box(start, _shape3(max(a, b) for a, b in zip(start, stop, strict=True)))

    def contains(self, other: Box) -> bool:
        """Return whether every voxel of `other` is in this box."""
        return other.is_empty or self.intersected(other) == other


def whole(grid: Grid) -> Box:
    """Return the box of all voxels of `grid`."""
    return Box((0, 0, 0), grid.shape)


def to_voxel(grid: Grid, position_nm: Vec3) -> Vec3:
    """Return a world position in index space, where whole numbers are voxel centres."""
    z, y, x = ((p - t) / s for p, t, s in zip(position_nm, grid.translation_nm, grid.voxel_size_nm, strict=True))
    return (z, y, x)


def to_world(grid: Grid, index: Iterable[float]) -> Vec3:
    """Return the world position in nm of a (fractional) voxel index."""
    z, y, x = (t + i * s for i, t, s in zip(index, grid.translation_nm, grid.voxel_size_nm, strict=True))
    return (z, y, x)


def voxel_at(grid: Grid, position_nm: Vec3) -> Shape3:
    """Return the voxel that holds a world position; it may lie outside the array."""
    return _shape3(math.floor(i + 0.5 + TOLERANCE_VOXELS) for i in to_voxel(grid, position_nm))


def covering_box(grid: Grid, lower_nm: Vec3, upper_nm: Vec3, padding_voxels: int = 0) -> Box:
    """Return the smallest box of voxels that covers a box of the world, not clipped to the array.

    Parameters
    ----------
    grid
        The grid whose voxels are counted.
    lower_nm, upper_nm
        Corners of the world box; half-open, so voxels that only touch it are not in.
    padding_voxels
        Voxels of this grid added on both sides of each axis.
    """
    low = to_voxel(grid, lower_nm)
    high = to_voxel(grid, upper_nm)
    start = _shape3(math.floor(i + 0.5 + TOLERANCE_VOXELS) for i in low)
    stop = _shape3(math.ceil(i + 0.5 - TOLERANCE_VOXELS) for i in high)
    return Box(start, stop).padded(padding_voxels)


def covering_range(grid: Grid, lower_nm: Vec3, upper_nm: Vec3, padding_voxels: int = 0) -> Box:
    """Return `covering_box` clipped to the array; empty where the two do not meet."""
    return covering_box(grid, lower_nm, upper_nm, padding_voxels).clipped(grid.shape)


def sub_grid(grid: Grid, box: Box) -> Grid:
    """Return the grid of a box of voxels of `grid`; the box may reach beyond the array.

    Raises
    ------
    RequestError
        If the box is empty.
    """
    return Grid(grid.voxel_size_nm, to_world(grid, box.start), box.shape)


def level_grid(grid: Grid, level: int, shape: Shape3 | None = None) -> Grid:
    """Return the grid of pyramid level `level` above `grid`.

    Its voxels are ``2**level`` as long on every axis, its first voxel has the same lower corner, so
    the translation moves by ``(s_k - s_0) / 2``. An odd count is rounded up: no voxel is lost.

    Parameters
    ----------
    grid
        The finest level.
    level
        0 for `grid` itself.
    shape
        In place of the computed shape.
    """
    factor = 2**level
    size = _vec3(s * factor for s in grid.voxel_size_nm)
    moved = _vec3(t + (s_k - s) / 2 for t, s, s_k in zip(grid.translation_nm, grid.voxel_size_nm, size, strict=True))
    return Grid(size, moved, shape or _shape3(-(-n // factor) for n in grid.shape))


def overlap(first: Grid, second: Grid) -> tuple[Vec3, Vec3] | None:
    """Return the lower and upper corner in nm of the common box of two grids, None if they do not meet."""
    lower = _vec3(max(a, b) for a, b in zip(first.lower_nm, second.lower_nm, strict=True))
    upper = _vec3(min(a, b) for a, b in zip(first.upper_nm, second.upper_nm, strict=True))
    if all(a < b for a, b in zip(lower, upper, strict=True)):
        return lower, upper
    return None


def is_aligned(first: Grid, second: Grid) -> bool:
    """Return whether two grids have the same voxels: equal size, and centres on each other's centres."""
    same_size = all(
        math.isclose(a, b, rel_tol=1e-9) for a, b in zip(first.voxel_size_nm, second.voxel_size_nm, strict=True)
    )
    offset = to_voxel(first, second.translation_nm)
    return same_size and all(abs(i - round(i)) < TOLERANCE_VOXELS for i in offset)


def _shape3(values: Iterable[int]) -> Shape3:
    z, y, x = values
    return (z, y, x)


def _vec3(values: Iterable[float]) -> Vec3:
    z, y, x = values
    return (z, y, x)
