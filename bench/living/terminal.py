"""A program on a pseudo terminal of its own: what it sends, what it costs, and how fast it answers a key.

The terminal is the program's controlling one, so it gets a hang-up, as from a closed window, when whoever measures
ends in any way. On Linux it is killed as well, should it not listen.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_DIE_WITH_PARENT = 1
"""``PR_SET_PDEATHSIG`` of Linux."""
KEPT_BYTES = 1 << 20
GONE_S = 5.0


class Usage(NamedTuple):
    """What a program has taken so far."""

    time_s: float
    """When this was looked at, on the monotonic clock."""
    cpu_s: float
    """Processor time of all its threads."""
    sent_bytes: int
    """Bytes it has sent to its terminal."""


class Terminal:
    """A program on a terminal; leaving the block ends it.

    Parameters
    ----------
    command
        What runs there.
    size
        Columns and lines.
    environ
        Its environment.
    pass_fds
        Descriptors that stay open in it.
    """

    def __init__(
        self,
        command: Sequence[str],
        size: tuple[int, int],
        environ: Mapping[str, str],
        *,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._screen, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.started_s = time.monotonic()
        self._process = subprocess.Popen(
            command,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=dict(environ),
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=bound_to_parent(),
        )
        os.close(inside)
        self.pid = self._process.pid
        self.sent_bytes = 0
        self._kept = bytearray()
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def usage(self) -> Usage:
        """Return what it has taken so far."""
        return Usage(time.monotonic(), cpu_s(self.pid), self.sent_bytes)

    def resident_bytes(self) -> int:
        """Return the memory it holds now."""
        return _status(self.pid, "VmRSS")

    def peak_bytes(self) -> int:
        """Return the most memory it ever held."""
        return _status(self.pid, "VmHWM")

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._screen, keys)

    def wait_for(self, is_there: Callable[[bytes], bool], timeout_s: float) -> float:
        """Return when what was sent since `forget` first fulfilled something, on the monotonic clock."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not is_there(bytes(self._kept)):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or not self._reader.is_alive():
                    raise SystemExit(f"not painted within {timeout_s:g} s: {bytes(self._kept)[-2000:]!r}")
                self._changed.wait(min(left_s, 1.0))
            return self._last_s

    def wait_quiet(self, quiet_s: float, timeout_s: float) -> None:
        """Wait until nothing was sent for a while, or for `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        seen, since_s = self.sent_bytes, time.monotonic()
        while time.monotonic() < deadline_s and time.monotonic() - since_s < quiet_s:
            time.sleep(quiet_s / 20)
            if self.sent_bytes != seen:
                seen, since_s = self.sent_bytes, time.monotonic()

    def forget(self) -> None:
        """Keep only what is sent from now on."""
        with self._changed:
            self._kept.clear()

    def kept(self) -> bytes:
        """Return what was sent since `forget`, or the end of it."""
        with self._changed:
            return bytes(self._kept)

    def close(self) -> None:
        """End the program."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(GONE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(GONE_S)
        os.close(self._screen)

    def _read(self) -> None:
        while True:
            try:
                if not select.select([self._screen], [], [], 0.5)[0]:
                    if self._process.poll() is not None:
                        return
                    continue
                data = os.read(self._screen, 65536)
            except OSError:
                return
            with self._changed:
                self._last_s = time.monotonic()
                self.sent_bytes += len(data)
                self._kept += data
                del self._kept[:-KEPT_BYTES]
                self._changed.notify_all()


def bound_to_parent() -> Callable[[], None]:
    """Return what a child does before its program begins: it takes its terminal, and ends with its parent."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    parent = os.getpid()

    def bind() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if prctl is not None:
            prctl(_DIE_WITH_PARENT, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    return bind


def cpu_s(pid: int) -> float:
    """Return the processor time of a process, all threads, in seconds; Linux alone tells it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0
