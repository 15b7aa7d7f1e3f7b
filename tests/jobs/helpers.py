"""What several tests of jobs need: a deadline in place of sleeps, clocks that are set, real worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.jobs.launch import launch
from cellmap_tui.jobs.lock import is_locked
from cellmap_tui.jobs.rundir import RunDir, create_run
from cellmap_tui.jobs.state import read_state
from cellmap_tui.jobs.watch import RunReader
from tests.jobs.work import CountRequest, WaitRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.jobs.events import Event

HERE = Path(__file__).parent
WORKER = (sys.executable, str(HERE / "worker.py"))
DEADLINE_S = 300.0


def wait_until(is_so: Callable[[], object], what: str = "") -> None:
    """Poll until it is so; fail at the deadline."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline_s, f"not so within {DEADLINE_S:.0f} s: {what}"
        time.sleep(0.005)


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self.now_s = now_s
        self.monotonic_s = 1000.0

    def time(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.monotonic_s

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.monotonic_s += seconds


def queued_count(root: Path, steps: int = 3, pause_s: float = 0.0, padding: int = 0) -> RunDir:
    return create_run(root, "count", CountRequest(steps, pause_s, padding), ["cellmap-tui", "count"])


def waiting_job(root: Path, *, checkpoints: bool = True) -> tuple[RunDir, int, Path]:
    """Launch a job that goes on until a file exists; return its run, process id and that file."""
    until = root.parent / f"go-{time.monotonic_ns()}"
    run = create_run(root, "wait", WaitRequest(until, checkpoints))
    return run, launch(run, WORKER), until


def all_events(run: RunDir) -> list[Event]:
    reader, events = RunReader(run), []
    while not reader.at_end:
        events += reader.poll()
    return events


def states(run: RunDir) -> list[str]:
    return [event.fields["state"] for event in all_events(run) if event.kind == "state"]


def state_of(run: RunDir) -> str:
    state = read_state(run.state_path)
    return state.state if state else ""


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def kill_job(run: RunDir, pid: int) -> None:
    """Kill a job and wait until the kernel has taken its lock: its last thread may die after its first."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_locked(run.lock_path) is False, f"job {pid} has let go of its lock")


ASK = """
import sys, pathlib
from cellmap_tui.jobs.lock import is_locked
sys.exit(0 if is_locked(pathlib.Path(sys.argv[1])) else 9)
"""


def is_locked_elsewhere(path: Path) -> bool:
    """Ask another process whether the lock is held."""
    code = subprocess.run([sys.executable, "-c", ASK, str(path)], check=False, timeout=DEADLINE_S).returncode
    assert code in {0, 9}
    return code == 0
