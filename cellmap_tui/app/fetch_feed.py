"""The events of one fetch in bounded pieces, for the screen that sums them up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.jobs.events import Event
    from cellmap_tui.jobs.summary import RunSummary

FETCH = "fetch-data"
"""Name of the command."""

_TOLD = frozenset({"progress", "metric", "warning", "state"})


def fetch_run(runs: Sequence[RunSummary], wanted: str = "") -> RunSummary | None:
    """Return the fetch to show: the one that is wanted, else the newest that goes on, else the newest."""
    fetches = [run for run in runs if run.command == FETCH]
    named = [run for run in fetches if wanted and run.run_id == wanted]
    live = [run for run in fetches if run.is_live]
    return next(iter([*named, *live, *fetches]), None)


class FetchFeed:
    """Follows one fetch; used from one thread at a time."""

    def __init__(self, path: Path) -> None:
        from cellmap_tui.jobs.rundir import RunDir
        from cellmap_tui.jobs.watch import RunReader

        self.path = path
        """Its run directory."""
        self._run = RunDir(path)
        self._reader = RunReader(self._run)
        self._restarts = 0
        self._data_root: Path | None = None

    def poll(self) -> tuple[list[Event], bool]:
        """Return the new events of at most a chunk, and whether all before them are void."""
        events = [event for event in self._reader.poll() if event.kind in _TOLD]
        is_new = self._reader.restarts != self._restarts
        self._restarts = self._reader.restarts
        return events, is_new

    @property
    def at_end(self) -> bool:
        """Whether the last look reached the end."""
        return self._reader.at_end

    def free_bytes(self) -> int | None:
        """Return the free space of the disk that the fetch writes to; None where it cannot be told."""
        from cellmap_tui.app.local_data import free_bytes
        from cellmap_tui.jobs.rundir import read_request

        if self._data_root is None:
            try:
                self._data_root = Path(str(read_request(self._run).values["data_root"]))
            except (CellmapError, KeyError):
                return None
        return free_bytes(self._data_root)
