"""The log of one run on screen: follows the run, twice a second, in pieces that draw in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import work
from textual.message import Message
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.log_feed import LogFeed
from cellmap_tui.app.widgets.error_view import describe
from cellmap_tui.app.widgets.log_view import LogView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.app.event_words import LogLine
    from cellmap_tui.jobs.rundir import RunDir

LOOK_S = 0.5
SELDOM = 10
"""Of so many looks one is taken while the screen is left alone."""


class RunLog(LogView):
    """A `LogView` over one run at a time.

    Parameters
    ----------
    full
        Whether progress, metrics and the printed output are shown too.
    """

    class LinesRead(Message):
        """A piece of a run's log was read."""

        def __init__(self, feed: LogFeed, lines: Sequence[LogLine], is_new: bool) -> None:
            self.feed = feed
            self.lines = lines
            self.is_new = is_new
            super().__init__()

    def __init__(self, *, full: bool = False, id: str | None = None) -> None:
        super().__init__(empty="", id=id)
        self._full = full
        self._looks = 0
        self._feed: LogFeed | None = None
        self._reading: tuple[LogFeed, Worker[None]] | None = None

    def on_mount(self) -> None:
        """Look at the run twice a second."""
        self.set_interval(LOOK_S, self._look_in_time)

    def follow(self, run: RunDir | None) -> None:
        """Show the log of another run, or of none."""
        if run is None:
            self._feed = None
            self.clear("")
        elif self._feed is None or self._feed.run.path != run.path:
            self._feed = LogFeed(run, full=self._full)
            self.clear("nothing said yet")
            self._look_again()

    def _look_in_time(self) -> None:
        self._looks += 1
        if self._looks % SELDOM == 0 or not getattr(self.screen, "is_left_alone", False):
            self._look_again()

    def _look_again(self) -> None:
        feed = self._feed
        busy = self._reading is not None and self._reading[0] is feed and not self._reading[1].is_finished
        if feed is not None and self.screen.is_current and not busy:
            self._reading = (feed, self._read(feed))

    @work(thread=True, exclusive=True, group="run.log", exit_on_error=False)
    def _read(self, feed: LogFeed) -> None:
        worker = get_current_worker()
        while not worker.is_cancelled:
            lines, is_new = feed.poll()
            if lines or is_new:
                self.post_message(self.LinesRead(feed, lines, is_new))
            if feed.at_end:
                return

    def on_run_log_lines_read(self, event: LinesRead) -> None:
        """Show the piece, unless another run is shown by now."""
        event.stop()
        if event.feed is not self._feed:
            return
        if event.is_new:
            self.clear()
        self.add(event.lines)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say why a log cannot be read; the next look tries again."""
        if event.state is WorkerState.ERROR and event.worker.error is not None and not self.lines:
            self.clear(describe(event.worker.error)[0])
