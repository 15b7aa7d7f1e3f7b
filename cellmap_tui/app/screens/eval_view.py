"""Slices behind scores: the crop in hand beside the tables, or on the whole screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message
from textual.worker import get_current_worker

from cellmap_tui.app.eval_slices import crops_of, planes_of, pointed, slices_of
from cellmap_tui.app.screens.base import BaseScreen
from cellmap_tui.app.screens.slice import SliceScreen
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.slice_view import SliceView
from cellmap_tui.errors import CellmapError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from textual.timer import Timer

    from cellmap_tui.app.browsing import Browsed
    from cellmap_tui.app.eval_rows import PairRow
    from cellmap_tui.app.evaluations import EvaluationItem
    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.services.predicted_planes import PredictedPlanes

REST_S = 0.15
"""A slice is drawn when the cursor has rested for this long."""


class EvalSlice(SliceScreen):
    """A slice of an evaluated crop on the whole screen."""

    MODE = "eval"
    CSS_PATH = "slice.tcss"
    DEFAULT_CSS = """
    EvalSlice #body { layout: horizontal; }
    EvalSlice #legend { width: 34; }
    EvalSlice.-narrow #body { layout: vertical; }
    EvalSlice.-narrow #legend { width: 1fr; height: 1; border: none; padding: 0; }
    """


class EvalViewing(BaseScreen):
    """A screen that can show slices of the crops it has scores of."""

    class Catalogued(Message):
        """It is known which crops are on this disk."""

        def __init__(self, browsed: Browsed, planes: PredictedPlanes | None) -> None:
            self.browsed = browsed
            self.planes = planes
            super().__init__()

    _browsed: Browsed | None = None
    _planes: PredictedPlanes | None = None
    _shown: tuple[str, str] | None = None
    _slice_rest: Timer | None = None

    item: EvaluationItem
    """The evaluation."""

    def on_mount(self) -> None:
        """Look which crops are on this disk."""
        self._look_for_crops()

    @property
    def pair(self) -> PairRow | None:
        """The pair in hand; a subclass says which."""
        return None

    @work(thread=True, exclusive=True, group="eval.crops", exit_on_error=False)
    def _look_for_crops(self) -> None:
        worker = get_current_worker()
        browsed = crops_of(self.cellmap.settings, self.item.asked)
        planes = planes_of(self.item.run.path)
        if not worker.is_cancelled:
            self.post_message(self.Catalogued(browsed, planes))

    @on(Catalogued)
    def _take_crops(self, event: Catalogued) -> None:
        self._browsed, self._planes = event.browsed, event.planes
        self._shown = None
        self.show_slice(self.pair)

    def show_slice(self, row: PairRow | None) -> None:
        """Show the crop of a pair beside the tables, once the cursor rests."""
        if self._slice_rest is not None:
            self._slice_rest.stop()
        self._slice_rest = self.set_timer(REST_S, lambda: self._draw(row))

    def _draw(self, row: PairRow | None) -> None:
        self._slice_rest = None
        views = self.query(SliceView)
        pair = None if row is None else row.pair
        if self._browsed is None or not views or not self.query_one("#slice", Pane).display or pair is None:
            return
        if self._shown == (pair.crop, pair.label):
            return
        self._shown = (pair.crop, pair.label)
        self.query_one("#slice", Pane).set_title(
            f"slice  {pair.crop}  {pair.label}", "truth filled, prediction outlined   v full screen"
        )
        try:
            views.first(SliceView).show(
                *slices_of(self._browsed, pair.crop, pair.label, self.item.asked, self._planes)
            )
        except CellmapError as error:
            views.first(SliceView).clear(printable(str(error)))

    def view_pair(self, crop: str, label: str, position_nm: Vec3 | None = None) -> None:
        """Open the slices of a crop with one class drawn, at a position where it is given."""
        if self._browsed is None:
            self.app.notify("The crops on this disk are not known yet.")
            return
        try:
            source, look = slices_of(self._browsed, crop, label, self.item.asked, self._planes)
        except CellmapError as error:
            self.app.notify(str(error), severity="warning")
            return
        self.app.push_screen(EvalSlice(source, pointed(look, position_nm), f"{crop}  {label}"))

    def action_view(self) -> None:
        """View the slice of the pair in hand on the whole screen."""
        if (row := self.pair) is not None:
            self.view_pair(row.pair.crop, row.pair.label)
