"""What a table looks like: heading, visible rows, cursor, marks; formats only the lines on screen.

Keys and changes of the rows are `VirtualTable`'s business, which of the rows are shown is `RowIndex`'s,
and how columns share the width that of `columns`.
"""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import GAP, Column, fit, fitted
from cellmap_tui.app.widgets.row_index import RowIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

Row = TypeVar("Row")


class TableView(ScrollView, Generic[Row], inherit_bindings=False):
    """Rows as lines.

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
    empty
        What is shown in place of rows: why there are none, and what to press.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"virtual-table--{part}"
        for part in ("row", "header", "cursor", "marked", "dim", "good", "warn", "bad", "accent", "strong")
    }
    DEFAULT_CSS = """
    TableView {
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
        self.index = RowIndex(row_key, search_text, mark_key)
        self.markable = markable
        self.empty = empty
        """What is shown in place of rows."""

    @property
    def highlighted(self) -> Row | None:
        """The row under the cursor."""
        return self.index.row(self.cursor) if self.cursor < len(self.index) else None

    def notify_style_update(self) -> None:
        """Repaint in the new theme's colours."""
        super().notify_style_update()
        self.refresh()

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
        # Unlike `rich_style`, a component's style is remembered by Textual: 0.1 ms a line.
        style = self.get_component_rich_style("virtual-table--row")
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

    @property
    def _gutter(self) -> int:
        """Cells before the first column: the cursor's sign, the mark's where there is one, a space."""
        return 3 if self.markable else 2

    @property
    def _lines(self) -> int:
        """Rows that fit on screen."""
        return max(0, self.scrollable_content_region.height - 1)

    def _repaint_row(self, position: int) -> None:
        y = position + 1 - self.scroll_offset.y
        if 1 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))
