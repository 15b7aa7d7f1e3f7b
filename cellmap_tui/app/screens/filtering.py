"""A screen whose table has a filter line over it: one key goes there, its own keys move in the table."""

from __future__ import annotations

from typing import Any

from textual import on

from cellmap_tui.app.screens.base import BaseScreen
from cellmap_tui.app.widgets.filter_bar import FilterBar, FilterInput
from cellmap_tui.app.widgets.table import VirtualTable


class Filtering(BaseScreen):
    """Between filter line and table; what the filter leaves of the rows is the screen's own business."""

    @property
    def filter_bar(self) -> FilterBar:
        """The filter line."""
        return self.query_one(FilterBar)

    @property
    def table(self) -> VirtualTable[Any]:
        """The table under it; a subclass says which where it has several."""
        return self.query_one(VirtualTable)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the filter's key while it is typed in."""
        if action == "filter":
            return not isinstance(self.focused, FilterInput)
        return super().check_action(action, parameters)

    def action_filter(self) -> None:
        """Type a filter."""
        self.filter_bar.input.focus()

    @on(FilterInput.Left)
    def _back_to_the_table(self) -> None:
        self.table.focus()

    @on(FilterInput.Moved)
    def _move_while_typing(self, event: FilterInput.Moved) -> None:
        self.table.action_move(event.rows)
