"""One crop of a prediction on a page of its own: what is planned for it, or how far its blocks are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.widgets import Static

from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.widgets.pane import Pane

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.content import Content

LOOK_S = 1.0


class PredictPage(SubScreen):
    """Words that may change while they are read.

    Parameters
    ----------
    title
        Name of the crop.
    words
        Returns them for a number of columns.
    """

    MODE = "predict"
    AUTO_FOCUS = "VerticalScroll"
    DEFAULT_CSS = "PredictPage Static { height: auto; }"

    def __init__(self, title: str, words: Callable[[int], Content]) -> None:
        super().__init__()
        self._title = title
        self._words = words

    def compose_body(self) -> ComposeResult:
        """Yield the page."""
        with Pane() as pane:
            pane.set_title(self._title, "esc back")
            with VerticalScroll():
                yield Static(markup=False)

    def on_mount(self) -> None:
        """Look again every second."""
        self.set_interval(LOOK_S, self._show)

    def on_resize(self, event: object) -> None:
        """Fit the page to the new width."""
        self._show()

    def _show(self) -> None:
        words = self._words(self.size.width - 6)
        shown = self.query_one("VerticalScroll > Static", Static)
        if shown.content != words:
            shown.update(words)
