"""What is known of one annotated class on the voxels of a bank's crop: present, absent or unknown.

Owns opening a label group, choosing its level, and bringing states and cores to another grid. A
majority decides in a cell; where as many voxels say one thing as another, unknown wins over present and
present over absent, so that thin structures are not lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.learning.codebook import ABSENT, PRESENT, UNKNOWN
from cellmap_tui.learning.cores import core_ids
from cellmap_tui.volumes.annotation import read_annotation
from cellmap_tui.volumes.chunks import ChunkReader
from cellmap_tui.volumes.geometry import Box, is_aligned, overlap, sub_grid, to_voxel
from cellmap_tui.volumes.levels import TOLERANCE, choose_level
from cellmap_tui.volumes.metadata import is_there
from cellmap_tui.volumes.ngff import Multiscale, open_volume
from cellmap_tui.volumes.read import read_region
from cellmap_tui.volumes.resample import cells_for

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.learning.codebook import States
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.ngff import Level

CACHE_BYTES = 256 * 2**20
"""Decoded chunks that the classes of a crop keep together."""
_UINT8 = np.dtype(np.uint8)


@dataclass(frozen=True, slots=True)
class LabelGroup:
    """The labels of a class in a crop."""

    name: str
    """The class."""
    volume: Multiscale
    """Its levels."""
    unknown_value: int | None
    """Value of voxels that were not annotated."""

    @property
    def grid(self) -> Grid:
        """The voxels that were annotated."""
        return self.volume.finest.grid

    def is_coarser(self, voxel_size_nm: Vec3) -> bool:
        """Return whether its finest voxels are larger on some axis."""
        return any(
            have > want * (1 + TOLERANCE) for have, want in zip(self.grid.voxel_size_nm, voxel_size_nm, strict=True)
        )


def open_labels(folder: Path, name: str) -> LabelGroup:
    """Open the label group of a class.

    Raises
    ------
    MissingDataError
        If it is not on disk.
    DataError
        If it is broken or holds fractions.
    """
    path = folder / name
    if not is_there(path):
        raise MissingDataError(f"the labels of {name} are not on disk: {path}", "fetch the crop again")
    volume = open_volume(path)
    if volume.finest.dtype.kind not in "uib":
        raise DataError(f"{path}: holds {volume.finest.dtype} values, not labels")
    return LabelGroup(name, volume, read_annotation(volume).unknown_value)


class ChunkReaders:
    """The readers of a crop's levels: what is decoded for one purpose serves the others.

    Parameters
    ----------
    levels
        About how many there will be.
    """

    def __init__(self, levels: int) -> None:
        self._kept_bytes = CACHE_BYTES // max(1, levels)
        self._readers: dict[Path, ChunkReader] = {}

    def of(self, level: Level) -> ChunkReader:
        """Return the reader of a level."""
        if level.path not in self._readers:
            self._readers[level.path] = ChunkReader(level, self._kept_bytes)
        return self._readers[level.path]


class StateReader:
    """Reads the states of a class on any box of a grid; not to be shared by threads.

    Parameters
    ----------
    labels
        The class.
    grid
        The grid on which states are wanted.
    chunks
        Readers of levels, by their folders, shared with the other readers of the crop.
    """

    def __init__(self, labels: LabelGroup, grid: Grid, chunks: ChunkReaders) -> None:
        level = choose_level(labels.volume, grid.voxel_size_nm).level
        self._labels = labels
        self._grid = grid
        self._chunks = chunks.of(level)
        # Boxes between cells are read as states: a byte each, whatever the labels are stored as.
        self._states = Multiscale(labels.volume.path, (replace(level, dtype=_UINT8),))
        self._offset = _offset(level.grid, grid)
        is_reduced = cells_for(level.grid, grid).factor != (1, 1, 1)
        self.is_voted = is_reduced or level is not labels.volume.finest
        """Whether a state may be that of several voxels."""

    @property
    def level(self) -> Level:
        """The level that is read."""
        return self._chunks.level

    def read(self, box: Box) -> States | int:
        """Return the states of a box of the grid, or the only one there is."""
        if self._offset is None:
            return self._resampled(sub_grid(self._grid, box))
        here = box.shifted(self._offset)
        inside = here.clipped(self._chunks.level.shape)
        if inside.is_empty:
            return UNKNOWN
        found = self._of(inside)
        if inside == here:
            return found
        states = np.full(box.shape, UNKNOWN, np.uint8)
        z, y, x = (-a for a in here.start)
        states[inside.shifted((z, y, x)).slices] = found
        return states

    def _of(self, box: Box) -> States | int:
        """Return the states of a box inside the level."""
        values = self._chunks.read(box)
        if values is None:
            return int(_states(np.array([self._chunks.level.fill_value]), self._labels.unknown_value)[0])
        return self._states_of(values)

    def _states_of(self, values: Voxels) -> States:
        unknown_value = self._labels.unknown_value
        if values.dtype.kind == "i" and int(values.min()) < 0 and unknown_value is None:
            raise DataError(
                f"{self._chunks.level.path} holds negative values",
                'if they mean "not annotated", the attribute cellmap_tui.unknown_value says so',
            )
        return _states(values, unknown_value)

    def _resampled(self, grid: Grid) -> States | int:
        if overlap(grid, self._chunks.level.grid) is None:
            return UNKNOWN
        region = read_region(self._states, grid, "label", fill_value=UNKNOWN, reader=self._block)
        return region.array

    def _block(self, _level: Level, box: Box) -> Voxels:
        found = self._of(box)
        return np.full(box.shape, found, np.uint8) if isinstance(found, int) else found


class CoreReader:
    """Reads whether voxels are core; like `StateReader`.

    Cores are made from the ids as they were annotated and then brought to the grid, where they are made
    sure not to touch again.
    """

    def __init__(self, labels: LabelGroup, grid: Grid, chunks: ChunkReaders) -> None:
        self._labels = labels
        self._grid = grid
        self._volume = Multiscale(labels.volume.path, (labels.volume.finest,))
        self._offset = _offset(labels.grid, grid)
        self._chunks = chunks.of(labels.volume.finest)

    @property
    def level(self) -> Level:
        """The level that is read."""
        return self._chunks.level

    def read(self, box: Box) -> States | int:
        """Return `PRESENT` where a voxel is core, else `ABSENT`; what is unknown is known from the class."""
        if self._offset is not None:
            return self._aligned(box.shifted(self._offset))
        wide = sub_grid(self._grid, box.padded(1))
        if overlap(wide, self._labels.grid) is None:
            return ABSENT
        region = read_region(self._volume, wide, "label", reader=self._cores)
        if not region.array.any():
            return ABSENT
        inner = core_ids(region.array)[1:-1, 1:-1, 1:-1]
        return np.where(inner != 0, np.uint8(PRESENT), np.uint8(ABSENT))

    def _aligned(self, here: Box) -> States | int:
        inside = here.clipped(self.level.shape)
        ids = self._cores_in(inside)
        if ids is None:
            return ABSENT
        core: States = (ids != 0).view(np.uint8)
        if inside == here:
            return core
        states = np.full(here.shape, ABSENT, np.uint8)
        z, y, x = (-a for a in here.start)
        states[inside.shifted((z, y, x)).slices] = core
        return states

    def _cores(self, level: Level, box: Box) -> Voxels:
        ids = self._cores_in(box)
        return np.zeros(box.shape, level.dtype) if ids is None else ids

    def _cores_in(self, box: Box) -> Voxels | None:
        """Return the core ids of a box inside the level, None where there is no object."""
        if box.is_empty or self._chunks.read(box) is None:
            return None
        around = box.padded(1).clipped(self.level.shape)
        ids = self._chunks.read(around)
        if ids is None or not ids.any():
            return None
        if self._labels.unknown_value is not None:
            ids = np.where(ids == self._labels.unknown_value, 0, ids)
        z, y, x = (-a for a in around.start)
        return core_ids(ids)[box.shifted((z, y, x)).slices]


def _states(values: Voxels, unknown_value: int | None) -> States:
    states: States = (values != 0).view(np.uint8)
    if unknown_value is not None:
        states[values == unknown_value] = UNKNOWN
    return states


def _offset(level: Grid, grid: Grid) -> Shape3 | None:
    """Return what takes a voxel of `grid` to the same voxel of `level`; None if their voxels differ."""
    if not is_aligned(level, grid):
        return None
    z, y, x = (round(i) for i in to_voxel(level, grid.translation_nm))
    return (z, y, x)


def bank_grid(labels: list[LabelGroup], voxel_size_nm: Vec3) -> Grid:
    """Return the grid of a crop in a bank: from the lower corner of its labels, as far as voxel centres are in."""
    lower = [min(group.grid.lower_nm[axis] for group in labels) for axis in range(3)]
    upper = [max(group.grid.upper_nm[axis] for group in labels) for axis in range(3)]
    # The tolerance is for sizes such as 5.24 nm that do not divide in floats.
    count = [
        max(1, int(np.floor((b - a) / s + 0.5 + 1e-6))) for a, b, s in zip(lower, upper, voxel_size_nm, strict=True)
    ]
    first = [a + s / 2 for a, s in zip(lower, voxel_size_nm, strict=True)]
    return Grid(voxel_size_nm, (first[0], first[1], first[2]), (count[0], count[1], count[2]))
