"""The runs below a runs root: all of them, newest first, or the one that somebody means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, DataError, MissingDataError, UnknownNameError
from cellmap_tui.jobs.events import END_STATES
from cellmap_tui.jobs.liveness import Pulse
from cellmap_tui.jobs.rundir import RUN_NAME, RunDir, read_request
from cellmap_tui.jobs.summary import RunSummary, summarise
from cellmap_tui.text import count, nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

LATEST = "latest"
"""Stands for the newest run wherever a run is named."""

_SHOWN_MATCHES = 5


class RunIndex:
    """Lists the runs again and again at little cost: what has ended or died and not changed is not read twice."""

    def __init__(self, runs_root: Path) -> None:
        self._runs_root = runs_root
        self._known: dict[str, tuple[object, RunSummary]] = {}
        self._pulses: dict[str, Pulse] = {}

    def refresh(self) -> tuple[RunSummary, ...]:
        """Return all runs, newest first; damaged ones as ``unreadable``, with the reason.

        Raises
        ------
        DataError
            If the runs root cannot be listed. A root that does not exist has no runs.
        """
        summaries = [self._summary(run) for run in run_dirs(self._runs_root)]
        found = [summary for summary in summaries if summary is not None]
        names = {summary.run_id for summary in found}
        self._known = {name: known for name, known in self._known.items() if name in names}
        self._pulses = {name: pulse for name, pulse in self._pulses.items() if name in names}
        return tuple(sorted(found, key=_age_key, reverse=True))

    def _summary(self, run: RunDir) -> RunSummary | None:
        signature = tuple(_signature(path) for path in (run.state_path, run.events_path, run.request_path))
        known = self._known.get(run.run_id)
        if known is not None and known[0] == signature:
            return known[1]
        try:
            summary = summarise(run, self._pulses.setdefault(run.run_id, Pulse()))
        except MissingDataError:  # removed while we looked
            return None
        except OSError as error:
            return RunSummary(run.run_id, run.path, "unknown", "unreadable", problem=str(error))
        # Only a job could change a lost run, and it begins with its files; why it died takes long to find out.
        if summary.state in END_STATES or summary.state == "lost":
            self._known[run.run_id] = (signature, summary)
        return summary


def list_runs(runs_root: Path) -> tuple[RunSummary, ...]:
    """Return all runs, newest first; see `RunIndex.refresh`."""
    return RunIndex(runs_root).refresh()


def run_dirs(runs_root: Path) -> list[RunDir]:
    """Return the run directories below the root, by name, without reading them.

    A run directory is one that is named like one or holds the files of one.

    Raises
    ------
    DataError
        If the runs root cannot be listed.
    """
    try:
        paths = sorted(path for path in runs_root.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"runs root {runs_root}: {error.strerror}", "choose another with --runs-root") from None
    return [run for path in paths if _is_run(run := RunDir(path))]


def find_run(runs_root: Path, ref: str) -> RunDir:
    """Return the run that `ref` means.

    Parameters
    ----------
    ref
        A run's name, the beginning of it or of its short id at the end, a part that no other run
        has, ``latest``, or the path of a run directory anywhere.

    Raises
    ------
    UnknownNameError
        If it fits no run, or more than one.
    """
    if "/" in ref and Path(ref).expanduser().is_dir():
        return RunDir(Path(ref).expanduser().absolute())
    runs = run_dirs(runs_root)
    if not runs:
        raise UnknownNameError(
            f"there are no runs in {runs_root}", "start one, or choose another root with --runs-root"
        )
    if ref == LATEST:
        return _newest(runs)
    matches = _meant(runs, ref)
    if len(matches) == 1:
        return matches[0]
    raise _not_one(ref, matches, runs)


def newest_run(runs_root: Path, command: str) -> RunDir:
    """Return the newest run of a command.

    Raises
    ------
    UnknownNameError
        If there is none.
    """
    runs = [run for run in run_dirs(runs_root) if _is_of(run, command)]
    if not runs:
        raise UnknownNameError(f"no {command} run in {runs_root}", "start one, or name another root with --runs-root")
    return _newest(runs)


def _is_of(run: RunDir, command: str) -> bool:
    if RUN_NAME.fullmatch(run.run_id):
        return run.run_id.partition("-")[2].rpartition("-")[0] == command
    try:
        return read_request(run).command == command
    except CellmapError:
        return False


def _meant(runs: list[RunDir], ref: str) -> list[RunDir]:
    """Return the runs that `ref` fits best: as a name, as the beginning of a name or short id, as a part."""
    if not ref:
        return []
    exact = [run for run in runs if run.run_id == ref]
    begun = [run for run in runs if run.run_id.startswith(ref) or run.run_id.rpartition("-")[2].startswith(ref)]
    return exact or begun or [run for run in runs if ref in run.run_id]


def _not_one(ref: str, matches: list[RunDir], runs: Iterable[RunDir]) -> UnknownNameError:
    said = printable(ref)
    if matches:
        names = ", ".join(run.run_id for run in matches[-_SHOWN_MATCHES:])
        more = "…, " if len(matches) > _SHOWN_MATCHES else ""
        return UnknownNameError(f"{said!r} fits {count(len(matches))} runs: {more}{names}", "give more of the name")
    by_name = {name: run.run_id for run in runs for name in (run.run_id, run.run_id.rpartition("-")[2])}
    near = nearest(ref, [*by_name, LATEST])
    remedy = f"did you mean {by_name.get(near, near)}?" if near else "list the runs with `cellmap-tui runs list`"
    return UnknownNameError(f"no run {said!r}", remedy)


def _newest(runs: list[RunDir]) -> RunDir:
    stamped = [run for run in runs if RUN_NAME.fullmatch(run.run_id)] or runs
    stamp = max(run.run_id for run in stamped).partition("-")[0]
    return max((run for run in stamped if run.run_id.startswith(stamp)), key=_created_s)


def _created_s(run: RunDir) -> float:
    try:
        return read_request(run).created_s or 0.0
    except CellmapError:
        return 0.0


def _is_run(run: RunDir) -> bool:
    try:
        if not run.path.is_dir():
            return False
        is_named_so = RUN_NAME.fullmatch(run.run_id) is not None
        return is_named_so or any(path.exists() for path in (run.request_path, run.state_path, run.events_path))
    except OSError:  # a folder that may not be looked into is listed if its name says that it is a run
        return RUN_NAME.fullmatch(run.run_id) is not None


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _age_key(summary: RunSummary) -> tuple[float, str]:
    made_s = summary.created_s or summary.started_s
    if made_s is None:
        try:
            made_s = summary.path.stat().st_mtime
        except OSError:
            made_s = 0.0
    return made_s, summary.run_id
