"""A table of any length: keys, marks, sorting, filters.

What it looks like is `TableView`'s business, which rows are shown `RowIndex`'s. A step of the cursor repaints
two lines; a filter paints as soon as its first slice of rows is through and goes on between keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeAlias, TypeVar

from textual.geometry import Region, Size
from textual.widget import Widget

from cellmap_tui.app.keys import bind
from cellmap_tui.app.widgets import table_messages
from cellmap_tui.app.widgets.columns import GAP, Column
from cellmap_tui.app.widgets.table_view import TableView

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from textual.binding import BindingType
    from textual.events import Click

Row = TypeVar("Row")

FIRST_SLICE_S = 0.005
"""Longest time a filter runs before the first paint; a frame has 50 ms for everything."""
NEXT_SLICE_S = 0.006
"""Longest time it then runs between two looks at the keyboard."""


class VirtualTable(TableView[Row], can_focus=True):
    """Rows as lines, with a cursor, marks, sorting and filters; parameters as of `TableView`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.mark", "mark"),
        bind("do.open", "select"),
        bind("do.sort", "sort"),
        bind("do.mark_all", "mark_all", show=False),
        bind("table.reverse", "reverse", show=False),
        bind("move.down", "move(1)", show=False),
        bind("move.up", "move(-1)", show=False),
        bind("move.top", "top", show=False),
        bind("move.bottom", "bottom", show=False),
        bind("move.half_down", "page(0.5)", show=False),
        bind("move.half_up", "page(-0.5)", show=False),
        bind("move.page_down", "page(1.0)", show=False),
        bind("move.page_up", "page(-1.0)", show=False),
    ]
    RowHighlighted: TypeAlias = table_messages.RowHighlighted
    RowSelected: TypeAlias = table_messages.RowSelected
    MarksChanged: TypeAlias = table_messages.MarksChanged
    RowsShown: TypeAlias = table_messages.RowsShown

    opens_rows: ClassVar[bool] = True
    """Whether there is something to open in a row; if not, its key is taken away."""

    _announced: Hashable = None
    _go_on = False
    _is_waiting = False
    _sought: Hashable = None
    """Row that the cursor returns to if the filter, which still goes on, shows it."""

    # What is shown

    @property
    def marks(self) -> frozenset[Hashable]:
        """Keys of the marked rows, also of those that a filter hides."""
        return frozenset(self.index.marks)

    def set_columns(self, columns: Sequence[Column[Row]]) -> None:
        """Show other columns; the order of rows is the given one again."""
        self._columns = tuple(columns)
        self._layout_of_columns = (-1, [])
        self._sorted_by, self._reversed = None, False
        self._change_rows(lambda: self.index.sort(None), same_rows=False)
        self.refresh_bindings()  # whether anything can be sorted

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show other rows; filter, order and marks stay, and the cursor stays on its row if it can."""
        self._change_rows(lambda: self.index.set_rows(rows), same_rows=False)

    def update_rows(self, rows: Sequence[Row]) -> None:
        """Show the same rows with other values; only the lines on screen that have changed are painted again.

        Where they are not the same rows, or they are sorted, this is `set_rows`.
        """
        if rows == self.index.rows:
            return
        if self._sorted_by is not None or not self.index.has_keys_of(rows):
            self.set_rows(rows)
            return
        before, self.index.rows = self.index.rows, rows
        top = self.scroll_offset.y
        for position, number in enumerate(self.index.shown[top : top + self._lines], start=top):
            if before[number] != rows[number]:
                self._repaint_row(position)

    def filter(self, keep: Callable[[Row], bool] | None, *, narrows: bool = False) -> None:
        """Show only rows that `keep` accepts; see `RowIndex.filter`."""
        self._change_rows(lambda: self.index.filter(keep, narrows=narrows))

    def search(self, text: str) -> None:
        """Show only rows whose search text holds every word."""
        self._change_rows(lambda: self.index.search(text))

    def set_marks(self, keys: set[Hashable] | frozenset[Hashable]) -> None:
        """Replace the marks without a message."""
        self.index.set_marks(set(keys))
        self.refresh()

    def go_to(self, key: Hashable) -> bool:
        """Put the cursor on the row with this key and return whether it is shown."""
        position = self.index.position_of(key)
        if position is None:
            return False
        self._sought = None
        self.cursor = position
        return True

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the keys that can do nothing here."""
        if action in {"mark", "mark_all"}:
            return self.markable
        if action == "select":
            return self.opens_rows
        if action in {"sort", "reverse"}:
            return any(column.sort_key for column in self._columns)
        return True

    def action_move(self, rows: int) -> None:
        """Move the cursor by some rows."""
        self.cursor += rows

    def action_top(self) -> None:
        """Go to the first row."""
        self.cursor = 0

    def action_bottom(self) -> None:
        """Go to the last row."""
        self.cursor = len(self.index) - 1

    def action_page(self, pages: float) -> None:
        """Move the cursor by a part of the visible rows."""
        self.cursor += round(pages * max(2, self._lines))

    def action_select(self) -> None:
        """Open the row under the cursor."""
        if (row := self.highlighted) is not None:
            self.post_message(self.RowSelected(self, row))

    def action_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away, and go one down."""
        if self.cursor >= len(self.index):
            return
        self.index.toggle_mark(self.cursor)
        self._repaint_mark(self.cursor)
        self.cursor += 1
        self.post_message(self.MarksChanged(self, self.marks))

    def action_mark_all(self) -> None:
        """Mark all rows shown; when they are marked already, none."""
        self.index.advance()
        self.index.toggle_all()
        self.refresh()
        self.post_message(self.MarksChanged(self, self.marks))

    def action_sort(self) -> None:
        """Sort by the next column that can be sorted; after the last, as the rows came."""
        sortable: list[Column[Row] | None] = [column for column in self._columns if column.sort_key]
        sortable.append(None)
        at = sortable.index(self._sorted_by) if self._sorted_by in sortable else -1
        self.sort_by(sortable[(at + 1) % len(sortable)])

    def action_reverse(self) -> None:
        """Turn the order round."""
        if self._sorted_by is not None:
            self.sort_by(self._sorted_by, reverse=not self._reversed)

    def sort_by(self, column: Column[Row] | None, *, reverse: bool = False) -> None:
        """Order the rows by a column, or as they came."""
        self._sorted_by, self._reversed = column, reverse
        sort_key = column.sort_key if column else None
        self._change_rows(lambda: self.index.sort(sort_key, reverse=reverse))
        self.refresh(Region(0, 0, self.size.width, 1))

    def on_click(self, event: Click) -> None:
        """Put the cursor where the mouse is; a click on the cursor opens, one on a heading sorts."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            self._sort_at(offset.x)
            return
        position = offset.y - 1 + self.scroll_offset.y
        if position >= len(self.index):
            return
        if position == self.cursor and event.chain > 1:
            self.action_select()
        self.cursor = position

    # Reactions

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on a row."""
        return max(0, min(cursor, len(self.index) - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        """Repaint the two lines and keep the cursor in view."""
        self._sought = None
        self._repaint_row(old)
        self._repaint_row(new)
        self._scroll_to_cursor()
        self._announce()

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self._scroll_to_cursor()

    def watch_has_focus(self, _focus: bool) -> None:
        """Show the cursor's line in the colour of focus."""
        super().watch_has_focus(_focus)
        self._repaint_row(self.cursor)

    # Inner workings

    def _sort_at(self, x: int) -> None:
        left = self._gutter
        for column, width in self._fitted_columns(self.scrollable_content_region.width):
            if left <= x < left + width + GAP and column.sort_key:
                self.sort_by(column, reverse=column is self._sorted_by and not self._reversed)
            left += width + GAP

    def _change_rows(self, change: Callable[[], None], *, same_rows: bool = True) -> None:
        index, top = self.index, self.scroll_offset.y
        before = list(index.shown[top : top + self._lines]) if same_rows else []
        key = index.key(self.cursor) if self.cursor < len(index) else None
        number = index.shown[self.cursor] if self.cursor < len(index) else -1
        if self._sought is not None:
            key, same_rows, before = self._sought, False, []
        change()
        self._go_on = not index.advance(FIRST_SLICE_S)
        position = index.position_of_number(number) if same_rows else index.position_of(key)
        self._sought = key if position is None and self._go_on else None
        self._move_silently(position or 0)
        self._rows_changed()
        self._scroll_to_cursor()
        if same_rows and top == self.scroll_offset.y:
            self._repaint_changes(before)
        else:
            self.refresh()
        self.post_message(self.RowsShown(self))
        self._announce()
        self._filter_later()

    def _filter_later(self) -> None:
        if self._go_on and not self._is_waiting:
            self._is_waiting = True
            self.set_timer(0.001, self._filter_on)

    def _filter_on(self) -> None:
        self._is_waiting = False
        if not self._go_on:
            return
        top = self.scroll_offset.y
        before = list(self.index.shown[top : top + self._lines])
        self._go_on = not self.index.advance(NEXT_SLICE_S)
        self._rows_changed()
        self._repaint_changes(before)
        if not self._go_on:
            self._return_to_sought()
            self.post_message(self.RowsShown(self))
        self._announce()
        self._filter_later()

    def _return_to_sought(self) -> None:
        position = self.index.position_of(self._sought) if self._sought is not None else None
        self._sought = None
        if position is not None:
            self._move_silently(position)
            self._scroll_to_cursor()
            self.refresh()

    def _move_silently(self, position: int) -> None:
        old = self.cursor
        self.set_reactive(TableView.cursor, position)
        self._repaint_row(old)
        self._repaint_row(position)

    def _repaint_changes(self, before: Sequence[int]) -> None:
        """Repaint the lines that show another row than before; Textual would send the others again."""
        top = self.scroll_offset.y
        after = self.index.shown[top : top + self._lines]
        width, lines = self.size.width, max(len(before), len(after), 1)
        changed = [
            Region(0, y + 1, width, 1)
            for y in range(lines)
            if y >= len(before) or y >= len(after) or before[y] != after[y]
        ]
        if changed:
            self.refresh(*changed)

    def _rows_changed(self) -> None:
        # The scroll bar is always there, so a new height needs no new layout of the screen: assigning
        # `virtual_size` would make one, 5-10 ms a keystroke.
        self.set_reactive(Widget.virtual_size, Size(self.size.width, len(self.index) + 1))
        if self.is_mounted:
            self.vertical_scrollbar.window_virtual_size = len(self.index) + 1
            self.scroll_y = self.validate_scroll_y(self.scroll_y)

    def _repaint_mark(self, position: int) -> None:
        if self.index.shares_marks:
            self.refresh()
        else:
            self._repaint_row(position)

    def _scroll_to_cursor(self) -> None:
        top, lines = self.scroll_offset.y, self._lines
        if not lines:
            return
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + lines:
            self.scroll_to(y=self.cursor - lines + 1, animate=False)

    def _announce(self) -> None:
        key = self.index.key(self.cursor) if self.cursor < len(self.index) else None
        if key != self._announced or key is None:
            self._announced = key
            self.post_message(self.RowHighlighted(self, self.highlighted))
