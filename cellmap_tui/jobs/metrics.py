"""Measured values gathered into windows, so that a fast loop does not make a huge event log."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FLUSH_INTERVAL_S = 0.5
"""Ten hours are at most 72,000 lines."""

MetricFields = dict[str, object]


@dataclass(slots=True)
class Window:
    """The samples of one name since the last flush; NaN and infinity stay out of the bounds."""

    count: int = 0
    last: float = 0.0
    total: float = 0.0
    lowest: float | None = None
    highest: float | None = None

    def add(self, value: float) -> None:
        """Take a sample."""
        self.count += 1
        self.last = value
        self.total += value
        if isfinite(value):
            self.lowest = value if self.lowest is None else min(self.lowest, value)
            self.highest = value if self.highest is None else max(self.highest, value)

    def to_json(self) -> object:
        """Return the sample itself when it is alone, else mean, min, max and count.

        What is not finite becomes None; a mean is None when any sample of the window was not
        finite, so that a curve breaks where the training did.
        """
        if self.count == 1:
            return self.last if isfinite(self.last) else None
        mean = self.total / self.count if isfinite(self.total) else None
        return {"mean": mean, "min": self.lowest, "max": self.highest, "count": self.count}


@dataclass(slots=True)
class _Group:
    """Names that are reported together, and the step of their latest samples."""

    step: int = 0
    epoch: int | None = None
    windows: dict[str, Window] = field(default_factory=dict)


class MetricWindows:
    """Gathers metrics and hands them out at most twice a second.

    Names reported together stay together, under the step of their last sample; groups that end on
    the same step and epoch share a line.
    """

    def __init__(self, interval_s: float = FLUSH_INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._groups: dict[tuple[str, ...], _Group] = {}
        self._last_flush_s = float("-inf")

    def add(self, step: int, values: Mapping[str, float], epoch: int | None) -> None:
        """Take the values of a step."""
        group = self._groups.setdefault(tuple(sorted(values)), _Group())
        group.step, group.epoch = step, epoch
        for name, value in values.items():
            group.windows.setdefault(name, Window()).add(float(value))

    def due(self, now_s: float) -> Iterable[MetricFields]:
        """Return the lines to write now; none before the interval has passed."""
        if not self._groups or now_s - self._last_flush_s < self._interval_s:
            return ()
        self._last_flush_s = now_s
        return self.flush()

    def flush(self) -> list[MetricFields]:
        """Return the lines of everything gathered, and start new windows."""
        lines: dict[tuple[int, int | None], dict[str, object]] = {}
        for group in self._groups.values():
            values = lines.setdefault((group.step, group.epoch), {})
            values.update({name: window.to_json() for name, window in group.windows.items()})
        self._groups.clear()
        return [{"step": step, "epoch": epoch, "values": values} for (step, epoch), values in lines.items()]
