"""Start-up: first paint of the app against a bare Textual app, and the printing commands against bare Python.

    python bench/startup.py [--repeats 15]

Every repeat runs all sides once, in turn, so that a noisy machine is noisy for all; medians and ratios are
printed. A side's first paint is the moment its own first word arrives at a pseudo-terminal of 80x24.
Limits: app at most 2 times the bare app; ``--help`` and ``crops`` at most 3 times Python with its CLI library.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BARE_APP = """
from textual.app import App, ComposeResult
from textual.widgets import Static
class Bare(App):
    def compose(self) -> ComposeResult:
        yield Static("bare-app")
Bare().run()
"""
BARE_CLI = "import argparse; argparse.ArgumentParser().parse_args([])"
TIMEOUT_S = 60.0


def main() -> None:
    """Measure all sides and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        environ = environment(Path(folder))
        command = [sys.executable, "-m", "cellmap_tui"]
        bare_app = [sys.executable, "-c", BARE_APP]
        sides: dict[str, Callable[[], float]] = {
            "bare Textual app, first paint": lambda: first_paint(bare_app, b"bare-app", environ),
            "cellmap-tui, first paint": lambda: first_paint(command, b"cellmap-tui", environ),
            "python -c pass": lambda: whole([sys.executable, "-c", "pass"], environ),
            "python with argparse": lambda: whole([sys.executable, "-c", BARE_CLI], environ),
            "cellmap-tui --help": lambda: whole([*command, "--help"], environ),
            "cellmap-tui crops": lambda: whole([*command, "crops"], environ),
            "cellmap-tui crops --json": lambda: whole([*command, "crops", "--json", "mito voxel<=4"], environ),
        }
        for side in sides.values():
            side()  # warms the disk cache and writes the .pyc files
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(repeats):
            for name, side in sides.items():
                times[name].append(side())
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        low, high = min(values), max(values)
        print(f"{name:32} median {medians[name] * 1e3:7.1f} ms   min {low * 1e3:7.1f}   max {high * 1e3:7.1f}")
    ours, theirs = medians["cellmap-tui, first paint"], medians["bare Textual app, first paint"]
    print_ratio("first paint / bare app", ours, theirs, 2)
    for name in ("cellmap-tui --help", "cellmap-tui crops", "cellmap-tui crops --json"):
        print_ratio(f"{name} / python with argparse", medians[name], medians["python with argparse"], 3)


def print_ratio(name: str, ours: float, theirs: float, limit: float) -> None:
    """Print one ratio beside its limit."""
    print(f"ratio {name}: {ours / theirs:.2f} (limit {limit})")


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which nothing is configured and nothing is local."""
    return {
        **os.environ,
        "TERM": "xterm-256color",
        "CELLMAP_TUI_STATE_DIR": str(folder / "state"),
        "CELLMAP_TUI_CONFIG_DIR": str(folder / "config"),
    }


def whole(command: list[str], environ: dict[str, str]) -> float:
    """Return the seconds from start to exit of a process."""
    started = time.perf_counter()
    subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def first_paint(command: list[str], word: bytes, environ: dict[str, str]) -> float:
    """Return the seconds until `word` arrives at the terminal that the command runs in."""
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, environ)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = b""
    try:
        while word not in seen:
            if time.perf_counter() - started > TIMEOUT_S:
                raise SystemExit(f"{command} did not paint {word!r} within {TIMEOUT_S} s: {seen[-500:]!r}")
            if select.select([terminal], [], [], 1.0)[0]:
                seen += os.read(terminal, 65536)
        return time.perf_counter() - started
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


if __name__ == "__main__":
    main()
