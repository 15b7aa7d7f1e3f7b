"""Tasks for the worker pool's tests."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from cellmap_tui.errors import DataError


def do(payload, tell):
    """Do what the payload says, in a worker process."""
    what, *rest = payload
    tell(1)
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "die once":
        if not Path(rest[0]).exists():
            Path(rest[0]).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "lived"
    if what == "wrong":
        raise DataError("the volume is broken", "write it again")
    if what == "bug":
        raise ZeroDivisionError("oops")
    if what == "memory":
        raise MemoryError
    if what == "together":
        return _most(Path(rest[0]), rest[1])
    if what == "meet":
        return _meet(Path(rest[0]), rest[1])
    return what


def _meet(folder, name):
    """Work until another task has begun, and say how many have; a task that works alone never sees one."""
    (folder / name).touch()
    deadline_s = time.monotonic() + 60
    while (begun := len(list(folder.iterdir()))) < 2 and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return begun


def _most(folder, name):
    """Say how many tasks are at work at the same time."""
    (folder / name).touch()
    deadline_s = time.monotonic() + 0.3
    most = 0
    while time.monotonic() < deadline_s:
        most = max(most, len(list(folder.iterdir())))
    (folder / name).unlink()
    return most
