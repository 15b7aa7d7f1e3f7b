"""One label volume, read box by box on the voxels of another grid: from a zarr group or somebody's own stack.

Knows which value means "not annotated" and whether values tell objects apart; what the values mean is
not its business.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.text import printable
from cellmap_tui.volumes.annotation import read_annotation
from cellmap_tui.volumes.arrays import DEFAULT_CHUNKS, open_level, read_inside
from cellmap_tui.volumes.geometry import Box, is_aligned, sub_grid, to_voxel, whole
from cellmap_tui.volumes.metadata import is_there
from cellmap_tui.volumes.ngff import open_volume
from cellmap_tui.volumes.read import read_region

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid, Shape3
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.ngff import Multiscale
    from cellmap_tui.volumes.stacks import Stack

SLAB_VOXELS = 24 * 2**20
"""Voxels that are looked at together: values, masks, object labels and their copies take some ten bytes each."""
_LOOKED_AT_VOXELS = 2**24
_MOST_IDS = 1_000_000


class LabelVolume(Protocol):
    """A volume of labels."""

    name: str
    """What it holds: a class, ``all``, or what the user named."""
    path: Path
    """The group, array or file."""
    grid: Grid
    """Where its finest voxels lie."""
    dtype: np.dtype[np.generic]
    """Type of its values; never a float."""
    unknown_value: int | None
    """Value of voxels that were not annotated."""
    has_ids: bool
    """Whether its values are object ids."""

    def read(self, grid: Grid, box: Box) -> tuple[Voxels, NDArray[np.bool_]]:
        """Return values, and which voxels lie inside the volume, of a box of `grid`; both of the box's shape."""


class ZarrLabels:
    """A label group or plain array with a voxel size.

    Parameters
    ----------
    path
        Its folder.
    name
        What it holds.

    Raises
    ------
    MissingDataError
        If there is nothing at `path`.
    DataError
        If it is broken, or holds fractions.
    """

    def __init__(self, path: Path, name: str) -> None:
        if not is_there(path):
            raise MissingDataError(f"the labels of {name} are not on disk: {path}", "fetch them")
        volume = open_volume(path)
        annotation = read_annotation(volume)
        self.name = name
        self.path = path
        self.grid = volume.finest.grid
        self.dtype = volume.finest.dtype
        if self.dtype.kind not in "uib":
            raise DataError(f"{path}: holds {self.dtype} values, not labels")
        self.unknown_value = annotation.unknown_value
        self._volume = volume
        self._array = open_level(volume.finest)
        says = annotation.is_instance
        self.has_ids = _has_ids(volume, self.unknown_value) if says is None else says

    def read(self, grid: Grid, box: Box) -> tuple[Voxels, NDArray[np.bool_]]:
        """Return values and which of them lie inside; resampled by majority where the grids differ."""
        if not is_aligned(self.grid, grid):
            region = read_region(self._volume, sub_grid(grid, box), "label")
            return region.array, region.valid
        here = box.shifted(_offset(self.grid, grid))
        inside = here.clipped(self.grid.shape)
        found = read_inside(self._volume.finest, self._array, inside)
        _refuse_negative(found, self.unknown_value, str(self.path))
        return _padded(found, here, inside)


class StackLabels:
    """Somebody's own stack of labels.

    Parameters
    ----------
    stack
        The stack.
    grid
        Where its voxels lie; of its shape.
    name
        What the user named.
    unknown_value
        Value of voxels that were not annotated.
    has_ids
        Whether its values are object ids.
    """

    def __init__(
        self, stack: Stack, grid: Grid, name: str, unknown_value: int | None = None, *, has_ids: bool = False
    ) -> None:
        self.name = name
        self.path = Path(str(stack.identity().get("path", stack.spec)))
        self.grid = grid
        self.dtype: np.dtype[np.generic] = stack.dtype if stack.dtype.kind in "uib" else np.dtype(np.int64)
        self.unknown_value = unknown_value
        self.has_ids = has_ids
        self._stack = stack

    def read(self, grid: Grid, box: Box) -> tuple[Voxels, NDArray[np.bool_]]:
        """Return values and which of them lie inside.

        Raises
        ------
        DataError
            If the stack is damaged, or holds fractions, NaN or negative values.
        RequestError
            If `grid` has other voxels than the stack.
        """
        if not is_aligned(self.grid, grid):
            raise RequestError(f"{printable(self._stack.spec)} is not resampled to another voxel size")
        here = box.shifted(_offset(self.grid, grid))
        inside = here.clipped(self.grid.shape)
        (z, y, x), (z_stop, y_stop, x_stop) = inside.start, inside.stop
        if inside.is_empty:
            return _padded(np.zeros((0, 0, 0), self.dtype), here, inside)
        found = self._stack.read(z, z_stop, y, y_stop)[:, :, x:x_stop]
        return _padded(self._whole_numbers(found), here, inside)

    def _whole_numbers(self, block: Voxels) -> Voxels:
        if block.dtype.kind == "f":
            if not (np.isfinite(block).all() and (np.floor(block) == block).all()):
                raise DataError(
                    f"{printable(self._stack.spec)} holds fractions or NaN: labels are whole numbers",
                    "if it is a probability map, threshold it first",
                )
            block = block.astype(np.int64)
        _refuse_negative(block, self.unknown_value, printable(self._stack.spec))
        return block


def largest_id(volume: LabelVolume, block: Voxels) -> int:
    """Return the largest object id in values of a volume."""
    if volume.unknown_value is not None:
        block = np.where(block == volume.unknown_value, 0, block)
    return int(block.max(initial=0))


def count_ids(volume: LabelVolume, checkpoint: Callable[[], None] | None = None) -> dict[int, int]:
    """Return how many voxels each value of a volume has, 0 and unknown left out; by slabs.

    Raises
    ------
    DataError
        If there are more values than any labels have.
    """
    # fastremap costs 20 ms at the first use
    import fastremap

    counts: Counter[int] = Counter()
    for start, stop in slabs_of(volume.grid):
        if checkpoint is not None:
            checkpoint()
        values, _ = volume.read(volume.grid, planes(volume.grid, start, stop))
        ids, voxels = fastremap.unique(
            values.view(np.uint8) if values.dtype.kind == "b" else values, return_counts=True
        )
        counts.update({int(i): int(n) for i, n in zip(ids, voxels, strict=True)})
        if len(counts) > _MOST_IDS:
            raise DataError(f"{volume.name}: more than {_MOST_IDS} different values: these are not labels")
    return {i: n for i, n in sorted(counts.items()) if i not in (0, volume.unknown_value)}


def slabs_of(grid: Grid, voxels: int | None = None) -> list[tuple[int, int]]:
    """Return ranges of planes of at most `voxels` (`SLAB_VOXELS`) voxels, at least a plane each."""
    depth, height, width = grid.shape
    step = max(1, (voxels or SLAB_VOXELS) // (height * width))
    step -= step % DEFAULT_CHUNKS[0] if step > DEFAULT_CHUNKS[0] else 0  # each chunk is decoded and written once
    return [(z, min(z + step, depth)) for z in range(0, depth, step)]


def planes(grid: Grid, start: int, stop: int) -> Box:
    """Return the box of planes `start` to `stop` of a grid."""
    return Box((start, 0, 0), (stop, grid.shape[1], grid.shape[2]))


def _refuse_negative(block: Voxels, unknown_value: int | None, where: str) -> None:
    if block.dtype.kind != "i":
        return
    known = block if unknown_value is None else block[block != unknown_value]
    low = int(known.min(initial=0))
    if low < 0:
        remedy = f"if {low} means not annotated, say so in its attributes or with --unknown {low}"
        raise DataError(f"{where} holds negative values down to {low}", remedy)


def _offset(own: Grid, grid: Grid) -> Shape3:
    """Return what takes a voxel of `grid` to the same voxel of `own`."""
    z, y, x = (round(i) for i in to_voxel(own, grid.translation_nm))
    return (z, y, x)


def _padded(found: Voxels, wanted: Box, inside: Box) -> tuple[Voxels, NDArray[np.bool_]]:
    if inside == wanted:
        return found, np.ones(wanted.shape, np.bool_)
    array = np.zeros(wanted.shape, found.dtype)
    valid = np.zeros(wanted.shape, np.bool_)
    if not inside.is_empty:
        z, y, x = (-i for i in wanted.start)
        place = inside.shifted((z, y, x)).slices
        array[place] = found
        valid[place] = True
    return array, valid


def _has_ids(volume: Multiscale, unknown_value: int | None) -> bool:
    level = volume.levels[-1]
    if level.grid.voxels > _LOOKED_AT_VOXELS or level.dtype.kind == "b":
        return False
    values = read_inside(level, open_level(level), whole(level.grid))
    above = values > 1
    return bool((above if unknown_value is None else above & (values != unknown_value)).any())
