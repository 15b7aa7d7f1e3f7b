"""The lines of the home screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui import text
from cellmap_tui.app.run_words import age_words, bar, clock_words, eta_words, progress_words, rate_words, share
from cellmap_tui.app.signs import colour, sign

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.app.local_data import LocalData
    from cellmap_tui.app.next_steps import NextStep
    from cellmap_tui.jobs.summary import RunSummary

_NAME_WIDTH = 11
_TITLE_WIDTH = 32


def here_lines(local: LocalData | None, data_root: Path, origins: dict[str, str]) -> Content:
    """Return where the data lie and what is there."""
    origin = origins.get("data_root", "default")
    rows = [("data root", f"{data_root}  ({origin})" if origin != "default" else str(data_root))]
    if local is None:
        rows += [("local", "looking…"), ("disk free", "")]
    else:
        more = f", {local.partial_crops} in part" if local.partial_crops else ""
        at_least = "" if local.counted_all else "more than "
        held = f"{local.full_crops} crops{more} of {local.datasets} datasets, {at_least}{text.size(local.size_bytes)}"
        rows.append(("local", held if local.datasets else "nothing yet"))
        rows.append(("disk free", "-" if local.free_bytes is None else text.size(local.free_bytes)))
    lines = [
        Content.assemble((f"{name:<{_NAME_WIDTH}}", "$foreground-muted"), text.printable(value))
        for name, value in rows
    ]
    for note in local.notes if local is not None else ():
        lines.append(Content.assemble((f"{sign('warning')} ", "$warning"), text.printable(note)))
    return Content("\n").join(lines)


def step_line(step: NextStep) -> Content:
    """Return a step with its key and what it brings."""
    key = (f"{step.key or ' '}  ", "bold $footer-key-foreground")
    return Content.assemble(key, f"{step.title:<{_TITLE_WIDTH}} ", (step.note, "$foreground-muted"))


def run_line(run: RunSummary) -> Content:
    """Return a run in one line: how far it is, or when it ended."""
    state = (f"{sign(run.state)} {text.printable(run.state):<9}", colour(run.state))
    command = f" {text.cut_middle(text.printable(run.command), 12):<12} "
    if run.is_live and share(run) is not None:
        progress = [bar(share(run), 12), progress_words(run), rate_words(run), f"{eta_words(run)} left"]
        return Content.assemble(state, command, "  ".join(part for part in progress if not part.startswith("-")))
    when = clock_words(run.ended_s or run.started_s or run.created_s)
    took = f"  took {age_words(run)}" if run.started_s is not None and run.ended_s is not None else ""
    return Content.assemble(state, command, (f"{when}{took}", "$foreground-muted"))
