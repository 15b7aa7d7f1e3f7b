"""Everything that stands out of a training: each rule's sentence, its evidence, and the setting to change."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from cellmap_tui.app.keys import bind
from cellmap_tui.app.live_words import source_name
from cellmap_tui.app.screens.live_base import LivePage
from cellmap_tui.app.signs import colour, sign
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.live_run import LiveRun
    from cellmap_tui.monitor.finding import Finding

EVERY_S = 2.0
"""Nobody reads findings faster."""
_LEVELS = {"error": "error", "warn": "warning", "info": "ok"}


class FindingList(VerticalScroll, inherit_bindings=False):
    """The findings; moves by the keys of the grammar."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("move.up", "scroll_up", show=False),
        bind("move.down", "scroll_down", show=False),
        bind("move.top", "scroll_home", show=False),
        bind("move.bottom", "scroll_end", show=False),
        bind("move.page_up", "page_up", show=False),
        bind("move.page_down", "page_down", show=False),
    ]


class LiveFindingsScreen(LivePage):
    """All that the rules find, the worst first."""

    AUTO_FOCUS = "FindingList"
    FAILURES: ClassVar[Mapping[str, str]] = {"live.findings": "Pane"}
    DEFAULT_CSS = """
    LiveFindingsScreen Static { height: auto; }
    """

    def compose_body(self) -> ComposeResult:
        """Yield the findings."""
        with Pane(), FindingList():
            yield Static(markup=False)

    class Found(Message):
        """It is known what stands out."""

        def __init__(self, findings: tuple[Finding, ...]) -> None:
            self.findings = findings
            super().__init__()

    _looked_s = float("-inf")
    _is_due = False

    def show_live(self) -> None:
        """Ask the rules, in a thread: they look at the whole history; at most every two seconds."""
        if self._is_due:
            return
        self._is_due = True
        wait_s = self._looked_s + EVERY_S - time.monotonic()
        if wait_s > 0:
            self.set_timer(wait_s, self._ask)
        else:
            self._ask()

    def _ask(self) -> None:
        self._is_due = False
        self._looked_s = time.monotonic()
        self._diagnose(self.live)

    @work(thread=True, exclusive=True, group="live.findings", exit_on_error=False)
    def _diagnose(self, live: LiveRun) -> None:
        from cellmap_tui.app.live_lines import not_drawn
        from cellmap_tui.app.live_view import load_view
        from cellmap_tui.monitor.diagnosis import diagnose

        main = live.main
        view = load_view(self.cellmap.settings.state_dir, live.path)
        self.post_message(self.Found((*not_drawn(live, view), *diagnose(main.series, main.telemetry, main.facts))))

    def on_live_findings_screen_found(self, event: Found) -> None:
        """Show what the rules have found."""
        event.stop()
        main, found = self.live.main, event.findings
        words = Content("\n\n").join([finding_words(one) for one in found]) if found else Content(NOTHING)
        self.query_one(Pane).set_title(f"what stands out of {source_name(main)}", counted(len(found), "finding"))
        shown = self.query_one("Pane Static", Static)
        if shown.content != words:
            shown.update(words)


NOTHING = "Nothing stands out: no rule has found anything, or too little is known yet."


def finding_words(finding: Finding) -> Content:
    """Return a finding in three lines: what, why, what to change."""
    level = _LEVELS[finding.level]
    lines = [Content.assemble((f"{sign(level)} ", colour(level)), (printable(finding.sentence), "bold"))]
    if finding.evidence:
        lines.append(Content(f"  because {printable(finding.evidence)}"))
    if finding.setting:
        lines.append(Content(f"  change  {printable(finding.setting)}"))
    return Content("\n").join(lines)
