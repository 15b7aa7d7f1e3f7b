"""One crop of a fetch on a page of its own: its levels before, and what it lacks while it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from cellmap_tui.app.fetch_words import crop_page
from cellmap_tui.app.plan_words import label_words, level_lines
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.widgets.fetch_plan_view import LevelTable
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table_messages import RowHighlighted

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from cellmap_tui.app.fetch_live import CropProgress
    from cellmap_tui.services.fetch_model import CropPlan


class PlannedCrop(SubScreen):
    """The EM levels of a crop: fetched or skipped, and why; and its labels."""

    MODE = "fetch"
    AUTO_FOCUS = "LevelTable"
    DEFAULT_CSS = "PlannedCrop Static { height: auto; margin: 1 0 0 0; }"

    def __init__(self, crop: CropPlan) -> None:
        super().__init__()
        self._crop = crop

    def compose_body(self) -> ComposeResult:
        """Yield levels and labels."""
        with Pane() as pane:
            pane.set_title(self._crop.ref, "esc back")
            yield LevelTable()
            yield Static(id="level", markup=False)
            yield Static(label_words(self._crop), markup=False)

    def on_mount(self) -> None:
        """Show the levels."""
        self.query_one(LevelTable).set_rows(self._crop.levels)

    @on(RowHighlighted)
    def _show_level(self, event: RowHighlighted) -> None:
        self.query_one("#level", Static).update(level_lines(event.row) if event.row is not None else Content(""))


class FetchedCrop(SubScreen):
    """How far each part of a crop is, and what went wrong with it."""

    MODE = "fetch"
    AUTO_FOCUS = "VerticalScroll"
    DEFAULT_CSS = "FetchedCrop Static { height: auto; }"

    def __init__(self, crop: CropProgress) -> None:
        super().__init__()
        self._crop = crop

    def compose_body(self) -> ComposeResult:
        """Yield the page."""
        with Pane() as pane:
            pane.set_title(self._crop.ref, "esc back")
            with VerticalScroll():
                yield Static(markup=False)

    def on_resize(self, event: object) -> None:
        """Fit the page to the new width."""
        self.query_one("VerticalScroll > Static", Static).update(crop_page(self._crop, self.size.width - 6))
