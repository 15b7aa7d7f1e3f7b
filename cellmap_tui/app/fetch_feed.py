"""What one fetch tells, in bounded pieces, for the screen that sums it up: events, state, failures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.jobs.events import Event
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.fetch_model import FetchFailure
    from cellmap_tui.services.fetch_state import FetchState

FETCH = "fetch-data"
"""Name of the command."""
STATE_ARTEFACT = "fetch-state"
"""Kind of the artefact that names the folder of the state."""

_TOLD = frozenset({"progress", "warning", "state"})


def fetch_run(runs: Sequence[RunSummary], wanted: str = "") -> RunSummary | None:
    """Return the fetch to show: the one that is wanted, else the newest that goes on, else the newest."""
    fetches = [run for run in runs if run.command == FETCH]
    named = [run for run in fetches if wanted and run.run_id == wanted]
    live = [run for run in fetches if run.is_live]
    return next(iter([*named, *live, *fetches]), None)


def is_incomplete(run: RunSummary) -> bool:
    """Return whether a fetch came to its end and something is missing."""
    return run.command == FETCH and run.state == "done" and bool(run.exit_code)


@dataclass(frozen=True, slots=True)
class Told:
    """What is new since the last look."""

    events: tuple[Event, ...] = ()
    """New events of the kinds that count."""
    is_new: bool = False
    """Whether everything before them is void."""
    state: FetchState | None = None
    """The state, where it has changed."""
    failures: tuple[FetchFailure, ...] | None = None
    """What is missing at the end; None: not known yet."""
    free_bytes: int | None = None
    """Free space of its disk."""

    @property
    def is_nothing(self) -> bool:
        """Whether nothing has changed."""
        return not (self.events or self.is_new or self.state is not None or self.failures is not None)


class FetchFeed:
    """Follows one fetch; used from one thread at a time.

    Parameters
    ----------
    path
        Its run directory.
    """

    def __init__(self, path: Path) -> None:
        from cellmap_tui.jobs.rundir import RunDir
        from cellmap_tui.jobs.watch import RunReader

        self.path = path
        """Its run directory."""
        self._run = RunDir(path)
        self._reader = RunReader(self._run)
        self._restarts = 0
        self._data_root: Path | None = None
        self._folder: Path | None = None
        self._stamps: dict[Path, tuple[int, int]] = {}

    def poll(self) -> Told:
        """Return what is new: events of at most a chunk, and at their end the state and the failures."""
        events = self._reader.poll()
        is_new = self._reader.restarts != self._restarts
        self._restarts = self._reader.restarts
        for event in events:
            if event.kind == "artefact" and event.fields.get("kind") == STATE_ARTEFACT:
                self._folder = Path(str(event.fields.get("path")))
        told = tuple(event for event in events if event.kind in _TOLD)
        if not self._reader.at_end:
            return Told(told, is_new)
        state, failures = self._new_state(), self._new_failures()
        free = self._free_bytes() if told or state is not None else None
        return Told(told, is_new, state, failures, free)

    @property
    def at_end(self) -> bool:
        """Whether the last look reached the end."""
        return self._reader.at_end

    def _new_state(self) -> FetchState | None:
        from cellmap_tui.services.fetch_state import STATE, read_state

        if self._folder is None or not self._has_changed(self._folder / STATE):
            return None
        return read_state(self._folder)

    def _new_failures(self) -> tuple[FetchFailure, ...] | None:
        from cellmap_tui.jobs.files import read_json_object
        from cellmap_tui.services.fetch_model import FetchFailure
        from cellmap_tui.services.models import from_mapping

        if not self._has_changed(self._run.result_path):
            return None
        try:
            value = (read_json_object(self._run.result_path) or {}).get("value")
            listed = value.get("failures", []) if isinstance(value, dict) else []
            return tuple(from_mapping(failure, FetchFailure, source="result.json") for failure in listed)
        except (CellmapError, TypeError, AttributeError):
            return None

    def _has_changed(self, path: Path) -> bool:
        try:
            found = path.stat()
        except OSError:
            return False
        stamp = (found.st_mtime_ns, found.st_ino)
        if self._stamps.get(path) == stamp:
            return False
        self._stamps[path] = stamp
        return True

    def _free_bytes(self) -> int | None:
        from cellmap_tui.app.local_data import free_bytes
        from cellmap_tui.jobs.rundir import read_request

        if self._data_root is None:
            try:
                self._data_root = Path(str(read_request(self._run).values["data_root"]))
            except (CellmapError, KeyError):
                return None
        return free_bytes(self._data_root)
