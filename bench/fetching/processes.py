"""Run a side in a process of its own and say what it cost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Ran:
    """What a process did."""

    code: int
    """Exit code."""
    wall_s: float
    """From start to exit."""
    cpu_s: float
    """User and system time."""
    rss_bytes: int
    """Most memory resident at a time."""
    answer: dict[str, Any]
    """The JSON of its last line; empty for none."""
    output: str
    """What it wrote."""

    @property
    def seconds(self) -> float:
        """Its own clock where it has one, else the time from start to exit."""
        return float(self.answer.get("seconds", self.wall_s))

    def checked(self, what: str) -> Ran:
        """Return it, or end the bench with its output if it failed."""
        if self.code:
            raise SystemExit(f"{what} failed ({self.code}):\n{self.output[-3000:]}")
        return self


def run(command: Sequence[str | Path], **environ: str) -> Ran:
    """Run a process to its end."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = start(command, output, **environ)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    answer: dict[str, Any] = {}
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            answer = json.loads(line)
            break
    cpu_s = usage.ru_utime + usage.ru_stime
    return Ran(process.returncode, wall_s, cpu_s, usage.ru_maxrss * _RSS_UNIT, answer, text)


def start(command: Sequence[str | Path], output: Any = subprocess.DEVNULL, **environ: str) -> subprocess.Popen[bytes]:
    """Start a process and return at once."""
    return subprocess.Popen(
        [str(word) for word in command], stdout=output, stderr=output, env={**os.environ, **environ}
    )


@contextmanager
def new_folder(root: Path) -> Iterator[Path]:
    """Give an empty folder and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
