"""The growing points of one metric: cheap to add to at both ends, bounded, and readable from another thread.

What was handed out stays as it was: memory is only ever written where nobody looks yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count as counting
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.monitor.merging import in_order, merged
from cellmap_tui.monitor.points import FIELDS, Points, joined, no_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_POINTS = 1 << 16
"""Points kept of a metric; beyond, neighbours become one, with the least and the most of both."""
_FIRST_ROOM = 64
_generations = counting(1)


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """Memory, and which part of it is filled; replaced as one, so that a reader sees before or after."""

    step: NDArray[np.int64]
    data: NDArray[np.float64]
    """Epoch, time, mean, and low and high unless they all equal the mean: ``[3 or 5, room]``."""
    start: int
    stop: int

    def points(self) -> Points:
        part = slice(self.start, self.stop)
        rows = [row[part] for row in self.data]
        bounds = rows[3:] or [rows[2], rows[2]]
        return Points(self.step[part], *rows[:3], *bounds)


class Column:
    """The points of one metric.

    Parameters
    ----------
    most_points
        How many are kept.
    """

    def __init__(self, most_points: int = MOST_POINTS) -> None:
        self._most = max(4, most_points)
        self._held = _fresh(no_points(), before=False)
        self.generation = next(_generations)
        """Another number, never used before, when what was there is no longer how the points begin."""

    def __len__(self) -> int:
        return self._held.stop - self._held.start

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self._held.step.nbytes + self._held.data.nbytes

    def points(self) -> Points:
        """Return all points, as views."""
        return self._held.points()

    def add_newer(self, rows: Points) -> None:
        """Take rows that were told after all that is there, in the order of their file."""
        self._add(in_order(rows), is_newer=True)

    def add_older(self, rows: Points) -> None:
        """Take rows that were told before all that is there, in the order of their file."""
        self._add(in_order(rows), is_newer=False)

    def void_from(self, step: int) -> None:
        """Forget points of this step and later ones."""
        points = self.points()
        keep = int(np.searchsorted(points.step, step))
        if keep < len(points):
            self._begin_anew(_fresh(points.taken(slice(0, keep)), before=False))

    def halve(self) -> None:
        """Make one point of each two neighbours."""
        self._begin_anew(_fresh(halved(self.points()), before=False))

    def _begin_anew(self, held: _Held) -> None:
        self._held = held
        self.generation = next(_generations)

    def _add(self, rows: Points, *, is_newer: bool) -> None:
        if not len(rows):
            return
        here = self.points()
        first, second = (here, rows) if is_newer else (rows, here)
        if len(here) and first.step[-1] >= second.step[0]:
            self._begin_anew(_fresh(merged(first, second), before=not is_newer))
        elif is_newer:
            self._held = _with_room(self._held, rows, is_newer)
        else:
            self._begin_anew(_with_room(self._held, rows, is_newer))
        while len(self) > self._most:
            self.halve()


def halved(points: Points) -> Points:
    """Return half as many points: means, least and most of neighbours. A break stays a break."""
    even = len(points) // 2 * 2
    one, two = points.taken(slice(0, even, 2)), points.taken(slice(1, even, 2))
    pairs = Points(
        two.step,
        two.epoch,
        two.time_s,
        (one.mean + two.mean) / 2,
        np.fmin(one.low, two.low),
        np.fmax(one.high, two.high),
    )
    return joined([pairs, points.taken(slice(even, None))])


def _with_room(held: _Held, rows: Points, is_newer: bool) -> _Held:
    """Return the memory with rows at one end, in place where there is room."""
    count, here = len(rows), held.points()
    if len(held.data) == 3 and not _is_plain(rows):
        held = _fresh(here, before=not is_newer, with_bounds=True)
    has_room = held.stop + count <= len(held.step) if is_newer else held.start >= count
    if not has_room:
        first, second = (here, rows) if is_newer else (rows, here)
        return _fresh(joined([first, second]), before=not is_newer, with_bounds=len(held.data) == 5)
    start = held.stop if is_newer else held.start - count
    part = slice(start, start + count)
    held.step[part] = rows.step
    for row, name in zip(held.data, FIELDS[1:], strict=False):
        row[part] = getattr(rows, name)
    if is_newer:
        return _Held(held.step, held.data, held.start, held.stop + count)
    return _Held(held.step, held.data, start, held.stop)


def _fresh(points: Points, *, before: bool, with_bounds: bool = False) -> _Held:
    """Return new memory, with room for half as many at the end, and before if that is where rows come."""
    count = len(points)
    spare = max(_FIRST_ROOM, count // 2)
    start = spare if before else 0
    rows = 5 if with_bounds or not _is_plain(points) else 3
    step, data = np.empty(start + count + spare, np.int64), np.empty((rows, start + count + spare))
    step[start : start + count] = points.step
    for row, name in zip(data, FIELDS[1:], strict=False):
        row[start : start + count] = getattr(points, name)
    return _Held(step, data, start, start + count)


def _is_plain(points: Points) -> bool:
    """Return whether bounds equal values, as in logs of single values; they then take no memory."""
    return all(
        bound is points.mean or np.array_equal(bound, points.mean, equal_nan=True)
        for bound in (points.low, points.high)
    )
