"""All that is known about a run, for a details pane."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui import text
from cellmap_tui.app.run_words import (
    age_words,
    amount_words,
    bar,
    clock_words,
    eta_words,
    progress_words,
    rate_words,
    share,
    state_words,
)
from cellmap_tui.app.signs import colour

if TYPE_CHECKING:
    from cellmap_tui.jobs.summary import RunSummary

BAR_WIDTH = 24
_NAME_WIDTH = 9


def run_details(run: RunSummary, *, short: bool) -> Content:
    """Return the details, in two lines where there is no room for more."""
    lines = [_state_line(run)]
    said = _said(run)
    if short:
        lines.append(Content.styled(said, "$foreground-muted") if said else Content(text.printable(str(run.path))))
        return Content("\n").join(lines)
    lines += [_row(name, value) for name, value in _rows(run) if value]
    if said:
        lines += [Content(""), Content(said)]
    if run.remedy:
        lines.append(Content.styled(text.printable(run.remedy), "$foreground-muted"))
    for problem in (run.problem, NEWER if run.is_newer else None):
        if problem:
            lines += [Content(""), Content.styled(text.printable(problem), "$warning")]
    return Content("\n").join(lines)


NEWER = "written by a newer version; what this one understands is shown"


def _state_line(run: RunSummary) -> Content:
    state = (state_words(run), f"bold {colour(run.state)}")
    why = (f"  {text.printable(reason)}" if (reason := _reason(run)) else "", "$foreground-muted")
    if share(run) is None or not run.is_live:
        return Content.assemble(state, why)
    parts = [progress_words(run), amount_words(run), rate_words(run), f"{eta_words(run)} left"]
    shown = "  ".join(part for part in parts if not part.startswith("-"))
    return Content.assemble(state, "  ", (bar(share(run), BAR_WIDTH), colour(run.state)), f" {shown}", why)


def _reason(run: RunSummary) -> str:
    if run.state == "lost":
        return "its job died without a word; r starts it again"
    if run.state == "quiet" and run.silent_s is not None:
        return f"no sign of life for {text.duration(run.silent_s)}"
    if run.state == "stopping":
        return "finishes its step; x stops it at once"
    if run.state == "stopped":
        return f"by {run.by}; r goes on" if run.by else "r goes on"
    return ""


def _rows(run: RunSummary) -> list[tuple[str, str]]:
    place = f"{run.host or '-'}, process {run.pid}" if run.pid is not None else run.host or ""
    return [
        ("command", shlex.join(run.arguments) if run.arguments else run.command),
        ("done", amount_words(run) if run.done is not None else ""),
        ("asked", clock_words(run.created_s)),
        ("started", clock_words(run.started_s)),
        ("ended", clock_words(run.ended_s) if run.ended_s is not None else ""),
        ("took", age_words(run) if run.started_s is not None else ""),
        ("exit code", "" if run.exit_code is None else str(run.exit_code)),
        ("host", place),
        ("version", run.version or ""),
        ("folder", str(run.path)),
    ]


def _row(name: str, value: str) -> Content:
    return Content.assemble((f"{name:<{_NAME_WIDTH}} ", "$foreground-muted"), text.printable(value))


def _said(run: RunSummary) -> str:
    return text.printable(run.message) if run.message else ""
