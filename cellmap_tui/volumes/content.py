"""Looking through a label array: foreground, objects, and which objects touch another one.

The array is read once, block by block, so memory stays small whatever its size; blocks without a chunk
on disk are not read at all. Neighbouring blocks share a plane, a row or a column, so that no pair of touching
voxels is missed. Objects of a mask are its 26-connected parts.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui import text
from cellmap_tui.challenge.content import LabelContent
from cellmap_tui.errors import DataError
from cellmap_tui.volumes.annotation import read_annotation
from cellmap_tui.volumes.arrays import chunks_of, has_chunk, open_level, read_inside
from cellmap_tui.volumes.geometry import Box
from cellmap_tui.volumes.inspect import MAX_IDS, SCAN_VOXELS, go_on, mask_objects, open_labels, value_counts
from cellmap_tui.volumes.ngff import open_volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cellmap_tui.challenge.content import ContentKind
    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.annotation import Annotation
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.ngff import Level, Multiscale

BLOCK_BYTES = 64 * 2**20
"""Most bytes of one block: a chunk is decompressed once for nearly all of them, and some copies fit in memory."""


def scan_label(
    path: Path,
    *,
    with_objects: bool = False,
    max_voxels: int = SCAN_VOXELS,
    checkpoint: Callable[[], None] | None = None,
) -> LabelContent:
    """Look through a label volume.

    Parameters
    ----------
    path
        A multiscale group, or a plain array with a voxel size.
    with_objects
        Whether the parts of a mask are counted too, which takes longer; ids are counted anyway.
    max_voxels
        Voxels on disk that are looked through at most; beyond them a coarser level is.
    checkpoint
        Called between blocks; may raise to give up.

    Raises
    ------
    MissingDataError
        If there is nothing at `path`.
    DataError
        If it is broken, or holds fractions or too many values to be labels.
    """
    volume, level = open_labels(path, max_voxels)
    annotation = read_annotation(volume)
    found = _look_through(level, annotation, checkpoint or go_on)
    scale = math.prod(level.grid.voxel_size_nm) / math.prod(volume.finest.grid.voxel_size_nm)
    kind = _kind(found.sizes, is_instance=annotation.is_instance)
    objects, sizes = _objects(volume, level, found, kind, annotation.unknown_value, with_objects=with_objects)
    return LabelContent(
        kind=kind,
        voxel_size_nm=volume.finest.grid.voxel_size_nm,
        shape=volume.finest.shape,
        foreground_voxels=round(sum(found.sizes.values()) * scale),
        unknown_voxels=round(found.unknown_voxels * scale),
        is_estimate=level is not volume.finest,
        objects=objects,
        touching_objects=len(found.touching) if kind == "instance" else None,
        object_voxels=_percentiles(sizes),
    )


def has_foreground(path: Path) -> bool:
    """Return whether a label volume has any voxel of its class; mostly a look at its coarsest level is enough.

    Raises
    ------
    MissingDataError
        If there is nothing at `path`.
    DataError
        If it is broken.
    """
    volume = open_volume(path)
    level = volume.finest
    box = Box((0, 0, 0), level.shape)
    if not level.fill_value and not any(has_chunk(level, number) for number in chunks_of(box, level.chunks)):
        return False
    unknown_value = read_annotation(volume).unknown_value
    coarsest = volume.levels[-1]
    values = read_inside(coarsest, open_level(coarsest), Box((0, 0, 0), coarsest.shape))
    if (_without(values, unknown_value) != 0).any():
        return True
    return scan_label(path).is_present  # thin things are lost in coarse levels


class _Found:
    """What was seen so far."""

    def __init__(self) -> None:
        self.sizes: Counter[int] = Counter()
        self.unknown_voxels = 0
        self.touching: set[int] = set()
        self.box: Box | None = None


def _look_through(level: Level, annotation: Annotation, checkpoint: Callable[[], None]) -> _Found:
    array = open_level(level)
    found = _Found()
    for core, block in _blocks(level):
        checkpoint()
        if not level.fill_value and not any(has_chunk(level, number) for number in chunks_of(core, level.chunks)):
            continue
        values = read_inside(level, array, block)
        inner = tuple(slice(a - b, None) for a, b in zip(core.start, block.start, strict=True))
        counts = value_counts(values[inner])
        if annotation.unknown_value is not None:
            found.unknown_voxels += counts.pop(annotation.unknown_value, 0)
        if not counts:
            continue
        found.sizes.update(counts)
        found.box = core if found.box is None else _around(found.box, core)
        if len(found.sizes) > MAX_IDS:
            raise DataError(f"{level.path}: more than {text.count(MAX_IDS)} different values: these are not labels")
        if len(found.sizes) > 1:
            found.touching |= touching_ids(_without(values, annotation.unknown_value))
    return found


def _blocks(level: Level) -> Iterator[tuple[Box, Box]]:
    """Yield boxes that fill the array, each alone and widened by one voxel towards the blocks before it."""
    size = _block_shape(level.shape, level.chunks, level.dtype.itemsize)
    for number in chunks_of(Box((0, 0, 0), level.shape), size):
        start = tuple(n * s for n, s in zip(number, size, strict=True))
        stop = tuple(min(a + s, n) for a, s, n in zip(start, size, level.shape, strict=True))
        core = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
        z, y, x = (max(0, a - 1) for a in core.start)
        yield core, Box((z, y, x), core.stop)


def _block_shape(shape: Shape3, chunks: Shape3, itemsize: int) -> Shape3:
    """Return a block of whole chunks, as many as fit in `BLOCK_BYTES`, the last axis filled first."""
    block = [min(c, n) for c, n in zip(chunks, shape, strict=True)]
    for axis in (2, 1, 0):
        room = BLOCK_BYTES // (math.prod(block) * itemsize)
        block[axis] *= max(1, min(room, -(-shape[axis] // block[axis])))
    return (block[0], block[1], block[2])


def touching_ids(values: Voxels) -> set[int]:
    """Return the ids that have a voxel next to one of another id, over faces, edges and corners.

    Parameters
    ----------
    values
        Ids ``[z, y, x]`` of any integer type, 0 is background.
    """
    ids = _foreground_part(values)
    if ids.size == 0:
        return set()
    ids = ids.view(np.uint8) if ids.dtype.kind == "b" else ids
    unsigned = ids.view(f"u{ids.dtype.itemsize}") if ids.dtype.kind == "i" else ids
    highest = _neighbourhood(unsigned, np.maximum)
    # 0 minus 1 is the largest number of its type, so that background is never the lowest neighbour.
    lowest = _neighbourhood(unsigned - unsigned.dtype.type(1), np.minimum) + unsigned.dtype.type(1)
    meets = (unsigned != 0) & ((highest != unsigned) | (lowest != unsigned))
    return {int(i) for i in np.unique(ids[meets])}


def _foreground_part(values: Voxels) -> Voxels:
    """Return the smallest box that holds all ids, without copying."""
    mask = values != 0
    slices = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        places = np.flatnonzero(mask.any(axis=others))
        if places.size == 0:
            return values[:0]
        slices.append(slice(int(places[0]), int(places[-1]) + 1))
    return values[tuple(slices)]


def _neighbourhood(values: Voxels, extreme: np.ufunc) -> Voxels:
    """Return the extreme of each voxel and its 26 neighbours, one axis after the other."""
    result = values.copy()
    for axis in range(3):
        before = np.moveaxis(result, axis, 0)
        after = before.copy()
        extreme(after[1:], before[:-1], out=after[1:])
        extreme(after[:-1], before[1:], out=after[:-1])
        result = np.moveaxis(after, 0, axis)
    return result


def _without(values: Voxels, unknown_value: int | None) -> Voxels:
    if unknown_value is None:
        return values
    return np.where(values == unknown_value, values.dtype.type(0), values)


def _around(first: Box, second: Box) -> Box:
    z, y, x = (min(a, b) for a, b in zip(first.start, second.start, strict=True))
    c, b, a = (max(p, q) for p, q in zip(first.stop, second.stop, strict=True))
    return Box((z, y, x), (c, b, a))


def _kind(sizes: Counter[int], *, is_instance: bool | None) -> ContentKind:
    if not sizes:
        return "empty"
    return "binary" if set(sizes) == {1} and not is_instance else "instance"


def _objects(
    volume: Multiscale, level: Level, found: _Found, kind: ContentKind, unknown: int | None, *, with_objects: bool
) -> tuple[int | None, list[float]]:
    """Return the number of objects and their sizes in voxels of the finest level."""
    finest = math.prod(volume.finest.grid.voxel_size_nm)
    if kind == "empty":
        return 0, []
    if kind == "instance":
        ratio = math.prod(level.grid.voxel_size_nm) / finest
        return len(found.sizes), [size * ratio for size in found.sizes.values()]
    if not with_objects or found.box is None:
        return None, []
    parts = mask_objects(volume, level, found.box, unknown)
    if parts is None:
        return None, []
    counted_in, sizes = parts
    ratio = math.prod(counted_in.grid.voxel_size_nm) / finest
    return len(sizes), [size * ratio for size in sizes]


def _percentiles(sizes: list[float]) -> tuple[int, int, int] | None:
    if not sizes:
        return None
    low, middle, high = (max(1, round(float(value))) for value in np.percentile(np.asarray(sizes), (10, 50, 90)))
    return (low, middle, high)
