"""Trainings: start one from a configuration, watch loss and Dice as numbers and one curve, stop it and go on.

A training is a job of its own, so leaving this page or the app ends nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Container, VerticalScroll
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.run_actions import RunScreen
from cellmap_tui.app.run_words import amount_words, progress_words, state_words
from cellmap_tui.app.screens.fill_in import FillIn
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.training_feed import TRAIN, TrainingFeed, TrainingTally
from cellmap_tui.app.training_form import TrainingForm
from cellmap_tui.app.training_words import NOTHING, figures, run_columns
from cellmap_tui.app.widgets.loss_curve import LossCurve
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.run_log import RunLog
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.typed_form import TypedForm
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.train_model import TrainRequest

LOOK_S = 0.5


class TrainingTable(VirtualTable["RunSummary"]):
    """The trainings, the newest first."""

    def __init__(self) -> None:
        super().__init__(run_columns(), row_key=lambda run: run.run_id, markable=False, empty=NOTHING)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Take the key that opens a row away."""
        return action != "select" and super().check_action(action, parameters)


class TrainingScreen(SubScreen, RunScreen):
    """The trainings below the runs root.

    Parameters
    ----------
    form
        What is filled in for the next one.
    """

    MODE = "train"
    AUTO_FOCUS = "TrainingTable"
    CSS_PATH = "training.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"training.read": "#chart", "training.start": "#chart"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.new", "new", "train", help="Train from a configuration, or look at what it takes, as a job."),
        bind("do.stop", "stop"),
        bind("do.pause", "pause"),
        bind("do.reload", "resume", "go on", help="Go on with what was stopped, in the same run."),
        bind("do.log", "full_log", show=False),
    ]

    class Read(Message):
        """What a training has told is read."""

        def __init__(self, feed: TrainingFeed) -> None:
            self.feed = feed
            super().__init__()

    class Started(Message):
        """A training was started."""

        def __init__(self, run_id: str) -> None:
            self.run_id = run_id
            super().__init__()

    def __init__(self, form: TrainingForm, *, asks: bool = False) -> None:
        super().__init__()
        self.form = form
        self._asks = asks
        self._feed: TrainingFeed | None = None
        self._wanted = ""

    def compose_body(self) -> ComposeResult:
        """Yield the list, the curve, the figures, and the log."""
        with Pane(id="runs") as pane:
            pane.set_title("trainings")
            yield TrainingTable()
        with Container(id="middle"):
            with Pane(id="chart") as pane:
                pane.set_title("loss")
                yield LossCurve()
            with Pane(id="numbers") as pane:
                pane.set_title("figures")
                with VerticalScroll():
                    yield Static(markup=False, id="figures")
        with Pane(id="log") as pane:
            pane.set_title("says")
            yield RunLog()

    def on_mount(self) -> None:
        """Follow the runs, and the one under the cursor twice a second."""
        self.watch(self.app, "runs", self._see_runs, init=True)
        self.set_interval(LOOK_S, self._look)
        if self._asks:
            self.call_after_refresh(self.action_new)

    @property
    def table(self) -> TrainingTable:
        """The list."""
        return self.query_one(TrainingTable)

    def chosen_run(self) -> RunSummary | None:
        """Return the training under the cursor."""
        return self.table.highlighted if self.is_mounted else None

    # Runs

    def _see_runs(self) -> None:
        runs = [run for run in self.cellmap.runs if run.command == TRAIN]
        self.table.set_rows(runs)
        if self._wanted and any(run.run_id == self._wanted for run in runs):
            self.table.go_to(self._wanted)
            self._wanted = ""
        self._follow()

    @on(RowHighlighted, "TrainingTable")
    def _follow(self) -> None:
        run = self.chosen_run()
        if run is None:
            self._feed = None
            self._show_tally(None)
        elif self._feed is None or self._feed.path != run.path:
            self._feed = TrainingFeed(run.path)
            self._show_tally(None)
            self._look()
        self._show_log(run)
        self._show_state(run)
        self.refresh_bindings()

    def _show_log(self, run: RunSummary | None) -> None:
        from cellmap_tui.jobs.rundir import RunDir

        self.query_one(RunLog).follow(None if run is None else RunDir(run.path))

    def _show_state(self, run: RunSummary | None) -> None:
        pane = self.query_one("#chart", Pane)
        if run is None:
            pane.set_title("loss")
            return
        pane.set_title(
            f"loss of {printable(run.run_id)}", f"{state_words(run)}  {amount_words(run)}  {progress_words(run)}"
        )

    # What it tells

    def _look(self) -> None:
        if self._feed is not None and not any(w.group == "training.read" and w.is_running for w in self.workers):
            self._read(self._feed)

    @work(thread=True, group="training.read", exit_on_error=False)
    def _read(self, feed: TrainingFeed) -> None:
        is_new = False
        while not get_current_worker().is_cancelled:
            is_new = feed.poll() or is_new
            if feed.at_end:
                break
        if is_new:
            self.post_message(self.Read(feed))

    @on(Read)
    def _show(self, event: Read) -> None:
        if event.feed is self._feed:
            self._show_tally(event.feed.tally)

    def _show_tally(self, tally: TrainingTally | None) -> None:
        self.query_one(LossCurve).show(tally)
        words = NOTHING if tally is None and self.chosen_run() is None else figures(tally or TrainingTally())
        shown = self.query_one("#figures", Static)
        if shown.content != words:
            shown.update(words)

    # Keys

    def action_new(self) -> None:
        """Choose what is trained, then start the job."""

        def take(form: TypedForm | None) -> None:
            if isinstance(form, TrainingForm):
                self.form = form
                self.query_one("#chart", Pane).clear_error()
                self._start(form.request(self.cellmap.settings))

        self.app.push_screen(FillIn("training", self.form, "starts it as a job"), take)

    @on(Pane.RetryAsked, "#chart")
    def _retry(self) -> None:
        self.action_new()

    @work(thread=True, exclusive=True, group="training.start", exit_on_error=False)
    def _start(self, request: TrainRequest) -> None:
        from cellmap_tui.app.training_start import start_training

        self.post_message(self.Started(start_training(self.cellmap.settings, request)))

    @on(Started)
    def _show_started(self, event: Started) -> None:
        self._wanted = event.run_id
        self._see_runs()
