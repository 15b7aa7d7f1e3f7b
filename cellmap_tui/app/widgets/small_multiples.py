"""Many small charts on the same axes, such as a class each, and a cursor that goes from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from textual.message import Message
from textual.reactive import reactive

from cellmap_tui.app.chart_axes import fit, short_number
from cellmap_tui.app.chart_frame import AXIS, COLOURS, CURSOR, LINE, NAME, PLAIN, WORDS, Frame, write_text
from cellmap_tui.app.chart_raster import Line, Window, character_codes, rasterise
from cellmap_tui.app.keys import bind
from cellmap_tui.app.signs import ascii_only
from cellmap_tui.app.widgets.frame_view import FrameView
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

LEAST_WIDTH = 18
LEAST_HEIGHT = 4
TALLEST = 9
"""Charts are not made higher: more of them fit."""
GAP = 2
"""Cells between two charts."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How many charts fit, and how large each is."""

    across: int
    """Charts in a line."""
    down: int
    """Lines of charts on a page."""
    width: int
    """Cells of a chart, without the gap."""
    height: int
    """Lines of a chart, with its title."""


def make_grid(count: int, width: int, height: int) -> Grid:
    """Return a grid for `count` charts: as few columns as show them all, else as many as fit."""
    most_across = max(1, (width + GAP) // (LEAST_WIDTH + GAP))
    across = most_across
    for columns in range(1, most_across + 1):
        if height // max(1, -(-count // columns)) >= LEAST_HEIGHT and columns * 2 >= most_across:
            across = columns
            break
    lines = max(1, -(-count // across))
    tall = min(TALLEST, max(min(LEAST_HEIGHT, height), height // lines))
    return Grid(across, max(1, height // max(1, tall)), max(1, (width + GAP) // across - GAP), tall)


class SmallMultiples(FrameView):
    """A chart for each title, all on the same scale; what does not fit is on further pages."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "open"),
        bind("move.left", "move(-1, 0)", show=False, help="Go to the chart at the left."),
        bind("move.right", "move(1, 0)", show=False, help="Go to the chart at the right."),
        bind("move.up", "move(0, -1)", show=False, help="Go to the chart above."),
        bind("move.down", "move(0, 1)", show=False, help="Go to the chart below."),
        bind("move.top", "first", show=False, help="Go to the first chart."),
        bind("move.bottom", "last", show=False, help="Go to the last chart."),
        bind("move.page_up", "page(-1)", show=False),
        bind("move.page_down", "page(1)", show=False),
    ]
    index: reactive[int] = reactive(0, repaint=False)
    """Chart under the cursor."""

    class Highlighted(Message):
        """The cursor came to another chart."""

        def __init__(self, multiples: SmallMultiples, index: int, title: str) -> None:
            self.multiples = multiples
            self.index = index
            self.title = title
            super().__init__()

    class Opened(Message):
        """The user wants to see what a chart is about."""

        def __init__(self, multiples: SmallMultiples, index: int, title: str) -> None:
            self.multiples = multiples
            self.index = index
            self.title = title
            super().__init__()

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._charts: tuple[tuple[str, tuple[Line, ...]], ...] = ()
        self._planned_end: float | None = None
        self._y_limits: tuple[float, float] | None = None

    def show(
        self,
        charts: Sequence[tuple[str, Line] | tuple[str, Sequence[Line]]],
        *,
        planned_end: float | None = None,
        y_limits: tuple[float, float] | None = (0.0, 1.0),
    ) -> None:
        """Show these charts.

        Parameters
        ----------
        charts
            A title and its line or lines each, in the order in which they are shown; the cursor stays on its title.
        planned_end
            x at which the run will end, None if it has.
        y_limits
            Limits of y, the same for all; None: what fits.
        """
        here = self.title_here
        self._charts = tuple(
            (title, (drawn,) if isinstance(drawn, Line) else tuple(drawn)) for title, drawn in charts
        )
        self._planned_end, self._y_limits = planned_end, y_limits
        titles = [title for title, _ in self._charts]
        with self.prevent(self.Highlighted):
            self.set_reactive(SmallMultiples.index, titles.index(here) if here in titles else 0)
        self.draw()

    @property
    def title_here(self) -> str | None:
        """Title of the chart under the cursor, None while there is none."""
        return self._charts[self.index][0] if self.index < len(self._charts) else None

    @property
    def page_words(self) -> str:
        """What part is shown, such as ``1-12 of 48``; empty when all is."""
        page = self._page()
        if len(page) == len(self._charts):
            return ""
        return f"{page.start + 1}-{page.stop} of {len(self._charts)}"

    def validate_index(self, index: int) -> int:
        """Keep the cursor on a chart."""
        return max(0, min(index, len(self._charts) - 1))

    def watch_index(self) -> None:
        """Show where the cursor is."""
        self.draw()
        if self.title_here is not None:
            self.post_message(self.Highlighted(self, self.index, self.title_here))

    def action_move(self, across: int, down: int) -> None:
        """Move the cursor."""
        self.index += across + down * self._grid().across

    def action_first(self) -> None:
        """Go to the first."""
        self.index = 0

    def action_last(self) -> None:
        """Go to the last."""
        self.index = len(self._charts) - 1

    def action_page(self, pages: int) -> None:
        """Move by whole pages."""
        grid = self._grid()
        self.index += pages * grid.across * grid.down

    def action_open(self) -> None:
        """Say which chart is wanted."""
        if self.title_here is not None:
            self.post_message(self.Opened(self, self.index, self.title_here))

    def on_focus(self) -> None:
        """Show the cursor."""
        self.draw()

    def on_blur(self) -> None:
        """Hide the cursor's strength."""
        self.draw()

    def _grid(self) -> Grid:
        return make_grid(len(self._charts), *self.content_size)

    def _page(self) -> range:
        grid = self._grid()
        size = grid.across * grid.down
        start = self.index // size * size
        return range(start, min(len(self._charts), start + size))

    def make_frame(self, width: int, height: int) -> Frame:
        """Return the charts of the page."""
        frame = Frame(np.full((height, width), ord(" "), "<u4"), np.zeros((height, width), np.int8))
        grid, window = self._grid(), self._window()
        for place, index in enumerate(self._page()):
            row, column = divmod(place, grid.across)
            self._draw_chart(frame, index, window, row * grid.height, column * (grid.width + GAP), grid)
        return frame

    def _window(self) -> Window:
        lines = [line for _, drawn in self._charts for line in drawn]
        window = fit(lines, self._planned_end)
        low, high = self._y_limits or (window.y_low, window.y_high)
        return Window(window.x_low, window.x_high, low, high)

    def _draw_chart(self, frame: Frame, index: int, window: Window, top: int, left: int, grid: Grid) -> None:
        title, lines = self._charts[index]
        is_here = index == self.index
        only_ascii = ascii_only()
        value = _newest(lines[0]) if lines else float("nan")
        number = f"{value:.3f}" if abs(value) < 10 else short_number(value)
        room = max(1, grid.width - len(number) - 3)
        style = CURSOR if is_here else NAME + lines[0].owner % COLOURS if lines else WORDS
        mark = ">" if is_here else " "
        write_text(frame, top, left, f"{mark} {cut_middle(printable(title), room)}", style, ascii=only_ascii)
        write_text(frame, top, left + grid.width - len(number), number, style, ascii=only_ascii)
        rows, columns = grid.height - 1, grid.width - 2
        if rows < 1 or columns < 2:
            return
        bar = "|" if only_ascii else ("┃" if is_here and self.has_focus else "│")
        for row in range(rows):
            write_text(frame, top + 1 + row, left + 1, bar, CURSOR if is_here else AXIS, ascii=only_ascii)
        cells = rasterise(lines, window, columns, rows)
        here = np.s_[top + 1 : top + 1 + rows, left + 2 : left + 2 + columns]
        codes = character_codes(cells, ascii=only_ascii)
        height, width = frame.codes[here].shape
        frame.codes[here] = codes[:height, :width]
        owners = cells.owner[:height, :width]
        frame.styles[here] = np.where(owners < 0, PLAIN, owners % COLOURS + LINE)


def _newest(line: Line) -> float:
    good = np.flatnonzero(np.isfinite(line.y))
    return float(line.y[good[-1]]) if good.size else float("nan")
