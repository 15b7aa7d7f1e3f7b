"""What the ids of a volume say of a class: of which ids it is made, and in which voxels it is known.

`class_source` says how a class is known from the arrays of the classes; this is the same rule for one
volume that holds an id for each voxel, such as ``all``, which stores the finest annotated id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.targets import class_source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from cellmap_tui.challenge.classes import ClassTable

State = Literal["present", "absent", "unknown"]
"""Whether a voxel is of a class, is not, or nobody can say."""


@dataclass(frozen=True, slots=True)
class IdMeaning:
    """What the ids of a volume stand for.

    Parameters
    ----------
    table
        The class table.
    labels
        Names of one's own for ids; where there are any, they alone give ids a meaning.
    """

    table: ClassTable = field(default_factory=builtin_classes)
    """The class table."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Names outside the table to their ids."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Every id that means something, in order."""
        if self.labels:
            return tuple(sorted(set(self.labels.values())))
        return tuple(sorted(info.id for info in self.table))

    def name_of(self, number: int) -> str | None:
        """Return the name of an id, None where it means nothing."""
        if self.labels:
            return next((name for name, value in self.labels.items() if value == number), None)
        info = self.table.by_id(number)
        return info.name if info is not None else None

    def parts_of(self, number: int) -> frozenset[int]:
        """Return the finest ids that an id stands for: the members of a group, else itself."""
        info = None if self.labels else self.table.by_id(number)
        return frozenset(info.member_ids) if info is not None and info.is_group else frozenset({number})

    def parts(self, name: str) -> frozenset[int]:
        """Return the finest ids of a class; UnknownNameError for a name that nobody knows."""
        if self.labels:
            return frozenset({self.labels[name]}) if name in self.labels else frozenset()
        return self.parts_of(self.table.get(name).id)

    def knows(self, name: str) -> bool:
        """Return whether some id stands for a class."""
        return bool(self.parts(name)) if self.labels else name in self.table


def id_states(name: str, annotated: Collection[str] | None, meaning: IdMeaning) -> dict[int, State]:
    """Return, for each id that means something and for 0, what it says of a class.

    An id of the class or of a part of it: present. The id of a group of which the class is a part: unknown,
    unless the class is annotated; then its voxels would carry the finer id. Any other id, and 0: absent where
    `class_source` calls the class complete, else unknown.

    Parameters
    ----------
    name
        The class.
    annotated
        Classes that the crop annotates; None: a volume of one's own, in which each id that occurs is complete.
    meaning
        What ids stand for.
    """
    wanted = meaning.parts(name)
    is_annotated = annotated is not None and name in annotated
    is_complete = annotated is None or class_source(name, annotated, meaning.table, labels=meaning.labels).complete
    outside: State = "absent" if is_complete else "unknown"
    states: dict[int, State] = {0: outside}
    for number in meaning.ids:
        parts = meaning.parts_of(number)
        if parts <= wanted:
            states[number] = "present"
        elif not parts & wanted or (is_annotated and wanted < parts):
            states[number] = outside
        else:
            states[number] = "unknown"
    return states


def overlap(first: Iterable[str], second: Iterable[str], meaning: IdMeaning) -> tuple[str, str] | None:
    """Return two classes, one of each, that share voxels by what the table says; None where there are none."""
    others = [(name, meaning.parts(name)) for name in second]
    for name in first:
        parts = meaning.parts(name)
        for other, theirs in others:
            if parts & theirs:
                return name, other
    return None
