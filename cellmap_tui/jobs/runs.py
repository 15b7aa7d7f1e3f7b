"""What a user does with runs: list, find, stop, pause, resume, prune.

The front ends use this module; how a request reaches a job, and what a run looks like from outside,
stand in `control`, `listing` and `summary`.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Literal

from cellmap_tui.errors import RefusedError, RequestError
from cellmap_tui.jobs.control import ask_pause, ask_resume, ask_stop, discard_requests, pending_requests
from cellmap_tui.jobs.events import FORMAT_VERSION
from cellmap_tui.jobs.launch import WORKER, launch
from cellmap_tui.jobs.listing import RunIndex, find_run, list_runs
from cellmap_tui.jobs.lock import RunLock, is_locked
from cellmap_tui.jobs.process import host_name, process_token, user_name
from cellmap_tui.jobs.prune import PrunePlan, PruneResult, prune, prune_plan, size_on_disk
from cellmap_tui.jobs.rundir import RunDir, mark_queued, read_request, replace_request
from cellmap_tui.jobs.state import read_state
from cellmap_tui.jobs.summary import RunSummary, summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "PrunePlan",
    "PruneResult",
    "RunIndex",
    "find_run",
    "list_runs",
    "pause_run",
    "prune",
    "prune_plan",
    "requeue",
    "resume_run",
    "show_run",
    "stop_run",
]


def show_run(run: RunDir) -> RunSummary:
    """Return where a run stands, with the size of its directory."""
    from dataclasses import replace

    return replace(summarise(run), size_bytes=size_on_disk(run.path))


def stop_run(run: RunDir, by: str | None = None, *, force: bool = False) -> Literal["asked", "signalled"]:
    """Ask a run to finish the unit at hand, save and stop; asked again, stop it at once.

    Parameters
    ----------
    by
        Who asks; this user by default.
    force
        Do not ask first.

    Returns
    -------
    str
        ``asked``, or ``signalled`` when the job's processes were sent SIGTERM.

    Raises
    ------
    RequestError
        If the run has ended or is lost.
    RefusedError
        If the job's process is not on this host or cannot be told for certain.
    """
    summary = _live(run, "stop")
    if not force and summary.state != "stopping" and "stop" not in pending_requests(run):
        ask_stop(run, by)
        return "asked"
    _terminate(run)
    return "signalled"


def pause_run(run: RunDir, by: str | None = None) -> None:
    """Ask a run to wait at its next step; once is enough.

    Raises
    ------
    RequestError
        If the run has ended, is lost, is paused already or is stopping.
    """
    summary = _live(run, "pause")
    if summary.state in {"paused", "stopping"}:
        raise RequestError(f"run {run.run_id} is {summary.state} already")
    if not summary.is_pausing:
        ask_pause(run, by)


def resume_run(run: RunDir, by: str | None = None, worker: Sequence[str] = WORKER) -> int | None:
    """Let a paused job go on, or start a stopped, lost or failed run again in its directory.

    Returns
    -------
    int or None
        Process id of the new job; None when a paused one was asked.

    Raises
    ------
    RequestError
        If the run is running or done.
    """
    summary = summarise(run)
    if summary.state == "paused" or summary.is_pausing:
        _live(run, "resume")
        ask_resume(run, by)
        return None
    requeue(run, by)
    return launch(run, worker)


def requeue(run: RunDir, by: str | None = None, *, request: object = None, argv: Sequence[str] | None = None) -> None:
    """Put a stopped, lost or failed run back into state ``queued``, to be launched or executed again.

    Its events go on after those that are there.

    Parameters
    ----------
    by
        Who asks; this user by default.
    request
        What is asked of it now, in place of what was asked; then a run that is done may go on as well.
    argv
        The command line of the new request, for the record.

    Raises
    ------
    RequestError
        If the run is running or done, or was written in a newer format.
    DataError
        If its request cannot be read.
    """
    summary = summarise(run)
    if summary.state == "done" and request is None:
        raise RequestError(f"run {run.run_id} is done", "start a new run to do the work again")
    if summary.is_live and not _only_waits(run, summary):
        raise RequestError(
            f"run {run.run_id} is {summary.state}", f"watch it with `cellmap-tui runs follow {run.run_id}`"
        )
    if read_request(run).version > FORMAT_VERSION:
        raise RequestError(f"run {run.run_id} was written by a newer version", "update cellmap-tui to resume it")
    with RunLock(run.lock_path):
        discard_requests(run)
        if request is not None:
            replace_request(run, request, argv)
        mark_queued(run, by or user_name())


def _only_waits(run: RunDir, summary: RunSummary) -> bool:
    """Whether a run was only prepared for a cluster's queue: the job that comes out of it starts it so."""
    return summary.state == "queued" and run.cluster_path.exists() and not is_locked(run.lock_path)


def _live(run: RunDir, action: str) -> RunSummary:
    summary = summarise(run)
    if not summary.is_live:
        raise RequestError(f"cannot {action} run {run.run_id}: it is {summary.state}")
    return summary


def _terminate(run: RunDir) -> None:
    """Send SIGTERM to the job's processes, if it is certain that they are the job's."""
    state = read_state(run.state_path)
    if state is None or state.pid is None or state.host is None:
        raise RefusedError(f"the process of run {run.run_id} is not known", "try again in a moment")
    if state.host != host_name():
        raise RefusedError(
            f"run {run.run_id} runs on host {state.host}",
            f"there, ask again with `cellmap-tui runs stop {run.run_id}`",
        )
    if state.process is None or process_token(state.pid) != state.process:
        raise RefusedError(f"process {state.pid} is not the job of run {run.run_id} any more", "list the runs again")
    try:
        # Only a job with a session of its own leads a group that holds nobody else's processes.
        if state.own_session:
            os.killpg(state.pid, signal.SIGTERM)
        else:
            os.kill(state.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise RefusedError(f"process {state.pid} belongs to another user", "ask as the user who started it") from None
