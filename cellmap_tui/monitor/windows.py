"""Parts of a history for rules: thinned, recent, cut into blocks. Pure functions on `Points`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cellmap_tui.monitor import thresholds as at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.monitor.points import Points
    from cellmap_tui.monitor.series import RunSeries


class Blocks(NamedTuple):
    """A history in parts of equal length."""

    value: NDArray[np.float64]
    """Median of each part; broken numbers left out."""
    noise: NDArray[np.float64]
    """What neighbours in a part typically differ by, scaled to a median absolute deviation; a trend is no noise."""
    step: NDArray[np.int64]
    """Last step of each part."""


class Known(NamedTuple):
    """The unbroken values of a metric."""

    step: NDArray[np.int64]
    """Steps."""
    epoch: NDArray[np.float64]
    """Epochs; NaN: not known."""
    time_s: NDArray[np.float64]
    """Unix seconds."""
    value: NDArray[np.float64]
    """Means of the windows."""


def points_of(series: RunSeries, name: str) -> Points | None:
    """Return the history of a metric; None: it was never told."""
    return series.points(name) if name in series.names() else None


def known(points: Points | None, most: int = at.SAMPLE_POINTS) -> Known:
    """Return the unbroken values, thinned evenly to at most `most`, the last one kept."""
    if points is None or not len(points):
        return Known(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))
    stride = max(1, -(-len(points) // most))
    chosen = np.arange(len(points) - 1, -1, -stride)[::-1]
    chosen = chosen[np.isfinite(points.mean[chosen])]
    return Known(points.step[chosen], points.epoch[chosen], points.time_s[chosen], points.mean[chosen])


def latest(points: Points | None, most: int = at.SAMPLE_POINTS) -> Known:
    """Return the unbroken values among the last `most` points, none thinned out."""
    if points is None or not len(points):
        return known(None)
    there = np.flatnonzero(np.isfinite(points.mean[-most:])) + max(0, len(points) - most)
    return Known(points.step[there], points.epoch[there], points.time_s[there], points.mean[there])


def blocks(values: Known, parts: int = at.BLOCKS, least: int = at.BLOCK_POINTS) -> Blocks | None:
    """Cut a history into parts; None: there is too little of it for two."""
    total = len(values.value)
    parts = min(parts, total // least)
    if parts < 2:
        return None
    size = total // parts
    first = total - size * parts
    table = values.value[first:].reshape(parts, size)
    middle = np.median(table, axis=1)
    # Neighbours of white noise differ by 1.41 times its deviation.
    noise = np.median(np.abs(np.diff(table, axis=1)), axis=1) / np.sqrt(2)
    return Blocks(middle, noise, values.step[first:].reshape(parts, size)[:, -1])


def recent(values: Known, seconds: float = at.RECENT_S, skip: int = at.SETTLE_POINTS) -> Known:
    """Return what was told in the last `seconds` of a history, its first windows left out."""
    values = _part(values, slice(skip, None))
    if not np.isfinite(values.time_s).any():
        return _part(values, slice(-at.RECENT_UNTIMED, None))
    # A clock that jumped may have told later times before: the last one counts.
    end_s = values.time_s[np.isfinite(values.time_s)][-1]
    is_recent = (values.time_s >= end_s - seconds) & (values.time_s <= end_s)
    return _part(values, is_recent)


def median(values: NDArray[np.float64]) -> float | None:
    """Return the median of the unbroken values; None: there is none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None


def _part(values: Known, where: slice | NDArray[np.bool_]) -> Known:
    return Known(values.step[where], values.epoch[where], values.time_s[where], values.value[where])
