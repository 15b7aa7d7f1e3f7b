"""The live screen on a pseudo terminal: bytes, processor time, memory, answers to keys, and its weight on a job.

    python -m bench.live                          # everything, about eight minutes
    python -m bench.live --only bytes rest
    python -m bench.live --seconds 10 --rows 20000

Runs are made: an own run of ten hours (72,000 rows, 58 metrics), a TensorBoard and a CSV log of 100,000 rows of ten
metrics each, a million values; while they are watched they grow as their writers would let them. There is no peer
that shows the same: figures stand beside their limits.

| part | what | limit |
|---|---|---|
| bytes | the own run and two logs over it grow, 2 frames/s as over SSH, 160x50 and 80x24 | 10 kB/s |
| rest | a finished, a lost and a paused run, and a log that does not grow | 0 bytes |
| follow | processor time and memory at 100 rows/s of each log, 4 frames/s, and keys meanwhile | 15 %, 150 MB, 50 ms |
| open | 100,000 rows x 10 metrics, until the newest numbers are painted | 1 s |
| viewers | time of a training's step with none and with five viewers, left alone, of the same nice value | 1 % |

A key is pressed before `bytes` and `follow` measure, as a screen that is left alone on a full machine draws seldom
after 30 s: keep `--seconds` below that. What five viewers take after a key is told by `viewers` too, beside no limit.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.living.made import Growing, write_csv, write_events, write_run
from bench.living.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
WIDE, SMALL = (160, 50), (80, 24)
ROWS = 100_000
OWN_ROWS = 72_000
ROWS_PER_S = 100
SENT_PER_S, CORE_SHARE, RESIDENT_BYTES, OPEN_S, KEY_S, SLOWER = 10_000, 0.15, 150e6, 1.0, 0.050, 0.01
RUN_ID = "20261122T134549Z-train-75170f"
ALONE_S = 32.0
"""Viewers that nobody has touched for so long are left alone, with some to spare."""
READ_S = 40.0
"""Histories are read and drawn by then, whatever else the machine does."""
KEYS = ((b"+", b"smooth"), (b"m", b"over epochs"), (b"m", b"over time of day"), (b"m", rb"over time(?! of)"),
        (b"m", b""), (b"y", b"log y"), (b"y", b""), (b"-", b""), (b"i", b""), (b"f", b""), (b"h", b""),
        (b"h", b""))  # fmt: skip
"""Keys of the charts and what they paint, as a pattern; empty: the next that is sent, which may be a frame. The
answer is that of the chart in hand; the others follow in turns, so a pattern must not fit the key before."""


class Logs(NamedTuple):
    """What there is to look at."""

    run: Path
    events: Path
    csv: Path

    @property
    def foreign(self) -> tuple[Path, ...]:
        """The logs of other tools."""
        return self.events, self.csv


class Given:
    """What the command line says of every app."""

    nice = 0


class Misses:
    """Figures beside their limits, and those above."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def judge(self, name: str, figure: float, limit: float, words: str) -> None:
        """Print a figure beside its limit."""
        is_above = figure > limit
        if is_above:
            self.names.append(name)
        load = os.getloadavg()[0]
        ratio = f"{figure / limit:5.2f} of the limit" if limit else ("" if not is_above else "not 0")
        print(f"  {name:<44}{words:<46} {ratio}{'  ABOVE' if is_above else ''}  (load {load:.1f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each thing is watched")
    parser.add_argument("--rows", type=int, default=ROWS, help="history of each log")
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--nice", type=int, default=0, help="of all this; -10 (as root) where other work goes on")
    given = parser.parse_args()
    Given.nice = given.nice
    os.nice(given.nice)
    misses = Misses()
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    for name in given.only:
        print(name)
        with tempfile.TemporaryDirectory(prefix="live-") as folder:
            PARTS[name](Path(folder), given, misses)
    if misses.names:
        raise SystemExit(f"above the limit: {', '.join(misses.names)}")


# Parts


def sent(folder: Path, given: argparse.Namespace, misses: Misses) -> None:
    logs = made(folder, given.rows)
    for title, path, over in (("run with two logs over it", logs.run, logs.foreign), ("run alone", logs.run, ())):
        for size in (WIDE, SMALL):
            with Growing(logs.run, logs.foreign, ROWS_PER_S), watching(folder, path, size, over, ssh=True) as app:
                settle(app)
                wake(app)
                before = app.usage()
                time.sleep(given.seconds)
                after = app.usage()
            rate = (after.sent_bytes - before.sent_bytes) / (after.time_s - before.time_s)
            misses.judge(f"{title}, {size[0]}x{size[1]}", rate, SENT_PER_S, f"{rate / 1e3:.2f} kB/s at 2 frames/s")


def rest(folder: Path, given: argparse.Namespace, misses: Misses) -> None:
    for state in ("done", "lost", "paused", "csv"):
        root = folder / state
        run = None if state == "csv" else root / "runs" / RUN_ID
        path = run or write_csv(root / "metrics.csv", 2000, ROWS_PER_S)
        if run is not None:
            write_run(
                run, 2000, state="running" if state == "lost" else state, silent_s=900 if state == "lost" else 0
            )
        for size in (WIDE, SMALL):
            with Growing(run if state == "paused" else None, (), 0, state=state), watching(root, path, size) as app:
                app.wait_for(lambda data: b"step" in data, READ_S)
                app.wait_quiet(2.0, 15.0)
                time.sleep(4.0)
                app.forget()
                before = app.usage()
                time.sleep(given.seconds)
                after = app.usage()
                if os.environ.get("LIVE_TELL"):
                    print(app.kept()[-600:])
            count = after.sent_bytes - before.sent_bytes
            core = (after.cpu_s - before.cpu_s) / (after.time_s - before.time_s)
            words = f"{count} bytes in {given.seconds:g} s, {100 * core:.1f} % of a core"
            misses.judge(f"{state}, {size[0]}x{size[1]}", count, 0, words)


def follow(folder: Path, given: argparse.Namespace, misses: Misses) -> None:
    logs = made(folder, given.rows)
    cases: tuple[tuple[str, Path, tuple[Path, ...]], ...] = (
        ("own run", logs.run, ()),
        ("TensorBoard log", logs.events, ()),
        ("CSV log", logs.csv, ()),
        ("own run, both logs over it", logs.run, logs.foreign),
    )
    for title, path, over in cases:
        with Growing(logs.run, logs.foreign, ROWS_PER_S), watching(folder, path, WIDE, over) as app:
            settle(app)
            wake(app)
            before = app.usage()
            time.sleep(given.seconds)
            after = app.usage()
            took_s = answers(app, given.keys)
            resident, peak = app.resident_bytes(), app.peak_bytes()
        core = (after.cpu_s - before.cpu_s) / (after.time_s - before.time_s)
        misses.judge(f"{title}: processor", core, CORE_SHARE, f"{100 * core:.1f} % of a core")
        memory = f"{resident / 1e6:.0f} MB now, {peak / 1e6:.0f} MB at most"
        misses.judge(f"{title}: memory", peak, RESIDENT_BYTES, memory)
        middle, p99 = statistics.median(took_s), statistics.quantiles(took_s, n=100)[98]
        words = f"median {middle * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms of {len(took_s)} keys"
        misses.judge(f"{title}: key to paint", p99, KEY_S, words)


def opening(folder: Path, given: argparse.Namespace, misses: Misses) -> None:
    logs = made(folder, given.rows, own_rows=given.rows)
    for title, path in (("own run", logs.run), ("TensorBoard log", logs.events), ("CSV log", logs.csv)):
        first_s, with_start_s = [], []
        for _ in range(5):
            with watching(folder, path, WIDE) as app:
                shown_s = app.wait_for(lambda data: b"cellmap-tui" in data, READ_S)
                newest_s = app.wait_for(shows_newest, READ_S)
                first_s.append(newest_s - shown_s)
                with_start_s.append(newest_s - app.started_s)
        first, whole = statistics.median(first_s), statistics.median(with_start_s)
        words = f"{first:.2f} s after the first paint, {whole:.2f} s with the start"
        misses.judge(f"{title}, {given.rows:,} rows", first, OPEN_S, words)


def viewers(folder: Path, given: argparse.Namespace, misses: Misses) -> None:
    from bench.living.step import steps_beside

    run = write_run(folder / "runs" / RUN_ID, OWN_ROWS)
    for threads in (1, os.cpu_count() or 1):
        with Growing(run, (), 0):
            apps: list[Terminal] = []

            def watch(apps: list[Terminal] = apps) -> None:
                apps += [terminal(folder, run, WIDE, nice=0) for _ in range(5)]
                for app in apps:
                    settle(app)
                say_use(apps, 10.0)
                time.sleep(ALONE_S)

            without_s, beside_s, core = steps_beside(threads, given.seconds, watch, apps)
        slower = beside_s / without_s - 1
        words = (
            f"{without_s * 1e3:.2f} to {beside_s * 1e3:.2f} ms a step; 5 viewers take {100 * core:.1f} % of a core"
        )
        misses.judge(f"five viewers, {threads} of {os.cpu_count()} cores", slower, SLOWER, words)


def say_use(apps: list[Terminal], seconds: float) -> None:
    """Tell what viewers take after a key."""
    for app in apps:
        wake(app)
    before_s, begun_s = sum(app.usage().cpu_s for app in apps), time.monotonic()
    time.sleep(seconds)
    core = (sum(app.usage().cpu_s for app in apps) - before_s) / (time.monotonic() - begun_s)
    print(f"  {len(apps)} viewers in use take {100 * core:.1f} % of a core", flush=True)


PARTS: dict[str, Callable[[Path, argparse.Namespace, Misses], None]] = {
    "bytes": sent,
    "rest": rest,
    "follow": follow,
    "open": opening,
    "viewers": viewers,
}


# What they need


def made(folder: Path, rows: int, own_rows: int = OWN_ROWS) -> Logs:
    """Write an own run and two logs."""
    return Logs(
        write_run(folder / "runs" / RUN_ID, min(own_rows, rows)),
        write_events(folder / "logs" / "tb", rows, ROWS_PER_S),
        write_csv(folder / "logs" / "metrics.csv", rows, ROWS_PER_S),
    )


def watching(
    folder: Path, path: Path, size: tuple[int, int], over: tuple[Path, ...] = (), *, ssh: bool = False
) -> Terminal:
    """Return the app on a run, with others drawn over it."""
    state = folder / "state"
    state.mkdir(parents=True, exist_ok=True)
    view = {"v": 1, "view": {}, "overlays": {str(path): [str(one) for one in over]}}
    (state / "live-view.json").write_text(json.dumps(view))
    return terminal(folder, path, size, ssh=ssh)


def terminal(
    folder: Path, path: Path, size: tuple[int, int], *, ssh: bool = False, nice: int | None = None
) -> Terminal:
    """Return the app on a run.

    Its nice value is that of `--nice`, unless another one is told.
    """
    nice = Given.nice if nice is None else nice
    environ = {
        **os.environ,
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        "CELLMAP_TUI_STATE_DIR": str(folder / "state"),
        "CELLMAP_TUI_CONFIG_DIR": str(folder / "config"),
        "CELLMAP_TUI_RUNS_ROOT": str(folder / "runs"),
        "CELLMAP_TUI_DATA_ROOT": str(folder / "data"),
    }
    environ["COLUMNS"], environ["LINES"] = map(str, size)
    environ.pop("SSH_CONNECTION", None)
    if ssh:
        environ["SSH_CONNECTION"] = "192.0.2.1 50000 192.0.2.2 22"
    app = Terminal([sys.executable, "-m", "cellmap_tui", "runs", "attach", str(path)], size, environ)
    if nice != Given.nice:
        os.setpriority(os.PRIO_PROCESS, app.pid, nice)
    return app


def settle(app: Terminal) -> None:
    """Wait until a history was read and drawn: the line that says where a run stands no longer speaks of reading."""
    app.wait_for(lambda data: b"step" in data, READ_S)
    deadline_s = time.monotonic() + READ_S
    while time.monotonic() < deadline_s:
        time.sleep(2.0)
        data = app.kept()
        status = data[data.rfind(b"\x1b[2;1H") :][:400]
        if b"reading" not in status:
            break
    time.sleep(4.0)
    app.forget()


def wake(app: Terminal) -> None:
    """Press a key that changes nothing in what is read: the screen is not left alone."""
    app.type(b"h")
    time.sleep(0.5)


def shows_newest(data: bytes) -> bool:
    """Whether dots of a curve and a step were painted; the newest rows are read first, so it is a late step."""
    return re.search(rb"\xe2[\xa0-\xa3]", data) is not None and re.search(rb"step \d", data) is not None


def answers(app: Terminal, count: int) -> list[float]:
    """Press keys and return the seconds until each was painted."""
    took_s = [(key, answer(app, key, shown)) for key, shown in _keys(count)]
    if os.environ.get("LIVE_TELL"):
        for key in dict.fromkeys(key for key, _ in took_s):
            print(key, *(f"{each * 1e3:.0f}" for pressed, each in took_s if pressed == key))
    return [each for _, each in took_s]


def answer(app: Terminal, key: bytes, shown: bytes) -> float:
    time.sleep(0.11)  # out of step with frames
    if not shown:
        app.wait_quiet(0.05, 1.0)
    app.forget()
    begun_s = time.monotonic()
    app.type(key)
    return app.wait_for(lambda data: bool(re.search(shown, data) if shown else data), 5.0) - begun_s


def _keys(count: int) -> Iterator[tuple[bytes, bytes]]:
    for index in range(count):
        yield KEYS[index % len(KEYS)]


if __name__ == "__main__":
    main()
