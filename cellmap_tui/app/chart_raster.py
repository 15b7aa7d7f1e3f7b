"""Curves as dots: numpy in, an array of dot codes and one of owners out, a cell each.

A cell holds two by four dots. A column of dots shows all that a curve does within it: its lowest and
highest point, and where it crosses the column's two edges. So spikes of a million points stay visible,
neighbours join, and what is no number breaks the curve. What lies outside the window is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DOTS_ACROSS = 2
DOTS_DOWN = 4
NOBODY = -1
"""Owner of an empty cell."""
BRAILLE = 0x2800
BAND_DOTS = 0b10010101
"""Every other dot: bands look lighter than lines where there is no colour."""


@dataclass(frozen=True, slots=True)
class Line:
    """A curve, and what lies behind it."""

    x: Floats
    """float64 of shape (n,); need not be ordered."""
    y: Floats
    """float64 of shape (n,); NaN and infinite values break the curve."""
    owner: int
    """Whose dots these are, 0 to 127."""
    low: Floats | None = None
    """Lower end of the band behind the curve, float64 of shape (n,); None: no band."""
    high: Floats | None = None
    """Upper end of the band; equal to `low` for a second curve behind the first."""


@dataclass(frozen=True, slots=True)
class Window:
    """What part of the plane is shown: the centres of the outermost dots."""

    x_low: float
    """x of the first column of dots."""
    x_high: float
    """x of the last column."""
    y_low: float
    """y of the lowest row of dots."""
    y_high: float
    """y of the highest row."""
    log_x: bool = False
    """Whether x is drawn by its logarithm."""
    log_y: bool = False
    """Whether y is drawn by its logarithm."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Dots and owners of a picture."""

    dots: NDArray[np.uint8]
    """Dots that are set, in the order of braille's code points, uint8 of shape (rows, columns)."""
    owner: NDArray[np.int8]
    """Owner of each cell, -1 for none, int8 of shape (rows, columns)."""
    is_band: NDArray[np.bool_]
    """Whether a cell shows a band, bool of shape (rows, columns)."""


def rasterise(lines: Sequence[Line], window: Window, columns: int, rows: int) -> Cells:
    """Draw curves into cells.

    Parameters
    ----------
    lines
        A later line takes a cell from an earlier one; every line takes it from a band.
    window
        Part of the plane; both extents must be above 0, and limits of logarithmic axes too.
    columns, rows
        Size of the picture in cells.
    """
    shape = (max(0, rows), max(0, columns))
    cells = Cells(np.zeros(shape, np.uint8), np.full(shape, NOBODY, np.int8), np.zeros(shape, np.bool_))
    if not cells.dots.size:
        return cells
    with np.errstate(all="ignore"):
        edges = _edges(window, columns)
        prepared = [_within(line, window, edges) for line in lines]
        for line in prepared:
            if line.low is not None and line.high is not None:
                _paint(cells, *_band_rows(line, window, edges, rows), line.owner, is_band=True)
        for line in prepared:
            _paint(cells, *_line_rows(line, window, edges, rows), line.owner, is_band=False)
    return cells


def to_text(cells: Cells, ascii: bool = False) -> list[str]:
    """Return the cells as lines of text: braille, or ``. : * #`` where nothing else can be shown."""
    codes = character_codes(cells, ascii=ascii)
    return [row.tobytes().decode("utf-32-le") for row in codes]


def character_codes(cells: Cells, *, ascii: bool = False) -> NDArray[np.uint32]:
    """Return the code point of each cell, uint32 of shape (rows, columns); empty cells are spaces."""
    if ascii:
        codes = np.where(cells.is_band & (cells.dots > 0), np.uint8(ord(".")), _ASCII[cells.dots])
    else:
        codes = np.where(cells.dots > 0, cells.dots.astype(np.uint32) + BRAILLE, ord(" "))
    return np.ascontiguousarray(codes, dtype="<u4")


def dot_column(x: float, window: Window, columns: int) -> int | None:
    """Return the column of cells that shows `x`, None outside the window."""
    share = _share(x, window.x_low, window.x_high, window.log_x)
    last = DOTS_ACROSS * columns - 1
    if columns < 1 or not -1e-9 <= share <= 1 + 1e-9:
        return None
    return round(share * last) // DOTS_ACROSS


def dot_row(y: float, window: Window, rows: int) -> int | None:
    """Return the row of cells that shows `y`, None outside the window."""
    share = 1 - _share(y, window.y_low, window.y_high, window.log_y)
    last = DOTS_DOWN * rows - 1
    if rows < 1 or not -0.5 <= share * last <= last + 0.5:
        return None
    return min(last, max(0, round(share * last))) // DOTS_DOWN


def _share(value: float, low: float, high: float, log: bool) -> float:
    """Return how far along an axis a value lies, from 0 to 1; NaN where it has no place on it."""
    if log:
        value, low, high = (math.log10(each) if each > 0 else math.nan for each in (value, low, high))
    return (value - low) / (high - low)


def x_of_column(column: float, window: Window, columns: int) -> float:
    """Return x at the centre of a column of cells."""
    low, high = _scaled(np.array([window.x_low, window.x_high]), window.log_x)
    dot = column * DOTS_ACROSS + (DOTS_ACROSS - 1) / 2
    x = float(low + (high - low) * dot / (DOTS_ACROSS * columns - 1))
    return float(10.0**x) if window.log_x else x


def _scaled(values: Floats, log: bool) -> Floats:
    return np.log10(values) if log else values


def _edges(window: Window, columns: int) -> Floats:
    """Return the edges of the columns of dots on the scaled axis, float64 of shape (2 * columns + 1,)."""
    low, high = _scaled(np.array([window.x_low, window.x_high]), window.log_x)
    across = DOTS_ACROSS * columns
    edges: Floats = low + (np.arange(across + 1) - 0.5) / (across - 1) * (high - low)
    return edges


def _within(line: Line, window: Window, edges: Floats) -> Line:
    """Return the line ordered by x, with one point beyond each end of the window at most."""
    x = np.asarray(line.x, np.float64)
    ys = [None if y is None else np.asarray(y, np.float64) for y in (line.y, line.low, line.high)]
    if x.size and not (np.all(x[1:] >= x[:-1]) and np.isfinite(x[0]) and np.isfinite(x[-1])):
        order = np.argsort(x, kind="stable")
        order = order[np.isfinite(x[order])]
        x, ys = x[order], [None if y is None else y[order] for y in ys]
    ends = edges[[0, -1]]
    first, end = np.searchsorted(x, 10.0**ends if window.log_x else ends)
    part = slice(max(0, int(first) - 1), int(end) + 2)
    y, low, high = (None if y is None else _drawable(y[part], window.log_y) for y in ys)
    assert y is not None
    return Line(x[part], y, line.owner, low, high)


def _drawable(y: Floats, log: bool) -> Floats:
    """Return values with NaN for what has no place on the axis."""
    good = np.isfinite(y)
    if log:
        good &= y > 0
    return y if good.all() else np.where(good, y, np.nan)


def _reduced(
    x: Floats, ys: Sequence[Floats], picks: Sequence[np.ufunc], window: Window, edges: Floats
) -> tuple[list[Floats], list[Floats]]:
    """Return the extremes of the points of each column of dots, and y where the curves cross each edge."""
    at = np.searchsorted(x, 10.0**edges if window.log_x else edges)
    filled = at[1:] > at[:-1]
    starts = at[:-1][filled]
    inside = (at > 0) & (at < len(x))
    after = at[inside]
    x_before, x_after = _scaled(x[after - 1], window.log_x), _scaled(x[after], window.log_x)
    share = (edges[inside] - x_before) / (x_after - x_before)
    extremes, crossings = [], []
    for y, pick in zip(ys, picks, strict=True):
        extreme, crossing = np.full(len(edges) - 1, np.nan), np.full(len(edges), np.nan)
        if starts.size:
            extreme[filled] = pick.reduceat(y[: at[-1]], starts)
        y_before, y_after = _scaled(y[after - 1], window.log_y), _scaled(y[after], window.log_y)
        crossing[inside] = y_before + (y_after - y_before) * share
        extremes.append(_scaled(extreme, window.log_y))
        crossings.append(crossing)
    return extremes, crossings


def _to_rows(y: Floats, window: Window, rows: int, *, is_scaled: bool = False) -> Floats:
    """Return y as rows of dots from the top, rounded by nobody, at most one row outside the picture."""
    low, high = _scaled(np.array([window.y_low, window.y_high]), window.log_y)
    last = DOTS_DOWN * rows - 1
    here = y if is_scaled else _scaled(y, window.log_y)
    placed: Floats = np.clip((high - here) / (high - low) * last, -1.0, last + 1.0)
    return placed


def _line_rows(line: Line, window: Window, edges: Floats, rows: int) -> tuple[Floats, Floats]:
    """Return the highest and the lowest row of dots in each column of dots; NaN where there is none."""
    (lowest, highest), (crossing, _) = _reduced(line.x, (line.y, line.y), (np.fmin, np.fmax), window, edges)
    top, bottom, edge = (np.rint(_to_rows(y, window, rows, is_scaled=True)) for y in (highest, lowest, crossing))
    left, right = edge[:-1], edge[1:]
    top, bottom = np.fmin(top, right), np.fmax(bottom, right)
    # The row of the left edge was drawn by the column before: joining beside it keeps the curve thin.
    return np.where(left < top, left + 1, top), np.where(left > bottom, left - 1, bottom)


def _band_rows(line: Line, window: Window, edges: Floats, rows: int) -> tuple[Floats, Floats]:
    assert line.low is not None
    assert line.high is not None
    (lowest, highest), (low_edge, high_edge) = _reduced(
        line.x, (line.low, line.high), (np.fmin, np.fmax), window, edges
    )
    high = np.fmax(highest, np.fmax(high_edge[:-1], high_edge[1:]))
    low = np.fmin(lowest, np.fmin(low_edge[:-1], low_edge[1:]))
    top, bottom = (np.rint(_to_rows(y, window, rows, is_scaled=True)) for y in (high, low))
    return top, bottom


def _paint(cells: Cells, top: Floats, bottom: Floats, owner: int, *, is_band: bool) -> None:
    """Set the dots from `top` to `bottom` in every column of dots."""
    missing = np.isnan(top) | np.isnan(bottom)
    first = np.where(missing, 0, top).astype(np.int64)
    end = np.where(missing, 0, bottom + 1).astype(np.int64)
    starts = DOTS_DOWN * np.arange(cells.dots.shape[0])[:, None]
    first_in_cell = np.clip(first - starts, 0, DOTS_DOWN)
    end_in_cell = np.clip(end - starts, 0, DOTS_DOWN)
    half = _RUNS[first_in_cell, end_in_cell]
    dots = _LEFT[half[:, 0::2]] | _RIGHT[half[:, 1::2]]
    if is_band:
        thinned = dots & BAND_DOTS
        dots = np.where(thinned > 0, thinned, dots)
    drawn = dots > 0
    cells.dots[drawn] = dots[drawn]
    cells.owner[drawn] = owner
    cells.is_band[drawn] = is_band


def _runs() -> NDArray[np.uint8]:
    """Return the four dots of half a cell by the first and the end of what is set, bit 0 at the top."""
    runs = [[sum(1 << dot for dot in range(first, end)) for end in range(5)] for first in range(5)]
    return np.array(runs, np.uint8)


def _half(bits: Sequence[int]) -> NDArray[np.uint8]:
    """Return braille's code of the four dots of half a cell, uint8 of shape (16,)."""
    return np.array([sum(1 << bits[dot] for dot in range(4) if run >> dot & 1) for run in range(16)], np.uint8)


def _ascii() -> NDArray[np.uint8]:
    """Return the character of a line by its dots: more of them look heavier."""
    signs = " ::***###"
    return np.array([ord(signs[dots.bit_count()]) for dots in range(256)], np.uint8)


_RUNS = _runs()
_LEFT = _half((0, 1, 2, 6))
_RIGHT = _half((3, 4, 5, 7))
_ASCII = _ascii()
