"""CPU and bytes of a chart's frame, against textual-plot and textual-plotext.

    python bench/charts.py [--frames 30] [--points 10000] [--peers DIR]

Five series of `--points` points, 100 new ones a frame, x fixed to the planned end, at 120x40 cells. Each side is an
app of its own on a pseudo terminal, whose bytes are counted as they arrive; the processor time of a frame is that of
the whole process, from being given the points until nothing more is written. The peers are installed into a folder
that is thrown away, or are taken from `--peers`, made by
`pip install --no-deps --target DIR textual-plot textual-plotext textual-hires-canvas "plotext<6"`.
Sides take turns frame by frame, so that other work on the machine meets them alike. The peers get all points, and
once more only the lowest and the highest of each column.

Limits: ours at most 6 ms CPU and 4 kB a frame (median), and no byte in two seconds of rest.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SIDE = ROOT / "bench" / "charting" / "side.py"
PEERS = ("textual-plot", "textual-plotext")
PACKAGES = (*PEERS, "textual-hires-canvas", "plotext<6")
"""They use the Textual and the numpy of this environment."""
SIZE = (120, 40)
CPU_S, BYTES = 0.006, 4000
QUIET_S = 0.3
"""A frame has been painted when nothing was written for this long."""


class Cost(NamedTuple):
    """What a frame took."""

    cpu_s: float
    """Processor time of the app."""
    sent_bytes: int
    """Bytes that arrived at the terminal."""


class Side:
    """An app on a pseudo terminal."""

    def __init__(self, name: str, data: str, points: int, added: int, peers: Path | None) -> None:
        self.name = f"{name}, {data} points"
        self.costs: list[Cost] = []
        self.rest_bytes = 0
        self._screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        asked, self._ask = os.pipe()
        self._told, tell = os.pipe()
        environment = dict(os.environ, TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8")
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([str(peers)] if peers else [])])
        command = [sys.executable, str(SIDE), name, data, *map(str, (points, added, asked, tell))]
        self._process = subprocess.Popen(
            command,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment,
            pass_fds=(asked, tell),
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        for descriptor in (terminal, asked, tell):
            os.close(descriptor)
        self.first_bytes = self._read(first_s=20, quiet_s=1.0)

    def frame(self) -> None:
        """Add points and measure until nothing more is written."""
        before = self._cpu("cpu")
        self._cpu("frame")
        sent = self._read(first_s=2, quiet_s=QUIET_S)
        self.costs.append(Cost(self._cpu("cpu") - before, sent))

    def rest(self, seconds: float) -> None:
        """Count bytes while nothing is asked."""
        self._read(first_s=1.0, quiet_s=1.0)
        self.rest_bytes = self._read(first_s=seconds, quiet_s=seconds)

    def close(self) -> None:
        """End the app."""
        if self._process.poll() is None:
            os.write(self._ask, b"quit\n")
            self._read(first_s=2, quiet_s=0.3)
            self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _cpu(self, word: str) -> float:
        os.write(self._ask, f"{word}\n".encode())
        answer = b""
        while not answer.endswith(b"\n"):
            select.select([self._told, self._screen], [], [], 10)
            if select.select([self._told], [], [], 0.01)[0]:
                answer += os.read(self._told, 100)
            if self._process.poll() is not None:
                raise SystemExit(f"{self.name} ended: {self._drain()}")
        return float(answer)

    def _drain(self) -> str:
        return os.read(self._screen, 65536).decode(errors="replace")[-2000:]

    def _read(self, *, first_s: float, quiet_s: float) -> int:
        """Return the bytes that arrive until nothing does for a while."""
        total, wait = 0, first_s
        while select.select([self._screen], [], [], wait)[0]:
            try:
                total += len(os.read(self._screen, 65536))
            except OSError:
                break
            wait = quiet_s
        return total


def _take_terminal() -> None:
    """Make the terminal the side's own: it gets a hang-up when who measures ends, in whatever way."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def install(folder: Path) -> Path:
    """Install the peers beside nothing else; they use the Textual of this environment."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        str(folder),
        *PEERS,
        "plotext<6",
    ]
    subprocess.run(command, check=True)
    return folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--added", type=int, default=100)
    parser.add_argument("--peers", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        peers = options.peers or install(Path(scratch))
        kinds = [("ours", "all"), *((peer, data) for peer in PEERS for data in ("reduced", "all"))]
        sides: list[Side] = []
        try:
            sides += [Side(name, data, options.points, options.added, peers) for name, data in kinds]
            for _ in range(options.frames):
                for side in sides:
                    side.frame()
            for side in sides:
                side.rest(2.0)
        finally:
            for side in sides:
                side.close()
    report(sides, options)
    ours = sides[0]
    cpu, sent = _medians(ours)
    if cpu > CPU_S or sent > BYTES or ours.rest_bytes:
        raise SystemExit(f"above the limit of {CPU_S * 1000:.0f} ms, {BYTES} bytes, and none at rest")


def report(sides: list[Side], options: argparse.Namespace) -> None:
    """Print a line a side."""
    print(
        f"five series of {options.points:,} points, {options.added} new ones a frame, {SIZE[0]}x{SIZE[1]}, "
        f"median of {options.frames} frames, {time.strftime('%Y-%m-%d')}"
    )
    ours_cpu, ours_sent = _medians(sides[0])
    for side in sides:
        cpu, sent = _medians(side)
        worst = max(cost.sent_bytes for cost in side.costs)
        ratios = f"{cpu / ours_cpu:6.1f}x CPU {sent / max(1, ours_sent):6.1f}x bytes"
        figures = f"{cpu * 1000:8.2f} ms {sent:8.0f} B (most {worst})"
        print(f"  {side.name:32s} {figures:34s} {ratios}  {side.rest_bytes} B at rest")


def _medians(side: Side) -> tuple[float, float]:
    cpu_s, sent_bytes = zip(*side.costs, strict=True)
    return statistics.median(cpu_s), statistics.median(sent_bytes)


if __name__ == "__main__":
    main()
