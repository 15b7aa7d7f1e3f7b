"""All metrics of one run, in bounded memory, filled from its newest end backwards and then as it grows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.monitor.column import MOST_POINTS, Column
from cellmap_tui.monitor.points import Points, no_points

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_BYTES = 32 * 1024 * 1024
"""Memory of all points of a run; beyond, the longest metrics keep half as many. The app itself takes 90 MB."""
MOST_NAMES = 2000
"""Metrics kept; a log that has more makes names out of numbers, and those that come first are kept."""


@dataclass(slots=True)
class Batch:
    """Rows of one stretch of a log, in its order, between two restarts."""

    rows: Mapping[str, Points] = field(default_factory=dict)
    """Rows of each metric, in the order of the file; steps may repeat or go back."""
    first_step: int | None = None
    """Step of the first row of all; None: there is none."""
    is_restart: bool = False
    """Whether the job was started again before these rows: what was told of this and later steps is void."""
    restart_step: int | None = None
    """The first step that is void, where the log says so; None: that of the first row that follows."""


class RunSeries:
    """The metrics of a run. One thread fills it; others may read meanwhile.

    Parameters
    ----------
    most_points
        Points kept of a metric.
    most_bytes
        Memory for all of them.
    """

    def __init__(self, most_points: int = MOST_POINTS, most_bytes: int = MOST_BYTES) -> None:
        self._most_points, self._most_bytes = most_points, most_bytes
        self._columns: dict[str, Column] = {}
        self._names: tuple[str, ...] = ()
        self._awaits_restart = False
        self._first_step: int | None = None
        self._older_void_from: int | None = None
        self.version = 0
        """Grows with each change."""
        self.dropped_names = 0
        """Rows of metrics beyond the most that are kept."""

    def keep_within(self, most_bytes: int) -> None:
        """Take no more memory than this from now on: others are looked at too. To be called while nobody adds."""
        self._most_bytes = most_bytes
        self._keep_small()

    def names(self) -> tuple[str, ...]:
        """Return the metrics, by name; as they stand in the log, so pass them through `text.printable`."""
        return self._names

    def points(self, name: str) -> Points:
        """Return the points of a metric, as views; none for a name that is not there."""
        column = self._columns.get(name)
        return no_points() if column is None else column.points()

    def generation(self, name: str) -> int:
        """Return another number whenever the points of a metric no longer begin with those of before."""
        column = self._columns.get(name)
        return 0 if column is None else column.generation

    def latest(self, name: str) -> float | None:
        """Return the newest value of a metric; None: there is none, or it is no number."""
        points = self.points(name)
        value = float(points.mean[-1]) if len(points) else np.nan
        return None if np.isnan(value) else value

    @property
    def last_step(self) -> int | None:
        """The newest step of all metrics; None: nothing was told yet."""
        ends = [int(points.step[-1]) for points in map(self.points, self._names) if len(points)]
        return max(ends, default=None)

    @property
    def bytes(self) -> int:
        """Memory that the points take."""
        return sum(column.nbytes for column in list(self._columns.values()))

    def add_newer(self, batches: Sequence[Batch]) -> None:
        """Take what follows on everything that is there, in the order of the log."""
        for batch in batches:
            if batch.is_restart:
                self._awaits_restart = True
            step = batch.restart_step if batch.restart_step is not None else batch.first_step
            if self._awaits_restart and step is not None:
                self._awaits_restart = False
                self._void_from(step)
                self._void_older(step)
            if self._first_step is None:
                self._first_step = batch.first_step
            self._add(batch.rows, is_newer=True)

    def add_older(self, batches: Sequence[Batch]) -> None:
        """Take what precedes everything that is there, in the order of the log."""
        for batch in reversed(batches):
            self._add(self._not_void(batch.rows), is_newer=False)
            if batch.first_step is not None:
                self._first_step = batch.first_step
            if batch.is_restart:
                step = batch.restart_step if batch.restart_step is not None else self._first_step
                self._void_older(step)
                self._awaits_restart = self._awaits_restart or step is None

    def clear(self) -> None:
        """Forget everything: the log was replaced."""
        self._columns, self._names = {}, ()
        self._awaits_restart, self._first_step, self._older_void_from = False, None, None
        self.version += 1

    def _add(self, rows: Mapping[str, Points], *, is_newer: bool) -> None:
        for name, points in rows.items():
            if not len(points):
                continue
            column = self._columns.get(name)
            if column is None:
                if len(self._columns) >= MOST_NAMES:
                    self.dropped_names += len(points)
                    continue
                column = self._columns[name] = Column(self._most_points)
                self._names = tuple(sorted(self._columns))
            if is_newer:
                column.add_newer(points)
            else:
                column.add_older(points)
            self.version += 1
        self._keep_small()

    def _keep_small(self) -> None:
        while self.bytes > self._most_bytes:
            longest = max(self._columns.values(), key=len)
            if len(longest) < 1024:
                return
            longest.halve()
            self.version += 1

    def _void_from(self, step: int) -> None:
        for column in self._columns.values():
            column.void_from(step)
        # A metric without a point left is none, as where the log is read from its end.
        self._columns = {name: column for name, column in self._columns.items() if len(column)}
        self._names = tuple(sorted(self._columns))
        self.version += 1

    def _void_older(self, step: int | None) -> None:
        if step is not None:
            before = self._older_void_from
            self._older_void_from = step if before is None else min(before, step)

    def _not_void(self, rows: Mapping[str, Points]) -> Mapping[str, Points]:
        step = self._older_void_from
        if step is None:
            return rows
        return {name: points.taken(points.step < step) for name, points in rows.items()}
