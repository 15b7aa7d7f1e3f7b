"""The classes of the challenge: ids, names, groups, members, and what is scored and how.

Owns the class table and questions about it. Which crops carry a class is the catalog's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cellmap_tui.errors import UnknownNameError
from cellmap_tui.text import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Scoring = Literal["instance", "semantic"]
"""How a class is scored: object by object, or voxel by voxel."""

_TABLE = Path(__file__).parent / "tables" / "classes.tsv"


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """One class: an atomic label id, or a group of them."""

    name: str
    """Short name; also the name of its folder and array."""
    id: int
    """Label id, the same in every dataset."""
    long_name: str
    """Name in words."""
    aliases: tuple[str, ...] = ()
    """Other short names in use for the same id."""
    member_ids: tuple[int, ...] = ()
    """Ids that a group stands for; empty for an atomic class."""
    scoring: Scoring | None = None
    """How the challenge scores it; None: not at all."""
    not_scored_reason: str | None = None
    """Why it is not scored; None where it is."""

    @property
    def is_group(self) -> bool:
        """Whether the class stands for other ids."""
        return bool(self.member_ids)


class ClassTable:
    """All classes, found by name, alias or id.

    Parameters
    ----------
    classes
        The classes in the order of their ids.
    """

    def __init__(self, classes: Iterable[ClassInfo]) -> None:
        self._classes = tuple(classes)
        self._by_id = {info.id: info for info in self._classes}
        self._by_name = {info.long_name.lower(): info for info in self._classes}
        self._by_name.update({alias.lower(): info for info in self._classes for alias in info.aliases})
        self._by_name.update({info.name.lower(): info for info in self._classes})

    def __iter__(self) -> Iterator[ClassInfo]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.named(name) is not None

    def get(self, name_or_id: str | int) -> ClassInfo:
        """Return the class with this name, alias, long name or id.

        Raises
        ------
        UnknownNameError
            If there is none; the remedy names the nearest.
        """
        text = str(name_or_id).strip()
        is_id = text.isascii() and text.isdigit() and len(text) < 10
        found = self._by_id.get(int(text)) if is_id else self.named(text)
        if found is not None:
            return found
        if is_id:
            raise UnknownNameError(f"no class has the id {text}", f"ids go from 1 to {max(self._by_id, default=0)}")
        near = nearest(text, self.names)
        raise UnknownNameError(
            f"no class is called {text!r}", f"did you mean {near!r}?" if near else "`classes` lists them all"
        )

    def named(self, name: str) -> ClassInfo | None:
        """Return the class with this name, alias or long name, or None."""
        return self._by_name.get(name.strip().lower())

    def by_id(self, class_id: int) -> ClassInfo | None:
        """Return the class with this id, or None when the table does not know it."""
        return self._by_id.get(class_id)

    def parents(self, class_id: int) -> tuple[ClassInfo, ...]:
        """Return the groups that contain an id, the smallest first.

        A group is contained in another when all its members are.
        """
        info = self._by_id.get(class_id)
        ids = set(info.member_ids) if info is not None and info.is_group else {class_id}
        groups = [g for g in self._classes if g.is_group and g.id != class_id and ids <= {*g.member_ids}]
        return tuple(sorted(groups, key=lambda group: (len(group.member_ids), group.id)))

    def containing(self, class_id: int) -> tuple[ClassInfo, ...]:
        """Return the class with an id and all groups that contain it; empty for an unknown id."""
        info = self._by_id.get(class_id)
        return (info, *self.parents(class_id)) if info is not None else ()

    def members(self, name: str | int) -> tuple[ClassInfo, ...]:
        """Return the classes that a group stands for; empty for an atomic class."""
        known = (self._by_id.get(member) for member in self.get(name).member_ids)
        return tuple(info for info in known if info is not None)

    def with_members(self, info: ClassInfo) -> frozenset[str]:
        """Return the names of a class and of its members."""
        return frozenset({info.name, *(member.name for member in self.members(info.id))})

    @property
    def names(self) -> tuple[str, ...]:
        """Every short name and alias."""
        return tuple(name for info in self._classes for name in (info.name, *info.aliases))

    @property
    def scored(self) -> tuple[ClassInfo, ...]:
        """The classes that a submission is scored on."""
        return tuple(info for info in self._classes if info.scoring is not None)

    def order(self, name: str) -> tuple[int, str]:
        """Return a sort key: by id, names that the table does not know last."""
        info = self._by_name.get(name.lower())
        return (info.id if info is not None else 1_000_000, name)


@cache
def builtin_classes() -> ClassTable:
    """Return the classes as published with the challenge."""
    lines = _TABLE.read_text(encoding="utf-8").splitlines()
    return ClassTable(_parse_line(line) for line in lines if line and not line.startswith("#"))


def _parse_line(line: str) -> ClassInfo:
    class_id, name, aliases, long_name, members, scoring, reason = line.split("\t")
    return ClassInfo(
        name=name,
        id=int(class_id),
        long_name=long_name,
        aliases=tuple(aliases.split(",")) if aliases else (),
        member_ids=expand_ids(members),
        scoring=scoring or None,  # type: ignore[arg-type]
        not_scored_reason=reason or None,
    )


def expand_ids(text: str) -> tuple[int, ...]:
    """Return the ids that a text such as ``2-4,7`` stands for."""
    ids: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        ids.extend(range(int(first), int(last or first) + 1))
    return tuple(ids)


def collapse_ids(ids: Iterable[int]) -> str:
    """Return ids as a short text; the inverse of `expand_ids` for sorted ids."""
    parts: list[list[int]] = []
    for number in ids:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
