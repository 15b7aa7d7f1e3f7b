"""The page before a training: memory, disk, time and patches per class, what refuses, and how to mend it.

The look is a job of its own, because it loads torch and learns from a batch; leaving the page ends it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.preflight_feed import FindingRow, LookState, class_rows, merged_rows, quick_rows, read_look
from cellmap_tui.app.preflight_words import (
    class_columns,
    finding_columns,
    finding_words,
    force_question,
    look_words,
    sum_words,
)
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.jobs.rundir import RunDir
    from cellmap_tui.services.train_model import TrainRequest

LOOK_S = 0.5
"""How often the job of the look is asked how far it is."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the page: a run that was started, or a key to change."""

    run_id: str = ""
    """The run."""
    key: str = ""
    """The key."""


class FindingTable(VirtualTable[FindingRow]):
    """What was found; ``enter`` goes to the key that mends it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "mend", help="Go to the key of the form that mends this."),
    ]

    def __init__(self) -> None:
        super().__init__(finding_columns(), row_key=lambda row: (row.name, row.value), markable=False)


class PreflightScreen(SubScreen):
    """Look at what a training takes, then start it; answers with an `Outcome`, or None.

    Parameters
    ----------
    request
        What would be trained.
    """

    MODE = "train"
    AUTO_FOCUS = "FindingTable"
    CSS_PATH = "preflight.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {
        "preflight.look": "#findings",
        "preflight.read": "#findings",
        "preflight.start": "#findings",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        bind(
            "do.new", "start", "train", help="Start the training as a job of its own; it looks once more by itself."
        ),
        bind("do.reload", "reload", "look again", help="Look again."),
    ]

    class Quick(Message):
        """What can be said at once is known."""

        def __init__(self, rows: tuple[FindingRow, ...]) -> None:
            self.rows = rows
            super().__init__()

    class Begun(Message):
        """The job of the look has begun."""

        def __init__(self, run: RunDir) -> None:
            self.run = run
            super().__init__()

    class Looked(Message):
        """It is known how far the look is."""

        def __init__(self, run: RunDir, state: LookState) -> None:
            self.run = run
            self.state = state
            super().__init__()

    class Started(Message):
        """The training was started."""

        def __init__(self, run_id: str) -> None:
            self.run_id = run_id
            super().__init__()

    def __init__(self, request: TrainRequest) -> None:
        super().__init__()
        self._request = request
        self._run: RunDir | None = None
        self._state: LookState | None = None
        self._quick_rows: tuple[FindingRow, ...] = ()
        self._is_starting = False

    def compose_body(self) -> ComposeResult:
        """Yield what was found, the classes, and one finding in full."""
        with Pane(id="findings") as pane:
            pane.set_title("before training")
            yield Static(look_words(None), markup=False, id="state")
            yield FindingTable()
        with Pane(id="classes") as pane:
            pane.set_title("patches of each class", "counted from patches that were drawn to look")
            yield VirtualTable(
                class_columns(),
                row_key=lambda row: row.name,
                markable=False,
                empty="known when patches have been drawn",
            )
        with Pane(id="one") as pane:
            pane.set_title("in full")
            with VerticalScroll():
                yield Static(markup=False, id="words")

    def on_mount(self) -> None:
        """Begin to look."""
        self.set_interval(LOOK_S, self._ask)
        self._look()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if action == "start":
            return not self._is_starting
        if action == "reload":
            return self._state is not None and self._state.is_over
        return super().check_action(action, parameters)

    @property
    def problems(self) -> tuple[FindingRow, ...]:
        """What stands in the way."""
        rows = merged_rows(self._quick_rows, None if self._state is None else self._state.look)
        return tuple(row for row in rows if row.status == "problem")

    # Look

    @work(thread=True, exclusive=True, group="preflight.look", exit_on_error=False)
    def _look(self) -> None:
        from cellmap_tui.app.training_start import end_look, start_look

        worker = get_current_worker()
        self.post_message(self.Quick(quick_rows(self._request)))
        run = start_look(self.cellmap.settings, self._request)
        if worker.is_cancelled:
            end_look(run)
        else:
            self.post_message(self.Begun(run))

    @on(Quick)
    def _show_quick(self, event: Quick) -> None:
        self._quick_rows = event.rows
        self._show()

    @on(Begun)
    def _follow(self, event: Begun) -> None:
        self._run = event.run
        self._ask()

    def _ask(self) -> None:
        is_over = self._state is not None and self._state.is_over
        if self._run is None or is_over or any(w.group == "preflight.read" and w.is_running for w in self.workers):
            return
        self._read(self._run)

    @work(thread=True, group="preflight.read", exit_on_error=False)
    def _read(self, run: RunDir) -> None:
        self.post_message(self.Looked(run, read_look(run)))

    @on(Looked)
    def _take(self, event: Looked) -> None:
        if event.run != self._run:
            return
        was_over = self._state is not None and self._state.is_over
        self._state = event.state
        if event.state.error is not None and not was_over:
            self.query_one("#findings", Pane).show_error(event.state.error)
        self._show()
        if event.state.look is not None and not was_over and self.problems:
            self.query_one(FindingTable).cursor = 0  # problems stand first

    def _show(self) -> None:
        state = self._state
        look = None if state is None else state.look
        words = look_words(state) if look is None else sum_words(look, len(self.problems))
        shown = self.query_one("#state", Static)
        if str(shown.content) != words:
            shown.update(words)
        what = "" if look is None else "enter mends, n trains in spite of it" if self.problems else "n trains"
        self.query_one("#findings", Pane).set_title("before training", what)
        self.query_one(FindingTable).update_rows(merged_rows(self._quick_rows, look))
        self.query_one("#classes VirtualTable", VirtualTable).update_rows(class_rows(look))
        self.refresh_bindings()

    @on(RowHighlighted, "FindingTable")
    def _show_one(self) -> None:
        self.query_one("#words", Static).update(finding_words(self.query_one(FindingTable).highlighted))

    @on(RowSelected, "FindingTable")
    def _mend(self, event: RowSelected) -> None:
        row: FindingRow = event.row
        self.leave(Outcome(key=row.key))

    def action_reload(self) -> None:
        """Look again."""
        self._run, self._state = None, None
        self.query_one("#findings", Pane).clear_error()
        self._show()
        self._look()

    @on(Pane.RetryAsked, "#findings")
    def _retry(self) -> None:
        self.action_reload()

    # Train

    def action_start(self) -> None:
        """Start the training; asks where something stands in the way."""
        from cellmap_tui.app.widgets.confirm import Confirm

        problems = self.problems
        if not problems:
            self._begin(self._request)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._begin(replace(self._request, force=True))

        question = Confirm(*force_question(problems), yes="train all the same", no="not yet")
        self.app.push_screen(question, answered)

    def _begin(self, request: TrainRequest) -> None:
        self._is_starting = True
        self.refresh_bindings()
        self._start(request)

    @work(thread=True, exclusive=True, group="preflight.start", exit_on_error=False)
    def _start(self, request: TrainRequest) -> None:
        from cellmap_tui.app.training_start import end_look, start_training

        if self._run is not None:
            end_look(self._run)
        try:
            self.post_message(self.Started(start_training(self.cellmap.settings, request)))
        finally:
            self._is_starting = False

    @on(Started)
    def _tell_started(self, event: Started) -> None:
        super().leave(Outcome(run_id=event.run_id))

    def leave(self, answer: Any) -> None:
        """Go back; a look that goes on is ended."""
        if self._run is not None and not (self._state is not None and self._state.is_over):
            from cellmap_tui.app.training_start import end_look

            # A worker of the app: those of a page end with it.
            end = partial(end_look, self._run)
            self.app.run_worker(end, thread=True, group="preflight.end", exit_on_error=False)
        super().leave(answer)
