"""What a screen over one evaluation knows of it: the run as it stands, pairs so far, the result at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.eval_live import EvalFeed, EvalTally
from cellmap_tui.app.evaluations import EvaluationItem, read_result
from cellmap_tui.app.run_actions import RunScreen
from cellmap_tui.app.widgets.error_view import describe
from cellmap_tui.app.widgets.pane import Pane

if TYPE_CHECKING:
    from cellmap_tui.jobs.events import Event
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.evaluate_model import EvaluateResult, PairResult

LOOK_S = 0.5
"""How often a live evaluation is asked for new pairs."""


class EvalReading(RunScreen):
    """Follows one evaluation.

    Parameters
    ----------
    item
        The evaluation.
    """

    class Loaded(Message):
        """A result was read: the evaluation's own, or the one to compare with."""

        def __init__(self, item: EvaluationItem, result: EvaluateResult, *, is_other: bool) -> None:
            self.item = item
            self.result = result
            self.is_other = is_other
            super().__init__()

    class Told(Message):
        """A piece of the events was read."""

        def __init__(self, events: list[Event], is_new: bool) -> None:
            self.events = events
            self.is_new = is_new
            super().__init__()

    def __init__(self, item: EvaluationItem) -> None:
        super().__init__()
        self.item = item
        self.result: EvaluateResult | None = None
        self._tally = EvalTally()
        self._feed = EvalFeed(item.run.path)
        self._reading: Worker[None] | None = None

    # What a subclass says and hears

    def items(self) -> tuple[EvaluationItem, ...]:
        """Return the evaluations that the list knows."""
        return ()

    def run_changed(self) -> None:
        """Hear that the run stands elsewhere."""

    def pairs_changed(self) -> None:
        """Hear that more pairs are finished."""

    def result_read(self, item: EvaluationItem, result: EvaluateResult, *, is_other: bool) -> None:
        """Hear that a result was read."""

    def chosen_run(self) -> RunSummary | None:
        """Return the run of this evaluation."""
        return self.item.run

    def scored(self) -> tuple[PairResult, ...]:
        """Return the pairs of the result, or those so far."""
        return self.result.pairs if self.result is not None else self._tally.pairs()

    # Reading

    def on_mount(self) -> None:
        """Read what is there and follow the run."""
        self.watch(self.app, "runs", self._follow_runs, init=True)
        self._look()
        self.set_interval(LOOK_S, self._look)

    def _follow_runs(self) -> None:
        run = next((run for run in self.cellmap.runs if run.run_id == self.item.run.run_id), self.item.run)
        if run != self.item.run:
            item = next((item for item in self.items() if item.run == run), None)
            self.item = item or EvaluationItem(run, self.item.asked, profile=self.item.profile)
        if run.state == "done" and self.result is None:
            self.read_result(self.item)
        self.run_changed()

    @work(thread=True, group="eval.result", exit_on_error=False)
    def read_result(self, item: EvaluationItem, *, is_other: bool = False) -> None:
        """Read a result in a thread."""
        result = read_result(item.run.path)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Loaded(item, result, is_other=is_other))

    @on(Loaded)
    def _take_result(self, event: Loaded) -> None:
        if not event.is_other and self.result is not None:
            return
        self.result_read(event.item, event.result, is_other=event.is_other)

    def _look(self) -> None:
        busy = self._reading is not None and not self._reading.is_finished
        if self.result is None and self.item.run.state != "done" and self.is_current and not busy:
            self._reading = self._read_events()

    @work(thread=True, exclusive=True, group="eval.read", exit_on_error=False)
    def _read_events(self) -> None:
        worker = get_current_worker()
        while not worker.is_cancelled:
            events, is_new = self._feed.poll()
            if events or is_new:
                self.post_message(self.Told(events, is_new))
            if self._feed.at_end:
                return

    @on(Told)
    def _take_events(self, event: Told) -> None:
        if event.is_new:
            self._tally = EvalTally()
        has_changed = self._tally.take(event.events)
        if (has_changed or event.is_new) and self.result is None:
            self.pairs_changed()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say in the title why events cannot be read; the next look tries again."""
        if event.worker.group != "eval.read":
            return
        event.prevent_default()
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.query_one("#classes", Pane).set_title("pairs", describe(event.worker.error)[0])
