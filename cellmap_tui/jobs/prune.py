"""Remove runs that have ended: planned with sizes first, then each checked again before it goes.

Never a run that lives or may live again, never anything outside the runs root, and never what a
link points to.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError
from cellmap_tui.jobs.events import END_STATES
from cellmap_tui.jobs.listing import list_runs
from cellmap_tui.jobs.lock import RunLock, is_locked
from cellmap_tui.jobs.process import host_name
from cellmap_tui.jobs.rundir import RunDir
from cellmap_tui.jobs.summary import RunSummary, summarise

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

_REMOVED_PREFIX = ".pruned-"


@dataclass(frozen=True, slots=True)
class Prunable:
    """A run that can be removed."""

    run_id: str
    """Name of the run."""
    state: str
    """``done``, ``stopped``, ``failed``, ``lost`` for certain, or ``unreadable``."""
    ended_s: float | None
    """When it ended, Unix seconds."""
    size_bytes: int
    """What removing it frees."""


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What `prune` would remove."""

    runs_root: Path
    """Folder of the run directories."""
    runs: tuple[Prunable, ...]
    """What would go, newest first."""
    kept: int
    """How many runs stay."""

    @property
    def size_bytes(self) -> int:
        """What would be freed."""
        return sum(run.size_bytes for run in self.runs)


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What `prune` removed."""

    removed: tuple[str, ...]
    """Names of the runs that are gone."""
    freed_bytes: int
    """What that freed."""
    failed: tuple[tuple[str, str], ...]
    """Names of the runs that stay after all, each with the reason."""


def prune_plan(
    runs_root: Path,
    *,
    run_ids: Collection[str] | None = None,
    states: Collection[str] | None = None,
    older_than_s: float = 0.0,
    keep: int = 0,
) -> PrunePlan:
    """Return which runs can go, and their sizes; removes nothing.

    Parameters
    ----------
    run_ids
        Only these; all by default. A run of which nothing can be read goes only if it is named.
    states
        Only runs in these states.
    older_than_s
        Only runs that ended at least so long ago.
    keep
        Leave so many of the newest that could go.
    """
    runs = list_runs(runs_root)
    before_s = time.time() - older_than_s
    chosen = [run for run in runs if _may_go(run) or (_is_damaged(run) and run.run_id in (run_ids or ()))]
    chosen = [run for run in chosen if not run.path.is_symlink() and (run_ids is None or run.run_id in run_ids)]
    chosen = [run for run in chosen if states is None or run.state in states]
    chosen = [run for run in chosen if older_than_s <= 0 or (run.ended_s or before_s) <= before_s][keep:]
    prunable = tuple(Prunable(run.run_id, run.state, run.ended_s, size_on_disk(run.path)) for run in chosen)
    return PrunePlan(runs_root, prunable, len(runs) - len(prunable))


def prune(plan: PrunePlan) -> PruneResult:
    """Remove the planned runs; one that has come to life since then stays, with the reason."""
    _remove_leftovers(plan.runs_root)
    removed, freed_bytes, failed = [], 0, []
    for planned in plan.runs:
        try:
            _remove(plan.runs_root, planned.run_id)
        except CellmapError as error:
            failed.append((planned.run_id, error.message))
        except OSError as error:
            failed.append((planned.run_id, error.strerror or str(error)))
        else:
            removed.append(planned.run_id)
            freed_bytes += planned.size_bytes
    return PruneResult(tuple(removed), freed_bytes, tuple(failed))


def size_on_disk(folder: Path) -> int:
    """Return the size of all files below a folder, in bytes; links count as links."""
    return sum(_sizes(os.fspath(folder)))


def _sizes(folder: str) -> Iterable[int]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _sizes(entry.path)
            continue
        try:
            yield entry.stat(follow_symlinks=False).st_size
        except OSError:  # a temporary file, gone since it was listed
            continue


def _may_go(summary: RunSummary) -> bool:
    if summary.state in END_STATES:
        return True
    # Silence alone may be a cut network: only a free lock on this host proves that the job is dead.
    is_here = summary.host == host_name()
    return summary.state == "lost" and is_here and is_locked(RunDir(summary.path).lock_path) is False


def _is_damaged(summary: RunSummary) -> bool:
    return summary.state == "unreadable" and not is_locked(RunDir(summary.path).lock_path)


def _remove(runs_root: Path, run_id: str) -> None:
    path = runs_root / run_id
    if path.parent != runs_root or path.is_symlink() or run_id in {"", ".", ".."}:
        raise CellmapError(f"{path} is not a run directory of {runs_root}")
    run = RunDir(path)
    before = _state_bytes(run)
    summary = summarise(run)
    if not (_may_go(summary) or _is_damaged(summary)):
        raise CellmapError(f"run {run_id} is not over any more")
    # Holding the lock keeps a job from starting in it meanwhile.
    with RunLock(run.lock_path):
        if _state_bytes(run) != before:
            raise CellmapError(f"run {run_id} is not over any more")
        removed = runs_root / f"{_REMOVED_PREFIX}{run_id}"
        path.rename(removed)
    shutil.rmtree(removed)


def _state_bytes(run: RunDir) -> bytes | None:
    try:
        return run.state_path.read_bytes()
    except OSError:
        return None


def _remove_leftovers(runs_root: Path) -> None:
    """Finish what a killed `prune` began."""
    for path in runs_root.glob(f"{_REMOVED_PREFIX}*"):
        if not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
