"""Steering a training from a screen: checkpoint, validation, learning rate, stop after the epoch. Costs are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import work

from cellmap_tui.app.run_actions import RunScreen
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.app.widgets.edit_line import EditLine
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from cellmap_tui.jobs.summary import RunSummary

MOST_RATE = 10.0
_STEERABLE = frozenset({"running", "quiet", "paused"})
_STEERING = frozenset({"checkpoint", "validate_now", "rate", "stop_after_epoch"})


class LiveControl(RunScreen):
    """A screen whose chosen run can be steered. The job answers in its log, naming who asked."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what nobody would hear."""
        if action in _STEERING:
            run = self.chosen_run()
            return run is not None and run.state in _STEERABLE
        return super().check_action(action, parameters)

    def action_checkpoint(self) -> None:
        """Ask for a checkpoint; it costs seconds, so nothing is asked back."""
        if (run := self.chosen_run()) is not None:
            self._steer(run, "checkpoint", None)

    def action_validate_now(self) -> None:
        """Ask, then ask for a validation."""
        self._confirm("validate", *validate_question, yes="validate now", no="not now")

    def action_stop_after_epoch(self) -> None:
        """Ask, then ask the run to stop when the epoch is done."""
        self._confirm("stop_after_epoch", *epoch_question, yes="stop after this epoch", no="let it go on")

    def action_rate(self) -> None:
        """Ask for a learning rate, then ask the run to take it."""
        run = self.chosen_run()
        if run is None:
            return

        def take(typed: str | None) -> None:
            if typed:
                self._steer(run, "lr", float(typed))

        title = f"learning rate of {printable(run.run_id)}"
        text = "From the next step on, in place of what the schedule says; the log keeps who asked."
        self.app.push_screen(EditLine(title, text, self.rate_now(), rate_problem), take)

    def rate_now(self) -> str:
        """Return the learning rate as it is now, to be edited; a screen knows."""
        return ""

    def place_words(self) -> str:
        """Return where the chosen run is, such as ``at step 1 200``; a screen knows."""
        return ""

    def action_stop(self) -> None:
        """Ask, then stop the chosen run; asked again while it stops, end it at once."""
        run = self.chosen_run()
        if run is None:
            return

        def answered(answer: bool | None) -> None:
            if answer:
                self._control(run, "stop")

        name = f"{printable(run.run_id)}{self.place_words()}"
        question, cost = stop_again_question if run.state == "stopping" else stop_question
        self.app.push_screen(Confirm(question.format(name), cost, yes="stop it", no="let it go on"), answered)

    def _confirm(self, action: str, question: str, cost: str, *, yes: str, no: str) -> None:
        run = self.chosen_run()
        if run is None:
            return

        def answered(answer: bool | None) -> None:
            if answer:
                self._steer(run, action, None)

        name = f"{printable(run.run_id)}{self.place_words()}"
        self.app.push_screen(Confirm(question.format(name), cost, yes=yes, no=no), answered)

    @work(thread=True, group="run.control", exit_on_error=False)
    def _steer(self, run: RunSummary, action: str, value: float | None) -> None:
        from cellmap_tui.jobs.control import ASK_WORDS, ask
        from cellmap_tui.jobs.rundir import RunDir

        ask(RunDir(run.path), action, value)
        self.app.call_from_thread(self.app.notify, f"Asked for {ASK_WORDS[action]}; the log says when it is done.")


stop_question = ("Stop {}?", "It finishes the step at hand and saves a checkpoint; `r` goes on from there later.")
stop_again_question = (
    "Stop {} at once?",
    "It was asked to stop and is still finishing its step. What it learned since the last checkpoint is lost.",
)
validate_question = (
    "Validate {} now?",
    "Training waits meanwhile, as long as the last validation took; the result stands among the others.",
)
epoch_question = (
    "Stop {} after this epoch?",
    "It finishes the epoch, validates, saves, and is done; `cellmap-tui train --resume` with its name goes on.",
)


def rate_problem(typed: str) -> str:
    """Return why something is no learning rate; empty when it is one."""
    try:
        value = float(typed)
    except ValueError:
        return "a number, such as 3e-4"
    return "" if 0 < value <= MOST_RATE else f"above 0, {MOST_RATE:g} at most"
