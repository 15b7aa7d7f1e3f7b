"""Classes as rows of a tree: groups with their members under them, the rest on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.app.class_items import bar
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.text import voxel

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cellmap_tui.services.class_facts import ClassRow

WHOLE = "cell"
"""The group of nearly everything: shown last and closed, it would repeat the whole list."""
_BAR_WIDTH = 6


@dataclass(frozen=True, slots=True)
class ClassNode:
    """A line of the tree."""

    row: ClassRow
    """The class."""
    group: str
    """Group it is shown under; empty at the top level."""
    is_open: bool | None
    """Whether its members are shown; None where it has none."""
    most_crops: int
    """Crops of the most frequent class, for the bar."""

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the line: a class is shown under each of its groups."""
        return (self.group, self.row.name)


def tree(rows: Sequence[ClassRow], closed: Collection[str]) -> tuple[ClassNode, ...]:
    """Return groups with their members, and classes in no group but the whole cell, by their smallest id."""
    by_name = {row.name: row for row in rows}
    most = max((row.training_crops for row in rows), default=0)
    grouped = {name for row in rows if row.name != WHOLE for name in row.members}
    lowest = {row.name: min([row.id, *(by_name[name].id for name in row.members)]) for row in rows}
    roots = [row for row in rows if row.kind == "group" or row.name not in grouped]
    roots.sort(key=lambda row: (row.name == WHOLE, lowest[row.name], row.id))
    nodes: list[ClassNode] = []
    for root in roots:
        is_open = root.name not in closed if root.members else None
        nodes.append(ClassNode(root, "", is_open, most))
        if is_open:
            nodes += [ClassNode(by_name[name], root.name, None, most) for name in root.members]
    return tuple(nodes)


def flat(rows: Sequence[ClassRow]) -> tuple[ClassNode, ...]:
    """Return every class once, by id; what a filter looks through."""
    most = max((row.training_crops for row in rows), default=0)
    return tuple(ClassNode(row, "", None, most) for row in rows)


def matches(row: ClassRow, text: str) -> bool:
    """Return whether a class fits what was typed: its id, or every word in its names and its scoring."""
    words = text.lower().split()
    if words and all(word.isdigit() for word in words):
        return str(row.id) in words
    known = " ".join((row.name, *row.aliases, row.long_name, row.scoring or "-", row.kind)).lower()
    return all(_wildcard(word) in known for word in words)


def _wildcard(word: str) -> str:
    return word.rstrip("*")


def _name(node: ClassNode) -> str:
    if node.is_open is None:
        return f"{'  ' if not node.group else '    '}{node.row.name}"
    return f"{sign('open' if node.is_open else 'closed')} {node.row.name}"


def _scored(node: ClassNode) -> str:
    return node.row.scoring or "-"


def _meaning(node: ClassNode) -> str:
    reason = node.row.not_scored_reason
    return f"{node.row.long_name}: {reason}" if reason else node.row.long_name


def _look(node: ClassNode) -> str:
    if node.row.scoring is None:
        return "dim"
    return "strong" if node.row.kind == "group" and not node.group else ""


def _sizes(node: ClassNode) -> str:
    sizes = [part.nominal_nm for part in node.row.voxel_sizes_nm]
    if not sizes:
        return "-"
    return voxel([float(sizes[0])] * 3) if len(sizes) == 1 else f"{sizes[0]}-{sizes[-1]}"


TREE_COLUMNS: tuple[Column[ClassNode], ...] = (
    Column("name", "class", 14, _name, max_width=16, sort_key=lambda node: node.row.name, look=_look),
    Column("id", "id", 3, lambda node: str(node.row.id), align="right",
           sort_key=lambda node: node.row.id, look=_look),
    Column("scored", "scored", 8, _scored, sort_key=_scored, look=_look),
    Column("crops", "crops", 5, lambda node: str(node.row.training_crops), align="right",
           sort_key=lambda node: -node.row.training_crops, look=_look),
    Column("bar", "", _BAR_WIDTH,
           lambda node: bar(node.row.training_crops / node.most_crops if node.most_crops else 0, _BAR_WIDTH),
           priority=2, look=lambda node: "accent"),
    Column("nm", "nm", 5, _sizes, align="right", priority=3, look=_look),
    Column("meaning", "meaning", 20, _meaning, max_width=60, priority=4, look=_look),
)  # fmt: skip
"""A class a line."""
