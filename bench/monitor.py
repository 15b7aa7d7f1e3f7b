"""What it costs to open and to follow runs and logs: time to the first numbers, CPU and memory meanwhile.

    python -m bench.monitor                  # everything, about a minute
    python -m bench.monitor --minutes 5      # a shorter hour

Times of following are simulated: rows of half a second are appended, then polled, without waiting in between;
the share of a core is the CPU time of a poll and its curves against the half second it stands for. Rows are written
by the same process; its memory holds them too.
"""

from __future__ import annotations

import argparse
import json
import resource
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cellmap_tui.monitor.source import Source

METRICS = 10
ROWS = 100_000
ROWS_PER_S = 100
POLL_S = 0.5
START_S = 1_700_000_000.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--minutes", type=float, default=60.0, help="simulated time of following")
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    given = parser.parse_args()
    print(f"{given.rows:,} rows of {METRICS} metrics; first: until the newest numbers are curves; then all the rest")
    with tempfile.TemporaryDirectory() as folder:
        for kind in given.kinds:
            path = KINDS[kind](Path(folder), range(given.rows))
            print(f"  {kind:<12}{size(path) / 1e6:7.1f} MB  {opening(path)}")
    print(
        f"following {ROWS_PER_S} rows/s of {METRICS} metrics for {given.minutes:g} min: "
        f"a poll and 5 curves every {POLL_S} s"
    )
    for kind in given.kinds:
        with tempfile.TemporaryDirectory() as folder:
            following(kind, Path(folder), given.minutes)


def opening(path: Path) -> str:
    from cellmap_tui.monitor.source import open_source

    start_s = time.perf_counter()
    source = open_source(path)
    source.poll()
    curves(source)
    first_s = time.perf_counter() - start_s
    first_points = len(source.series.points("m0"))
    longest_s, polls = 0.0, 1
    while not source.at_end:
        begun_s = time.perf_counter()
        source.poll()
        longest_s, polls = max(longest_s, time.perf_counter() - begun_s), polls + 1
    whole_s = time.perf_counter() - start_s
    points = source.series.points("m0")
    return (
        f"first {first_s * 1e3:5.0f} ms ({first_points:,} rows)  all {whole_s:5.2f} s in {polls} polls, "
        f"longest {longest_s * 1e3:4.0f} ms  {len(points):,} points kept  {source.series.bytes / 1e6:.0f} MB"
    )


def following(kind: str, folder: Path, minutes: float) -> None:
    from cellmap_tui.monitor.source import open_source

    path = KINDS[kind](folder, range(10))
    source = open_source(path)
    source.poll()
    polls, step = int(minutes * 60 / POLL_S), 10
    costs_s = np.empty(polls)
    for index in range(polls):
        rows = range(step, step + int(ROWS_PER_S * POLL_S))
        step = rows.stop
        append(kind, path, rows)
        begun_s = time.process_time()
        source.poll()
        curves(source)
        costs_s[index] = time.process_time() - begun_s
    tenth = max(1, polls // 10)
    mean, first, last = (float(part.mean()) / POLL_S * 100 for part in (costs_s, costs_s[:tenth], costs_s[-tenth:]))
    print(
        f"  {kind:<12}{mean:5.2f} % of a core (first tenth {first:.2f}, last {last:.2f}; "
        f"p99 {np.quantile(costs_s, 0.99) * 1e3:.1f} ms)  {len(source.series.points('m0')):,} of {step:,} points  "
        f"{source.series.bytes / 1e6:.0f} MB in points, {peak_mb():.0f} MB at most in the process"
    )


def curves(source: Source) -> None:
    from cellmap_tui.monitor.curves import curve

    for index in range(5):
        curve(source.series.points(f"m{index}"), "step", 0.9)


def values(step: int) -> Iterator[tuple[str, float]]:
    for index in range(METRICS):
        yield f"m{index}", 1.0 / (1 + step * 1e-4) + (step * 7919 + index) % 101 / 1000


def event_rows(rows: range) -> bytes:
    lines = (
        {
            "v": 1,
            "time": START_S + step / 100,
            "event": "metric",
            "step": step,
            "epoch": 1,
            "values": dict(values(step)),
        }
        for step in rows
    )
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def csv_rows(rows: range) -> bytes:
    return b"".join(
        f"{step},{START_S + step / 100},{','.join(f'{value:.6g}' for _, value in values(step))}\n".encode()
        for step in rows
    )


def event_file_rows(rows: range) -> bytes:
    from tensorboard.compat.proto import event_pb2, summary_pb2

    found = []
    for step in rows:
        parts = [summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in values(step)]
        event = event_pb2.Event(wall_time=START_S + step / 100, step=step, summary=summary_pb2.Summary(value=parts))
        found.append(framed(event.SerializeToString()))
    return b"".join(found)


def framed(data: bytes) -> bytes:
    """A record; checksums by the code under test, which its tests hold against the tensorboard package's."""
    from cellmap_tui.monitor.event_records import checksum

    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", checksum(length)) + data + struct.pack("<I", checksum(data))


def write_run(folder: Path, rows: range) -> Path:
    path = folder / "20261122T134549Z-train-75170f"
    path.mkdir()
    (path / "events.jsonl").write_bytes(event_rows(rows))
    (path / "state.json").write_text(f'{{"v":1,"state":"running","host":"elsewhere","heartbeat":{START_S}}}')
    return path


def write_event_file(folder: Path, rows: range) -> Path:
    path = folder / "tb"
    path.mkdir()
    (path / "events.out.tfevents.1700000000.host.1.0").write_bytes(event_file_rows(rows))
    return path


def write_csv(folder: Path, rows: range) -> Path:
    path = folder / "metrics.csv"
    header = f"step,timestamp,{','.join(f'm{index}' for index in range(METRICS))}\n"
    path.write_bytes(header.encode() + csv_rows(rows))
    return path


KINDS: dict[str, Callable[[Path, range], Path]] = {
    "run": write_run,
    "tensorboard": write_event_file,
    "csv": write_csv,
}
_ROWS = {"run": event_rows, "tensorboard": event_file_rows, "csv": csv_rows}


def append(kind: str, path: Path, rows: range) -> None:
    file = path if path.is_file() else next(path.glob("events*"))
    with file.open("ab") as stream:
        stream.write(_ROWS[kind](rows))


def size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.iterdir())


def peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
