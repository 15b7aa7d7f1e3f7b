"""A chart as a picture: limits, ticks, and lines thinned to what pixels can show; for SVG and PNG alike."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.text import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.monitor.curves import Axis, Curve
    from cellmap_tui.monitor.export import ViewData

WIDTH, HEIGHT = 960, 540
"""Size of the picture."""
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 44, 48
"""Room around the lines; names of the lines stand on the right."""
COLOURS = ("#b87a00", "#3a8fc4", "#00855f", "#857b00", "#004f86", "#c45100", "#b0568a", "#5a646e")
"""Line colours on white, told apart by colour-blind people too; those of the light theme."""
TEXT_COLOUR, FRAME_COLOUR, GRID_COLOUR, PAPER = "#1c2227", "#8b949e", "#e3e7ea", "#ffffff"
AXIS_WORDS = {"step": "step", "epoch": "epoch", "time": "time", "elapsed": "hours since the start"}

Line = list[tuple[float, float]]
"""Pixels that belong together; a broken value ends one and starts another."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One line of a chart in pixels."""

    name: str
    """What it is."""
    colour: str
    """Its colour, ``#rrggbb``."""
    pieces: list[Line]
    """The smoothed line."""
    raw: list[Line]
    """What was measured; empty where nothing is smoothed."""
    end_y: float
    """Where its name stands."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A chart in pixels."""

    title: str
    """What it shows."""
    x_words: str
    """What runs along x."""
    x_ticks: list[tuple[float, str]]
    """Place and label."""
    y_ticks: list[tuple[float, str]]
    """Place and label."""
    lines: list[Drawn]
    """The lines."""


def lay_out(view: ViewData) -> Layout:
    """Place a chart on a picture of `WIDTH` by `HEIGHT`."""
    curves = [_shown(curve, log_y=view.log_y, axis=view.axis) for _, _, curve in view.lines]
    x_low, x_high = _limits([x for x, _, _ in curves], pad=0.0)
    y_low, y_high = _limits([column for _, y, raw in curves for column in (y, raw)], pad=0.04)

    def across(x: Any) -> Any:
        return LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def down(y: Any) -> Any:
        return HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    lines = []
    for (name, colour, _), (x, y, raw) in zip(view.lines, curves, strict=True):
        pieces = _pieces(across(x), down(y))
        is_smoothed = not np.array_equal(y, raw, equal_nan=True)
        end_y = pieces[-1][-1][1] if pieces else HEIGHT - BOTTOM
        dim = _pieces(across(x), down(raw)) if is_smoothed else []
        lines.append(Drawn(printable(name), COLOURS[colour % len(COLOURS)], pieces, dim, end_y))
    x_ticks = [(float(across(np.float64(at))), label) for at, label in _x_ticks(view.axis, x_low, x_high)]
    y_ticks = [(float(down(np.float64(at))), label) for at, label in _y_ticks(view, y_low, y_high)]
    return Layout(printable(view.title), AXIS_WORDS[view.axis], x_ticks, y_ticks, _apart(lines))


def _shown(
    curve: Curve, *, log_y: bool, axis: Axis
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    x = np.asarray(curve.x, float) / (3600.0 if axis == "elapsed" else 1.0)
    y, raw = np.asarray(curve.y, float), np.asarray(curve.raw, float)
    if not log_y:
        return x, y, raw
    with np.errstate(divide="ignore", invalid="ignore"):
        return x, np.where(y > 0, np.log10(y), np.nan), np.where(raw > 0, np.log10(raw), np.nan)


def _limits(columns: list[NDArray[np.float64]], pad: float) -> tuple[float, float]:
    finite = [column[np.isfinite(column)] for column in columns]
    finite = [column for column in finite if len(column)]
    if not finite:
        return 0.0, 1.0
    low, high = min(float(c.min()) for c in finite), max(float(c.max()) for c in finite)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        room = abs(low) * 0.1 or 1.0
        return low - room, high + room
    return low - pad * (high - low), high + pad * (high - low)


def _pieces(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[Line]:
    """Cut a line where it is broken; of the points of a pixel column the first, least, most and last stay."""
    good = np.isfinite(x) & np.isfinite(y)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], good, [False])).astype(np.int8)))
    return [_thinned(x[a:b], y[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> Line:
    if len(x) <= 2 * WIDTH:
        chosen = np.arange(len(x))
    else:
        starts = np.concatenate(([0], np.flatnonzero(np.diff(np.floor(x))) + 1))
        ends = np.concatenate((starts[1:], [len(x)]))
        parts = [(a, a + int(np.argmin(y[a:b])), a + int(np.argmax(y[a:b])), b - 1) for a, b in zip(starts, ends)]  # noqa: B905
        chosen = np.unique(np.array(parts))
    return list(zip(np.round(x[chosen], 1).tolist(), np.round(y[chosen], 1).tolist(), strict=True))


def _x_ticks(axis: Axis, low: float, high: float) -> list[tuple[float, str]]:
    ticks = _even(low, high, 8)
    if axis != "time":
        return [(value, _label(value)) for value in ticks]
    form = "%d %b %H:%M" if high - low > 86_400 else "%H:%M" if high - low > 900 else "%H:%M:%S"
    return [(value, time.strftime(form, time.localtime(value))) for value in np.linspace(low, high, 6)]


def _y_ticks(view: ViewData, low: float, high: float) -> list[tuple[float, str]]:
    if not view.log_y:
        return [(value, _label(value)) for value in _even(low, high, 8)]
    powers = range(math.floor(low), math.ceil(high) + 1)
    steps = (1,) if high - low > 5 else (1, 2, 5)
    marks = [(math.log10(step) + power, step * 10.0**power) for power in powers for step in steps]
    return [(place, _label(value)) for place, value in marks if low <= place <= high]


def _even(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
    return [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _label(value: float) -> str:
    for limit, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if sign == 'k' else limit):.4g} {sign}"
    return f"{value:.4g}"


def _apart(lines: list[Drawn], room: float = 15.0) -> list[Drawn]:
    """Move names that would stand on each other apart, as little as needed."""
    order = sorted(range(len(lines)), key=lambda i: lines[i].end_y)
    least, places = TOP + 6.0, {}
    for i in order:
        places[i] = least = max(lines[i].end_y, least)
        least += room
    most = HEIGHT - BOTTOM + 4.0
    for i in reversed(order):
        places[i] = most = min(places[i], most)
        most -= room
    return [Drawn(d.name, d.colour, d.pieces, d.raw, places[i]) for i, d in enumerate(lines)]
