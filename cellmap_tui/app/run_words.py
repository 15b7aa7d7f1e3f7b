"""A run in words, the same on every screen: state, progress, rate, time left, how long it took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cellmap_tui import text
from cellmap_tui.app.signs import ascii_only, sign

if TYPE_CHECKING:
    from cellmap_tui.jobs.watch import RunSummary

BYTES = "bytes"
"""Unit whose amounts are shown as sizes."""


WHOLE_UNITS = {"train": "epochs"}
"""The unit in which a command counts its whole work; in another one it counts a part of it, such as a validation."""

CALM_ENDS = frozenset({"done", "stopped"})
"""Ends of a run that nobody needs to worry about."""


def now() -> float:
    """Return the time that ages are told against, Unix seconds."""
    return time.time()


def state_words(run: RunSummary) -> str:
    """Return sign and state: ``● running``."""
    return f"{sign(run.state)} {text.printable(run.state)}"


def pausing_words(run: RunSummary) -> str:
    """Return when what was asked to pause will do so; empty where nobody asked."""
    if not run.is_pausing:
        return ""
    if run.command in WHOLE_UNITS and in_part(run) and run.done is not None:
        return "pausing within the validation"
    return "pausing after this step"


def in_part(run: RunSummary) -> bool:
    """Whether what a run counts now is only a part of its work."""
    whole = WHOLE_UNITS.get(run.command)
    return whole is not None and run.unit is not None and run.unit != whole and run.state != "done"


def share(run: RunSummary) -> float | None:
    """Return how much of a run is done, 0 to 1; None when it is not known."""
    if run.done is None or not run.total or run.total <= 0 or in_part(run):
        return None
    return min(1.0, max(0.0, run.done / run.total))


def progress_words(run: RunSummary) -> str:
    """Return ``45 %``, or the figure alone where the total is not known, or ``-``."""
    done = share(run)
    if done is not None:
        return f"{100 * done:.0f} %"
    if run.done is None or in_part(run):
        return "-"
    return text.size(run.done) if run.unit == BYTES else _figure(run.done)


def amount_words(run: RunSummary) -> str:
    """Return ``12 / 30 volumes``."""
    if run.done is None:
        return "-"
    done = _amount(run.done, run.unit)
    if run.total is None:
        return done
    if run.unit == BYTES:
        return f"{done} / {text.size(run.total)}"
    return f"{_figure(run.done)} / {_figure(run.total)} {text.printable(run.unit or '')}".rstrip()


def rate_words(run: RunSummary) -> str:
    """Return ``3.1 volumes/s`` while it is moving, else ``-``."""
    if run.rate is None:
        return "-"
    if run.unit == BYTES:
        return f"{text.size(run.rate)}/s"
    return f"{run.rate:.3g} {text.printable(run.unit or '')}/s"


def eta_words(run: RunSummary) -> str:
    """Return the time left, or ``-``."""
    return "-" if run.eta_s is None else text.duration(run.eta_s)


def age_words(run: RunSummary, now_s: float | None = None) -> str:
    """Return how long the run took, or has been at it; ``-`` before it began."""
    if run.started_s is None:
        return "-"
    end_s = run.ended_s
    if end_s is None:
        end_s = now() if now_s is None else now_s
    return text.duration(end_s - run.started_s)


def clock_words(time_s: float | None, now_s: float | None = None) -> str:
    """Return a time as ``12:04:51`` if it was today, else with its date; ``-`` for none."""
    if time_s is None:
        return "-"
    try:
        then = time.localtime(time_s)
        today = time.localtime(now() if now_s is None else now_s)
    except (OverflowError, ValueError, OSError):
        return "?"
    if then[:3] == today[:3]:
        return time.strftime("%H:%M:%S", then)
    return time.strftime("%Y-%m-%d %H:%M", then)


def end_words(run: RunSummary) -> str:
    """Return how a run ended, for a toast: ``demo is done after 13 s``."""
    command = text.cut_middle(text.printable(run.command), 24)
    if run.state == "done":
        next_step = "; on the home screen, b opens its data" if run.command == "demo" else ""
        return f"{sign('done')} {command} is done after {age_words(run)}{next_step}"
    if run.state == "stopped":
        return f"{sign('stopped')} {command} is stopped at {progress_words(run)}; r goes on"
    why = f": {text.printable(run.message)}" if run.state == "failed" and run.message else ""
    return f"{sign(run.state)} {command} {text.printable(run.state)}{why}"


def bar(done: float | None, width: int) -> str:
    """Return a bar of `width` cells: ``████░░░░``; empty when nothing is known."""
    full, empty = "#." if ascii_only() else "█░"
    filled = round((done or 0.0) * width)
    return full * filled + empty * (width - filled)


def _amount(value: float, unit: str | None) -> str:
    if unit == BYTES:
        return text.size(value)
    return f"{_figure(value)} {text.printable(unit or '')}".rstrip()


def _figure(value: float) -> str:
    return text.count(int(value)) if float(value).is_integer() else f"{value:.1f}"
