"""The event log of an own run, decoded a stretch at a time: numbers into batches, words into lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from cellmap_tui.jobs.events import Event, decode_line
from cellmap_tui.jobs.files import integer_or_none, number_or_none
from cellmap_tui.monitor.log_lines import LogLine, event_lines, validation_line
from cellmap_tui.monitor.points import Points
from cellmap_tui.monitor.series import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MOST_STEP = 2**53
"""A larger step is no step."""
MOST_TIME_S = 1e12
"""A later time is no time: clocks of the year 30,000."""
_TOLD = frozenset({"note", "warning", "artefact", "state", "error", "result"})


class _Window(msgspec.Struct):
    mean: float | None = None
    min: float | None = None
    max: float | None = None


class _Metric(msgspec.Struct):
    """What a metric line needs; other lines have no step and are decoded again as events."""

    time: float
    event: str
    step: int | None = None
    epoch: int | float | None = None
    values: dict[str, float | _Window | None] | None = None


_decoder = msgspec.json.Decoder(_Metric)


@dataclass(slots=True)
class RunRows:
    """What a stretch of an event log holds."""

    batches: list[Batch] = field(default_factory=list)
    """Its numbers, cut where the job was started again."""
    lines: list[LogLine] = field(default_factory=list)
    """Its words."""
    progress: Event | None = None
    """The last progress told."""
    skipped: int = 0
    """Lines that were no events."""


@dataclass(slots=True)
class _Told:
    """What was told of one metric, while it is gathered; bounds only once there was a window."""

    row: list[int] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def points(self, step: NDArray[np.int64], epoch: NDArray[np.float64], time_s: NDArray[np.float64]) -> Points:
        """Return it as arrays; what is not finite is no number."""
        row, mean = np.array(self.row, np.intp), _finite(self.mean)
        low, high = (_finite(self.low), _finite(self.high)) if self.low else (mean, mean)
        return Points(step[row], epoch[row], time_s[row], mean, low, high)


def decode_rows(data: bytes) -> RunRows:
    """Return what whole lines of an event log hold. Lines that are no events are counted and passed over."""
    found = RunRows()
    gathering = Gathering()
    for line in data.split(b"\n"):
        if not line:
            continue
        try:
            row = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            _take_leniently(line, found, gathering)
            continue
        if row.event == "metric":
            if row.values is not None and row.step is not None and abs(row.step) < MOST_STEP:
                gathering.add(row.step, row.epoch, row.time, row.values)
                _tell_validation(row.time, row.step, row.epoch, row.values, found)
        elif (event := decode_line(line)) is not None:
            _take_event(event, found, gathering)
    found.batches = gathering.batches()
    return found


class Gathering:
    """Rows on their way into batches."""

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._begin(Batch())

    def add(
        self, step: int, epoch: float | None, time_s: float, values: Mapping[str, float | _Window | None]
    ) -> None:
        """Take the values of a step: numbers, windows, or None for what is no number."""
        row = len(self._steps)
        self._steps.append(step)
        self._epochs.append(np.nan if epoch is None else epoch)
        self._times_s.append(time_s)
        for name, value in values.items():
            told = self._told.get(name)
            if told is None:
                told = self._told[name] = _Told()
            told.row.append(row)
            if isinstance(value, _Window):
                _add_window(told, value)
                continue
            number = np.nan if value is None else value
            told.mean.append(number)
            if told.low:
                told.low.append(number)
                told.high.append(number)

    def restart(self, step: int | None = None) -> None:
        """Take note that the job was started again."""
        self._close()
        self._begin(Batch(is_restart=True, restart_step=step))

    def batches(self) -> list[Batch]:
        """Return everything gathered."""
        self._close()
        self._begin(Batch())
        return self._batches

    def _begin(self, batch: Batch) -> None:
        self._batch = batch
        self._told: dict[str, _Told] = {}
        self._steps: list[int] = []
        self._epochs: list[float] = []
        self._times_s: list[float] = []

    def _close(self) -> None:
        if not self._told and not self._batch.is_restart:
            return
        step = np.array(self._steps, np.int64)
        epoch, time_s = np.array(self._epochs, np.float64), np.array(self._times_s, np.float64)
        time_s[~(np.abs(time_s) < MOST_TIME_S)] = np.nan
        self._batch.rows = {name: told.points(step, epoch, time_s) for name, told in self._told.items()}
        self._batch.first_step = self._steps[0] if self._steps else None
        self._batches.append(self._batch)


def _add_window(told: _Told, window: _Window) -> None:
    if not told.low:
        told.low, told.high = told.mean[:], told.mean[:]
    told.mean.append(np.nan if window.mean is None else window.mean)
    told.low.append(np.nan if window.min is None else window.min)
    told.high.append(np.nan if window.max is None else window.max)


def _take_leniently(line: bytes, found: RunRows, gathering: Gathering) -> None:
    """Take a line that others wrote: NaN as a word, fields of other types."""
    event = decode_line(line)
    if event is None:
        found.skipped += bool(line.strip(b"\0 \t\r"))
    elif event.kind != "metric":
        _take_event(event, found, gathering)
    else:
        step, values = integer_or_none(event.fields.get("step")), event.fields.get("values")
        epoch = number_or_none(event.fields.get("epoch"))
        if step is None or abs(step) >= MOST_STEP or not isinstance(values, dict):
            found.skipped += 1
            return
        told = {str(name): _value(value) for name, value in values.items()}
        gathering.add(step, epoch, _time(event), told)
        _tell_validation(_time(event), step, epoch, told, found)


def _take_event(event: Event, found: RunRows, gathering: Gathering) -> None:
    if event.kind == "progress":
        found.progress = event
    elif event.kind in _TOLD:
        found.lines += event_lines(Event(event.kind, _time(event), event.fields))
        if event.kind == "state" and event.fields.get("state") == "queued":
            gathering.restart()


def _tell_validation(time_s: float, step: int, epoch: float | None, values: dict[str, Any], found: RunRows) -> None:
    if "val/dice" in values or "val/loss" in values:
        dice, loss = _mean(values.get("val/dice")), _mean(values.get("val/loss"))
        whole = None if epoch is None or epoch != epoch else int(epoch)
        found.lines.append(validation_line(time_s, step, whole, dice, loss))


def _mean(value: object) -> float | None:
    told = value.mean if isinstance(value, _Window) else value
    return told if isinstance(told, int | float) else None


def _value(value: object) -> float | _Window | None:
    if isinstance(value, dict):
        return _Window(*(number_or_none(value.get(name)) for name in ("mean", "min", "max")))
    return number_or_none(value)


def _time(event: Event) -> float:
    return float(event.time_s) if abs(event.time_s) < MOST_TIME_S else np.nan


def _finite(values: list[float]) -> NDArray[np.float64]:
    array = np.array(values, np.float64)
    array[~np.isfinite(array)] = np.nan
    return array
