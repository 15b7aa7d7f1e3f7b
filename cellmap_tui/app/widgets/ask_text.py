"""A question that is answered with a line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from textual.app import ComposeResult


class AskText(BaseModal[str]):
    """Ask for a line; ``enter`` answers when there is one, ``esc`` leaves everything as it was.

    Parameters
    ----------
    title
        What it is about.
    question
        What is asked, and what follows from the answer.
    placeholder
        An example answer.
    value
        What stands in the line already.
    """

    AUTO_FOCUS = "Input"
    DEFAULT_CSS = """
    AskText Input { background: $panel; margin: 1 0; }
    AskText Static { height: auto; color: $text-muted; }
    """

    def __init__(self, title: str, question: str, placeholder: str = "", *, value: str = "") -> None:
        super().__init__()
        self._title = title
        self._question = question
        self._placeholder = placeholder
        self._value = value

    def compose(self) -> ComposeResult:
        """Yield the question and the line."""
        with Vertical(classes="window") as window:
            window.border_title = Content(printable(self._title))
            window.border_subtitle = "enter keeps   esc leaves as it was"
            yield Static(Content(self._question), markup=False)
            line = Input(self._value, placeholder=self._placeholder, compact=True)
            line.cursor_blink = False
            yield line

    @on(Input.Submitted)
    def _answer(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self.dismiss(event.value.strip())
