"""Tells of a job that is killed from outside: ``python -m cellmap_tui.jobs.guard RUN_DIR``, a process beside it.

It has a session of its own. Its input ends with the job, however that ends; if the job has
not said before that all is told, and its run is not at an end, the guard posts one notice and is gone. The kernel
takes the largest process when memory ends, so the guard outlives the job; where a whole machine or container goes,
nobody is told.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cellmap_tui.jobs.process import host_name
from cellmap_tui.jobs.rundir import RunDir, resume_command

if TYPE_CHECKING:
    from cellmap_tui.jobs.notify import Notice

ALL_TOLD = b"."
"""What the job says to its guard when it has told everything itself."""
LAST_WAIT_S = 5.0
"""How long the end of a job waits for its guard, which has nothing left to do."""
_LOOKS, _BETWEEN_S = 25, 0.2
"""The kernel lets go of a dead process's pipe a moment before its lock."""


class Guard:
    """Keeps a guard beside this process; a context. Without one the work goes on all the same.

    Parameters
    ----------
    run
        The run that this process works on.
    command
        What it does.
    url
        Where to post; it goes through a pipe, for command lines can be read by everybody.
    """

    def __init__(self, run: RunDir, command: str, url: str) -> None:
        self._path = run.path.absolute()
        self._told = {"command": command, "url": url, "pid": os.getpid()}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the guard."""
        arguments = [sys.executable, "-P", "-m", "cellmap_tui.jobs.guard", str(self._path)]
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
            )
            self._say(json.dumps(self._told).encode() + b"\n")
        return self

    def __exit__(self, *_: object) -> None:
        """Send the guard home."""
        if self._process is None or self._process.stdin is None:
            return
        self._say(ALL_TOLD)
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(LAST_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _say(self, words: bytes) -> None:
        with contextlib.suppress(OSError):
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.write(words)
                self._process.stdin.flush()


def lost_notice(run: RunDir, command: str, pid: int) -> Notice | None:
    """Return the notice of a job whose process is gone; None: it has ended properly, or somebody goes on with it."""
    from cellmap_tui.jobs.death import memory_death
    from cellmap_tui.jobs.notify import Notice
    from cellmap_tui.jobs.summary import summarise

    summary = summarise(run)
    for _ in range(_LOOKS):
        if not summary.is_live:
            break
        time.sleep(_BETWEEN_S)
        summary = summarise(run)
    if summary.pid != pid or not (summary.is_live or summary.state == "lost"):
        return None
    now_s = time.time()
    took_s = None if summary.started_s is None else max(0.0, now_s - summary.started_s)
    death = memory_death(run)
    why = death.message if death else "nothing tells why: killed from outside, or a crash below Python"
    message = f"{why}; go on with `{resume_command(run)}`"
    return Notice("failure", run.run_id, command, "lost", host_name(), now_s, message, took_s)


def main(run_path: str) -> int:
    """Wait for the end of the process that started this one, and tell of it if nobody else did."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):
        # Queues signal every process of a job; this one leaves with the job anyway.
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    told = sys.stdin.buffer.readline()
    if not told.endswith(b"\n") or sys.stdin.buffer.read(1) == ALL_TOLD:
        return 0
    from cellmap_tui.jobs.notify import post, try_to_send

    fields = json.loads(told)
    notice = lost_notice(RunDir(Path(run_path)), str(fields["command"]), int(fields["pid"]))
    if notice is not None:
        try_to_send(lambda lost: post(str(fields["url"]), lost), notice)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
