"""A curve that is drawn again and again while it grows: what was computed of it stays, and its new end is added."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.monitor.curves import MOST_SMOOTHING, Axis, Curve, average, curve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.monitor.points import Points

_FIRST_ROOM = 1024


class GrowingCurve:
    """One metric over steps, smoothed; a hundred new points of a million cost what a hundred cost.

    Parameters
    ----------
    smoothing
        As of `curve`.
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        self._keep = min(max(float(smoothing), 0.0), MOST_SMOOTHING)
        self._generation: int | None = None
        self._x, self._y = np.empty(_FIRST_ROOM), np.empty(_FIRST_ROOM)
        self._start()

    def curve(self, points: Points, generation: int) -> Curve:
        """Return the line of all points.

        Parameters
        ----------
        generation
            Of these points, as `RunSeries.generation` tells: the same one means that points were only added.
        """
        if generation != self._generation or len(points) < self._count:
            self._generation = generation
            self._start()
        if len(points) > self._count:
            self._add(points.taken(slice(self._count, None)))
        whole = slice(0, len(points))
        y = self._y[whole] if self._keep else points.mean
        return Curve(self._x[whole], y, points.mean, points.low, points.high)

    def _start(self) -> None:
        # What was handed out stays as it was: it may be drawn at this moment.
        self._x, self._y = np.empty(_FIRST_ROOM), np.empty(_FIRST_ROOM)
        self._count = self._told = 0
        self._average = 0.0

    def _add(self, new: Points) -> None:
        first, end = self._count, self._count + len(new)
        if end > len(self._x):
            self._x, self._y = (_with_room(kept[:first], end) for kept in (self._x, self._y))
        self._x[first:end] = new.step
        if self._keep:
            self._y[first:end] = self._smoothed(new.mean)
        self._count = end

    def _smoothed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the moving average, as `curves.smoothed` gives it for all values at once."""
        is_told = np.isfinite(values)
        told = values[is_told]
        found = np.full(len(values), np.nan)
        if not len(told):
            return found
        ahead = np.arange(1, len(told) + 1)
        log = np.log(self._keep)
        plain = average(told, self._keep) + self._average * np.exp(ahead * log)
        found[is_told] = plain / -np.expm1((self._told + ahead) * log)
        self._average, self._told = float(plain[-1]), self._told + len(told)
        return found


def _with_room(kept: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    room = np.empty(count + count // 2)
    room[: len(kept)] = kept
    return room


class CurveKeeper:
    """Makes curves, and makes none twice: those over steps grow, others are made anew when there are other points."""

    def __init__(self) -> None:
        self._growing: dict[object, tuple[float, GrowingCurve]] = {}
        self._made: dict[object, tuple[object, Curve]] = {}

    def curve(
        self,
        key: object,
        points: Points,
        generation: int,
        axis: Axis,
        smoothing: float,
        *,
        since_s: float | None,
        steps_per_epoch: float | None,
    ) -> Curve:
        """Return a line; `key` says of what, the rest is as of `curves.curve` and `GrowingCurve.curve`."""
        if axis == "step":
            kept = self._growing.get(key)
            if kept is None or kept[0] != smoothing:
                kept = self._growing[key] = (smoothing, GrowingCurve(smoothing))
            return kept[1].curve(points, generation)
        state = (generation, len(points), axis, smoothing, since_s if axis == "elapsed" else None, steps_per_epoch)
        made = self._made.get(key)
        if made is None or made[0] != state:
            line = curve(points, axis, smoothing, since_s=since_s, steps_per_epoch=steps_per_epoch)
            made = self._made[key] = (state, line)
        return made[1]
