"""From points to what a chart draws: an axis, a smoothed line, the raw values and their bounds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.monitor.points import Points

Axis = Literal["step", "epoch", "time", "elapsed"]
"""``time``: Unix seconds; ``elapsed``: seconds since the run began."""
AXES: tuple[Axis, ...] = ("step", "epoch", "time", "elapsed")
MOST_SMOOTHING = 0.99
_BLOCK = 32


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One line of a chart; arrays of one length."""

    x: NDArray[np.float64]
    """Place on the axis, never falling; steps, epochs or seconds."""
    y: NDArray[np.float64]
    """The smoothed value; NaN breaks the line."""
    raw: NDArray[np.float64]
    """The value as told."""
    low: NDArray[np.float64]
    """The least of what each point was gathered from."""
    high: NDArray[np.float64]
    """The most of it."""

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True)
class CurveValue:
    """What a curve says at a place."""

    x: float
    """Place of the point on the axis."""
    y: float
    """Smoothed value; NaN: there is none."""
    raw: float
    """Value as told."""
    low: float
    """Least of what it was gathered from."""
    high: float
    """Most of it."""
    index: int
    """Which point of the curve it is."""


def curve(
    points: Points,
    axis: Axis = "step",
    smoothing: float = 0.0,
    *,
    since_s: float | None = None,
    steps_per_epoch: float | None = None,
) -> Curve:
    """Return a line of points.

    Parameters
    ----------
    smoothing
        Weight of what came before, 0 (none) to 0.99: ``y = (1 - s) v + s y``, corrected for its beginning at 0.
    since_s
        When the run began, Unix seconds, for the axis ``elapsed``; None: the first point.
    steps_per_epoch
        Puts points of an epoch between it and the one before; None: they stand at their epoch.
    """
    x = _axis(points, axis, since_s, steps_per_epoch)
    return Curve(x, smoothed(points.mean, smoothing), points.mean, points.low, points.high)


def told_steps_per_epoch(points: Points) -> float | None:
    """Return how many steps an epoch has, from points that tell whole epochs; None: they do not say.

    From the first point of the first epoch to that of the last one: where an epoch begins is known as closely as
    steps are told.
    """
    is_known = np.isfinite(points.epoch)
    epoch, step = points.epoch[is_known], points.step[is_known]
    if not len(epoch) or np.any(epoch != np.floor(epoch)):
        return None  # nothing is told, or where within an epoch is told too
    first = np.flatnonzero(np.diff(epoch, prepend=epoch[0] - 1) > 0)
    epochs, steps = epoch[first[-1]] - epoch[0], step[first[-1]] - step[0]
    if epochs <= 0 or steps <= epochs:
        return None
    return float(steps / epochs)


def value_at(line: Curve, x: float) -> CurveValue | None:
    """Return the last point at or before a place; None: the curve begins later, or is empty."""
    index = int(np.searchsorted(line.x, x, side="right")) - 1
    if index < 0:
        return None
    x, y, raw, low, high = (float(values[index]) for values in (line.x, line.y, line.raw, line.low, line.high))
    return CurveValue(x, y, raw, low, high, index)


def smoothed(values: NDArray[np.float64], smoothing: float) -> NDArray[np.float64]:
    """Return the exponential moving average with bias correction; NaN stays NaN and has no weight."""
    smoothing = min(max(float(smoothing), 0.0), MOST_SMOOTHING)
    if smoothing == 0.0 or not len(values):
        return values
    is_told = np.isfinite(values)
    told = values[is_told]
    found = np.full(len(values), np.nan)
    counts = np.arange(1, len(told) + 1)
    found[is_told] = average(told, smoothing) / -np.expm1(counts * np.log(smoothing))
    return found


def average(values: NDArray[np.float64], keep: float) -> NDArray[np.float64]:
    """Return ``y = (1 - keep) v + keep y`` from ``y = 0``, in blocks: a loop over points took ten times as long."""
    count = len(values)
    if keep < 0.5:
        taken: accumulate[float] = accumulate(values.tolist(), lambda y, v: keep * y + (1 - keep) * v, initial=0.0)
        return np.fromiter(taken, np.float64, count + 1)[1:]
    rows = -(-count // _BLOCK)
    padded = np.zeros(rows * _BLOCK)
    padded[:count] = values
    powers = keep ** np.arange(_BLOCK)
    within = np.cumsum(padded.reshape(rows, _BLOCK) / powers, axis=1) * powers * (1 - keep)
    ends = accumulate(within[:, -1].tolist(), lambda y, v: keep**_BLOCK * y + v)
    before = np.concatenate([[0.0], np.fromiter(ends, np.float64, rows)[:-1]])
    whole: NDArray[np.float64] = within + before[:, None] * powers * keep
    return whole.reshape(-1)[:count]


def _axis(points: Points, axis: Axis, since_s: float | None, steps_per_epoch: float | None) -> NDArray[np.float64]:
    if axis == "step" or not len(points):
        return points.step.astype(np.float64)
    if axis == "epoch":
        return _epochs(points, steps_per_epoch)
    passed = np.concatenate([[0.0], np.cumsum(np.fmax(np.diff(_filled(points.time_s)), 0.0))])
    first_s = _first(points.time_s)
    if axis == "elapsed":
        return passed + (0.0 if since_s is None else max(0.0, first_s - since_s))
    return passed + first_s


def _epochs(points: Points, steps_per_epoch: float | None) -> NDArray[np.float64]:
    if np.all(np.isnan(points.epoch)):
        # No epochs: the axis says steps, which is better than nothing at all.
        return points.step / steps_per_epoch if steps_per_epoch else points.step.astype(np.float64)
    told = _filled(points.epoch)
    if steps_per_epoch:
        between = points.step / steps_per_epoch
        told = np.where(np.abs(between - told) <= 1.0, between, told)
    return np.maximum.accumulate(told)


def _filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values with what is not known taken from the one before, at the beginning from the first known."""
    is_known = np.isfinite(values)
    if np.all(is_known):
        return values
    if not np.any(is_known):
        return np.zeros(len(values))
    index = np.maximum.accumulate(np.where(is_known, np.arange(len(values)), -1))
    return np.where(index >= 0, values[np.maximum(index, 0)], values[is_known][0])


def _first(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known[0]) if len(known) else 0.0
