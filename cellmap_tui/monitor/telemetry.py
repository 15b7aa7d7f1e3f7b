"""What a run's machine did: the newest reading whole, and each figure over time in bounded memory."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from cellmap_tui.monitor.run_log import Gathering
from cellmap_tui.monitor.series import RunSeries
from cellmap_tui.monitor.spans import Lines, Spans
from cellmap_tui.services.telemetry_model import NAME, GpuReading, Machine, Reading, parse_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cellmap_tui.monitor.points import Points

MOST_POINTS = 8192
"""Readings kept of a figure: more than two hours whole, then neighbours become one."""


class Telemetry:
    """The telemetry of a run; empty where there is none.

    Parameters
    ----------
    folder
        The run directory; None: there is no telemetry.
    """

    def __init__(self, folder: Path | None) -> None:
        self._spans = None if folder is None else Spans(folder / NAME, Lines())
        self._restarts = 0
        self._series = RunSeries(MOST_POINTS)
        self.latest: Reading | None = None
        """The newest reading."""
        self.machine: Machine | None = None
        """What the latest attempt runs on."""

    def names(self) -> tuple[str, ...]:
        """Return the figures there are: fields of `Reading`, and ``gpu0/`` and fields of `GpuReading`."""
        return self._series.names()

    def points(self, name: str) -> Points:
        """Return a figure over time; the step is the Unix second."""
        return self._series.points(name)

    @property
    def at_end(self) -> bool:
        """Whether everything that is there was read."""
        return self._spans is None or self._spans.at_end

    @property
    def version(self) -> int:
        """Grows with each change."""
        return self._series.version

    def poll(self) -> bool:
        """Read a stretch; return whether there was anything."""
        span = self._spans.read() if self._spans is not None else None
        if self._spans is None:
            return False
        if self._spans.restarts != self._restarts:
            self._restarts = self._spans.restarts
            self._series.clear()
            self.latest = self.machine = None
        if span is None:
            return False
        rows = [row for row in map(parse_line, span.data.split(b"\n")) if row is not None]
        self._keep_newest(rows, is_older=span.place == "older")
        gathering = Gathering()
        for row in rows:
            if isinstance(row, Reading) and abs(row.time_s) < 2**53:
                gathering.add(int(row.time_s), None, row.time_s, dict(_figures(row)))
        if span.place == "older":
            self._series.add_older(gathering.batches())
        else:
            self._series.add_newer(gathering.batches())
        return True

    def _keep_newest(self, rows: list[Machine | Reading], *, is_older: bool) -> None:
        reading = next((row for row in reversed(rows) if isinstance(row, Reading)), None)
        machine = next((row for row in reversed(rows) if isinstance(row, Machine)), None)
        if reading is not None and (self.latest is None or not is_older):
            self.latest = reading
        if machine is not None and (self.machine is None or not is_older):
            self.machine = machine


def _figures(reading: Reading) -> Iterator[tuple[str, float]]:
    for item in fields(Reading):
        value = getattr(reading, item.name)
        if item.name != "time_s" and _is_number(value):
            yield item.name, value
    for gpu in reading.gpus:
        for item in fields(GpuReading):
            value = getattr(gpu, item.name)
            if item.name != "index" and _is_number(value):
                yield f"gpu{gpu.index}/{item.name}", value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
