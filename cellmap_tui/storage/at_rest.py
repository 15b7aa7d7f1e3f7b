"""The end of a process that has spoken to a bucket.

The S3 client works in threads of its own, and a thread that has just given its last answer still holds
Python objects for a moment. CPython up to 3.13 ends such a thread by force when it tears itself down,
and Rust turns that into SIGABRT: the work is done, yet the exit code is 134
(pyo3-async-runtimes, issue 40). So the interpreter waits until those threads rest.
"""

from __future__ import annotations

import atexit
import functools
import time
from pathlib import Path

CLIENT_THREADS = "tokio"
"""What the names of the client's threads begin with."""
LOOK_S = 0.002
ENOUGH_LOOKS = 3
"""Looks in a row at which all must rest: a thread that waited for the interpreter runs within the first."""
MOST_S = 2.0
"""An end is not held up longer."""


@functools.cache
def rest_before_the_end() -> None:
    """Make this process wait for the S3 client's threads before it ends; once is enough."""
    atexit.register(_wait)


def _wait() -> None:
    end_s = time.monotonic() + MOST_S
    looks = 0
    while looks < ENOUGH_LOOKS and time.monotonic() < end_s:
        time.sleep(LOOK_S)  # lets the threads have the interpreter
        looks = 0 if _is_any_busy() else looks + 1


def _is_any_busy() -> bool:
    """Return whether a thread of the client runs or wants to; never where the system does not tell (macOS)."""
    return any(_is_busy(stat) for stat in Path("/proc/self/task").glob("*/stat"))


def _is_busy(stat: Path) -> bool:
    try:
        head, _, tail = stat.read_text().rpartition(")")  # `12 (name) S …`
    except OSError:
        return False  # it has ended
    return head.partition("(")[2].startswith(CLIENT_THREADS) and not tail.startswith(" S")
