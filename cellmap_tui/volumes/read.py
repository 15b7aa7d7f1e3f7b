"""Reading voxels: any box of a level, or a volume on any grid.

What lies outside the array is filled and marked in a validity mask; nothing is refused because it
reaches over an edge. Memory beyond the result is bounded, however much finer the level is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellmap_tui.volumes.arrays import Voxels, open_level, read_inside
from cellmap_tui.volumes.geometry import Box, sub_grid, whole
from cellmap_tui.volumes.levels import LevelChoice, choose_level
from cellmap_tui.volumes.resample import Cells, cells_for, linear, nearest, needed, valid_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.volumes.ngff import Level, Multiscale

RegionKind = Literal["em", "label", "semantic"]
"""``em``: grey values, linear. ``label``: ids, majority then nearest. ``semantic``: a mask, linear then threshold."""

Reader = Callable[["Level", Box], Voxels]
"""Returns the voxels of a box that lies inside a level."""

PIECE_VOXELS = 16 * 2**20
"""Source voxels brought to the target grid at once."""


@dataclass(frozen=True, slots=True)
class Region:
    """A volume on a wanted grid."""

    array: Voxels
    """Values ``[z, y, x]`` of the target grid's shape."""
    valid: NDArray[np.bool_]
    """Which voxels lie inside the volume; elsewhere `array` holds the fill value."""
    choice: LevelChoice
    """The level that was read, and why."""


def read_box(level: Level, box: Box, *, pad: bool = False, fill_value: float = 0) -> tuple[Voxels, NDArray[np.bool_]]:
    """Read a box of voxels, any part of which may lie outside the array.

    Parameters
    ----------
    level
        The array to read.
    box
        Which voxels, in the level's index space.
    pad
        True: return the whole box, with what is outside filled. False: return only what is inside.
    fill_value
        Put where there is no array.

    Returns
    -------
    array, valid
        Values and validity mask (bool) of the same shape: the box's, or its part inside the array.

    Raises
    ------
    DataError
        If the array or one of its chunks is broken.
    """
    inside = box.clipped(level.shape)
    found = read_inside(level, open_level(level), inside)
    if not pad or inside == box:
        return found, np.ones(found.shape, np.bool_)
    array = np.full(box.shape, fill_value, level.dtype)
    valid = np.zeros(box.shape, np.bool_)
    if not inside.is_empty:
        z, y, x = (-a for a in box.start)
        place = inside.shifted((z, y, x)).slices
        array[place] = found
        valid[place] = True
    return array, valid


def read_region(
    volume: Multiscale, target: Grid, kind: RegionKind, *, fill_value: float = 0, reader: Reader | None = None
) -> Region:
    """Read a volume on another grid, resampled in world space.

    The level is chosen by `choose_level`. Where it is finer by a whole factor, EM is averaged and
    labels are put to the vote; then EM is interpolated linearly and labels are taken from the nearest.

    Parameters
    ----------
    volume
        What to read.
    target
        Where values are wanted; any part may lie outside the volume.
    kind
        ``em``: same dtype as stored, integers rounded. ``label``: ids, same dtype. ``semantic``:
        uint8, 1 where at least half of the voxel is non-zero.
    fill_value
        Put where a voxel's centre is outside the volume.
    reader
        Reads a box inside a level; a `ChunkCache` has one. None: from disk.

    Raises
    ------
    DataError
        If the array or one of its chunks is broken.
    """
    choice = choose_level(volume, target.voxel_size_nm)
    level = choice.level
    cells = cells_for(level.grid, target)
    valid = valid_mask(level.grid, target)
    array = np.full(target.shape, fill_value, np.uint8 if kind == "semantic" else level.dtype)
    reader = reader or _read_from_disk
    for piece in _pieces(whole(target), math.prod(cells.factor)):
        inside = valid[piece.slices]
        if inside.any():
            found = _resampled(level, reader, cells, sub_grid(target, piece), kind)
            array[piece.slices] = np.where(inside, found, array[piece.slices])
    return Region(array, valid, choice)


def _read_from_disk(level: Level, box: Box) -> Voxels:
    return read_inside(level, open_level(level), box)


def _resampled(level: Level, reader: Reader, cells: Cells, target: Grid, kind: RegionKind) -> Voxels:
    box = needed(cells.grid, target)
    block = reader(level, cells.voxels(box).clipped(level.shape))
    if kind == "label":
        return nearest(cells.reduce(block, box, "label"), box.start, cells.grid, target)
    values = block != 0 if kind == "semantic" else block
    smooth = linear(cells.reduce(values.astype(_float_for(values)), box, "em"), box.start, cells.grid, target)
    if kind == "semantic":
        return (smooth >= 0.5 - 1e-6).astype(np.uint8)  # a tie is foreground, also after rounding errors
    return np.rint(smooth) if level.dtype.kind in "ui" else smooth


def _float_for(values: Voxels) -> np.dtype[Any]:
    is_narrow = values.dtype.itemsize <= 2 or values.dtype == np.float32
    return np.dtype(np.float32 if is_narrow else np.float64)


def _pieces(box: Box, source_voxels: int) -> list[Box]:
    """Return boxes that tile `box` and need at most `PIECE_VOXELS` source voxels each."""
    longest = max(range(3), key=lambda axis: box.shape[axis])
    length = box.shape[longest]
    if box.voxels * source_voxels <= PIECE_VOXELS or length <= 1:
        return [box]
    middle = box.start[longest] + length // 2
    stop = list(box.stop)
    start = list(box.start)
    stop[longest] = start[longest] = middle
    low = Box(box.start, (stop[0], stop[1], stop[2]))
    high = Box((start[0], start[1], start[2]), box.stop)
    return _pieces(low, source_voxels) + _pieces(high, source_voxels)
