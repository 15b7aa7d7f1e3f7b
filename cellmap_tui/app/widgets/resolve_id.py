"""What does this id mean? Its name, parents and members, and whether it is scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from cellmap_tui.app.class_words import resolution_words
from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.errors import CellmapError
from cellmap_tui.services.class_facts import resolve
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from cellmap_tui.challenge.catalog import Catalog


class ResolveId(BaseModal[str]):
    """Answers while the id is typed; ``enter`` goes to the class.

    Parameters
    ----------
    catalog
        Where ids are looked up.
    """

    AUTO_FOCUS = "Input"
    DEFAULT_CSS = """
    ResolveId Input { background: $panel; margin: 1 0; }
    ResolveId Static { height: auto; min-height: 6; }
    """

    def __init__(self, catalog: Catalog) -> None:
        super().__init__()
        self._catalog = catalog
        self._found = ""

    def compose(self) -> ComposeResult:
        """Yield the line and the answer."""
        with Vertical(classes="window") as window:
            window.border_title = "resolve an id"
            window.border_subtitle = "enter goes to the class   esc closes"
            line = Input(placeholder="an id or a name, for example 56", compact=True)
            line.cursor_blink = False
            yield line
            yield Static(markup=False)

    @on(Input.Changed)
    def _answer(self, event: Input.Changed) -> None:
        answer = self.query_one(Static)
        self._found = ""
        if not event.value.strip():
            answer.update(Content(""))
            return
        try:
            found = resolve(self._catalog, event.value)
        except CellmapError as error:
            answer.update(Content(printable(str(error))))
        else:
            self._found = found.name if found.id else ""
            answer.update(resolution_words(found, answer.content_size.width))

    @on(Input.Submitted)
    def _go(self) -> None:
        if self._found:
            self.dismiss(self._found)
