"""Start a job that outlives the terminal, the app and the login it was started from."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, DataError, RefusedError
from cellmap_tui.jobs.events import Event, EventLog
from cellmap_tui.jobs.execute import refuse_if_done
from cellmap_tui.jobs.lock import RunLock, already_running, is_locked
from cellmap_tui.jobs.process import host_name
from cellmap_tui.jobs.rundir import read_request
from cellmap_tui.jobs.state import RunState, read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.jobs.rundir import RunDir

WORKER = (sys.executable, "-P", "-m", "cellmap_tui.jobs.worker")
"""``-P``: a file called ``numpy.py`` in the user's directory shall not be taken for numpy."""

START_DEADLINE_S = 60.0
"""Imports from a cold network disk take this long at worst; past it the job is left to itself."""

_POLL_S = 0.02


def launch(run: RunDir, worker: Sequence[str] = WORKER) -> int:
    """Start the job of a queued run in a session of its own and return its process id.

    Waits until the job has begun, so that a job that cannot start is told here and now.

    Parameters
    ----------
    worker
        Command that does the work; the run directory's path is added.

    Raises
    ------
    RefusedError
        If the run is running already, or another start of it did the work meanwhile.
    CellmapError
        If the process ended before it began to work; the message carries the end of its log, and
        the run is marked as failed.
    """
    pid_before = _pid_of(run)
    if is_locked(run.lock_path):
        raise already_running(run.lock_path)
    refuse_if_done(run)
    process = _start(run, worker)
    # The process is waited for, so that no zombie stays while this one lives on.
    threading.Thread(target=process.wait, name=f"reap-{process.pid}", daemon=True).start()
    deadline_s = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline_s:
        if _has_begun(run, process.pid):
            return process.pid
        if process.poll() is not None and not _has_begun(run, process.pid):
            raise _failed_start(run, process.returncode, pid_before)
        time.sleep(_POLL_S)
    return process.pid


def _start(run: RunDir, worker: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        with run.log_path.open("ab") as log:
            return subprocess.Popen(
                [*worker, str(run.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=_working_dir(run),
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
    except OSError as error:
        raise RefusedError(f"cannot start the job of run {run.run_id}: {error}", f"look at {run.path}") from None


def _working_dir(run: RunDir) -> Path:
    """Return the directory that the request's relative paths start from, or the run's own when it is gone."""
    try:
        recorded = read_request(run).working_dir
    except DataError:
        recorded = None
    return Path(recorded) if recorded and os.access(recorded, os.X_OK) else run.path


def _has_begun(run: RunDir, pid: int) -> bool:
    return _pid_of(run) == pid


def _pid_of(run: RunDir) -> int | None:
    try:
        state = read_state(run.state_path)
    except DataError:
        return None
    return state.pid if state is not None else None


def _failed_start(run: RunDir, exit_code: int, pid_before: int | None) -> CellmapError:
    last = _last_line(run)
    if is_locked(run.lock_path):
        return already_running(run.lock_path)
    error = CellmapError(
        f"the job of run {run.run_id} ended before it began (exit code {exit_code})" + (f": {last}" if last else ""),
        f"its output is in {run.log_path}",
    )
    with RunLock(run.lock_path):
        if _pid_of(run) not in {None, pid_before}:  # what the other start wrote of its end stands
            return RefusedError(
                f"run {run.run_id} was started twice; the other start did the work",
                f"look at it with `cellmap-tui runs show {run.run_id}`",
            )
        _record_failure(run, error)
    return error


def _record_failure(run: RunDir, error: CellmapError) -> None:
    now_s = round(time.time(), 3)
    fields = {"kind": error.kind, "message": error.message, "remedy": error.remedy, "exit_code": error.exit_code}
    log = EventLog(run.events_path)
    log.write(Event("error", now_s, fields))
    log.write(Event("state", now_s, {"state": "failed", "by": None}))
    log.close()
    write_state(
        run.state_path,
        RunState("failed", host=host_name(), heartbeat_s=now_s, ended_s=now_s, exit_code=error.exit_code),
    )


def _last_line(run: RunDir) -> str:
    try:
        with run.log_path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 4096))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
