"""A log of any length that formats only the lines on screen, and follows its end while it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cellmap_tui.app.keys import bind
from cellmap_tui.app.run_words import clock_words
from cellmap_tui.text import cut_middle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style
    from textual.binding import BindingType

    from cellmap_tui.app.event_words import LogLine

MAX_LINES = 100_000
"""Older lines are let go: about 30 MB, and nobody scrolls further on a screen."""

_LOOKS = {
    "warning": "warn",
    "error": "bad",
    "state": "accent",
    "result": "good",
    "artefact": "dim",
    "progress": "dim",
    "metric": "dim",
}


class LogView(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines with their times.

    While the end is in sight, new lines keep it in sight; after scrolling up the view stays.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("move.down", "move(1)", show=False),
        bind("move.up", "move(-1)", show=False),
        bind("move.left", "shift(-8)", show=False, help="Show what is cut off at the left."),
        bind("move.right", "shift(8)", show=False, help="Show what is cut off at the right."),
        bind("move.top", "top", show=False),
        bind("move.bottom", "bottom", show=False),
        bind("move.half_down", "page(0.5)", show=False),
        bind("move.half_up", "page(-0.5)", show=False),
        bind("move.page_down", "page(1.0)", show=False),
        bind("move.page_up", "page(-1.0)", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"log-view--{part}" for part in ("time", "dim", "warn", "bad", "good", "accent")
    }
    DEFAULT_CSS = """
    LogView {
        height: 1fr; overflow-x: hidden; overflow-y: auto; background: transparent; color: $foreground;

        & > .log-view--time, & > .log-view--dim { color: $text-muted; }
        & > .log-view--warn { color: $text-warning; }
        & > .log-view--bad { color: $text-error; }
        & > .log-view--good { color: $text-success; }
        & > .log-view--accent { color: $text-primary; }
    }
    """

    def __init__(self, *, empty: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self.empty = empty
        """Shown in place of lines."""
        self._lines: list[LogLine] = []
        self._time_width = 8
        self._follows = True

    @property
    def lines(self) -> Sequence[LogLine]:
        """The lines that are kept."""
        return self._lines

    def clear(self, empty: str | None = None) -> None:
        """Forget all lines."""
        self._lines, self._time_width, self._follows = [], 8, True
        if empty is not None:
            self.empty = empty
        self.virtual_size = Size(0, 1)
        self.scroll_to(0, 0, animate=False, immediate=True)
        self.refresh()

    def add(self, lines: Sequence[LogLine]) -> None:
        """Append lines; draws once."""
        if not lines:
            return
        self._lines += lines
        surplus = len(self._lines) - MAX_LINES
        if surplus > 0:
            del self._lines[:surplus]
        self._time_width = max(self._time_width, *(len(_time(line)) for line in lines))
        width = max(len(line.text) for line in lines) + self._time_width + 2
        self.virtual_size = Size(max(self.virtual_size.width, width), len(self._lines))
        self._keep_end_in_sight()
        self.refresh()

    def on_resize(self) -> None:
        """Keep the end in sight."""
        self._keep_end_in_sight()

    def watch_show_vertical_scrollbar(self, is_shown: bool) -> None:
        """Tell a bar that has just appeared where the lines stand: Textual tells only one that is there."""
        if is_shown:
            self.vertical_scrollbar.position = self.scroll_y

    def _keep_end_in_sight(self) -> None:
        if self._follows:
            self.scroll_to(y=len(self._lines), animate=False, immediate=True, force=True)

    def _scroll(self, *, y: float | None = None, x: float | None = None) -> None:
        self.scroll_relative(x=x, y=y, animate=False, immediate=True, force=True)
        self._follows = self.is_vertical_scroll_end

    def action_move(self, lines: int) -> None:
        """Scroll by lines."""
        self._scroll(y=lines)

    def action_shift(self, cells: int) -> None:
        """Scroll sideways."""
        self._scroll(x=cells)

    def action_page(self, pages: float) -> None:
        """Scroll by a part of what is visible."""
        self._scroll(y=round(pages * max(2, self.size.height)))

    def action_top(self) -> None:
        """Go to the first line."""
        self._scroll(x=-self.scroll_x, y=-self.scroll_y)

    def action_bottom(self) -> None:
        """Go to the last line and follow it."""
        self._scroll(y=len(self._lines))

    def render_line(self, y: int) -> Strip:
        """Return one line of the screen."""
        width = self.scrollable_content_region.width
        column, line = self.scroll_offset
        if not self._lines:
            words = self.empty if y == 0 else ""
            return Strip([Segment(words, self._look("dim"))]).adjust_cell_length(width, self.rich_style)
        if y + line >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        shown = self._lines[y + line]
        look = self._look(_LOOKS[shown.kind]) if shown.kind in _LOOKS else self.rich_style
        room = width - (self._time_width + 2 if shown.time_s is not None else 0)
        # The end of a path says more than its middle.
        words = cut_middle(shown.text, room) if shown.kind == "artefact" and not column else shown.text[column:]
        segments = [Segment(words, look)]
        if shown.time_s is not None:
            segments.insert(0, Segment(f"{_time(shown):<{self._time_width}}  ", self._look("time")))
        return Strip(segments).crop_extend(0, width, self.rich_style)

    def _look(self, part: str) -> Style:
        return self.get_component_rich_style(f"log-view--{part}")


def _time(line: LogLine) -> str:
    return clock_words(line.time_s) if line.time_s is not None else ""
