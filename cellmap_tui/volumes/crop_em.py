"""The EM of a slice: read at the level that fits the pixels, among those that are on disk."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui import text
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path
from cellmap_tui.errors import MissingDataError
from cellmap_tui.volumes.arrays import has_chunk
from cellmap_tui.volumes.geometry import covering_range
from cellmap_tui.volumes.metadata import is_there
from cellmap_tui.volumes.ngff import Multiscale, open_volume
from cellmap_tui.volumes.read import read_region
from cellmap_tui.volumes.slices import percentile_window

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.cache import ChunkCache
    from cellmap_tui.volumes.levels import LevelChoice
    from cellmap_tui.volumes.ngff import Level
    from cellmap_tui.volumes.pixels import Pixels

_WINDOW_SAMPLES = 48
"""Samples on each axis of the crop for the grey window of EM that is not 8 bit."""


@dataclass(frozen=True, slots=True, eq=False)
class EmSlice:
    """Grey values on the pixels of a slice."""

    grey: Voxels
    """Values ``[h, w]`` in the dtype of the data."""
    valid: NDArray[np.bool_]
    """Which pixels are inside the EM."""
    window: tuple[float, float] | None
    """Values that become black and white; None: 0 and 255."""
    level: str
    """The level that was read and what was done with it."""
    notes: tuple[str, ...]
    """What the reader should know."""


def read_em(data_root: Path, crop: Crop, pixels: Pixels, cache: ChunkCache) -> EmSlice:
    """Read the EM under the pixels of a slice.

    Raises
    ------
    MissingDataError
        If the EM is not on disk.
    DataError
        If it is broken.
    """
    volume = _open(data_root, crop)
    present = _with_data(volume, pixels.grid)
    region = read_region(present or volume, pixels.grid, "em", reader=cache.read)
    shape = pixels.shape
    notes = () if present is not None else ("no EM chunk is on disk here: black in the data, or not fetched",)
    return EmSlice(
        grey=region.array.reshape(shape),
        valid=region.valid.reshape(shape),
        window=_window(present or volume, crop.grid, cache),
        level=_words(region.choice),
        notes=notes,
    )


def _words(choice: LevelChoice) -> str:
    if not choice.must_upsample:
        return choice.reason
    level = choice.level
    return f"{level.name or level.path.name} at {text.voxel(level.grid.voxel_size_nm)} nm, enlarged"


def _open(data_root: Path, crop: Crop) -> Multiscale:
    path = data_root / crop_em_path(crop)
    if not is_there(path):
        raise MissingDataError(
            f"the EM of {crop.ref} is not on disk: {path}", "fetch the crop, or look at a local one"
        )
    return open_volume(path)


def _with_data(volume: Multiscale, window: Grid) -> Multiscale | None:
    """Return the volume with only the levels that have a chunk here; None if none has.

    A fetch leaves out levels much finer than the labels; reading those would show black.
    """
    levels = tuple(level for level in volume.levels if _has_chunk(level, window))
    return Multiscale(volume.path, levels) if levels else None


def _has_chunk(level: Level, window: Grid) -> bool:
    """Return whether one of nine chunks spread over the window exists."""
    box = covering_range(level.grid, window.lower_nm, window.upper_nm)
    if box.is_empty:
        return False
    spread = (sorted({a, (a + b) // 2, b - 1}) for a, b in zip(box.start, box.stop, strict=True))
    numbers = {
        (z // level.chunks[0], y // level.chunks[1], x // level.chunks[2]) for z, y, x in itertools.product(*spread)
    }
    return any(has_chunk(level, number) for number in numbers)


def _window(volume: Multiscale, crop: Grid, cache: ChunkCache) -> tuple[float, float] | None:
    """Return the grey window of EM that is not 8 bit, from samples all over the crop: it must not flicker."""
    if volume.finest.dtype == np.uint8:
        return None
    count = [min(n, _WINDOW_SAMPLES) for n in crop.shape]
    size = [e / n for e, n in zip(crop.extent_nm, count, strict=True)]
    first = [low + s / 2 for low, s in zip(crop.lower_nm, size, strict=True)]
    grid = Grid((size[0], size[1], size[2]), (first[0], first[1], first[2]), (count[0], count[1], count[2]))
    region = read_region(volume, grid, "em", reader=cache.read)
    return percentile_window(region.array[region.valid])
