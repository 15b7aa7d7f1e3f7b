"""The line at the top: the screens with their keys, and the runs that are going on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from cellmap_tui.app.signs import sign
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.events import Click


@dataclass(frozen=True, slots=True)
class Tab:
    """A screen in the header."""

    mode: str
    """Name of the mode."""
    key: str
    """The digit that goes there."""
    title: str
    """Its name."""
    short: str = ""
    """Its name where the line is short of room; empty: the same."""
    is_wide: bool = False
    """Whether only wide terminals name it while it is not shown."""


TABS = (
    Tab("home", "0", "Home"),
    Tab("data", "1", "Data"),
    Tab("classes", "2", "Classes"),
    Tab("fetch", "3", "Fetch"),
    Tab("train", "4", "Train"),
    Tab("eval", "5", "Eval"),
    Tab("predict", "6", "Predict", is_wide=True),
    Tab("submit", "7", "Submit", is_wide=True),
    Tab("runs", "8", "Runs"),
    Tab("settings", "9", "Settings", "Set"),
)
"""The screens by their digits."""

EXTRA_TABS = {"doctor": Tab("doctor", "D", "Doctor")}
"""Screens that the header names only while they are shown."""

BRAND = "cellmap-tui"
LONG_WIDTH = 100
"""Columns from which the long form of the status is shown."""
ALL_WIDTH = 120
"""Columns from which every screen is named."""


class Header(Widget):
    """One line; draws itself again only when its text changes."""

    DEFAULT_CSS = """
    Header { dock: top; height: 1; width: 100%; background: $panel; color: $foreground; }
    """
    ALLOW_SELECT = False
    line: reactive[Content] = reactive(Content(""), layout=False)
    """The line as it is shown."""

    class TabPicked(Message):
        """A screen was clicked."""

        def __init__(self, mode: str) -> None:
            self.mode = mode
            super().__init__()

    def __init__(self, active: str) -> None:
        super().__init__()
        self.active = active
        self._status: tuple[str, str] = ("", "")
        self._places: list[tuple[int, int, str]] = []

    def show_status(self, short: str, long: str) -> None:
        """Show the state of the runs, the long form where there is room for it."""
        self._status = (short, long)
        self._compose_line()

    def on_resize(self) -> None:
        """Fit the line to the new width."""
        self._compose_line()

    def on_click(self, event: Click) -> None:
        """Go to the screen that was clicked."""
        for start, stop, mode in self._places:
            if start <= event.x < stop:
                self.post_message(self.TabPicked(mode))
                return

    def render(self) -> Content:
        """Return the line."""
        return self.line

    def _compose_line(self) -> None:
        width = self.size.width
        short, long = self._status
        tabs = self._labels(compact=False)
        if sum(len(label) for _tab, label in tabs) + len(short) + 2 > width:
            tabs = self._labels(compact=True)
        room = width - sum(len(label) for _tab, label in tabs)
        brand = f" {BRAND} " if room >= len(BRAND) + 2 + len(short) + 2 else ""
        room -= len(brand) + 2
        status = long if width >= LONG_WIDTH and len(long) <= room else short
        self._places = []
        parts: list[tuple[str, str]] = [(brand, "bold $primary")]
        column = len(brand)
        for tab, label in tabs:
            parts.append((label, "bold reverse" if tab.mode == self.active else "$foreground-muted"))
            self._places.append((column, column + len(label), tab.mode))
            column += len(label)
        gap = width - column - len(status) - 1
        if status and gap >= 1:
            parts += [(" " * gap, ""), (status, "$primary")]
        self.line = Content.assemble(*parts)

    def _labels(self, *, compact: bool) -> list[tuple[Tab, str]]:
        """Return the tabs with what stands for them; compact ones share the space between them."""
        labels = []
        is_wide = self.size.width >= ALL_WIDTH
        shown = [tab for tab in TABS if is_wide or not tab.is_wide or tab.mode == self.active]
        for tab in (*shown, *((EXTRA_TABS[self.active],) if self.active in EXTRA_TABS else ())):
            name = f"{tab.key} {(tab.short or tab.title) if compact else tab.title}"
            plain = f" {name}" if compact else f" {name} "
            labels.append((tab, f"[{name}]" if tab.mode == self.active else plain))
        return labels


def status_words(live: Sequence[tuple[str, str]], host: str) -> tuple[str, str]:
    """Return the state of the runs in short and long form.

    Parameters
    ----------
    live
        Command and progress of each run that goes on, the newest first.
    host
        Name of this machine, for the long form.
    """
    if not live:
        return "", f"host {printable(host)}"
    short = f"{sign('running')} {len(live)} run{'s' if len(live) > 1 else ''}"
    command, progress = live[0]
    newest = f"{cut_middle(printable(command), 24)} {progress}".rstrip()
    return short, f"{short}  {newest}   host {printable(host)}"
