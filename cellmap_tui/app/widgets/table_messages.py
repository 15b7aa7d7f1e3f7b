"""What a table tells its screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from collections.abc import Hashable

    from cellmap_tui.app.widgets.table import VirtualTable


class TableMessage(Message, bubble=True):
    """A message of a table; `control` lets a handler choose the table by its id."""

    def __init__(self, table: VirtualTable[Any]) -> None:
        self.table = table
        super().__init__()

    @property
    def control(self) -> VirtualTable[Any]:
        """The table."""
        return self.table


class RowHighlighted(TableMessage, namespace="virtual_table"):
    """The cursor came to another row (None: no row is shown)."""

    def __init__(self, table: VirtualTable[Any], row: Any) -> None:
        self.row = row
        super().__init__(table)

    def can_replace(self, message: Message) -> bool:
        """Only the newest row matters."""
        return isinstance(message, RowHighlighted) and message.table is self.table


class RowSelected(TableMessage, namespace="virtual_table"):
    """The user opened a row."""

    def __init__(self, table: VirtualTable[Any], row: Any) -> None:
        self.row = row
        super().__init__(table)


class MarksChanged(TableMessage, namespace="virtual_table"):
    """The user marked rows or took marks away."""

    def __init__(self, table: VirtualTable[Any], marks: frozenset[Hashable]) -> None:
        self.marks = marks
        super().__init__(table)


class RowsShown(TableMessage, namespace="virtual_table"):
    """Other rows are shown; sent again when a long filter is through."""

    def can_replace(self, message: Message) -> bool:
        """Only the newest state matters."""
        return isinstance(message, RowsShown) and message.table is self.table
