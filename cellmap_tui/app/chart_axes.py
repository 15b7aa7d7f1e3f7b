"""Limits and labels of a chart's axes, in steps of 1, 2 and 5 so that they stay where they are.

What grows by a few points keeps its limits, and so its labels and the dots drawn before.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Literal

import numpy as np

from cellmap_tui.app.chart_raster import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from cellmap_tui.app.chart_raster import Line

Kind = Literal["number", "time", "elapsed"]
"""What the values of an axis are: numbers, seconds of Unix time, or seconds since a start."""

STEPS_IN_RANGE = 10
"""Limits lie at multiples of about a tenth of the range: at most two tenths of the chart stay empty."""
MOST_FOR_CLIPPING = 5_000
"""Percentiles are taken of at most so many points of a line, evenly spaced: limits need no more."""
TIME_STEPS_S = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 864000),
)
_DAY_S = 86400


def axis_kind(axis_words: str) -> Kind:
    """Return what an axis of this name holds: ``time``, ``elapsed``, else numbers."""
    if axis_words.startswith("time"):
        return "time"
    return "elapsed" if axis_words.startswith("elapsed") else "number"


UNIX_S, MOMENT_S = 1e8, 10.0
"""Places beyond the first are times, no steps; those within a moment get a minute, not a tenth of all time."""
LARGEST = 1e200
"""Limits reach no farther, so that what is computed with them stays finite."""


def fit(
    lines: Sequence[Line],
    planned_end: float | None = None,
    log_x: bool = False,
    log_y: bool = False,
    clip_percent: float = 0.0,
) -> Window:
    """Return the window that shows whole lines.

    Parameters
    ----------
    lines
        What is not finite, and on a logarithmic axis what is not above 0, stays out of the limits.
    planned_end
        x at which the run will end; the axis reaches to it from the start, so that only the tip moves.
    clip_percent
        Percent of the lowest and of the highest values that may fall outside.
    """
    first, last = _extent((line.x for line in lines), log_x)
    if first > UNIX_S and last - first < MOMENT_S and not log_x:
        first, last = first - MOMENT_S, last + MOMENT_S
    x_low, x_high = _snapped(first, last, log_x)
    if planned_end is not None and planned_end > 0 and math.isfinite(planned_end):
        x_high = planned_end if last <= planned_end else x_high
        x_low = _planned_start(first, x_low, x_high, log_x)
    return Window(x_low, x_high, *y_limits(lines, log_y, clip_percent), log_x, log_y)


def y_limits(lines: Sequence[Line], log: bool = False, clip_percent: float = 0.0) -> tuple[float, float]:
    """Return limits of the y axis that lie at round values."""
    parts = (part for line in lines for part in (line.y, line.low, line.high) if part is not None)
    return _snapped(*_extent(parts, log, clip_percent), log)


def ticks(low: float, high: float, count: int, log: bool = False, kind: Kind = "number") -> list[tuple[float, str]]:
    """Return values and labels along an axis, about `count` of them and never more than one more.

    Parameters
    ----------
    low, high
        Limits of the axis, ``low < high``.
    log
        Whether the axis is logarithmic; decades are labelled, and 2 and 5 of each where there is room.
    kind
        Numbers, Unix time (labels in local time), or seconds since a start.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or count < 1:
        return []
    if kind != "number" and not log:
        return _time_ticks(low, high, count, kind)
    if log and low > 0 and len(decades := _decades(low, high, count)) > 1:
        return [(value, short_number(value)) for value in decades]
    step = nice_step((high - low) / count)
    first = math.ceil(low / step - 1e-9)
    values = [(first + index) * step for index in range(count + 2)]
    return [(value, _label(value, step, max(abs(low), abs(high)))) for value in values if value <= high + step * 1e-9]


def nice_step(rough: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below `rough`."""
    if not math.isfinite(rough) or rough <= 0:
        return 1.0
    power = 10.0 ** max(-300, math.floor(math.log10(rough)))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= rough * (1 - 1e-9)), 10 * power)


def short_number(value: float) -> str:
    """Return a number in few cells: ``0.182``, ``12.4 k``, ``1e-5``."""
    if not math.isfinite(value):
        return "-"
    size = abs(value)
    for unit, power in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if size >= 9.9995 * power or (unit != "k" and size >= power):
            return f"{value / power:.3g} {unit}" if size < 1e13 else _scientific(value)
    if size >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if size >= 1e-3 or size == 0 else _scientific(value)


def x_words(value: float, kind: Kind) -> str:
    """Return a place on the x axis for a reader: ``12 400``, ``12:10:03``, ``1:02:30``."""
    if kind == "number":
        return f"{value:,.0f}".replace(",", " ") if abs(value - round(value)) < 1e-6 else f"{value:.2f}"
    if kind == "time":
        return time.strftime("%H:%M:%S", time.localtime(value))
    seconds = round(value)
    return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"


def _extent(parts: Iterable[NDArray[np.float64]], log: bool, clip_percent: float = 0.0) -> tuple[float, float]:
    """Return the lowest and the highest value; 0 and 1 (or 0.1 and 1) where there is none."""
    lows, highs = [], []
    for part in parts:
        values = np.asarray(part, np.float64)
        if not values.size:
            continue
        low, high = float(values.min()), float(values.max())
        # Nearly always all values count; looking for those that do not takes five times as long.
        if clip_percent > 0 or not (math.isfinite(low) and math.isfinite(high)) or (log and low <= 0):
            good = values[np.isfinite(values) & (values > 0)] if log else values[np.isfinite(values)]
            if not good.size:
                continue
            low, high = _trimmed(good, clip_percent)
        lows.append(low)
        highs.append(high)
    return (min(lows), max(highs)) if lows else ((0.1, 1.0) if log else (0.0, 1.0))


def _trimmed(values: NDArray[np.float64], clip_percent: float) -> tuple[float, float]:
    """Return limits that leave out so many percent of the values at each end."""
    if clip_percent <= 0:
        return float(values.min()), float(values.max())
    few = values[:: max(1, values.size // MOST_FOR_CLIPPING)]
    share = min(clip_percent, 49.0)
    low, high = np.percentile(few, [share, 100 - share])
    return float(low), float(high)


def _snapped(low: float, high: float, log: bool) -> tuple[float, float]:
    if log:
        low, high = (min(max(value, 1 / LARGEST), LARGEST) for value in (low, high))
        low, high = _log_floor(low), 1.0 / _log_floor(1.0 / high)
        return (low, high) if high > low else (low / 10, high * 10)
    low, high = (min(max(value, -LARGEST), LARGEST) for value in (low, high))
    if high - low <= max(abs(low), abs(high)) * 1e-9:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    step = nice_step((high - low) / STEPS_IN_RANGE)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def _log_floor(value: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is not above `value`."""
    power = 10.0 ** math.floor(math.log10(value) + 1e-12)
    return next((factor * power for factor in (5, 2) if factor * power <= value * (1 + 1e-9)), power)


def _planned_start(first: float, snapped_low: float, high: float, log: bool) -> float:
    if log:
        return min(snapped_low, high / 10)
    # A curve that starts late, in a resumed run, does not get the whole axis for itself.
    return 0.0 if 0 <= first <= high / 2 or first >= high else snapped_low


def _decades(low: float, high: float, count: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1, 2, 5), (1, 5), (1,)):
        values = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
        inside = [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(inside) <= count + 1:
            return inside
    every = math.ceil(len(inside) / (count + 1))
    return inside[::every]


def _label(value: float, step: float, largest: float) -> str:
    if abs(value) < step * 1e-6:
        return "0"
    for unit, power in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if largest >= 9.9995 * power:
            return f"{value / power:.{_decimals(step / power)}f} {unit}" if largest < 1e13 else _scientific(value)
    if step < 1e-4:
        return _scientific(value)
    return f"{value:.{_decimals(step)}f}"


def _scientific(value: float) -> str:
    """Return a number such as ``4.4e-4``."""
    figures, _, power = f"{value:.1e}".partition("e")
    return f"{figures.removesuffix('.0')}e{int(power)}"


def _decimals(step: float) -> int:
    return min(6, max(0, -math.floor(math.log10(step) + 1e-9)))


def _time_ticks(low: float, high: float, count: int, kind: Kind) -> list[tuple[float, str]]:
    rough = (high - low) / count
    step = next((step for step in TIME_STEPS_S if step >= rough), None)
    step = step if step is not None else math.ceil(rough / _DAY_S) * _DAY_S
    shift = _local_shift_s(low) if kind == "time" else 0
    first = math.ceil((low + shift) / step - 1e-9) * step - shift
    values = [first + index * step for index in range(count + 1)]
    words = _clock if kind == "time" else _elapsed
    return [(value, words(value, step)) for value in values if value <= high]


def _local_shift_s(value: float) -> int:
    try:
        return time.localtime(value).tm_gmtoff or 0
    except (OverflowError, ValueError, OSError):
        return 0


def _clock(value: float, step: float) -> str:
    pattern = "%m-%d" if step >= _DAY_S else "%H:%M" if step >= 60 else "%H:%M:%S"
    try:
        return time.strftime(pattern, time.localtime(value))
    except (OverflowError, ValueError, OSError):
        return "-"


def _elapsed(value: float, step: float) -> str:
    seconds = round(value)
    if seconds == 0:
        return "0"
    if step >= _DAY_S:
        return f"{seconds // _DAY_S} d"
    if step >= 3600:
        return f"{seconds // 3600} h"
    if step >= 60:
        return f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600}:{seconds % 3600 // 60:02d} h"
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60}:{seconds % 60:02d}"
