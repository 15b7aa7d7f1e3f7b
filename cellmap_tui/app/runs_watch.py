"""The runs as they are now, for the header and every screen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.jobs.listing import RunIndex
    from cellmap_tui.jobs.summary import RunSummary


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
    """Give the silence in full seconds, and none for the lost: equal summaries are not drawn again."""
    if run.silent_s is None:
        return run
    return replace(run, silent_s=None if run.state == "lost" else float(int(run.silent_s)))
