"""The EM of a region that is exported: where the region ends, which level serves it, and what is on disk of it.

Of a dataset's EM only parts are fetched, and levels much finer than the labels are left out; and chunks that
are black throughout are never stored. So of the levels that are fine enough the one with the most on disk is
read, and gaps are told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.volumes.arrays import chunk_file, chunks_of
from cellmap_tui.volumes.cache import ChunkCache
from cellmap_tui.volumes.geometry import TOLERANCE_VOXELS, Box, covering_range, sub_grid, to_voxel, whole
from cellmap_tui.volumes.levels import choose_level
from cellmap_tui.volumes.ngff import Multiscale
from cellmap_tui.volumes.read import read_region

if TYPE_CHECKING:
    import numpy as np

    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.ngff import Level

CACHE_BYTES = 192 * 2**20
_MOSTLY = 0.5


@dataclass(frozen=True, slots=True)
class Presence:
    """How much of a region is on disk at one level."""

    chunks: int
    """Chunks of the level that the region touches."""
    present: int
    """How many of them are on disk."""

    @property
    def is_whole(self) -> bool:
        """Whether no chunk is missing."""
        return self.present == self.chunks

    @property
    def share(self) -> float:
        """Which share is on disk, 0 to 1."""
        return self.present / self.chunks if self.chunks else 0.0


def at_voxel_size(grid: Grid, voxel_size_nm: Vec3) -> Grid:
    """Return a grid over the same box of the world with other voxels; the count is rounded, at least one."""
    sizes = list(zip(grid.extent_nm, voxel_size_nm, strict=True))
    z, y, x = (max(1, round(extent / size)) for extent, size in sizes)
    tz, ty, tx = (low + size / 2 for low, size in zip(grid.lower_nm, voxel_size_nm, strict=True))
    return Grid(voxel_size_nm, (tz, ty, tx), (z, y, x))


def with_margin(grid: Grid, margin: Shape3, around: Grid | None) -> Grid:
    """Return a grid widened by voxels on both sides of each axis, but not beyond `around`.

    Parameters
    ----------
    grid
        The labelled region; always inside of the result.
    margin
        Voxels of `grid` added on each side.
    around
        The EM; None: the margin ends nowhere.
    """
    box = whole(grid).padded(margin)
    if around is not None:
        low = [math.ceil(i + 0.5 - TOLERANCE_VOXELS) for i in to_voxel(grid, around.lower_nm)]
        high = [math.floor(i + 0.5 + TOLERANCE_VOXELS) for i in to_voxel(grid, around.upper_nm)]
        start = [min(0, max(a, b)) for a, b in zip(box.start, low, strict=True)]
        stop = [max(n, min(a, b)) for a, b, n in zip(box.stop, high, grid.shape, strict=True)]
        box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    return sub_grid(grid, box)


def presence(level: Level, region: Grid) -> Presence:
    """Return how much of a region is on disk at a level."""
    numbers = list(chunks_of(covering_range(level.grid, region.lower_nm, region.upper_nm), level.chunks))
    present = 0
    for number in numbers:
        try:
            chunk_file(level, number).stat()
        except OSError:
            continue
        present += 1
    return Presence(len(numbers), present)


class RawSource:
    """Grey values of an EM on the grid of an export.

    Parameters
    ----------
    volume
        The EM.
    grid
        Where values are wanted.
    """

    def __init__(self, volume: Multiscale, grid: Grid) -> None:
        self.grid = grid
        found = [(level, presence(level, grid)) for level in volume.levels]
        self._volume = Multiscale(volume.path, _best(volume, found, grid.voxel_size_nm))
        self.choice = choose_level(self._volume, grid.voxel_size_nm)
        self.presence = next(there for level, there in found if level is self.choice.level)
        self._cache = ChunkCache(CACHE_BYTES)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the values, that of the EM."""
        return self.choice.level.dtype

    def read(self, box: Box) -> Voxels:
        """Return the values of a box of the grid; 0 outside of the EM."""
        return read_region(self._volume, sub_grid(self.grid, box), "em", reader=self._cache.read).array.astype(
            self.dtype, copy=False
        )

    def forget(self) -> None:
        """Let go of the chunks that are kept in memory."""
        self._cache.clear()


def native_grid(volume: Multiscale, region: Grid) -> Grid:
    """Return the voxels of the EM itself that cover a region, of the finest level that is there.

    A level of which at least half is on disk counts as there; where none is, the one with the most does.
    """
    shares = [(presence(level, region).share, level) for level in volume.levels]
    most = max(share for share, _ in shares)
    level = next(level for share, level in shares if share >= min(most, _MOSTLY))
    return sub_grid(level.grid, covering_range(level.grid, region.lower_nm, region.upper_nm))


def _best(volume: Multiscale, found: list[tuple[Level, Presence]], voxel_size_nm: Vec3) -> tuple[Level, ...]:
    """Return the levels with the most on disk: of those that are fine enough, else of the others."""
    shares = [(there.share, level) for level, there in found]
    fine = [(share, level) for share, level in shares if not _is_coarse(volume, level, voxel_size_nm)]
    wanted = fine if any(share for share, _ in fine) else shares
    most = max(share for share, _ in wanted)
    return tuple(level for share, level in wanted if share == most)


def _is_coarse(volume: Multiscale, level: Level, voxel_size_nm: Vec3) -> bool:
    return choose_level(Multiscale(volume.path, (level,)), voxel_size_nm).must_upsample
