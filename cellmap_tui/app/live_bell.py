"""When a training rings the terminal's bell: at its end, at a failure, at a new best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.app.live_words import best

if TYPE_CHECKING:
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.monitor.source import Source

ENDS = frozenset({"done", "failed", "stopped", "lost"})


@dataclass(frozen=True, slots=True)
class Heard:
    """What of a training was known at a look."""

    state: str = ""
    """Where it stood; empty: not known."""
    best: float | None = None
    """Its best mean Dice."""


def heard(source: Source, run: RunSummary | None) -> Heard:
    """Return what is known now of a source and of where it stands."""
    top = best(source)
    return Heard(run.state if run is not None else "", top[0] if top is not None else None)


def rings(before: Heard, now: Heard) -> bool:
    """Return whether what has happened since is worth a ring; a first look never is."""
    if not before.state:
        return False
    has_ended = now.state in ENDS and before.state not in ENDS
    is_better = now.best is not None and before.best is not None and now.best > before.best
    return has_ended or is_better
