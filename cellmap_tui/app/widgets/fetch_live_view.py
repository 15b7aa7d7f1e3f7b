"""A fetch as it goes: the whole, its crops, its rate, its log. Follows the events of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Container, VerticalScroll
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui import text
from cellmap_tui.app.fetch_feed import FetchFeed, Told, is_incomplete
from cellmap_tui.app.fetch_live import CropProgress, FetchTally
from cellmap_tui.app.fetch_words import DETACHED, crop_columns, crop_page, total_words
from cellmap_tui.app.keys import bind
from cellmap_tui.app.run_actions import may
from cellmap_tui.app.widgets.error_view import describe
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.rate_chart import RateChart
from cellmap_tui.app.widgets.run_log import RunLog
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected
from cellmap_tui.app.widgets.words import show_words

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.jobs.summary import RunSummary

LOOK_S = 0.5
"""Twice a second is as fast as a figure can be read."""
SPANS = ((60.0, "minute"), (600.0, "10 min"))
"""What the chart covers: a minute while the fetch is young, then ten."""


class CropList(VirtualTable[CropProgress]):
    """The crops of a fetch."""

    BINDINGS: ClassVar[list[BindingType]] = [bind("do.open", "select", "details", help="Show what a crop lacks.")]

    def __init__(self) -> None:
        super().__init__(crop_columns(), row_key=lambda crop: crop.ref, markable=False, empty="nothing told yet")


class FetchLiveView(Container):
    """Everything about one fetch."""

    class CropOpened(Message):
        """The user wants to see what a crop lacks."""

        def __init__(self, crop: CropProgress) -> None:
            self.crop = crop
            super().__init__()

    class Read(Message):
        """Something new was read."""

        def __init__(self, feed: FetchFeed, told: Told) -> None:
            self.feed = feed
            self.told = told
            super().__init__()

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.tally = FetchTally()
        self._feed: FetchFeed | None = None
        self._run: RunSummary | None = None
        self._free = ""
        self._reading: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        """Yield the panes."""
        with Pane(id="all") as pane:
            pane.set_title("all", DETACHED)
            yield Static(markup=False)
        with Pane(id="items") as pane:
            pane.set_title("crops")
            yield CropList()
        with Container(id="side"):
            with Pane(id="rates") as pane:
                pane.set_title("throughput")
                yield RateChart()
            with Pane(id="crop") as pane, VerticalScroll():
                yield Static(markup=False)
        with Pane(id="log") as pane:
            pane.set_title("log", "L full log")
            yield RunLog()

    def on_mount(self) -> None:
        """Look at the run twice a second."""
        self.set_interval(LOOK_S, self._look)

    @property
    def table(self) -> CropList:
        """The crops."""
        return self.query_one(CropList)

    def follow(self, run: RunSummary | None) -> None:
        """Show a run as it stands."""
        from cellmap_tui.jobs.rundir import RunDir

        is_other = (run and run.path) != (self._run and self._run.path)
        self._run = run
        if is_other:
            self.tally, self._free = FetchTally(), ""
            self._feed = FetchFeed(run.path) if run is not None else None
            self.query_one(RunLog).follow(RunDir(run.path) if run is not None else None)
            self._look()
        self._show()

    @property
    def path(self) -> Path | None:
        """Directory of the run that is shown."""
        return self._run.path if self._run is not None else None

    def on_resize(self) -> None:
        """Fit the figures to the new width."""
        self.call_after_refresh(self._show)

    def _look(self) -> None:
        feed = self._feed
        busy = self._reading is not None and not self._reading.is_finished
        if feed is not None and self.screen.is_current and self.display and not busy:
            self._reading = self._read(feed)

    @work(thread=True, exclusive=True, group="fetch.read", exit_on_error=False)
    def _read(self, feed: FetchFeed) -> None:
        worker = get_current_worker()
        while not worker.is_cancelled:
            told = feed.poll()
            if not told.is_nothing:
                self.post_message(self.Read(feed, told))
            if feed.at_end:
                return

    def on_fetch_live_view_read(self, event: Read) -> None:
        """Take a piece, unless another run is shown by now."""
        event.stop()
        if event.feed is not self._feed:
            return
        told = event.told
        if told.is_new:
            self.tally = FetchTally()
        self.tally.take(told.events)
        if told.state is not None:
            self.tally.take_state(told.state)
        if told.failures is not None:
            self.tally.failures = told.failures
        if told.free_bytes is not None:
            self._free = text.size(told.free_bytes)
        self._show()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say why the events cannot be read; the next look tries again."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.query_one("#items", Pane).set_title("crops", describe(event.worker.error)[0])

    def _show(self) -> None:
        run = self._run
        if run is None or not self.is_mounted:
            return
        crops = self.tally.crops(is_live=run.is_live)
        shown = self.query_one("#all Static", Static)
        show_words(shown, total_words(run, self.tally, crops, max(20, shown.size.width), self._free))
        self.table.update_rows(crops)
        self.query_one("#items", Pane).set_title("crops", "r fetches what is missing" if may_go_on(run) else "")
        self._show_crop()
        chart = self.query_one(RateChart)
        if chart.columns:
            span_s, words = SPANS[self.tally.age_s > SPANS[0][0]]
            self.query_one("#rates", Pane).set_title(f"throughput, last {words}")
            chart.show(self.tally.rates(span_s, chart.columns))

    @on(RowHighlighted, "CropList")
    def _show_crop(self) -> None:
        crop = self.table.highlighted
        shown = self.query_one("#crop Static", Static)
        show_words(shown, crop_page(crop, shown.size.width))
        self.query_one("#crop", Pane).set_title(f"selected: {crop.ref}" if crop else "selected")

    @on(RowSelected, "CropList")
    def _open(self, event: RowSelected) -> None:
        self.post_message(self.CropOpened(event.row))


def may_go_on(run: RunSummary | None) -> bool:
    """Return whether a fetch can be taken up again, or be done again for what is missing."""
    return run is not None and (may("resume", run) or is_incomplete(run))
