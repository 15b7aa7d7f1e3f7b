"""Stop, pause and resume of a run, the same on every screen that shows runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import work

from cellmap_tui.app.run_words import pausing_words, progress_words, share
from cellmap_tui.app.screens.base import BaseScreen
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from cellmap_tui.jobs.summary import RunSummary

RESUMABLE = frozenset({"stopped", "lost", "failed"})
"""States from which a run can be started again."""


def may(action: str, run: RunSummary | None) -> bool:
    """Tell whether an action makes sense for a run as it is now."""
    if run is None:
        return False
    if action == "stop":
        return run.is_live
    if action == "pause":
        return run.state in {"running", "quiet", "paused"}
    return run.state == "paused" or run.is_pausing or run.state in RESUMABLE


def stop_question(run: RunSummary) -> tuple[str, str]:
    """Return the question before a run is stopped, and what stopping costs."""
    at = f" at {progress_words(run)}" if share(run) is not None else ""
    if run.state == "stopping":
        return (
            f"Stop {printable(run.command)} at once{at}?",
            "It was asked to stop and is still finishing its step. What that step has made is lost.",
        )
    return (
        f"Stop {printable(run.command)}{at}?",
        "It finishes the step at hand and saves; `r` goes on from there later.",
    )


class RunScreen(BaseScreen):
    """A screen on which a run can be under the cursor."""

    def chosen_run(self) -> RunSummary | None:
        """Return the run that the keys are about; a subclass says which."""
        return None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the keys that can do nothing for the chosen run."""
        if action in {"stop", "pause", "resume"}:
            return may(action, self.chosen_run())
        if action in {"full_log", "view"}:
            return self.chosen_run() is not None
        return super().check_action(action, parameters)

    def action_stop(self) -> None:
        """Ask, then stop the chosen run."""
        from cellmap_tui.app.widgets.confirm import Confirm

        run = self.chosen_run()
        if run is None:
            return

        def answered(answer: bool | None) -> None:
            if answer:
                self._control(run, "stop")

        self.app.push_screen(Confirm(*stop_question(run), yes="stop it", no="let it go on"), answered)

    def action_pause(self) -> None:
        """Pause the chosen run, or let it go on."""
        if (run := self.chosen_run()) is None:
            return
        if run.is_pausing:
            self.app.notify(f"Asked already: {pausing_words(run)}. r lets it go on instead.")
            return
        self._control(run, "resume" if run.state == "paused" else "pause")

    def action_resume(self) -> None:
        """Let a paused run go on, or start a stopped, lost or failed one again."""
        if (run := self.chosen_run()) is not None:
            self._control(run, "resume")

    def action_full_log(self) -> None:
        """Show everything that the chosen run has written."""
        from cellmap_tui.app.screens.full_log import FullLog

        if (run := self.chosen_run()) is not None:
            self.app.push_screen(FullLog(run))

    @work(thread=True, group="run.control", exit_on_error=False)
    def _control(self, run: RunSummary, action: str) -> None:
        from cellmap_tui.jobs import runs
        from cellmap_tui.jobs.rundir import RunDir

        asked = RunDir(run.path)
        if action == "stop":
            runs.stop_run(asked)
        elif action == "pause":
            runs.pause_run(asked)
        else:
            runs.resume_run(asked)
