"""Logs as they are found: own event logs, event files, CSV; whole and damaged."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from cellmap_tui.monitor.source import open_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cellmap_tui.monitor.source import Source

START_S = 1_700_000_000.0


def metric_line(
    step: int, values: Mapping[str, Any], *, time_s: float | None = None, epoch: int | None = None
) -> bytes:
    time_s = START_S + step if time_s is None else time_s
    line = {"v": 1, "time": time_s, "event": "metric", "step": step, "epoch": epoch, "values": values}
    return json.dumps(line).encode() + b"\n"


def event_line(kind: str, time_s: float = START_S, **fields: Any) -> bytes:
    return json.dumps({"v": 1, "time": time_s, "event": kind, **fields}).encode() + b"\n"


def run_dir(root: Path, data: bytes, name: str = "20261122T134549Z-train-75170f") -> Path:
    path = root / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "events.jsonl").write_bytes(data)
    return path


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def scalars(step: int, values: Mapping[str, float], time_s: float | None = None) -> bytes:
    parts = [summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    wall_time = START_S + step if time_s is None else time_s
    event = event_pb2.Event(wall_time=wall_time, step=step, summary=summary_pb2.Summary(value=parts))
    return record(event.SerializeToString())


def session_start(step: int) -> bytes:
    log = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    return record(event_pb2.Event(wall_time=START_S, step=step, session_log=log).SerializeToString())


def first_record() -> bytes:
    return record(event_pb2.Event(wall_time=START_S, file_version="brain.Event:2").SerializeToString())


def read_all(source: Source) -> Source:
    """Poll until everything that is there was read."""
    source.poll()
    while not source.at_end:
        source.poll()
    return source


def opened(path: Path) -> Source:
    return read_all(open_source(path))


def told(source: Source, name: str) -> list[tuple[int, float]]:
    points = source.series.points(name)
    return list(zip(points.step.tolist(), points.mean.tolist(), strict=True))
