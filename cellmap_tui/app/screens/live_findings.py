"""Everything that stands out of a training: each rule's sentence, its evidence, and the setting to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from cellmap_tui.app.keys import bind
from cellmap_tui.app.live_words import source_name
from cellmap_tui.app.screens.live_base import LivePage
from cellmap_tui.app.signs import colour, sign
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.text import counted, printable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.monitor.finding import Finding

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
    DEFAULT_CSS = """
    LiveFindingsScreen Static { height: auto; }
    """

    def compose_body(self) -> ComposeResult:
        """Yield the findings."""
        with Pane(), FindingList():
            yield Static(markup=False)

    def show_live(self) -> None:
        """Ask the rules, show what they find."""
        from cellmap_tui.monitor.diagnosis import diagnose

        main = self.live.main
        found = diagnose(main.series, main.telemetry, main.facts)
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
