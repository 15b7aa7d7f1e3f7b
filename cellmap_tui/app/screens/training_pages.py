"""What opens from a live training: classes, heat map, samples, machine, comparison, findings; and adding a log."""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work
from textual.message import Message

from cellmap_tui.app import live_words
from cellmap_tui.app.screens.live_base import LiveWatch
from cellmap_tui.app.widgets.edit_line import EditLine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.content import Content

    from cellmap_tui.app.live_run import LiveRun
    from cellmap_tui.app.screens.live_base import LivePage
    from cellmap_tui.monitor.finding import Finding

FINDINGS_EVERY_S = 2.0
"""Rules look at the whole history; nobody reads them faster."""
ADD_HELP = "A run directory, a folder of the official toolbox, a TensorBoard log, or a CSV with a column of steps."


class TrainingPages(LiveWatch):
    """A screen from which the pages over `live` open."""

    class Diagnosed(Message):
        """It is known what stands out."""

        def __init__(self, live: LiveRun, findings: tuple[Finding, ...]) -> None:
            self.live = live
            self.findings = findings
            super().__init__()

    _looked_s = float("-inf")
    findings: tuple[Finding, ...] = ()
    """What stands out of the run in hand."""

    def action_page(self, name: str) -> None:
        """Open a page."""
        if self.live is not None:
            self.app.push_screen(page(name, self.live))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide pages while there is nothing to look at."""
        return self.live is not None if action == "page" else super().check_action(action, parameters)

    def action_add(self) -> None:
        """Ask for a folder or a log, then draw it too."""

        def take(typed: str | None) -> None:
            if typed:
                self.add_source(Path(typed).expanduser().absolute())

        self.app.push_screen(EditLine("add a log", ADD_HELP, "", path_problem), take)

    def add_source(self, path: Path) -> None:
        """Draw another folder or log too; a screen says how."""

    def say_finding(self, words: Content | str) -> None:
        """Show the worst of what stands out; a screen says where."""

    def more_findings(self, live: LiveRun) -> Sequence[Finding]:
        """Return what stands out beside what the rules find, told before it; a screen knows."""
        return ()

    def look_for_findings(self, live: LiveRun) -> None:
        """Ask the rules again, at most every two seconds."""
        now_s = time.monotonic()
        busy = any(worker.group == "live.findings" and worker.is_running for worker in self.workers)
        if now_s - self._looked_s >= FINDINGS_EVERY_S and not busy:
            self._looked_s = now_s
            self._diagnose(live)

    @work(thread=True, group="live.findings", exit_on_error=False)
    def _diagnose(self, live: LiveRun) -> None:
        from cellmap_tui.monitor.diagnosis import diagnose

        main = live.main
        found = (*self.more_findings(live), *diagnose(main.series, main.telemetry, main.facts))
        self.post_message(self.Diagnosed(live, found))

    def on_training_pages_diagnosed(self, event: Diagnosed) -> None:
        """Show the worst of it."""
        event.stop()
        if event.live is self.live and event.findings != self.findings:
            self.findings = event.findings
            self.say_finding(live_words.finding_line(event.findings))


def page(name: str, live: LiveRun) -> LivePage:
    """Return a page over a live training; its module is imported now, with what it draws with."""
    module = import_module(f"cellmap_tui.app.screens.live_{name}")
    screen: type[LivePage] = getattr(module, f"Live{name.capitalize()}Screen")
    return screen(live)


def path_problem(typed: str) -> str:
    """Return why nothing can be read there; empty when something may be."""
    if not typed.strip():
        return "type a folder or a file"
    return "" if Path(typed.strip()).expanduser().exists() else "there is nothing by that name"
