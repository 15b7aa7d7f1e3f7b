"""The runs as they are now, for the header and every screen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.jobs.listing import RunIndex
    from cellmap_tui.jobs.summary import RunSummary

LATE_S = 10.0
"""Two heartbeats: a paused run that beats has nothing to tell, and nothing is painted."""


class RunsWatch:
    """Looks at the runs below one root again and again; used from one thread at a time."""

    def __init__(self, runs_root: Path) -> None:
        self.runs_root = runs_root
        """Folder of the run directories."""
        self._index: RunIndex | None = None

    def poll(self) -> tuple[RunSummary, ...]:
        """Return all runs, the newest first.

        Raises
        ------
        CellmapError
            If the runs root cannot be read.
        """
        from cellmap_tui.jobs.listing import RunIndex  # after the first paint

        self._index = self._index or RunIndex(self.runs_root)
        return tuple(_steady(run) for run in self._index.refresh())


def _steady(run: RunSummary) -> RunSummary:
    """Give the silence in full seconds, and none where nobody asks: equal summaries are not drawn again."""
    if run.silent_s is None:
        return run
    is_told = run.state != "lost" and (run.state != "paused" or run.silent_s >= LATE_S)
    return replace(run, silent_s=float(int(run.silent_s)) if is_told else None)
