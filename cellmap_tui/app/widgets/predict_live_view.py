"""A prediction, or the making of labels, as it goes: the whole, its crops and blocks, its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Container, VerticalScroll
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.fetch_words import DETACHED
from cellmap_tui.app.keys import bind
from cellmap_tui.app.predict_live import PredictFeed, VolumeProgress
from cellmap_tui.app.predict_words import total_words, volume_columns, volume_page
from cellmap_tui.app.widgets.error_view import describe
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.run_log import RunLog
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.content import Content

    from cellmap_tui.jobs.summary import RunSummary

LOOK_S = 1.0
"""Slabs are written every few seconds; looking more often would only burden a network disk."""


class VolumeTable(VirtualTable[VolumeProgress]):
    """What a job works on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "blocks", help="Show the blocks of a volume, and what went wrong."),
        bind("do.sort", "sort", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(volume_columns(), row_key=lambda row: row.key, markable=False, empty="nothing told yet")


class PredictLiveView(Container):
    """Everything about one job."""

    class VolumeOpened(Message):
        """The user wants to see the blocks of a volume."""

        def __init__(self, row: VolumeProgress) -> None:
            self.row = row
            super().__init__()

    class Read(Message):
        """The job was looked at."""

        def __init__(self, feed: PredictFeed, rows: tuple[VolumeProgress, ...]) -> None:
            self.feed = feed
            self.rows = rows
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest look matters."""
            return isinstance(message, PredictLiveView.Read)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: tuple[VolumeProgress, ...] = ()
        self._feed: PredictFeed | None = None
        self._run: RunSummary | None = None
        self._reading: Worker[None] | None = None
        self._is_settled = False

    def compose(self) -> ComposeResult:
        """Yield the panes."""
        with Pane(id="all") as pane:
            pane.set_title("all", DETACHED)
            yield Static(markup=False)
        with Pane(id="items") as pane:
            pane.set_title("volumes")
            yield VolumeTable()
        with Pane(id="volume") as pane, VerticalScroll():
            pane.set_title("selected")
            yield Static(markup=False)
        with Pane(id="log") as pane:
            pane.set_title("log", "L full log")
            yield RunLog()

    def on_mount(self) -> None:
        """Look at the job every second."""
        self.set_interval(LOOK_S, self._look)

    @property
    def table(self) -> VolumeTable:
        """What the job works on."""
        return self.query_one(VolumeTable)

    def follow(self, run: RunSummary | None) -> None:
        """Show a job as it stands."""
        from cellmap_tui.jobs.rundir import RunDir

        before, self._run = self._run, run
        if (run and run.path) != (before and before.path):
            self.rows = ()
            self._feed = PredictFeed(run.path) if run is not None else None
            self.query_one(RunLog).follow(RunDir(run.path) if run is not None else None)
            self.query_one("#all", Pane).set_title(run.command if run is not None else "all", DETACHED)
        if run != before:
            self._is_settled = False
            self._look()
        self._show()

    def on_resize(self) -> None:
        """Fit the figures to the new width."""
        self.call_after_refresh(self._show)

    def _look(self) -> None:
        busy = self._reading is not None and not self._reading.is_finished
        if self._feed is None or self._run is None or self._is_settled or busy:
            return
        if self.screen.is_current and self.display:
            # What has ended does not change any more.
            self._is_settled = not self._run.is_live
            self._reading = self._read(self._feed, is_live=self._run.is_live)

    @work(thread=True, exclusive=True, group="predict.read", exit_on_error=False)
    def _read(self, feed: PredictFeed, *, is_live: bool) -> None:
        worker = get_current_worker()
        while not worker.is_cancelled:
            rows = feed.poll(is_live=is_live)
            if feed.at_end:
                self.post_message(self.Read(feed, rows))
                return

    def on_predict_live_view_read(self, event: Read) -> None:
        """Take the volumes, unless another job is shown by now."""
        event.stop()
        if event.feed is self._feed and event.rows != self.rows:
            had_rows, self.rows = bool(self.rows), event.rows
            self._show()
            if not had_rows:
                # Only now is there something to view.
                self.screen.refresh_bindings()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say why the job cannot be looked at; the next look tries again."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self._is_settled = False
            self.query_one("#items", Pane).set_title("volumes", describe(event.worker.error)[0])

    def _show(self) -> None:
        run = self._run
        if run is None or not self.is_mounted:
            return
        shown = self.query_one("#all Static", Static)
        _write(shown, total_words(run, self.rows, max(20, shown.size.width)))
        self.table.update_rows(self.rows)
        self._show_volume()

    @on(RowHighlighted, "VolumeTable")
    def _show_volume(self) -> None:
        row = self.table.highlighted
        shown = self.query_one("#volume Static", Static)
        _write(shown, volume_page(row, shown.size.width))
        name = f"{row.ref} {row.label}".rstrip() if row is not None else ""
        self.query_one("#volume", Pane).set_title(f"selected: {name}" if name else "selected")

    @on(RowSelected, "VolumeTable")
    def _open(self, event: RowSelected) -> None:
        self.post_message(self.VolumeOpened(event.row))


def _write(shown: Static, words: Content) -> None:
    if shown.content != words:
        shown.update(words)
