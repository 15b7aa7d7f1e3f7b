"""A question that is answered by choosing one line of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.app.widgets.choices import Choices
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult


class Pick(BaseModal[str]):
    """Offer lines; ``enter`` answers with the one under the cursor, ``esc`` leaves everything as it was.

    Parameters
    ----------
    title
        What is chosen.
    lines
        The choices; they may come from data.
    chosen
        Where the cursor begins.
    """

    AUTO_FOCUS = "Choices"
    DEFAULT_CSS = """
    Pick Choices { height: auto; max-height: 14; margin: 1 0; }
    """

    def __init__(self, title: str, lines: Sequence[str], chosen: str = "") -> None:
        super().__init__()
        self._title = title
        self._lines = tuple(lines)
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        """Yield the lines."""
        with Vertical(classes="window") as window:
            window.border_title = Content(printable(self._title))
            window.border_subtitle = "enter chooses   esc leaves as it was"
            choices = Choices(*(Option(Content(printable(line))) for line in self._lines))
            yield choices

    def on_mount(self) -> None:
        """Begin at the line that holds now."""
        if self._chosen in self._lines:
            self.query_one(Choices).highlighted = self._lines.index(self._chosen)

    @on(OptionList.OptionSelected)
    def _answer(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._lines[event.option_index])
