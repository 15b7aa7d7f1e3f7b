"""The runs: a live list, the log and the details of the one under the cursor, stop, resume, prune."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from cellmap_tui import text
from cellmap_tui.app import run_words
from cellmap_tui.app.keys import bind
from cellmap_tui.app.run_actions import RunScreen
from cellmap_tui.app.run_details import run_details
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.run_log import RunLog
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected
from cellmap_tui.app.widgets.words import show_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.events import Resize

    from cellmap_tui.app.run_slices import RunCrops
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.jobs.prune import PrunePlan, PruneResult
    from cellmap_tui.jobs.summary import RunSummary

_LOOKS = {
    "running": "accent",
    "done": "good",
    "failed": "bad",
    "lost": "bad",
    "unreadable": "bad",
    "paused": "warn",
    "quiet": "warn",
    "stopping": "warn",
}
_LISTED = 8
EMPTY = "No runs yet: 0 goes home, and n there makes the demo data as a first run."


def _columns() -> list[Column[RunSummary]]:
    return [
        Column("state", "state", 12, run_words.state_words, sort_key=lambda run: run.state, look=_look),
        Column("command", "command", 8, lambda run: run.command, max_width=16, sort_key=lambda run: run.command),
        Column("progress", "done", 6, run_words.progress_words, align="right", max_width=12),
        Column("rate", "rate", 12, run_words.rate_words, align="right", priority=3, max_width=18),
        Column("eta", "left", 12, run_words.eta_words, align="right", priority=2),
        Column("started", "started", 16, _started, priority=4, sort_key=lambda run: run.started_s or 0.0),
        Column("took", "took", 12, run_words.age_words, align="right", priority=1),
        Column("id", "run", 20, lambda run: run.run_id, priority=5, max_width=40, sort_key=lambda run: run.run_id),
    ]


def _started(run: RunSummary) -> str:
    return run_words.clock_words(run.started_s or run.created_s)


def _look(run: RunSummary) -> str:
    return _LOOKS.get(run.state, "dim")


def _painted(run: RunSummary) -> tuple[str, ...]:
    return (run.run_id, run.command, run_words.state_words(run), run_words.progress_words(run),
            run_words.rate_words(run), run_words.eta_words(run), _started(run), run_words.age_words(run))  # fmt: skip


class RunsScreen(RunScreen):
    """All runs below the runs root."""

    MODE = "runs"
    AUTO_FOCUS = "VirtualTable"
    CSS_PATH = "runs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.stop", "stop", help="Stop the run under the cursor; asks first."),
        bind("do.pause", "pause", help="Pause the run under the cursor, or let it go on."),
        bind("do.reload", "resume", "resume", help="Go on with a paused, stopped, lost or failed run."),
        bind("do.log", "full_log"),
        bind("do.view", "view", help="View slices of the run's crops, with what it predicted."),
        bind("do.prune", "prune"),
    ]

    class PruneGauged(Message):
        """What pruning would remove is known."""

        def __init__(self, plan: PrunePlan) -> None:
            self.plan = plan
            super().__init__()

    class Pruned(Message):
        """Old runs were removed."""

        def __init__(self, result: PruneResult) -> None:
            self.result = result
            super().__init__()

    class CropsFound(Message):
        """The crops of a run are known."""

        def __init__(self, run_id: str, crops: RunCrops) -> None:
            self.run_id = run_id
            self.crops = crops
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._painted: list[tuple[str, ...]] = []
        self._wanted = ""
        self._chosen: RunSummary | None = None

    def compose_body(self) -> ComposeResult:
        """Yield the list, the details and the log."""
        with Pane(id="list") as pane:
            pane.set_title("runs")
            yield VirtualTable(_columns(), row_key=_run_id, search_text=_run_id, markable=False, empty=EMPTY)
        with Pane(id="details") as pane:
            pane.set_title("run")
            with VerticalScroll(can_focus=False):
                yield Static(markup=False)
        with Pane(id="log") as pane:
            pane.set_title("log", "L full log")
            yield RunLog()

    @property
    def table(self) -> VirtualTable[RunSummary]:
        """The list."""
        return self.query_one(VirtualTable)

    def on_mount(self) -> None:
        """Follow the runs of the app; times of live runs grow each second."""
        self.watch(self.app, "runs", self._show_runs, init=True)
        self.set_interval(1.0, self._show_times)

    def opened(self, options: Mapping[str, object]) -> None:
        """Put the cursor on the run that the caller names, or offer to start the work that it asks for."""
        if "request" in options:
            from cellmap_tui.app.screens.start import StartWork

            self.app.push_screen(StartWork(str(options["command"]), options["request"]), self._go_to)
        else:
            self._go_to(str(options.get("run", "")))

    def _go_to(self, run_id: str | None) -> None:
        self._wanted = run_id or ""
        self._go_to_wanted()

    def on_resize(self, event: Resize) -> None:
        """Show more of the run where there is more room."""
        self.call_after_refresh(self._show_details)

    def chosen_run(self) -> RunSummary | None:
        """Return the run under the cursor, as it is now."""
        return self._chosen

    def action_view(self) -> None:
        """View slices of the crops of the run under the cursor."""
        if (run := self.chosen_run()) is not None:
            self._find_crops(run)

    @work(thread=True, exclusive=True, group="runs.view", exit_on_error=False)
    def _find_crops(self, run: RunSummary) -> None:
        from cellmap_tui.app.run_slices import crops_of_run

        self.post_message(self.CropsFound(run.run_id, crops_of_run(self.cellmap.settings, run)))

    @on(CropsFound)
    def _choose_crop(self, event: CropsFound) -> None:
        from cellmap_tui.app.screens.choose_crop import ChooseCrop
        from cellmap_tui.app.screens.slice import open_slices

        def view(crop: Crop | None) -> None:
            if crop is not None:
                open_slices(self, event.crops.slices_of(crop, event.run_id))

        crops = event.crops.crops
        if len(crops) == 1:
            view(crops[0])
        else:
            self.app.push_screen(ChooseCrop(crops), view)

    def action_prune(self) -> None:
        """Gauge what can be removed, then ask."""
        self._gauge()

    @on(RowHighlighted)
    def _choose(self, event: RowHighlighted) -> None:
        self._show_chosen(event.row)

    @on(RowSelected)
    def _open(self) -> None:
        run = self.chosen_run()
        if run is not None and run.command == "train" and run.state != "unreadable":
            self.cellmap.open_mode("train", {"command": "train", "path": run.path})
        else:
            self.action_full_log()

    def _show_times(self) -> None:
        if self.is_current and self.cellmap.live_runs:
            self._show_runs()

    def _show_runs(self) -> None:
        runs = self.cellmap.runs
        painted = [_painted(run) for run in runs]
        if painted != self._painted or not runs:
            self._painted = painted
            self.table.set_rows(runs)
        live = len(self.cellmap.live_runs)
        note = f"{len(runs)} run{'' if len(runs) == 1 else 's'}, {live} going on" if runs else ""
        self.query_one("#list", Pane).set_title("runs", note)
        self._go_to_wanted()
        self._show_chosen(self.table.highlighted)

    def _go_to_wanted(self) -> None:
        if self._wanted and self.table.go_to(self._wanted):
            self._wanted = ""

    def _show_chosen(self, run: RunSummary | None) -> None:
        from cellmap_tui.jobs.rundir import RunDir

        before, self._chosen = self._chosen, run
        self._show_details()
        self.query_one(RunLog).follow(RunDir(run.path) if run is not None else None)
        if (before and (before.run_id, before.state)) != (run and (run.run_id, run.state)):
            self.refresh_bindings()

    def _show_details(self) -> None:
        run = self._chosen
        details = run_details(run, short=self.has_class("-narrow")) if run is not None else Content("")
        show_words(self.query_one("#details Static", Static), details)
        self.query_one("#details", Pane).set_title(run.run_id if run is not None else "run")

    @work(thread=True, exclusive=True, group="runs.prune", exit_on_error=False)
    def _gauge(self) -> None:
        from cellmap_tui.jobs.prune import prune_plan

        self.post_message(self.PruneGauged(prune_plan(self.cellmap.settings.runs_root)))

    @on(PruneGauged)
    def _ask_prune(self, event: PruneGauged) -> None:
        from cellmap_tui.app.widgets.confirm import Confirm

        plan = event.plan
        if not plan.runs:
            self.app.notify("No run can be removed: none has ended.")
            return

        def answered(answer: bool | None) -> None:
            if answer:
                self._prune(plan)

        self.app.push_screen(Confirm(*prune_question(plan), yes="remove them", no="keep them"), answered)

    @work(thread=True, exclusive=True, group="runs.prune", exit_on_error=False)
    def _prune(self, plan: PrunePlan) -> None:
        from cellmap_tui.jobs.prune import prune

        self.post_message(self.Pruned(prune(plan)))

    @on(Pruned)
    def _tell_pruned(self, event: Pruned) -> None:
        result = event.result
        runs = f"{len(result.removed)} run{'' if len(result.removed) == 1 else 's'}"
        self.app.notify(f"Removed {runs}, {text.size(result.freed_bytes)} freed.")
        for run_id, reason in result.failed[:3]:
            self.app.notify(f"{run_id} stays: {reason}", severity="warning")


def prune_question(plan: PrunePlan) -> tuple[str, str]:
    """Return the question before runs are removed, and which they are, with their sizes."""
    shown = [f"{text.size(run.size_bytes):>8}  {run.state:<8} {run.run_id}" for run in plan.runs[:_LISTED]]
    if len(plan.runs) > _LISTED:
        rest = plan.runs[_LISTED:]
        shown.append(f"{text.size(sum(run.size_bytes for run in rest)):>8}  … and {len(rest)} more")
    runs = f"{len(plan.runs)} ended run{'' if len(plan.runs) == 1 else 's'}"
    question = f"Remove {runs}, {text.size(plan.size_bytes)}, with logs and results?"
    return question, "\n".join(text.printable(line) for line in shown)


def _run_id(run: RunSummary) -> str:
    return run.run_id
