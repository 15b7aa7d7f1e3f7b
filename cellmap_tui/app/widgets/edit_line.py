"""A window with one line to edit, checked while it is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.app.signs import sign
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult


class EditLine(BaseModal[str]):
    """Ask for a value; ``enter`` keeps only what is right, ``esc`` leaves everything as it was.

    Parameters
    ----------
    title
        What it is called.
    help
        What it does.
    value
        How it stands now.
    problem
        Returns what is wrong with a value; empty when it is right.
    """

    AUTO_FOCUS = "Input"
    DEFAULT_CSS = """
    EditLine Input { background: $panel; margin: 1 0 0 0; }
    EditLine .help, EditLine .verdict { height: auto; color: $text-muted; }
    EditLine .verdict { min-height: 2; }
    EditLine.-bad .verdict { color: $text-error; }
    """

    def __init__(self, title: str, help: str, value: str, problem: Callable[[str], str]) -> None:
        super().__init__()
        self._title = title
        self._help = help
        self._value = value
        self._problem = problem

    def compose(self) -> ComposeResult:
        """Yield help, line and verdict."""
        with Vertical(classes="window") as window:
            window.border_title = Content(printable(self._title))
            window.border_subtitle = "enter keeps   esc leaves as it was"
            yield Static(Content(self._help), classes="help", markup=False)
            line = Input(self._value, select_on_focus=False, compact=True)
            line.cursor_blink = False
            yield line
            yield Static(markup=False, classes="verdict")

    @on(Input.Changed)
    def _check(self, event: Input.Changed) -> None:
        problem = self._problem(event.value)
        self.set_class(bool(problem), "-bad")
        self.query_one(".verdict", Static).update(Content(f"{sign('error')} {problem}" if problem else ""))

    @on(Input.Submitted)
    def _keep(self, event: Input.Submitted) -> None:
        if not self._problem(event.value):
            self.dismiss(event.value.strip())
