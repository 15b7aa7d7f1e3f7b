"""What validations found, epoch by epoch: ``history.jsonl`` beside the checkpoints, and which epoch was best.

One line for each validated epoch, appended whole; a torn last line is no line. An epoch that was run again
stands there twice and the later line counts.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

NAME = "history.jsonl"
"""Its name in the folder of checkpoints."""


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One validated epoch."""

    epoch: int
    """Number of the epoch, from 1."""
    step: int
    """Batches learned from so far."""
    time_s: float
    """When, in seconds since 1970."""
    values: dict[str, float] = field(default_factory=dict)
    """What was measured, by its name in events; NaN where nothing could be."""
    score: float | None = None
    """What makes the epoch the best: the mean over the last validations of the chosen value."""
    low_is_best: bool = False
    """Whether a lower score is better."""


def append_row(path: Path, row: HistoryRow) -> None:
    """Append a row, as a whole line."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        # A line that a kill cut off must not swallow this one.
        os.write(file, (b"" if _ends_whole(path) else b"\n") + _line(row))
    finally:
        os.close(file)


def forget_after(path: Path, epoch: int) -> None:
    """Drop the rows of later epochs: those are learned anew."""
    rows = read_history(path)
    if all(row.epoch <= epoch for row in rows):
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(b"".join(_line(row) for row in rows if row.epoch <= epoch))
    temporary.replace(path)


def _line(row: HistoryRow) -> bytes:
    told = {
        "epoch": row.epoch,
        "step": row.step,
        "time_s": round(row.time_s, 3),
        "score": _plain(row.score),
        "low_is_best": row.low_is_best,
        "values": {name: _plain(value) for name, value in row.values.items()},
    }
    return (json.dumps(told, allow_nan=False, separators=(",", ":")) + "\n").encode()


def read_history(path: Path) -> tuple[HistoryRow, ...]:
    """Return the rows by epoch; of an epoch's rows the last. No file: no rows."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return ()
    rows = (_row(line) for line in lines)
    by_epoch = {row.epoch: row for row in rows if row is not None}
    return tuple(by_epoch[epoch] for epoch in sorted(by_epoch))


def smoothed_score(rows: Iterable[HistoryRow], values: Mapping[str, float], metric: str, window: int) -> float | None:
    """Return the mean of a value over the last `window` validations, this one included; None: never measured."""
    series = [*(row.values.get(metric, math.nan) for row in rows), values.get(metric, math.nan)]
    known = [value for value in series[-window:] if math.isfinite(value)]
    return sum(known) / len(known) if known and math.isfinite(series[-1]) else None


def best_first(rows: Iterable[HistoryRow]) -> tuple[HistoryRow, ...]:
    """Return the rows that have a score, the best first; of equals the earlier."""
    scored = [row for row in rows if row.score is not None]
    return tuple(sorted(scored, key=_badness))


def validations_since_best(rows: Iterable[HistoryRow]) -> int:
    """Return how many validations there were after the best one."""
    ordered = list(rows)
    best = next(iter(best_first(ordered)), None)
    return len(ordered) if best is None else sum(row.epoch > best.epoch for row in ordered)


def _badness(row: HistoryRow) -> tuple[float, int]:
    score = row.score or 0.0
    return (score if row.low_is_best else -score, row.epoch)


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _row(line: bytes) -> HistoryRow | None:
    try:
        told: Any = json.loads(line)
        values = {str(name): _number(value) for name, value in told["values"].items()}
        score = told.get("score")
        return HistoryRow(
            epoch=int(told["epoch"]),
            step=int(told["step"]),
            time_s=float(told.get("time_s", 0.0)),
            values=values,
            score=None if score is None else float(score),
            low_is_best=bool(told.get("low_is_best", False)),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
