"""What a label array holds: a mask, object ids or class ids, how many, and how much of it.

Looks at every chunk that is on disk, one at a time, so memory stays small whatever the size. A
volume too large to be looked through is described from a coarser level, and the facts say so.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellmap_tui import text
from cellmap_tui.errors import DataError
from cellmap_tui.volumes.annotation import read_annotation
from cellmap_tui.volumes.arrays import chunk_box, chunks_of, has_chunk, open_level, read_inside
from cellmap_tui.volumes.geometry import Box, covering_range, sub_grid, whole
from cellmap_tui.volumes.ngff import open_volume

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.volumes.ngff import Level, Multiscale

ArrayKind = Literal["binary", "instance", "ids", "empty"]
"""A mask of 0 and 1, a number for each object, a class id for each voxel, or nothing but background."""

SCAN_VOXELS = 2**28
"""Voxels on disk that are looked through at most, some seconds; above that a coarser level is."""
COMPONENT_VOXELS = 2**25
"""Largest box in which connected parts are counted: it needs five times as many bytes."""
MAX_IDS = 1_000_000
"""Different values that are counted apart; an array with more holds no labels."""
_SHOWN_IDS = 8


@dataclass(frozen=True, slots=True)
class ArrayFacts:
    """What a label array holds."""

    path: Path
    """The group or array."""
    kind: ArrayKind
    """What its values mean."""
    dtype: str
    """Type of its voxels."""
    voxel_size_nm: Vec3
    """Voxel size of its finest level."""
    shape: Shape3
    """Voxels of its finest level."""
    min_id: int | None
    """Smallest value that is not background; None where all is background."""
    max_id: int | None
    """Largest value that is not background."""
    distinct_ids: int
    """Number of different values that are not background."""
    objects: int | None
    """Objects: different ids, or connected parts of a mask; None: class ids, or too large to count."""
    objects_level: str
    """The level that objects were counted in; a coarser one where the mask is too large: then it is about."""
    foreground_share: float
    """Share of the known voxels that is not background, 0 to 1."""
    unknown_share: float
    """Share of the voxels that was not annotated, where the array marks them."""
    unknown_ids: tuple[int, ...]
    """Values of an array of class ids that the class table does not know."""
    median_object_voxels: int | None
    """Size of the middle one of the objects, in voxels of the finest level."""
    level: str
    """The level that was looked at."""
    is_estimate: bool
    """Whether that was a coarser level, because the finest is too large: small objects may be missing."""

    @property
    def words(self) -> str:
        """The facts in one line."""
        return " · ".join([*self._parts(), *(["from a coarser level"] if self.is_estimate else [])])

    def _parts(self) -> Iterator[str]:
        share = f"{text.number(float(f'{100 * self.foreground_share:.3g}'))} %"
        if self.kind == "empty":
            yield "empty: annotated, absent"
        elif self.kind == "binary":
            yield f"mask 0/1 · {share}"
        elif self.kind == "instance":
            yield f"object ids {self.min_id}-{self.max_id} · {share}"
        else:
            yield f"{self.distinct_ids} class ids {self.min_id}-{self.max_id} · {share}"
        if self.objects:
            about = "about " if self.objects_level != self.level else ""
            yield f"{about}{text.count(self.objects)} {'object' if self.objects == 1 else 'objects'}"
        if self.unknown_share:
            yield f"{text.number(float(f'{100 * self.unknown_share:.3g}'))} % unknown"
        if self.unknown_ids:
            yield f"ids not in the table: {listed(self.unknown_ids)}"


def listed(ids: Collection[int]) -> str:
    """Return ids as text, the first few of many."""
    shown = ", ".join(str(i) for i in sorted(ids)[:_SHOWN_IDS])
    return shown if len(ids) <= _SHOWN_IDS else f"{shown} and {len(ids) - _SHOWN_IDS} more"


def describe_array(
    path: Path,
    *,
    known_ids: Collection[int] | None = None,
    max_voxels: int = SCAN_VOXELS,
    checkpoint: Callable[[], None] | None = None,
) -> ArrayFacts:
    """Look through a label volume.

    Parameters
    ----------
    path
        A multiscale group, or a plain array with a voxel size.
    known_ids
        The ids of the class table, for an array of class ids such as ``all``; None: the values are a
        mask or objects.
    max_voxels
        How many voxels on disk are looked through at most.
    checkpoint
        Called between chunks; may raise to give up.

    Raises
    ------
    MissingDataError
        If there is nothing at `path`.
    DataError
        If it is broken, or holds fractions or too many values to be labels.
    """
    volume, level = open_labels(path, max_voxels)
    annotation = read_annotation(volume)
    counts, box = _counted(level, checkpoint or go_on)
    unknown = counts.pop(annotation.unknown_value, 0) if annotation.unknown_value is not None else 0
    kind = _kind(counts, is_ids=known_ids is not None, is_instance=annotation.is_instance)
    known_voxels = level.grid.voxels - unknown
    found = _objects(volume, level, counts, box, kind, annotation.unknown_value)
    return ArrayFacts(
        path=path,
        kind=kind,
        dtype=str(volume.finest.dtype),
        voxel_size_nm=volume.finest.grid.voxel_size_nm,
        shape=volume.finest.shape,
        min_id=min(counts, default=None),
        max_id=max(counts, default=None),
        distinct_ids=len(counts),
        objects=found.count,
        objects_level=found.level,
        foreground_share=sum(counts.values()) / known_voxels if known_voxels else 0.0,
        unknown_share=unknown / level.grid.voxels,
        unknown_ids=tuple(sorted(set(counts) - set(known_ids))) if known_ids is not None else (),
        median_object_voxels=found.median_voxels,
        level=level.name,
        is_estimate=level is not volume.finest,
    )


def go_on() -> None:
    """Nobody wants to stop."""


def open_labels(path: Path, max_voxels: int = SCAN_VOXELS) -> tuple[Multiscale, Level]:
    """Open a label volume, and choose the level of it that can be looked through.

    Raises
    ------
    MissingDataError
        If there is nothing at `path`.
    DataError
        If it is broken, or holds fractions.
    """
    volume = open_volume(path)
    level = affordable_level(volume, max_voxels)
    if level.dtype.kind == "f":
        raise DataError(f"{level.path}: holds {level.dtype} values, not labels")
    return volume, level


def affordable_level(volume: Multiscale, max_voxels: int = SCAN_VOXELS) -> Level:
    """Return the finest level with few enough voxels on disk; the coarsest if none has."""
    for level in volume.levels:
        present = 0
        chunk_voxels = level.chunks[0] * level.chunks[1] * level.chunks[2]
        for _ in _chunks_on_disk(level):
            present += chunk_voxels
            if present > max_voxels:
                break
        else:
            return level
    return volume.levels[-1]


def _chunks_on_disk(level: Level) -> Iterator[Shape3]:
    return (number for number in chunks_of(whole(level.grid), level.chunks) if has_chunk(level, number))


def _counted(level: Level, checkpoint: Callable[[], None]) -> tuple[Counter[int], Box]:
    """Return how often each value other than 0 occurs, and the box of chunks that they are in."""
    array = open_level(level)
    counts: Counter[int] = Counter()
    corners: list[Box] = []
    on_disk = 0
    for number in _chunks_on_disk(level):
        checkpoint()
        box = chunk_box(number, level.chunks).clipped(level.shape)
        on_disk += box.voxels
        found = value_counts(read_inside(level, array, box))
        if found:
            counts.update(found)
            corners.append(box)
        if len(counts) > MAX_IDS:
            raise DataError(f"{level.path}: more than {text.count(MAX_IDS)} different values: these are not labels")
    absent = level.grid.voxels - on_disk
    if absent and level.fill_value:
        counts[int(level.fill_value)] += absent
        corners.append(whole(level.grid))
    return counts, _around(corners)


def value_counts(block: np.ndarray[Any, np.dtype[Any]]) -> dict[int, int]:
    """Return how often each value other than 0 occurs in a block of whole numbers."""
    top = int(block.max())
    if block.dtype.kind in "ub" and top == 0:
        return {}
    if block.dtype.kind in "ub" and top < 2**16:
        frequency = np.bincount(block.ravel())
        ids = np.flatnonzero(frequency)
        return {int(i): int(frequency[i]) for i in ids if i}
    ids, frequency = np.unique(block, return_counts=True)
    return {int(i): int(n) for i, n in zip(ids, frequency, strict=True) if i}


def _around(boxes: list[Box]) -> Box:
    if not boxes:
        return Box((0, 0, 0), (0, 0, 0))
    low = np.array([box.start for box in boxes]).min(axis=0)
    high = np.array([box.stop for box in boxes]).max(axis=0)
    return Box((int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2])))


def _kind(counts: Counter[int], *, is_ids: bool, is_instance: bool | None) -> ArrayKind:
    if not counts:
        return "empty"
    if is_ids:
        return "ids"
    is_mask = set(counts) == {1}
    return "binary" if is_mask and not is_instance else "instance"


@dataclass(frozen=True, slots=True)
class _Objects:
    count: int | None
    median_voxels: int | None
    level: str


def _objects(
    volume: Multiscale, level: Level, counts: Counter[int], box: Box, kind: ArrayKind, unknown_value: int | None
) -> _Objects:
    if kind in ("empty", "ids"):
        return _Objects(0 if kind == "empty" else None, None, level.name)
    if kind == "instance":
        return _Objects(len(counts), _median(list(counts.values()), level, volume), level.name)
    found = mask_objects(volume, level, box, unknown_value)
    if found is None:
        return _Objects(None, None, level.name)
    counted_in, sizes = found
    return _Objects(len(sizes), _median(sizes, counted_in, volume), counted_in.name)


def _median(sizes: list[int], level: Level, volume: Multiscale) -> int | None:
    """Return the middle one of sizes in voxels of `level`, in voxels of the finest."""
    if not sizes:
        return None
    ratio = math.prod(level.grid.voxel_size_nm) / math.prod(volume.finest.grid.voxel_size_nm)
    return round(float(np.median(sizes)) * ratio)


def mask_objects(
    volume: Multiscale, level: Level, box: Box, unknown_value: int | None
) -> tuple[Level, list[int]] | None:
    """Return the connected parts of a mask: the finest level in which they can be counted, and their voxels in it.

    Parameters
    ----------
    volume
        The mask.
    level
        The finest level that is taken.
    box
        Where in `level` the mask is not 0.
    unknown_value
        Value of voxels that were not annotated.

    Returns
    -------
    tuple or None
        None: it is too large for that at any level.
    """
    inside = sub_grid(level.grid, box)
    for coarser in volume.levels[volume.levels.index(level) :]:
        part = covering_range(coarser.grid, inside.lower_nm, inside.upper_nm)
        if part.voxels <= COMPONENT_VOXELS:
            return coarser, component_sizes(coarser, part, unknown_value)
    return None


def component_sizes(level: Level, box: Box, unknown_value: int | None) -> list[int]:
    """Return the sizes, in voxels of the level, of the connected parts of a mask inside a box."""
    # scipy costs 0.2 s at the first use
    from scipy import ndimage

    block = read_inside(level, open_level(level), box)
    mask = block != 0
    if unknown_value is not None:
        mask &= block != unknown_value
    # 26 neighbours: parts that touch by a corner are one object, as the challenge counts them
    parts, count = ndimage.label(mask, np.ones((3, 3, 3), np.bool_))
    sizes = np.zeros(count + 1, np.int64)
    for plane in parts:  # at once, bincount would copy everything to 64 bit
        sizes += np.bincount(plane.ravel(), minlength=count + 1)
    return [int(size) for size in sizes[1:]]
