"""Tune: thresholds and sizes are tried on validation crops by a job; what was tried, and why the best was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Container
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.process_form import TuneForm
from cellmap_tui.app.run_actions import RESUMABLE, RunScreen
from cellmap_tui.app.run_words import amount_words, eta_words, progress_words, state_words
from cellmap_tui.app.screens.fill_in import FillIn
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.tunings import TUNE, class_columns, read_tuning, row_key, summary, tried_columns, why
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.run_log import RunLog
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected
from cellmap_tui.services.process_recipe import Recipe
from cellmap_tui.services.tune_model import TunedClass, TuneRow
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.tunings import Tuning
    from cellmap_tui.app.typed_form import TypedForm
    from cellmap_tui.jobs.summary import RunSummary

NOTHING = "No tuning yet. n tries thresholds, sizes and ways to tell objects apart on crops with ground truth."

AGAIN = "r goes on where it was"


class TunedTable(VirtualTable[TunedClass]):
    """The tuned classes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind(
            "do.open", "screen.go_to_tried", "what was tried", help="Go to everything that was tried for the class."
        ),
    ]

    def __init__(self) -> None:
        super().__init__(class_columns(), row_key=lambda row: row.label, empty=NOTHING)


class TriedTable(VirtualTable[TuneRow]):
    """What was tried for a class; ``enter`` takes a recipe into the editor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "take this one", help="Write these steps into the recipe in place of the best."),
    ]

    def __init__(self) -> None:
        super().__init__(tried_columns(), row_key=row_key, markable=False)


class TuneScreen(SubScreen, RunScreen):
    """The tuner's page; answers with the recipe that the editor takes over.

    Parameters
    ----------
    form
        What is filled in for the next one.
    asks
        Whether the form is opened at once.
    run_id
        The tuning that is followed; empty: the newest.
    given
        What the recipe editor says of a tuning, beside which the form is kept for the session.
    """

    MODE = "predict"
    AUTO_FOCUS = "TunedTable"
    CSS_PATH = "tune.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"tune.read": "#tuned"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.save", "take", "into the recipe", help="Write the steps of the marked classes, or of all, there."),
        bind("do.new", "new", "tune", help="Choose crops and what is tried, as a job; the plan is shown first."),
        bind("do.stop", "stop"),
        bind("do.pause", "pause", show=False),
        bind("do.reload", "resume", "go on", show=False),
        bind("do.log", "full_log", show=False),
    ]

    class Read(Message):
        """What a job has found is read."""

        def __init__(self, tuning: Tuning) -> None:
            self.tuning = tuning
            super().__init__()

    def __init__(
        self, form: TuneForm, *, asks: bool = False, run_id: str = "", given: TuneForm | None = None
    ) -> None:
        super().__init__()
        self._given = given or form
        self.form = form
        self.tuning: Tuning | None = None
        self._asks = asks
        self._run_id = run_id
        self._read_id = ""

    def compose_body(self) -> ComposeResult:
        """Yield the classes, why, what was tried, and the log."""
        with Pane(id="tuned") as pane:
            pane.set_title("tuned classes")
            yield TunedTable()
        with Container(id="below"):
            with Pane(id="tried") as pane:
                pane.set_title("what was tried")
                yield Static(markup=False, id="why")
                yield TriedTable()
            with Pane(id="log") as pane:
                pane.set_title("says", "L full log")
                yield RunLog()

    def on_mount(self) -> None:
        """Follow the newest tuning."""
        self.watch(self.app, "runs", self._see_runs, init=True)
        if self._asks:
            self.call_after_refresh(self.action_new)

    @property
    def table(self) -> TunedTable:
        """The classes."""
        return self.query_one(TunedTable)

    def chosen_run(self) -> RunSummary | None:
        """Return the tuning that is followed: the one that was started here, else the newest."""
        runs = [run for run in self.cellmap.runs if run.command == TUNE]
        return next((run for run in runs if run.run_id == self._run_id or not self._run_id), None)

    # The job

    def _see_runs(self) -> None:
        run = self.chosen_run()
        self._show_log(run)
        if run is None:
            return
        self._run_id = run.run_id
        if run.state == "done" and self._read_id != run.run_id:
            self._read_id = run.run_id
            self._read(run)
        self._title(run)
        self.refresh_bindings()

    def _title(self, run: RunSummary) -> None:
        pane = self.query_one("#tuned", Pane)
        is_read = self.tuning is not None and self.tuning.run_id == run.run_id
        words = f"{state_words(run)}  {amount_words(run)}  {progress_words(run)}"
        note = f"{words}  {eta_words(run)}" if run.is_live else printable(run.message or words)
        if run.state in RESUMABLE:
            # What the job says of it is for those who started it in a shell.
            note = f"{words}  {AGAIN}" if run.state == "stopped" or not run.message else f"{note}  {AGAIN}"
        if is_read and self.tuning is not None:
            note = summary(self.tuning.result)
        pane.set_title(f"tuned classes  {run.run_id}", note)
        if not is_read:
            table = self.table
            table.empty = note if run.is_live or run.state in {"done", "stopped"} else f"{words}: {note}"
            if self.tuning is None:
                table.refresh()

    def _show_log(self, run: RunSummary | None) -> None:
        from cellmap_tui.jobs.rundir import RunDir

        self.query_one(RunLog).follow(None if run is None else RunDir(run.path))

    @work(thread=True, exclusive=True, group="tune.read", exit_on_error=False)
    def _read(self, run: RunSummary) -> None:
        tuning = read_tuning(run)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Read(tuning))

    @on(Pane.RetryAsked, "#tuned")
    def _read_again(self) -> None:
        self._read_id = ""
        self._see_runs()

    @on(Read)
    def _show(self, event: Read) -> None:
        self.tuning = event.tuning
        self.table.set_rows(event.tuning.result.classes)
        self._see_runs()
        self._show_tried()

    @on(RowHighlighted, "TunedTable")
    def _show_tried(self) -> None:
        row, tuning = self.table.highlighted, self.tuning
        if row is None or tuning is None:
            return
        tried = tuning.rows_of(row.label)
        self.query_one(TriedTable).set_rows(tried)
        self.query_one("#tried", Pane).set_title(f"what was tried for {row.label}")
        words, line = why(row, tried), self.query_one("#why", Static)
        if line.content != words:
            line.update(words)

    def action_go_to_tried(self) -> None:
        """Go to what was tried for the class."""
        self.query_one(TriedTable).focus()

    # Into the recipe

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if action == "take":
            return self.tuning is not None and self.tuning.recipe is not None
        return super().check_action(action, parameters)

    def action_take(self) -> None:
        """Answer with the steps of the marked classes, or of all that were tuned."""
        if self.tuning is None or self.tuning.recipe is None:
            return
        tuned = [row.label for row in self.tuning.result.classes]
        marked = [label for label in tuned if label in self.table.marks] or tuned
        own = self.tuning.recipe.classes
        self.leave(Recipe({label: own[label] for label in marked if label in own}))

    @on(RowSelected, "TriedTable")
    def _take_one(self, event: RowSelected) -> None:
        from cellmap_tui.services.tune_recipes import Candidate, recipe_of

        row: TuneRow = event.row
        tuning = self.tuning
        if tuning is None or tuning.recipe is None or row.label not in tuning.recipe.classes:
            return
        start = tuning.recipe.classes[row.label]
        named = start.predictions is not None or len(tuning.request.predictions) > 1
        candidate = Candidate(
            row.run,
            row.method,
            row.threshold,
            row.min_voxels,
            row.smoothing_nm,
            row.seed_voxels if row.seed_voxels is not None else 20,
        )
        self.leave(Recipe({row.label: recipe_of(candidate, start, row.run if named else None)}))

    # A new one

    def action_new(self) -> None:
        """Choose crops and what is tried, show the plan, start the job."""
        from cellmap_tui.app.screens.start import StartWork

        def started(run_id: str | None) -> None:
            if run_id:
                self._run_id = run_id
                self._see_runs()

        def take(form: TypedForm | None) -> None:
            if isinstance(form, TuneForm):
                self.form = form
                self.cellmap.tuning_forms = (self._given, form)
                self.app.push_screen(StartWork(TUNE, form.request(self.cellmap.settings)), started)

        self.app.push_screen(FillIn("tune", self.form, "shows the plan"), take)
