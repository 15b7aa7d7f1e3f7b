"""Trainings as files: an own run, a TensorBoard log, a CSV log, with a long history; and how they grow."""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

from bench.monitor import framed
from cellmap_tui.jobs.lock import RunLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

METRICS = ("loss", "val_loss", "lr", "grad_norm", "acc", "dice/er", "dice/mito", "dice/nuc", "perf/data", "perf/step")
CLASSES = tuple(f"class{index:02d}" for index in range(48))
STEPS_PER_EPOCH = 1000
BEAT_S = 5.0
OWN_ROWS_PER_S = 2
"""What a training writes at most."""


def value(index: int, step: int) -> float:
    """Return a noisy figure that falls."""
    return 0.1 * (index + 1) + math.exp(-step / 40_000) + (step * 7919 + index * 31) % 101 / 1000


def csv_row(step: int, time_s: float) -> bytes:
    return f"{step},{time_s},{','.join(f'{value(i, step):.6g}' for i in range(len(METRICS)))}\n".encode()


def event_record(step: int, time_s: float) -> bytes:
    from tensorboard.compat.proto import event_pb2, summary_pb2

    parts = [summary_pb2.Summary.Value(tag=tag, simple_value=value(i, step)) for i, tag in enumerate(METRICS)]
    event = event_pb2.Event(wall_time=time_s, step=step, summary=summary_pb2.Summary(value=parts))
    return framed(event.SerializeToString())


def own_row(step: int, time_s: float) -> bytes:
    """Return what a training writes of half a second: windows of the loss, and what a step takes."""
    mean = value(0, step)
    values: dict[str, object] = {
        "loss": {"mean": mean, "min": mean - 0.05, "max": mean + 0.05, "count": 10},
        "lr": 1e-3 * math.exp(-step / 100_000),
        "grad_norm": {"mean": 10 * mean, "min": mean, "max": 20 * mean, "count": 10},
        "perf/samples_per_s": 800 + step % 13,
        "perf/step_ms": 50.0 + step % 7,
        "perf/data_ms": 9.0 + step % 3,
        "perf/compute_ms": 41.0,
        "perf/data_wait": 0.01 * (step % 9),
    }
    return _line(time_s, event="metric", step=step, epoch=step // STEPS_PER_EPOCH + 1, values=values)


def validation_row(step: int, time_s: float) -> bytes:
    dice = {f"val/dice/{name}": round(0.9 - 0.01 * place - math.exp(-step / 30_000) / 3, 4)
            for place, name in enumerate(CLASSES)}  # fmt: skip
    values = {"val/dice": sum(dice.values()) / len(dice), "val/loss": value(1, step), "val/seconds": 20.0, **dice}
    return _line(time_s, event="metric", step=step, epoch=step // STEPS_PER_EPOCH, values=values)


def telemetry_row(time_s: float, *, is_idle: bool = False) -> bytes:
    from cellmap_tui.services.telemetry_model import GpuReading, Reading, to_line

    use, power_w = (0.0, 90.0) if is_idle else (0.9 + time_s % 1 / 10, 600.0 + time_s % 7)
    gpu = GpuReading(0, use, 61 * 10**9, power_w, 71.0, 1980.0, 2619.0, ())
    reading = Reading(time_s, cpu=0.25, process_cpu=6.4, memory_used_bytes=41 * 10**9, process_bytes=31 * 10**9,
                      container_used_bytes=43 * 10**9, disk_free_bytes=1_200 * 10**9, gpus=(gpu,))  # fmt: skip
    return to_line(reading).encode() + b"\n"


def write_csv(path: Path, rows: int, rows_per_s: float) -> Path:
    """Write a CSV log of so many rows that ends now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begin_s = time.time() - rows / rows_per_s
    with path.open("wb") as stream:
        stream.write(f"step,timestamp,{','.join(METRICS)}\n".encode())
        stream.writelines(csv_row(step, begin_s + step / rows_per_s) for step in range(rows))
    return path


def write_events(folder: Path, rows: int, rows_per_s: float) -> Path:
    """Write a TensorBoard log of so many rows that ends now."""
    folder.mkdir(parents=True)
    begin_s = time.time() - rows / rows_per_s
    with (folder / "events.out.tfevents.1700000000.host.1.0").open("wb") as stream:
        stream.writelines(event_record(step, begin_s + step / rows_per_s) for step in range(rows))
    return folder


def write_run(path: Path, rows: int, *, state: str = "running", silent_s: float = 0.0) -> Path:
    """Write a run directory of so many rows that ends `silent_s` ago; ten steps a row."""
    path.mkdir(parents=True)
    end_s = time.time() - silent_s
    begin_s = end_s - rows / OWN_ROWS_PER_S
    epochs = 2 * rows * 10 // STEPS_PER_EPOCH
    request = {"v": 1, "command": "train", "request": {"config": "config.toml"}, "cwd": ".", "created": begin_s}
    (path / "request.json").write_text(json.dumps(request))
    (path / "config.toml").write_text(f"epochs = {epochs}\niterations_per_epoch = {STEPS_PER_EPOCH}\n")
    with (path / "events.jsonl").open("wb") as stream:
        stream.write(_line(begin_s, event="state", state="running", by=None))
        for row in range(1, rows + 1):
            time_s = begin_s + row / OWN_ROWS_PER_S
            stream.write(own_row(10 * row, time_s))
            if 10 * row % STEPS_PER_EPOCH == 0:
                stream.write(validation_row(10 * row, time_s))
                stream.write(_progress(10 * row // STEPS_PER_EPOCH, epochs, time_s))
        if state in {"done", "paused"}:
            stream.write(_line(end_s, event="state", state=state, by=None))
    with (path / "telemetry.jsonl").open("wb") as stream:
        rows_s = (end_s - 600 + second for second in range(600))
        stream.writelines(telemetry_row(time_s, is_idle=state != "running") for time_s in rows_s)
    write_state(path, state, begin_s, end_s)
    for name in ("events.jsonl", "telemetry.jsonl", "state.json"):
        os.utime(path / name, (end_s, end_s))
    return path


def write_state(path: Path, state: str, begin_s: float, now_s: float) -> None:
    """Write where a run stands, as of now."""
    document = {"v": 1, "state": state, "pid": os.getpid(), "host": socket.gethostname(), "created": begin_s,
                "start": begin_s, "heartbeat": now_s, "end": now_s if state == "done" else None}  # fmt: skip
    temporary = path / ".state.json.new"
    temporary.write_text(json.dumps(document))
    temporary.replace(path / "state.json")


class Growing:
    """Lets logs grow from a thread, as their writers would; leaving the block stops it.

    Parameters
    ----------
    run
        An own run, which is locked and beats; None: none.
    logs
        Logs of other tools.
    rows_per_s
        Rows a second of each of these.
    state
        What the run is said to do; it only trains while it is running.
    """

    def __init__(
        self, run: Path | None, logs: tuple[Path, ...], rows_per_s: float, *, state: str = "running"
    ) -> None:
        self._run, self._logs, self._rows_per_s, self._state = run, logs, rows_per_s, state
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._grow, daemon=True)
        self._steps = {path: _last_step(path) + 1 for path in (*logs, *([run] if run else []))}
        self._lock = None if run is None else RunLock(run / "lock")

    def __enter__(self) -> Self:
        if self._lock is not None:
            self._lock.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._ends.set()
        self._thread.join()
        if self._lock is not None:
            self._lock.__exit__(*details)

    def _grow(self) -> None:
        begun_s, beat_s, rows, own, read = time.time(), 0.0, 0, 0, 0
        while not self._ends.wait(0.1):
            now_s = time.time()
            due = int((now_s - begun_s) * self._rows_per_s) - rows
            rows += due
            for log in self._logs:
                self._append(log, due, now_s)
            if self._run is None:
                continue
            if now_s - beat_s >= BEAT_S:
                beat_s = now_s
                write_state(self._run, self._state, begun_s, now_s)
            if self._state == "running" and (now_s - begun_s) * OWN_ROWS_PER_S > own + 1:
                own += 1
                self._train(self._run, now_s)
            if now_s - begun_s > read + 1:
                read += 1
                append(self._run / "telemetry.jsonl", telemetry_row(now_s, is_idle=self._state != "running"))

    def _append(self, log: Path, count: int, now_s: float) -> None:
        first = self._steps[log]
        self._steps[log] = first + count
        write: Callable[[int, float], bytes] = csv_row if log.is_file() else event_record
        file = log if log.is_file() else next(log.glob("events*"))
        append(file, b"".join(write(step, now_s) for step in range(first, first + count)))

    def _train(self, run: Path, now_s: float) -> None:
        step = self._steps[run] = self._steps[run] // 10 * 10 + 10
        append(run / "events.jsonl", own_row(step, now_s))
        if step % STEPS_PER_EPOCH == 0:
            append(run / "events.jsonl", validation_row(step, now_s))


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(data)


def _last_step(path: Path) -> int:
    """Return the last step of a log, by its last row; that of an event file is taken from its reader."""
    if path.is_file():
        return int(path.read_bytes().splitlines()[-1].split(b",")[0])
    if (path / "events.jsonl").exists():
        rows = [json.loads(line) for line in (path / "events.jsonl").read_bytes().splitlines()[-20:]]
        return max(row.get("step", 0) for row in rows)
    from cellmap_tui.monitor.source import open_source

    source = open_source(path)
    source.poll()
    return source.series.last_step or 0


def _progress(done: int, total: int, time_s: float) -> bytes:
    return _line(time_s, event="progress", done=done, total=total, unit="epochs")


def _line(time_s: float, **fields: object) -> bytes:
    return json.dumps({"v": 1, "time": time_s, **fields}).encode() + b"\n"
