"""Classes and targets as rows of the targets screen, and the checks as lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui.app.class_items import bar
from cellmap_tui.app.class_tree import flat, matches, tree
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.challenge.target_edits import owner
from cellmap_tui.services.class_facts import ClassCounts
from cellmap_tui.text import count, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from cellmap_tui.app.class_tree import ClassNode
    from cellmap_tui.challenge.targets import Targets
    from cellmap_tui.services.class_facts import ClassRow
    from cellmap_tui.services.target_facts import TargetCheck, TargetFacts

_BAR_WIDTH = 4


@dataclass(frozen=True, slots=True)
class MappedClass:
    """A class in the tree, with the target that it is in."""

    node: ClassNode
    """Its line of the tree."""
    target: str | None
    """Its target, ``ignore``, or None."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.node.row.name

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the line."""
        return self.node.key


def mapped_classes(
    rows: Sequence[ClassRow], targets: Targets, closed: Collection[str], text: str
) -> tuple[MappedClass, ...]:
    """Return the lines of the tree, or of the classes that a filter keeps."""
    nodes = tuple(node for node in flat(rows) if matches(node.row, text)) if text else tree(rows, closed)
    return tuple(MappedClass(node, owner(targets, node.row.name)) for node in nodes)


def _class_name(row: MappedClass) -> str:
    box = {None: "☐", "ignore": "-"}.get(row.target, "☑")
    fold = "" if row.node.is_open is None else sign("open" if row.node.is_open else "closed")
    return f"{'  ' if row.node.group else ''}{fold or ' '} {box} {row.name}"


def _class_look(row: MappedClass) -> str:
    if row.target == "ignore" or not row.node.row.training_crops:
        return "dim"
    return "strong" if row.target else ""


CLASS_COLUMNS: tuple[Column[MappedClass], ...] = (
    Column("name", "class", 17, _class_name, max_width=20, sort_key=lambda row: row.name, look=_class_look),
    Column("target", "target", 8, lambda row: row.target or "", max_width=16,
           sort_key=lambda row: row.target or "~", look=lambda row: "accent"),
    Column("crops", "crops", 5, lambda row: str(row.node.row.training_crops), align="right", priority=1,
           sort_key=lambda row: -row.node.row.training_crops, look=_class_look),
    Column("bar", "", _BAR_WIDTH,
           lambda row: bar(row.node.row.training_crops / (row.node.most_crops or 1), _BAR_WIDTH),
           priority=2, look=lambda row: "accent"),
)  # fmt: skip
"""A class a line, with its target."""


def _kind(row: TargetFacts) -> str:
    if row.target.kind == "semantic":
        return "sem"
    return "inst+core" if row.target.core else "inst"


def _crops(row: TargetFacts) -> str:
    return f"{count(row.full)}+{count(row.partial)}" if row.partial else count(row.full)


def _voxels(row: TargetFacts) -> str:
    if not row.scanned:
        return "-"
    share = 100 * row.foreground_voxels / row.known_voxels if row.known_voxels else 0.0
    return f"{_short(row.foreground_voxels)} {share:.1f} %"


def _short(number: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return str(number)


TARGET_COLUMNS: tuple[Column[TargetFacts], ...] = (
    Column("id", "id", 2, lambda row: str(row.target.id), align="right"),
    Column("name", "target", 8, lambda row: row.target.name, max_width=16, look=lambda row: "strong"),
    Column("crops", "crops", 6, _crops, align="right"),
    Column("kind", "kind", 9, _kind, priority=2),
    Column("voxels", "voxels here", 13, _voxels, align="right", priority=3),
    Column("from", "from", 10, lambda row: " ".join(row.target.classes) or "nothing yet", max_width=40, priority=1),
)  # fmt: skip
"""A target a line."""


def _side(side: TargetFacts | None) -> str:
    """Return in how many of the crops that know a target it is, as far as they were looked through."""
    if side is None or not side.crops:
        return "" if side is None else "0"
    return f"{count(side.with_foreground) if side.scanned else '?'}/{count(side.crops)}"


def _side_share(side: TargetFacts | None) -> str:
    if side is None or not side.known_voxels:
        return "-"
    return f"{100 * side.foreground_voxels / side.known_voxels:.1f} %"


def _side_look(side: TargetFacts | None) -> str:
    return "bad" if side is not None and (not side.crops or (side.scanned and not side.with_foreground)) else ""


SPLIT_COLUMNS: tuple[Column[TargetFacts], ...] = (
    *TARGET_COLUMNS[:2],
    Column("train", "train", 6, lambda row: _side(row.train), align="right", look=lambda row: _side_look(row.train)),
    Column("validate", "valid", 6, lambda row: _side(row.validate), align="right",
           look=lambda row: _side_look(row.validate)),
    Column("crops", "crops", 6, _crops, align="right", priority=2),
    Column("kind", "kind", 9, _kind, priority=3),
    TARGET_COLUMNS[-1],
)  # fmt: skip
"""A target a line, counted by the sides of a split."""


def check_lines(checks: Iterable[TargetCheck], hand: TargetFacts | None, ignored: Sequence[str]) -> Content:
    """Return what the target in hand holds, then the checks, warnings first, each with its sign."""
    rows = sorted(checks, key=lambda check: check.level == "ok")
    lines = [
        Content.assemble((f"{sign(row.level)} ", "$warning" if row.level == "warning" else "$success"), row.words)
        for row in rows
    ]
    if hand is not None:
        lines = [Content(words) for words in _holds(hand, ignored)] + lines
    return Content("\n").join(lines) if lines else Content.styled("no targets yet: n makes one", "$foreground-muted")


def _holds(row: TargetFacts, ignored: Sequence[str]) -> list[str]:
    """Return the classes and counts of a target, in lines."""
    lines = [f"{row.target.name} ← {' '.join(row.target.classes) or 'nothing yet'}"]
    if row.partial:
        lines.append(f"known everywhere in {count(row.full)} crops, in part in {count(row.partial)}")
    if row.scanned:
        crops = f"{count(row.with_foreground)} of {count(row.scanned)} crops here"
        lines.append(f"{count(row.foreground_voxels)} voxels in {crops}")
    for words, side in (("train", row.train), ("validate", row.validate)):
        if side is not None:
            lines.append(_side_line(words, side))
    if ignored:
        lines.append(f"ignored: {' '.join(ignored)}")
    return [printable(line) for line in lines]


def _side_line(words: str, side: TargetFacts) -> str:
    """Return what one side of a split has of a target."""
    known = f"{words}: {count(side.crops)} crop{'' if side.crops == 1 else 's'} of the split"
    if not side.scanned:
        return f"{known}, o counts" if side.crops else known
    counted = "" if side.scanned == side.crops else f" of {count(side.scanned)} counted"
    return f"{known}, shown in {count(side.with_foreground)}{counted}, {_side_share(side)} of voxels"


def coverage(facts: Sequence[TargetFacts]) -> ClassCounts:
    """Return crops per target and dataset as the heat map shows them."""
    datasets = sorted({name for row in facts for name in row.by_dataset})
    return ClassCounts(
        classes=tuple(row.target.name for row in facts),
        datasets=tuple(datasets),
        counts=tuple(tuple(row.by_dataset.get(name, 0) for name in datasets) for row in facts),
    )
