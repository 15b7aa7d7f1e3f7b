"""Targets on the voxels of a crop, read box by box: foreground, background and unknown kept apart.

`open_labels` gathers what is known of a crop (class arrays, the ids of ``all``) or of a volume of one's
own; `open_target` gives a reader of one target. A reader is made ready once with `prepare`, which costs
nothing for a mask and a pass over the volume for objects; then any box can be read, in any order, in
memory bounded by the box and the slabs of `target_instances`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from cellmap_tui.challenge.layout import ALL_IDS
from cellmap_tui.challenge.target_ids import IdMeaning, id_states
from cellmap_tui.challenge.targets import class_source
from cellmap_tui.errors import MissingDataError
from cellmap_tui.volumes.label_evidence import ArrayEvidence, Evidence, IdEvidence
from cellmap_tui.volumes.label_volumes import ZarrLabels, count_ids
from cellmap_tui.volumes.metadata import is_there

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.challenge.targets import Kind, Target
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.geometry import Box
    from cellmap_tui.volumes.label_volumes import LabelVolume

Origin = Literal["auto", "classes", "all"]
"""From which arrays classes are read; ``auto``: from their own, and from ``all`` where those are missing."""

Method = Literal["components", "watershed"]
"""How a mask becomes objects: connected parts (26 neighbours), or those cut at their narrow places."""


def _nothing(voxels: int) -> None:
    """Nobody listens."""


class Labels:
    """What is known of the classes in one place: a crop, or a volume of one's own.

    Parameters
    ----------
    grid
        The voxels that targets are read on, unless another grid is asked for.
    annotated
        Classes that are annotated; None: a volume of one's own, complete in the ids that occur.
    meaning
        What ids stand for.
    arrays
        Class name to its array, or the folder of it; those that are on disk.
    ids
        The volume of ids; None: there is none.
    origin
        Which of the two to use.
    """

    def __init__(
        self,
        grid: Grid,
        annotated: Collection[str] | None,
        meaning: IdMeaning,
        arrays: Mapping[str, Path | LabelVolume],
        ids: LabelVolume | None,
        origin: Origin = "auto",
    ) -> None:
        self.grid = grid
        self.annotated = annotated
        self.meaning = meaning
        self.ids = ids if origin != "classes" else None
        self._arrays = dict(arrays) if origin != "all" else {}
        self._origin = origin
        self._opened: dict[str, LabelVolume] = {}
        self._id_counts: dict[int, int] | None = None

    def evidence(self, name: str) -> Evidence | None:
        """Return how a class is known here, None where nothing is.

        Raises
        ------
        MissingDataError
            If the class is annotated, and the arrays that say where are not on disk.
        """
        source = class_source(name, self.annotated or (), self.meaning.table, labels=self._names)
        if source.arrays and all(part in self._arrays for part in source.arrays):
            return ArrayEvidence(name, tuple(self.array(part) for part in source.arrays), source.complete)
        found = self._from_ids(name)
        if found is not None:
            return found
        if not source.arrays:
            return None
        missing = [part for part in source.arrays if part not in self._arrays]
        what = "its array" if missing == [name] else f"the array of {', '.join(missing)}"
        if self._origin == "all":
            what = f"the array of all ids ({ALL_IDS})"
        raise MissingDataError(f"{name} is annotated, and {what} is not on disk", "fetch it with fetch-data")

    def _from_ids(self, name: str) -> Evidence | None:
        if self.ids is None or not self.meaning.knows(name):
            return None
        states = id_states(name, self.annotated, self.meaning)
        says_nothing = "absent" not in states.values()
        if says_nothing and not any(state == "present" and i in self.id_counts() for i, state in states.items()):
            return None
        return IdEvidence(name, self.ids, states)

    def id_counts(self, checkpoint: Callable[[], None] | None = None) -> dict[int, int]:
        """Return the voxels of each id that occurs in the volume of ids, 0 and unknown left out.

        The volume is looked through once; empty where there is none.
        """
        if self._id_counts is None:
            self._id_counts = count_ids(self.ids, checkpoint) if self.ids is not None else {}
        return self._id_counts

    def array(self, name: str) -> LabelVolume:
        """Return the array of a class that is on disk."""
        if name not in self._opened:
            array = self._arrays[name]
            self._opened[name] = ZarrLabels(array, name) if isinstance(array, Path) else array
        return self._opened[name]

    def with_ids(self, target: Target, ignored: Iterable[str] = ()) -> tuple[str, ...]:
        """Return classes whose arrays carry the object ids of a target; none where no arrays do.

        That is a class that is made of exactly the same ids as the target, those of ignored classes aside, else
        all of its classes. Either way every class must be known here: ids say no more than masks would.
        """
        parts, left_out = self._parts(target.classes), self._parts(ignored)
        is_known = all(self.evidence(name) is not None for name in target.classes)
        for name in self._arrays if is_known else ():
            own = self._parts([name])
            if own and parts <= own <= parts | left_out and self.array(name).has_ids:
                return (name,)
        arrays = [self.array(name) for name in target.classes if name in self._arrays]
        has_all = len(arrays) == len(target.classes) and all(array.has_ids for array in arrays)
        return target.classes if has_all else ()

    def _parts(self, names: Iterable[str]) -> frozenset[int]:
        known = (self.meaning.parts(name) for name in names if self.meaning.knows(name))
        return frozenset[int]().union(*known)

    @property
    def _names(self) -> tuple[str, ...]:
        own = tuple(name for name in self._arrays if name not in self.meaning.table)
        return (*self.meaning.labels, *own, *(self.annotated or ()))


def open_labels(
    folder: Path,
    grid: Grid,
    annotated: Collection[str],
    *,
    meaning: IdMeaning | None = None,
    origin: Origin = "auto",
) -> Labels:
    """Open what is on disk of a crop's labels.

    Parameters
    ----------
    folder
        The crop's folder of label groups.
    grid
        The crop's grid.
    annotated
        Classes that the crop annotates, whether they are on disk or not.
    meaning
        What ids stand for; None: the built-in class table.
    origin
        Which arrays to use.

    Raises
    ------
    DataError
        If the array of all ids is broken.
    """
    arrays = {name: folder / name for name in annotated if is_there(folder / name)}
    has_ids = origin != "classes" and is_there(folder / ALL_IDS)
    ids = ZarrLabels(folder / ALL_IDS, ALL_IDS) if has_ids else None
    return Labels(grid, annotated, meaning or IdMeaning(), arrays, ids, origin)


@dataclass(frozen=True, slots=True)
class Instancing:
    """How objects are told apart where no array does."""

    method: Method = "components"
    """The method."""
    seed_distance_nm: float | None = None
    """Watershed: centres of objects are at least about so far apart; None: ten voxels."""


@dataclass(slots=True, eq=False)
class TargetReader:
    """One target on one grid, as a mask of 0 and 1; the readers of objects are made of it."""

    target: Target
    """What is read."""
    grid: Grid
    """The voxels."""
    evidence: tuple[Evidence, ...]
    """What is known of each of its classes; at least one."""
    ignored: tuple[Evidence, ...]
    """Classes whose voxels count as unknown."""
    missing: tuple[str, ...]
    """Classes of which nothing is known here: where no other is present, the target is unknown."""
    kind: Kind = "semantic"
    """Whether values are object ids."""
    max_id: int = 1
    """Largest value; of objects only known after `prepare`."""
    objects: int | None = None
    """Number of objects, after `prepare`; None for a mask."""
    passes: int = field(default=0)
    """How often `prepare` looks through the volume."""

    @property
    def words(self) -> str:
        """Where it is known from, for people."""
        return ", ".join(dict.fromkeys(evidence.words for evidence in self.evidence))

    @property
    def volumes(self) -> tuple[LabelVolume, ...]:
        """Everything that is read."""
        found = {id(v): v for evidence in (*self.evidence, *self.ignored) for v in evidence.volumes}
        return tuple(found.values())

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Narrowest unsigned type that holds every value and one more, for unknown."""
        return np.dtype(np.min_scalar_type(self.max_id + 1))

    @property
    def unknown_value(self) -> int:
        """The value, in `dtype`, that stands for unknown where one is needed."""
        return int(2 ** (8 * self.dtype.itemsize) - 1)

    @property
    def memory_bytes(self) -> int:
        """What is held in memory besides the boxes that are read."""
        return 0

    def prepare(self, checkpoint: Callable[[], None] | None = None, seen: Callable[[int], None] = _nothing) -> None:
        """Find out what has to be known before voxels are read: for objects, a pass over the volume.

        Parameters
        ----------
        checkpoint
            Called between slabs; may raise to give up.
        seen
            Told voxels as they are looked through.

        Raises
        ------
        DataError
            If an array is broken.
        """

    def read(self, box: Box) -> tuple[Voxels, NDArray[np.bool_]]:
        """Return a box of voxels of the grid, which may reach outside: there, nothing is known.

        Returns
        -------
        values, known
            Values of `dtype`, 0 where background or not known; and which are known. Both of the box's shape.
        """
        present, known = self.mask(box)
        return present.view(np.uint8), known

    def read_with_unknown(self, box: Box) -> Voxels:
        """Return a box of voxels with `unknown_value` where nothing is known."""
        values, known = self.read(box)
        values = values.astype(self.dtype, copy=False)
        values[~known] = self.unknown_value
        return values

    def mask(self, box: Box) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return foreground and known voxels of a box."""
        present = np.zeros(box.shape, np.bool_)
        unknown = np.full(box.shape, bool(self.missing))
        for evidence in self.evidence:
            here, unsure = evidence.states(self.grid, box)
            present |= here
            unknown |= unsure
        known = ~unknown
        known |= present
        for evidence in self.ignored:
            here, _ = evidence.states(self.grid, box)
            known &= ~here
        present &= known
        return present, known


def open_target(
    labels: Labels,
    target: Target,
    ignored: Collection[str] = (),
    *,
    kind: Kind | None = None,
    instancing: Instancing | None = None,
    grid: Grid | None = None,
) -> TargetReader | None:
    """Return a reader of a target, None where none of its classes is known here.

    Parameters
    ----------
    labels
        What is known; see `open_labels`.
    target
        What is wanted.
    ignored
        Classes whose voxels count as unknown.
    kind
        In place of the target's own kind.
    instancing
        How objects are told apart where no array carries ids.
    grid
        In place of the grid of `labels`; where it reaches beyond the labels, nothing is known.

    Raises
    ------
    MissingDataError
        If arrays that are needed are not on disk.
    DataError
        If an array is broken or holds no labels.
    """
    from cellmap_tui.volumes.target_instances import ComponentReader, KeptIdReader, WatershedReader

    wanted = kind or target.kind
    hidden = {name: labels.evidence(name) for name in ignored}
    left_out = tuple(one for one in hidden.values() if one is not None)
    known = [name for name, one in hidden.items() if one is not None]
    carriers = labels.with_ids(target, known) if wanted == "instance" else ()
    found = {name: labels.evidence(name) for name in carriers or target.classes}
    evidence = tuple(one for one in found.values() if one is not None)
    if not evidence:
        return None
    missing = tuple(name for name, one in found.items() if one is None)
    base = TargetReader(target, grid or labels.grid, evidence, left_out, missing)
    if wanted == "semantic":
        return base
    if carriers:
        return KeptIdReader.over(base, tuple(map(labels.array, carriers)))
    how = instancing or Instancing()
    if how.method == "components":
        return ComponentReader.over(base)
    return WatershedReader.over(base, how.seed_distance_nm)
