"""The labels of a slice: which classes are drawn, what they show, and where nothing is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.layout import ALL_IDS, crop_path, label_path
from cellmap_tui.errors import CellmapError, MissingDataError, Stopped
from cellmap_tui.volumes.annotation import read_annotation
from cellmap_tui.volumes.cache import ChunkCache
from cellmap_tui.volumes.colours import RGB, class_colour
from cellmap_tui.volumes.geometry import whole
from cellmap_tui.volumes.metadata import is_there
from cellmap_tui.volumes.ngff import open_volume
from cellmap_tui.volumes.read import read_region
from cellmap_tui.volumes.slices import Layer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.ngff import Multiscale
    from cellmap_tui.volumes.pixels import Pixels

State = Literal["present", "absent", "unknown"]
"""In this slice, annotated but not in it, or not annotated in this crop."""

Kind = Literal["gt", "predictions", "processed", "error"]
"""What is drawn: ground truth, predictions, processed predictions, or where predictions are wrong."""

_FEW_CLASSES = 8
"""Up to this many classes are drawn from their own arrays, more from the array of all ids: one read."""
_MIN_MARK_PIXELS = 6


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A class in the picture."""

    name: str
    """Name of the class; ``id 99`` for one that the table does not know."""
    class_id: int | None
    """Its id in the table, if it has one."""
    colour: RGB | None
    """Its colour; None: each object has its own."""
    state: State
    """Whether it is in this slice, annotated but not in it, or not annotated in this crop."""
    value_at_voxel: int | None
    """Value in the pixel of the voxel that is looked at: 0 background; None: unknown or not in the picture."""
    kind: Kind = "gt"
    """Where it comes from."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The centre of an object in the picture."""

    row: int
    """Pixel row."""
    column: int
    """Pixel column."""
    name: str
    """Name of its class."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelChoice:
    """Which labels are wanted."""

    classes: tuple[str, ...] = ()
    """Names; none: all that are on disk. ``all`` is the array of all ids."""
    colours: Mapping[str, RGB] = field(default_factory=dict)
    """Colours of classes in place of the fixed ones."""
    with_marks: bool = False
    """Also find the centre of each object."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelSlice:
    """The labels on the pixels of a slice."""

    layers: tuple[Layer, ...]
    """What is drawn, lowest first."""
    unknown: NDArray[np.bool_]
    """Pixels ``[h, w]`` where nothing that was asked for is known."""
    legend: tuple[LegendEntry, ...]
    """The classes."""
    marks: tuple[Mark, ...]
    """Centres of objects."""
    notes: tuple[str, ...]
    """Classes that could not be read, and why."""
    facts: tuple[str, ...] = ()
    """What was measured on the way."""


@dataclass(frozen=True, slots=True, eq=False)
class _ClassVolume:
    """A label volume that has been opened."""

    volume: Multiscale
    """Its levels."""
    unknown_value: int | None
    """Value of voxels that were not annotated."""
    has_objects: bool
    """Whether its values tell objects apart."""


class _Plane:
    """What is gathered while the classes of a slice are read."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.layers: list[Layer] = []
        self.legend: list[LegendEntry] = []
        self.marks: list[Mark] = []
        self.notes: list[str] = []
        self.covered = np.zeros(shape, np.bool_)
        """Pixels with a label."""
        self.unsure = np.zeros(shape, np.bool_)
        """Pixels that some annotated class says are unknown."""
        self.annotated = np.zeros(shape, np.bool_)
        """Pixels inside the array of at least one class."""


class Labels:
    """The label volumes of a crop, opened when first asked for.

    Parameters
    ----------
    data_root
        Folder of the data.
    crop
        The crop.
    classes
        The class table; None: the built-in one.
    """

    def __init__(self, data_root: Path, crop: Crop, classes: ClassTable | None) -> None:
        self.cache = ChunkCache()
        self._data_root = data_root
        self._crop = crop
        self._classes = classes or builtin_classes()
        self._volumes: dict[str, _ClassVolume] = {}

    def read(self, wanted: LabelChoice, pixels: Pixels, voxel: Shape3, is_stale: Callable[[], bool]) -> LabelSlice:
        """Read the classes that are wanted, on the pixels of a slice.

        Raises
        ------
        MissingDataError
            If a class wanted by name is annotated and not on disk.
        DataError
            If a class wanted by name is broken; among all classes it becomes a note.
        Stopped
            If `is_stale` says so.
        """
        plane = _Plane(pixels.shape)
        names = [self._checked(name) for name in wanted.classes] or self._default_classes()
        for name in names:
            if is_stale():
                raise Stopped("a newer slice was asked for")
            try:
                self._add(plane, name, wanted, pixels, voxel, is_alone=len(names) == 1)
            except CellmapError as error:
                if wanted.classes:
                    raise
                plane.notes.append(f"{name}: {error.message}")
        is_known = plane.annotated & ~(plane.unsure & ~plane.covered)
        unknown = ~is_known if names else np.zeros(pixels.shape, np.bool_)
        return LabelSlice(tuple(plane.layers), unknown, tuple(plane.legend), tuple(plane.marks), tuple(plane.notes))

    def _checked(self, name: str) -> str:
        if name == ALL_IDS or name in self._crop.classes:
            return name
        return self._classes.get(name).name

    def _default_classes(self) -> list[str]:
        """Return what is drawn when nothing is named: groups below their members, or all ids at once."""
        if len(self.local) > _FEW_CLASSES and is_there(self._path(ALL_IDS)):
            return [ALL_IDS]
        return self.local

    @property
    def local(self) -> list[str]:
        """Classes whose labels are on disk, groups below their members."""
        local = [name for name in self._crop.classes if is_there(self._path(name))]
        return sorted(local, key=self.members, reverse=True)

    def members(self, name: str) -> int:
        """Return how many ids a group stands for; 0 for a class that is none."""
        info = self._classes.named(name)
        return len(info.member_ids) if info is not None else 0

    def _path(self, name: str) -> Path:
        return self._data_root / label_path(self._crop, name)

    def _add(
        self, plane: _Plane, name: str, wanted: LabelChoice, pixels: Pixels, voxel: Shape3, *, is_alone: bool
    ) -> None:
        if name != ALL_IDS and name not in self._crop.classes and not is_there(self._path(name)):
            plane.legend.append(LegendEntry(name, self.id_of(name), self.colour(name, wanted), "unknown", None))
            return
        opened = self._opened(name)
        region = read_region(opened.volume, pixels.grid, "label", reader=self.cache.read)
        labels = region.array.reshape(pixels.shape)
        known = region.valid.reshape(pixels.shape)
        if opened.unknown_value is not None:
            unsure = labels == opened.unknown_value
            plane.unsure |= unsure
            labels = np.where(unsure, 0, labels)
            known = known & ~unsure
        plane.annotated |= region.valid.reshape(pixels.shape)
        plane.covered |= labels != 0
        place = pixels.pixel_of(voxel)
        value = int(labels[place]) if place is not None and known[place] else None
        if name == ALL_IDS:
            self._add_ids(plane, labels, value, wanted)
        else:
            self._add_class(plane, name, labels, value, wanted, has_objects=opened.has_objects and is_alone)

    def _add_class(
        self,
        plane: _Plane,
        name: str,
        labels: NDArray[Any],
        value: int | None,
        wanted: LabelChoice,
        *,
        has_objects: bool,
    ) -> None:
        colour = None if has_objects else self.colour(name, wanted)
        is_present = bool((labels != 0).any())
        plane.layers.append(Layer(labels, colour))
        plane.legend.append(LegendEntry(name, self.id_of(name), colour, "present" if is_present else "absent", value))
        if wanted.with_marks and is_present:
            plane.marks.extend(marks_of(labels, name))

    def _add_ids(self, plane: _Plane, labels: NDArray[Any], value: int | None, wanted: LabelChoice) -> None:
        """Add the array of all ids: each id is a class."""
        colours: dict[int, RGB] = {}
        for class_id in (int(i) for i in np.unique(labels) if i != 0):
            info = self._classes.by_id(class_id)
            name = info.name if info is not None else f"id {class_id}"
            colours[class_id] = self.colour(name, wanted)
            at_voxel = None if value is None else value if value == class_id else 0
            known_id = class_id if info is not None else None
            plane.legend.append(LegendEntry(name, known_id, colours[class_id], "present", at_voxel))
            if wanted.with_marks:
                plane.marks.extend(marks_of(np.where(labels == class_id, 1, 0), name))
        plane.layers.append(Layer(labels, colours))

    def _opened(self, name: str) -> _ClassVolume:
        if name not in self._volumes:
            path = self._path(name)
            if not is_there(path):
                where = self._data_root / crop_path(self._crop)
                raise MissingDataError(
                    f"the labels of {name} in {self._crop.ref} are not on disk: {where}",
                    "fetch the crop, or choose another class",
                )
            volume = open_volume(path)
            annotation = read_annotation(volume)
            has_objects = annotation.is_instance
            if has_objects is None:
                has_objects = name != ALL_IDS and self._has_ids_above_1(volume, annotation.unknown_value)
            self._volumes[name] = _ClassVolume(volume, annotation.unknown_value, has_objects)
        return self._volumes[name]

    def _has_ids_above_1(self, volume: Multiscale, unknown_value: int | None) -> bool:
        level = volume.levels[-1]
        if level.grid.voxels > 2**24:
            return False
        values = np.unique(self.cache.read(level, whole(level.grid)))
        return any(value > 1 and value != unknown_value for value in values)

    def id_of(self, name: str) -> int | None:
        """Return the id of a class; None for one that the table does not know."""
        info = self._classes.named(name)
        return info.id if info is not None else None

    def colour(self, name: str, wanted: LabelChoice) -> RGB:
        """Return the colour of a class."""
        if name in wanted.colours:
            return wanted.colours[name]
        class_id = self.id_of(name)
        # A class that no table knows keeps a colour of its own by its letters, the same in every picture.
        return class_colour(name, class_id if class_id is not None else sum(name.encode()))


def marks_of(labels: NDArray[Any], name: str) -> list[Mark]:
    """Return the centres of the connected parts of labels ``[h, w]``, those of a few pixels and more."""
    from scipy import ndimage

    parts, count = ndimage.label(labels != 0)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    large = [i for i in range(1, count + 1) if sizes[i] >= _MIN_MARK_PIXELS]
    centres = ndimage.center_of_mass(parts > 0, parts, large) if large else []
    return [Mark(int(row), int(column), name) for row, column in centres]
