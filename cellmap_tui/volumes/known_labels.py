"""What is known of the classes in one place: class arrays, a volume of ids, or both.

Says for each class where it is known from; how targets are made of classes is `target_labels`' business.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cellmap_tui.challenge.layout import ALL_IDS
from cellmap_tui.challenge.target_ids import IdMeaning, id_states
from cellmap_tui.challenge.targets import class_source
from cellmap_tui.errors import MissingDataError
from cellmap_tui.volumes.label_evidence import ArrayEvidence, Evidence, IdEvidence
from cellmap_tui.volumes.label_volumes import ZarrLabels, count_ids
from cellmap_tui.volumes.metadata import is_there

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.challenge.targets import Target
    from cellmap_tui.volumes.label_volumes import LabelVolume

Origin = Literal["auto", "classes", "all"]
"""From which arrays classes are read; ``auto``: from their own, and from ``all`` where those are missing."""


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

    def id_counts(
        self, checkpoint: Callable[[], None] | None = None, known: Mapping[int, int] | None = None
    ) -> dict[int, int]:
        """Return the voxels of each id that occurs in the volume of ids, 0 and unknown left out.

        The volume is looked through once, unless `known` is what an earlier look found; empty where there is none.
        """
        if known is not None:
            self._id_counts = dict(known)
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
