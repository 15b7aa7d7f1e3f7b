"""The two lists of the targets screen: classes with their target, and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cellmap_tui.app.keys import bind
from cellmap_tui.app.target_rows import CLASS_COLUMNS, TARGET_COLUMNS, MappedClass
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.services.target_facts import TargetFacts

if TYPE_CHECKING:
    from textual.binding import BindingType


class MappedTree(VirtualTable[MappedClass]):
    """Groups and members with the target that each is in."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.mark", "screen.turn_class", "own target", help="Make it a target of its own, or take it out."),
        bind("do.open", "screen.add_class", "into target", help="Put the class into the target in hand."),
        bind("targets.move", "screen.move"),
        bind("move.right", "screen.fold(False)", "open group", show=False),
        bind("move.left", "screen.fold(True)", "close group", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(CLASS_COLUMNS, row_key=lambda row: row.key, markable=False, empty="…")


class TargetTable(VirtualTable[TargetFacts]):
    """The targets."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "screen.rename", show=False, help="Give the target another name."),
        bind("targets.rename", "screen.rename"),
        bind("targets.kind", "screen.kind"),
        bind("targets.core", "screen.core"),
        bind("do.stop", "screen.remove", "remove", help="Remove the target; its classes are in none then."),
    ]

    def __init__(self) -> None:
        super().__init__(
            TARGET_COLUMNS,
            row_key=lambda row: row.target.name,
            markable=False,
            empty="No targets yet: n makes one, ␣ makes one of the class in hand.",
        )
