"""A table of any length that formats only the lines on screen.

The rows belong to whoever shows the table; which of them are shown is `RowIndex`'s business and how
columns share the width that of `columns`. A step of the cursor repaints two lines, a filter paints as soon
as its first slice of rows is through and goes on in the pauses between keys.
"""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar, Generic, TypeAlias, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from cellmap_tui.app.keys import bind
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets import table_messages
from cellmap_tui.app.widgets.columns import GAP, Column, fit, fitted
from cellmap_tui.app.widgets.row_index import RowIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from textual.binding import BindingType
    from textual.events import Click

Row = TypeVar("Row")

FIRST_SLICE_S = 0.008
"""Longest time a filter runs before the first paint; a frame has 50 ms for everything."""
NEXT_SLICE_S = 0.012
"""Longest time it then runs between two looks at the keyboard."""


class VirtualTable(ScrollView, Generic[Row], can_focus=True, inherit_bindings=False):
    """Rows as lines, with a cursor, marks, sorting and filters.

    Parameters
    ----------
    columns
        What to show of a row.
    row_key
        Returns what identifies a row.
    search_text
        Returns the text that `search` looks in.
    mark_key
        Returns what a mark stands for, where several rows share one; marks are sets of these keys (or of
        row keys) and survive filters and reloads.
    markable
        Whether rows can be marked with ``space`` and ``a``.
    """

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
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"virtual-table--{part}"
        for part in ("header", "cursor", "marked", "dim", "good", "warn", "bad", "accent", "strong")
    }
    DEFAULT_CSS = """
    VirtualTable {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        background: $surface;
        color: $foreground;

        & > .virtual-table--header { color: $text-muted; text-style: bold; }
        & > .virtual-table--cursor { background: $block-cursor-blurred-background; }
        & > .virtual-table--marked { text-style: bold; }
        & > .virtual-table--dim { color: $text-muted; }
        & > .virtual-table--good { color: $text-success; }
        & > .virtual-table--warn { color: $text-warning; }
        & > .virtual-table--bad { color: $text-error; }
        & > .virtual-table--accent { color: $text-accent; }
        & > .virtual-table--strong { text-style: bold; }
        &:focus > .virtual-table--cursor { background: $block-cursor-background; }
    }
    """

    cursor: reactive[int] = reactive(0, repaint=False)
    """Position of the cursor among the shown rows."""

    RowHighlighted: TypeAlias = table_messages.RowHighlighted
    RowSelected: TypeAlias = table_messages.RowSelected
    MarksChanged: TypeAlias = table_messages.MarksChanged
    RowsShown: TypeAlias = table_messages.RowsShown

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        *,
        row_key: Callable[[Row], Hashable],
        search_text: Callable[[Row], str] | None = None,
        mark_key: Callable[[Row], Hashable] | None = None,
        markable: bool = True,
        empty: str = "",
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._columns = tuple(columns)
        self._layout_of_columns: tuple[int, list[tuple[Column[Row], int]]] = (-1, [])
        self._sorted_by: Column[Row] | None = None
        self._reversed = False
        self._announced: Hashable = None
        self.index = RowIndex(row_key, search_text, mark_key)
        self.markable = markable
        self.empty = empty
        """Line shown in place of rows: what to press."""

    # What is shown

    @property
    def highlighted(self) -> Row | None:
        """The row under the cursor."""
        return self.index.row(self.cursor) if self.cursor < len(self.index) else None

    @property
    def marks(self) -> frozenset[Hashable]:
        """Keys of the marked rows, also of those that a filter hides."""
        return frozenset(self.index.marks)

    def set_columns(self, columns: Sequence[Column[Row]]) -> None:
        """Show other columns; the order of rows is the given one again."""
        self._columns = tuple(columns)
        self._layout_of_columns = (-1, [])
        self._sorted_by, self._reversed = None, False
        self._change_rows(lambda: self.index.sort(None))

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show other rows; filter, order and marks stay, and the cursor stays on its row if it can."""
        self._change_rows(lambda: self.index.set_rows(rows))

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
        self.cursor = position
        return True

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the keys that can do nothing here."""
        if action in {"mark", "mark_all"}:
            return self.markable
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

    def notify_style_update(self) -> None:
        """Repaint in the new theme's colours."""
        super().notify_style_update()
        self.refresh()

    # Painting

    def render_line(self, y: int) -> Strip:
        """Format one line of the viewport; line 0 is the heading."""
        width = self.scrollable_content_region.width
        if y == 0:
            return self._heading(width)
        position = y - 1 + self.scroll_offset.y
        if position < len(self.index):
            return self._line(position, width)
        style = self.get_component_rich_style("virtual-table--dim")
        lines = wrap(self.empty, max(10, width - 2)) if not len(self.index) else []
        text = f" {lines[y - 1]}" if y - 1 < len(lines) else ""
        return Strip([Segment(fitted(text, width), style)], width)

    def _line(self, position: int, width: int) -> Strip:
        row = self.index.row(position)
        is_cursor = position == self.cursor
        is_marked = self.index.is_marked(position)
        style = self._row_style(is_cursor=is_cursor, is_marked=is_marked)
        text = sign("cursor") if is_cursor else " "
        text += f"{sign('marked') if is_marked else ' '} " if self.markable else " "
        segments: list[Segment] = []
        for column, column_width in self._fitted_columns(width):
            cell = fitted(column.cell(row), column_width, column.align)
            look = column.look(row) if column.look else ""
            if not look:
                text += cell + " " * GAP
                continue
            segments.append(Segment(text, style))
            segments.append(Segment(cell, style + self._look(look)))
            text = " " * GAP
        segments.append(Segment(text, style))
        return Strip(segments).adjust_cell_length(width, style)

    def _heading(self, width: int) -> Strip:
        text = " " * self._gutter
        for column, column_width in self._fitted_columns(width):
            title = column.title
            if column is self._sorted_by:
                title += sign("down" if self._reversed else "up")
            text += fitted(title, column_width, column.align) + " " * GAP
        style = self.get_component_rich_style("virtual-table--header")
        return Strip([Segment(fitted(text[:width], width), style)], width)

    def _row_style(self, *, is_cursor: bool, is_marked: bool) -> Style:
        style = self.rich_style
        if is_marked:
            style += self.get_component_rich_style("virtual-table--marked", partial=True)
        if is_cursor:
            style += self.get_component_rich_style("virtual-table--cursor", partial=True)
        return style

    def _look(self, name: str) -> Style:
        # The partial style alone would lose colours that are mixed with the background.
        part = f"virtual-table--{name}"
        whole = self.get_component_rich_style(part)
        return self.get_component_rich_style(part, partial=True) + Style(color=whole.color)

    def _fitted_columns(self, width: int) -> list[tuple[Column[Row], int]]:
        if self._layout_of_columns[0] != width:
            self._layout_of_columns = (width, fit(self._columns, width - self._gutter - 1))
        return self._layout_of_columns[1]

    # Inner workings

    @property
    def _gutter(self) -> int:
        """Cells before the first column: the cursor's sign, the mark's where there is one, a space."""
        return 3 if self.markable else 2

    @property
    def _lines(self) -> int:
        """Rows that fit on screen."""
        return max(0, self.scrollable_content_region.height - 1)

    def _sort_at(self, x: int) -> None:
        left = self._gutter
        for column, width in self._fitted_columns(self.scrollable_content_region.width):
            if left <= x < left + width + GAP and column.sort_key:
                self.sort_by(column, reverse=column is self._sorted_by and not self._reversed)
            left += width + GAP

    def _change_rows(self, change: Callable[[], None]) -> None:
        row_key = self.index.key(self.cursor) if self.cursor < len(self.index) else None
        change()
        done = self.index.advance(FIRST_SLICE_S)
        position = self.index.position_of(row_key) if row_key is not None and len(self.index) < 20_000 else None
        self._rows_changed()
        self.set_reactive(VirtualTable.cursor, position or 0)
        self._scroll_to_cursor()
        self.refresh()
        self._announce()
        if not done:
            self.set_timer(0.001, self._filter_on)

    def _filter_on(self) -> None:
        if not self.index.is_filtering:
            return
        before = len(self.index)
        done = self.index.advance(NEXT_SLICE_S)
        self._rows_changed()
        if before < self._lines + self.scroll_offset.y:
            self.refresh()
        self._announce()
        if not done:
            self.set_timer(0.001, self._filter_on)

    def _rows_changed(self) -> None:
        # The scroll bar is always there, so a new height needs no new layout of the screen: assigning
        # `virtual_size` would make one, 5-10 ms a keystroke.
        self.set_reactive(Widget.virtual_size, Size(self.size.width, len(self.index) + 1))
        if self.is_mounted:
            self.vertical_scrollbar.window_virtual_size = len(self.index) + 1
            self.scroll_y = self.validate_scroll_y(self.scroll_y)
        self.post_message(self.RowsShown(self))

    def _repaint_mark(self, position: int) -> None:
        if self.index.shares_marks:
            self.refresh()
        else:
            self._repaint_row(position)

    def _repaint_row(self, position: int) -> None:
        y = position + 1 - self.scroll_offset.y
        if 1 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

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
