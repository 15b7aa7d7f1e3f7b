"""The EM of a bank's crop: on the crop's grid, with context around it, as one byte a voxel.

The level is the coarsest that is fine enough, among those whose chunks are on disk: a fetch leaves out
levels much finer than the labels, and reading those would give black. Grey values are averaged where the
bank is coarser and interpolated linearly, never shifted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.errors import MissingDataError
from cellmap_tui.volumes.arrays import has_chunk, open_level, read_inside
from cellmap_tui.volumes.chunks import ChunkReader
from cellmap_tui.volumes.geometry import TOLERANCE_VOXELS, Box, covering_range, is_aligned, sub_grid, to_voxel, whole
from cellmap_tui.volumes.metadata import is_there
from cellmap_tui.volumes.ngff import Multiscale, open_volume
from cellmap_tui.volumes.read import read_region
from cellmap_tui.volumes.resample import positions_in, valid_mask
from cellmap_tui.volumes.slices import percentile_window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid, Shape3, Vec3
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.levels import LevelChoice
    from cellmap_tui.volumes.ngff import Level

SLAB_VOXELS = 8 * 2**20
"""Voxels resampled at once; bounds the memory of a crop of any size."""
_WINDOW_VOXELS = 2**24
"""Voxels of a coarse level from which the grey window of EM that is not 8 bit is taken."""

Window = tuple[float, float]
"""Grey values that become 0 and 255."""


@dataclass(frozen=True, slots=True)
class CropEm:
    """EM that can be read for a crop."""

    volume: Multiscale
    """The levels that have data at the crop."""
    choice: LevelChoice
    """The one that is read."""
    window: Window | None
    """Grey values that become 0 and 255; None: it is 8 bit already."""
    lacks_nm: Vec3 | None = None
    """Voxel size of the level that should be read and has no data on disk; None: what is read is enlarged, if at
    all, because there is nothing finer."""


def open_em(path: Path, crop: Grid) -> CropEm:
    """Open the EM under a crop.

    Parameters
    ----------
    path
        Its multiscale group, or one of its levels.
    crop
        The crop's grid at the voxel size that is wanted.

    Raises
    ------
    MissingDataError
        If there is no EM, or none of its chunks under the crop is on disk.
    DataError
        If its metadata are broken.
    """
    from cellmap_tui.volumes.levels import choose_level

    if not is_there(path):
        raise MissingDataError(f"the EM is not on disk: {path}", "fetch the crop, or correct the path in the split")
    volume = _opened(path)
    levels = tuple(level for level in volume.levels if chunks_there(level, crop).any())
    if not levels:
        raise MissingDataError(f"no chunk of {path} under the crop is on disk", "fetch the crop's EM")
    present = Multiscale(volume.path, levels)
    choice = choose_level(present, crop.voxel_size_nm)
    best = choose_level(volume, crop.voxel_size_nm).level
    lacks_nm = best.grid.voxel_size_nm if choice.must_upsample and best is not choice.level else None
    return CropEm(present, choice, grey_window(present), lacks_nm)


def write_em(
    em: CropEm, grid: Grid, out: NDArray[np.uint8], step: Callable[[int], None] | None = None
) -> NDArray[np.bool_] | None:
    """Fill `out` with the EM on a grid, slab by slab.

    Parameters
    ----------
    em
        From `open_em`.
    grid
        The crop's grid with its context.
    out
        uint8 of the grid's shape; 0 where there is no EM.
    step
        Called with the number of voxels done since the last call; may raise to give up.

    Returns
    -------
    NDArray or None
        Which voxels are inside the EM, have a chunk on disk and are finite, bool of the grid's shape; None: all.
    """
    level = em.choice.level
    reader = ChunkReader(level)
    broken: list[tuple[Box, NDArray[np.bool_]]] = []
    for box in _slabs(grid):
        values = _read(reader, grid, box)
        finite = np.isfinite(values) if values.dtype.kind == "f" else None
        if finite is not None and not finite.all():
            broken.append((box, finite))
            values = np.where(finite, values, 0)
        out[box.slices] = _grey(values, em.window)
        if step is not None:
            step(box.voxels)
    valid = _valid(level, grid)
    for box, finite in broken:
        valid[box.slices] &= finite
    if valid.all():
        return None
    np.multiply(out, valid, out=out)
    return valid


def _opened(path: Path) -> Multiscale:
    is_level = is_there(path / ".zarray") and is_there(path.parent / ".zattrs") and is_there(path.parent / ".zgroup")
    return open_volume(path.parent if is_level else path)


def _read(reader: ChunkReader, grid: Grid, box: Box) -> Voxels:
    level = reader.level
    if not is_aligned(level.grid, grid):
        single = Multiscale(level.path, (level,))
        return read_region(single, sub_grid(grid, box), "em", reader=lambda _, b: _block(reader, b)).array
    z, y, x = (round(i) for i in to_voxel(level.grid, grid.translation_nm))
    here = box.shifted((z, y, x))
    inside = here.clipped(level.shape)
    if inside == here:
        return _block(reader, here)
    array = np.zeros(box.shape, level.dtype)
    if not inside.is_empty:
        dz, dy, dx = (-a for a in here.start)
        array[inside.shifted((dz, dy, dx)).slices] = _block(reader, inside)
    return array


def _block(reader: ChunkReader, box: Box) -> Voxels:
    found = reader.read(box)
    return np.full(box.shape, reader.level.fill_value, reader.level.dtype) if found is None else found


def _slabs(grid: Grid) -> list[Box]:
    plane = grid.shape[1] * grid.shape[2]
    thickness = max(1, min(grid.shape[0], SLAB_VOXELS // plane))
    starts = range(0, grid.shape[0], thickness)
    return [Box((z, 0, 0), (min(z + thickness, grid.shape[0]), *grid.shape[1:])) for z in starts]


def _grey(values: Voxels, window: Window | None) -> NDArray[np.uint8]:
    if window is None:
        same: NDArray[np.uint8] = values.astype(np.uint8, copy=False)
        return same
    low, high = window
    scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / max(high - low, 1e-12))
    grey: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return grey


def grey_window(volume: Multiscale) -> Window | None:
    """Return the grey window of EM that is not 8 bit, from its coarsest level: the same for all its crops."""
    level = volume.levels[-1]
    if level.dtype == np.uint8:
        return None
    box = middle_of(level)
    values = read_inside(level, open_level(level), box)
    # Chunks that were not fetched read as the fill value and say nothing about the grey values.
    return percentile_window(values[values != level.fill_value])


def middle_of(level: Level) -> Box:
    """Return the voxels in the middle of a level that a grey window is taken from."""
    share = min(1.0, (_WINDOW_VOXELS / level.grid.voxels) ** (1 / 3))
    start = [int(n * (1 - share) / 2) for n in level.shape]
    stop = [max(a + 1, int(a + n * share)) for a, n in zip(start, level.shape, strict=True)]
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])).intersected(whole(level.grid))


def chunks_there(level: Level, grid: Grid) -> NDArray[np.bool_]:
    """Return which chunks under a grid are on disk, by their number counted from the first under it."""
    first, counts = _chunk_range(level, grid)
    found = np.zeros(counts, np.bool_)
    for index in np.ndindex(*counts):
        z, y, x = (a + i for a, i in zip(first, index, strict=True))
        found[index] = has_chunk(level, (z, y, x))
    return found


def _chunk_range(level: Level, grid: Grid) -> tuple[Shape3, Shape3]:
    box = covering_range(level.grid, grid.lower_nm, grid.upper_nm)
    if box.is_empty:
        return (0, 0, 0), (0, 0, 0)
    first = [a // c for a, c in zip(box.start, level.chunks, strict=True)]
    stop = [-(-b // c) for b, c in zip(box.stop, level.chunks, strict=True)]
    z, y, x = (b - a for a, b in zip(first, stop, strict=True))
    return (first[0], first[1], first[2]), (z, y, x)


def _valid(level: Level, grid: Grid) -> NDArray[np.bool_]:
    inside = valid_mask(level.grid, grid)
    present = chunks_there(level, grid)
    if present.all():
        return inside
    first, counts = _chunk_range(level, grid)
    index = []
    for positions, chunk, start, count in zip(
        positions_in(level.grid, grid), level.chunks, first, counts, strict=True
    ):
        voxels = np.floor(positions + 0.5 + TOLERANCE_VOXELS).astype(np.intp)
        index.append(np.clip(voxels // chunk - start, 0, count - 1))
    result: NDArray[np.bool_] = inside & present[np.ix_(*index)]
    return result
