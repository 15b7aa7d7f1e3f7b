"""Objects of a target: the ids that arrays carry, connected parts of its mask, or parts cut by a watershed.

Connected parts are found slab by slab: each slab is labelled together with the last plane of the one
below, and labels that meet in that plane are one object. Reading labels a slab again rather than keeping
labels on disk; so memory is bounded by a slab whatever the volume, and any box can be read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cellmap_tui.errors import DataError
from cellmap_tui.volumes.geometry import Box, whole
from cellmap_tui.volumes.label_volumes import largest_id, planes, slabs_of
from cellmap_tui.volumes.parts import connected_parts
from cellmap_tui.volumes.target_labels import TargetReader, _nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.label_volumes import LabelVolume

_WATERSHED_VOXEL_BYTES = 60
"""Mask, distances, their maxima, markers, labels and the queue of the watershed: 45 measured at 300³ voxels."""
_SEED_VOXELS = 10


@dataclass(slots=True, eq=False)
class KeptIdReader(TargetReader):
    """A target whose objects carry ids already; those of a second array follow on those of the first."""

    id_volumes: tuple[LabelVolume, ...] = ()
    """Arrays with object ids."""
    offsets: tuple[int, ...] = ()
    """What is added to the ids of each, after `prepare`."""

    @classmethod
    def over(cls, mask: TargetReader, volumes: tuple[LabelVolume, ...]) -> Self:
        """Return a reader of the ids of `volumes` where `mask` is foreground."""
        return cls(
            mask.target,
            mask.grid,
            mask.evidence,
            mask.ignored,
            mask.missing,
            "instance",
            passes=1,
            id_volumes=volumes,
        )

    @property
    def words(self) -> str:
        """Where ids come from."""
        return f"ids of {'+'.join(volume.name for volume in self.id_volumes)}"

    def prepare(self, checkpoint: Callable[[], None] | None = None, seen: Callable[[int], None] = _nothing) -> None:
        """Find the largest id of each array, and how many there are."""
        largest = [0] * len(self.id_volumes)
        different: list[set[int]] = [set() for _ in self.id_volumes]
        for start, stop in slabs_of(self.grid):
            if checkpoint is not None:
                checkpoint()
            box = planes(self.grid, start, stop)
            for i, volume in enumerate(self.id_volumes):
                values, _ = volume.read(self.grid, box)
                largest[i] = max(largest[i], largest_id(volume, values))
                different[i].update(_different(values, volume.unknown_value))
            seen(box.voxels)
        self.offsets = tuple(sum(largest[:i]) for i in range(len(largest)))
        self.max_id = max(1, sum(largest))
        if self.max_id >= 2**64 - 1:
            raise DataError(f"{self.words} go up to {self.max_id}", "renumber them; 64 bits hold no more")
        self.objects = sum(len(ids) for ids in different)

    def read(self, box: Box) -> tuple[Voxels, NDArray[np.bool_]]:
        """Return object ids and which voxels are known, of a box."""
        _, known = self.mask(box)
        ids = np.zeros(box.shape, self.dtype)
        for volume, offset in zip(self.id_volumes, self.offsets, strict=True):
            values, _ = volume.read(self.grid, box)
            free = (ids == 0) & (values != 0) & known
            if volume.unknown_value is not None:
                free &= values != volume.unknown_value
            ids[free] = values[free].astype(self.dtype) + self.dtype.type(offset)
        return ids, known


@dataclass(slots=True, eq=False)
class ComponentReader(TargetReader):
    """A target whose objects are the connected parts of its mask, numbered by their first voxel."""

    numbers: list[NDArray[Any]] = field(default_factory=list)
    """For each slab, the number of the object of each of its own labels; after `prepare`."""
    _kept: tuple[int, Voxels, NDArray[np.bool_]] | None = None

    @classmethod
    def over(cls, mask: TargetReader) -> Self:
        """Return a reader of the connected parts of `mask`."""
        return cls(mask.target, mask.grid, mask.evidence, mask.ignored, mask.missing, "instance", passes=1)

    @property
    def words(self) -> str:
        """Where the mask comes from, and that objects are its parts."""
        return f"parts of {TargetReader.words.fget(self)}"  # type: ignore[attr-defined]

    @property
    def memory_bytes(self) -> int:
        """What is held in memory: the labels of a slab."""
        largest = max(stop - start for start, stop in slabs_of(self.grid)) + 1
        return 10 * largest * self.grid.shape[1] * self.grid.shape[2]

    def prepare(self, checkpoint: Callable[[], None] | None = None, seen: Callable[[int], None] = _nothing) -> None:
        """Label every slab once, and find out which labels are one object."""
        same = _Same()
        below: Voxels | None = None
        firsts: list[Voxels] = []
        for start, stop in slabs_of(self.grid):
            if checkpoint is not None:
                checkpoint()
            labels, count, _ = self._labelled(start, stop)
            own = same.add(count)
            if below is not None:
                same.join(below, np.concatenate([[0], own])[labels[0]])
            below = np.concatenate([[0], own])[labels[-1]]
            firsts.append(own)
            seen(planes(self.grid, start, stop).voxels)
        final = same.numbers()
        self.objects = int(final.max(initial=0))
        self.max_id = max(1, self.objects)
        dtype = self.dtype
        self.numbers = [np.concatenate([[0], final[own]]).astype(dtype) for own in firsts]

    def read(self, box: Box) -> tuple[Voxels, NDArray[np.bool_]]:
        """Return object ids and which voxels are known, of a box."""
        ids = np.zeros(box.shape, self.dtype)
        known = np.zeros(box.shape, np.bool_)
        inside = box.clipped(self.grid.shape)
        for number, (start, stop) in enumerate(slabs_of(self.grid)):
            part = inside.intersected(planes(self.grid, start, stop))
            if part.is_empty:
                continue
            labels, is_known = self._slab(number, start, stop)
            z, y, x = (-i for i in box.start)
            place, here = part.shifted((z, y, x)).slices, part.shifted((-start, 0, 0)).slices
            ids[place] = self.numbers[number][labels[here]]
            known[place] = is_known[here]
        return ids, known

    def _slab(self, number: int, start: int, stop: int) -> tuple[Voxels, NDArray[np.bool_]]:
        """Return labels and known voxels of the slab itself; the last one is kept."""
        if self._kept is None or self._kept[0] != number:
            self._kept = None  # not two at a time
            labels, _, known = self._labelled(start, stop)
            below = 1 if start else 0
            self._kept = (number, labels[below:], known[below:])
        return self._kept[1], self._kept[2]

    def _labelled(self, start: int, stop: int) -> tuple[Voxels, int, NDArray[np.bool_]]:
        """Return the labels of a slab with the last plane below it, how many, and known voxels."""
        present, known = self.mask(planes(self.grid, max(start - 1, 0), stop))
        labels, count = connected_parts(present)
        return labels, count, known


class _Same:
    """Labels of all slabs in the order of their first voxels, and which of them are one object."""

    def __init__(self) -> None:
        self._parent: NDArray[np.int64] = np.zeros(1, np.int64)

    def add(self, count: int) -> NDArray[np.int64]:
        """Return `count` new labels."""
        first = len(self._parent)
        new = np.arange(first, first + count, dtype=np.int64)
        self._parent = np.concatenate([self._parent, new])
        return new

    def join(self, first: Voxels, second: Voxels) -> None:
        """Make one of the labels that stand at the same voxel of the same plane."""
        both = (first != 0) & (second != 0)
        for a, b in np.unique(np.stack([first[both], second[both]], axis=1), axis=0):
            low, high = sorted((self._root(int(a)), self._root(int(b))))
            self._parent[high] = low

    def numbers(self) -> NDArray[np.int64]:
        """Return the number of the object of each label, from 1 in the order of first voxels; 0 of 0."""
        above = self._parent[self._parent]
        while not np.array_equal(above, self._parent):
            self._parent = above
            above = above[above]
        roots = np.unique(self._parent)
        return np.searchsorted(roots, self._parent)

    def _root(self, label: int) -> int:
        while self._parent[label] != label:
            self._parent[label] = self._parent[self._parent[label]]
            label = int(self._parent[label])
        return label


@dataclass(slots=True, eq=False)
class WatershedReader(TargetReader):
    """A target whose objects are cut apart at their narrow places; the whole volume is in memory."""

    seed_distance_nm: float | None = None
    """How far apart the centres of objects are at least."""
    _ids: Voxels | None = None

    @classmethod
    def over(cls, mask: TargetReader, seed_distance_nm: float | None) -> Self:
        """Return a reader of the parts of `mask`."""
        plain = (mask.target, mask.grid, mask.evidence, mask.ignored, mask.missing)
        return cls(*plain, "instance", passes=1, seed_distance_nm=seed_distance_nm)

    @property
    def words(self) -> str:
        """Where the mask comes from, and how objects are told apart."""
        return f"watershed of {TargetReader.words.fget(self)}"  # type: ignore[attr-defined]

    @property
    def memory_bytes(self) -> int:
        """What is held in memory: the whole volume."""
        return _WATERSHED_VOXEL_BYTES * self.grid.voxels

    def prepare(self, checkpoint: Callable[[], None] | None = None, seen: Callable[[int], None] = _nothing) -> None:
        """Cut the whole volume."""
        present = np.zeros(self.grid.shape, np.bool_)
        for start, stop in slabs_of(self.grid):
            if checkpoint is not None:
                checkpoint()
            present[start:stop] = self.mask(planes(self.grid, start, stop))[0]
        ids, self.objects = watershed_parts(present, self.grid.voxel_size_nm, self.seed_distance_nm)
        self.max_id = max(1, self.objects)
        self._ids = ids.astype(self.dtype)
        seen(self.grid.voxels)

    def read(self, box: Box) -> tuple[Voxels, NDArray[np.bool_]]:
        """Return object ids and which voxels are known, of a box."""
        assert self._ids is not None
        _, known = self.mask(box)
        ids = np.zeros(box.shape, self.dtype)
        inside = box.intersected(whole(self.grid))
        if not inside.is_empty:
            z, y, x = (-i for i in box.start)
            ids[inside.shifted((z, y, x)).slices] = self._ids[inside.slices]
        return ids, known


def watershed_parts(
    present: NDArray[np.bool_], voxel_size_nm: tuple[float, float, float], seed_distance_nm: float | None = None
) -> tuple[Voxels, int]:
    """Cut a mask at its narrow places.

    Parameters
    ----------
    present
        The mask ``[z, y, x]``.
    voxel_size_nm
        Its voxel size.
    seed_distance_nm
        Centres closer than about this are one object; None: ten of the smallest voxel sides.

    Returns
    -------
    ids, count
        int32, 0 outside of the mask, and the number of objects. Every connected part keeps one at least.
    """
    # scikit-image and scipy cost 0.4 s at the first use
    from scipy import ndimage
    from skimage.segmentation import watershed

    seed_nm = seed_distance_nm or _SEED_VOXELS * min(voxel_size_nm)
    sides = [2 * math.floor(seed_nm / 2 / size) + 1 for size in voxel_size_nm]
    padded = np.pad(present, 1)
    distance = ndimage.distance_transform_edt(padded, sampling=voxel_size_nm)[1:-1, 1:-1, 1:-1].astype(np.float32)
    # A little smoothing, as digital distances have ties all along a ridge
    distance = ndimage.gaussian_filter(distance, 1.0)
    peaks = (distance == ndimage.maximum_filter(distance, size=sides)) & present
    near = ndimage.maximum_filter(peaks, size=sides) & present
    del peaks
    markers, count = _parts_of(near)
    del near
    ids = np.asarray(watershed(-distance, markers, mask=present))  # type: ignore[no-untyped-call]
    rest, more = _parts_of(present & (ids == 0))
    ids[rest != 0] = rest[rest != 0] + count
    return _renumbered(ids), count + more


def _parts_of(mask: NDArray[np.bool_]) -> tuple[Voxels, int]:
    labels, count = connected_parts(mask)
    return labels.astype(np.int32), count


def _renumbered(ids: Voxels) -> Voxels:
    """Return ids numbered from 1 in the order of their first voxels."""
    import fastremap

    numbered, _ = fastremap.renumber(np.ascontiguousarray(ids), in_place=True, preserve_zero=True)
    return np.asarray(numbered)


def _different(values: Voxels, unknown_value: int | None) -> set[int]:
    import fastremap

    ids = fastremap.unique(values)
    return {int(i) for i in ids if i != 0 and i != unknown_value}
