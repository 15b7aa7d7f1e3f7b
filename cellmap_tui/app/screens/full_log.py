"""Everything that a run has written, on a screen of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cellmap_tui.app.keys import bind
from cellmap_tui.app.run_words import state_words
from cellmap_tui.app.screens.base import BaseScreen
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.run_log import RunLog

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.jobs.summary import RunSummary


class FullLog(BaseScreen):
    """The events of a run, progress and metrics included, and what it printed."""

    MODE = "runs"
    AUTO_FOCUS = "RunLog"
    BINDINGS: ClassVar[list[BindingType]] = [bind("do.close", "back", "back", help="Go back to the runs.")]

    def __init__(self, run: RunSummary) -> None:
        super().__init__()
        self._run = run

    def compose_body(self) -> ComposeResult:
        """Yield the log."""
        with Pane() as pane:
            pane.set_title(f"log of {self._run.run_id}", f"{state_words(self._run)}   esc back")
            yield RunLog(full=True)

    def on_mount(self) -> None:
        """Begin to follow the run."""
        from cellmap_tui.jobs.rundir import RunDir

        self.query_one(RunLog).follow(RunDir(self._run.path))

    def action_back(self) -> None:
        """Go back."""
        self.dismiss(None)
