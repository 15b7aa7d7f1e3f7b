"""The evaluations: finished and live ones, the newest first; the newest opens by itself at the first visit."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from cellmap_tui.app.eval_rows import ClassRow, class_columns, class_rows
from cellmap_tui.app.eval_words import empty_words, item_brief, item_columns
from cellmap_tui.app.evaluations import EVALUATE, EvaluationItem, Evaluations
from cellmap_tui.app.keys import bind
from cellmap_tui.app.run_actions import RunScreen
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.jobs.summary import RunSummary


class EvaluationTable(VirtualTable[EvaluationItem]):
    """The evaluations."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "open", help="Show the scores of this evaluation, or how far it is.")
    ]

    def __init__(self) -> None:
        super().__init__(item_columns(), row_key=lambda item: item.run.run_id, markable=False, empty="looking…")


class ClassPreview(VirtualTable[ClassRow]):
    """The classes of the evaluation under the cursor."""

    def __init__(self) -> None:
        super().__init__(class_columns(), row_key=lambda row: row.result.label, markable=False)


class EvalScreen(RunScreen):
    """All evaluations below the runs root."""

    MODE = "eval"
    AUTO_FOCUS = "EvaluationTable"
    CSS_PATH = "eval.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"eval.list": "#list"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.new", "new", "evaluate", help="Score predictions or a submission; shows the plan before it starts."),
        bind("do.stop", "stop", help="Stop the evaluation; asks first. Finished pairs are kept."),
        bind("do.pause", "pause", help="Pause the evaluation, or let it go on."),
        bind("do.reload", "resume", "resume", help="Go on with it: finished pairs are not scored again."),
        bind("do.log", "full_log"),
    ]

    class Listed(Message):
        """The evaluations were looked at."""

        def __init__(self, items: tuple[EvaluationItem, ...]) -> None:
            self.items = items
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest look matters."""
            return isinstance(message, EvalScreen.Listed)

    def __init__(self) -> None:
        super().__init__()
        self.items: tuple[EvaluationItem, ...] = ()
        self._evaluations = Evaluations()
        self._wanted = ""
        self._is_placed = False
        self._runs_read: tuple[RunSummary, ...] | None = None
        self._chosen: RunSummary | None = None

    def compose_body(self) -> ComposeResult:
        """Yield the list, and the classes of the one under the cursor."""
        with Pane(id="list") as pane:
            pane.set_title("evaluations")
            yield EvaluationTable()
            yield Static(empty_words(), id="empty", markup=False)
        with Pane(id="preview") as pane:
            pane.set_title("classes")
            yield ClassPreview()
        yield Static(id="brief", markup=False)

    def on_mount(self) -> None:
        """Follow the runs of the app."""
        self.watch(self.app, "runs", self._follow_runs, init=True)

    def opened(self, options: Mapping[str, object]) -> None:
        """Open an evaluation (``run``), or offer to start the one that is asked for (``request``)."""
        self._is_placed = True
        if "request" in options:
            self._offer(options["request"])
        elif "run" in options:
            self._open_run(str(options["run"]))

    @property
    def table(self) -> EvaluationTable:
        """The list."""
        return self.query_one(EvaluationTable)

    def chosen_run(self) -> RunSummary | None:
        """Return the evaluation under the cursor."""
        return self._chosen

    # The list

    def _follow_runs(self) -> None:
        runs = tuple(run for run in self.cellmap.runs if run.command == EVALUATE)
        if runs != self._runs_read:
            self._runs_read = runs
            self._read(runs)

    @work(thread=True, exclusive=True, group="eval.list", exit_on_error=False)
    def _read(self, runs: tuple[RunSummary, ...]) -> None:
        worker = get_current_worker()
        items = self._evaluations.items(runs)
        if not worker.is_cancelled:
            self.post_message(self.Listed(items))

    @on(Listed)
    def _take(self, event: Listed) -> None:
        self.items = event.items
        self.set_class(not event.items, "-empty")
        self.table.update_rows(event.items)
        live = sum(item.run.is_live for item in event.items)
        note = f"{len(event.items)}, {live} going on" if event.items else ""
        self.query_one("#list", Pane).set_title("evaluations", note)
        self._show_chosen()
        self._open_wanted()

    def _open_wanted(self) -> None:
        if not self._is_placed and self.items:
            self._is_placed = True
            newest = next((item for item in self.items if item.run.is_live or item.has_result), None)
            self._wanted = newest.run.run_id if newest is not None else ""
        item = next((item for item in self.items if item.run.run_id == self._wanted), None)
        if item is not None:
            self._wanted = ""
            self.table.go_to(item.run.run_id)
            self._push(item)

    def _open_run(self, run_id: str) -> None:
        self._wanted = run_id
        self._open_wanted()

    @on(RowHighlighted, "EvaluationTable")
    def _show_chosen(self) -> None:
        item: EvaluationItem | None = self.table.highlighted
        self._chosen = item.run if item is not None else None
        words = item_brief(item)
        brief = self.query_one("#brief", Static)
        if brief.content != words:
            brief.update(words, layout=False)
        self.query_one(ClassPreview).set_rows(class_rows(item.classes, (), item.profile) if item else ())
        self.query_one("#preview", Pane).set_title(f"classes of {item.name}" if item else "classes", _note(item))
        self.refresh_bindings()

    @on(RowSelected, "EvaluationTable")
    def _open(self, event: RowSelected) -> None:
        self._push(event.row)

    def _push(self, item: EvaluationItem) -> None:
        from cellmap_tui.app.screens.evaluation import EvaluationScreen

        if self.is_current:
            self.app.push_screen(EvaluationScreen(item, self))

    # A new one

    def action_new(self) -> None:
        """Ask what is to be scored."""
        from cellmap_tui.app.screens.eval_new import NewEvaluation

        self.app.push_screen(NewEvaluation(self.cellmap.settings), self._offer)

    def _offer(self, request: object) -> None:
        from cellmap_tui.app.screens.start import StartWork

        def started(run_id: str | None) -> None:
            if run_id:
                self._open_run(run_id)

        if request is not None:
            self.app.push_screen(StartWork(EVALUATE, request), started)


def _note(item: EvaluationItem | None) -> str:
    return "" if item is None or item.has_result else "no scores yet" if item.run.is_live else "no scores"
