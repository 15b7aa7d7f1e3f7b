"""A whole chart as characters and styles: axes, curves, the names at their ends, a cursor, a readout.

Two arrays of the chart's size, so that who paints can compare them with the last ones and send only what differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.app.chart_axes import Kind, axis_kind, short_number, ticks, x_words
from cellmap_tui.app.chart_raster import (
    Cells,
    Line,
    Window,
    character_codes,
    dot_column,
    dot_row,
    rasterise,
)
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COLOURS = 8
"""Colours of curves; more of them than these start over."""
PLAIN, AXIS, CURSOR, WORDS = range(4)
LINE, BAND, NAME = 8, 16, 24
"""First of the eight styles of curves, of bands, and of names."""
HERE = 32
"""A cell under the cursor; from here on styles have a ground, which is seen behind spaces too."""
HEAT, HEATS = 33, 9
"""First of the grounds from low to high, and how many there are."""
LONGEST_NAME = 16
LABEL_CELLS = 4
"""Labels of the y axis take at least so many cells, so that the curves stay where they are."""
ROWS_FOR_LABELS = 5
ROWS_FOR_READOUT = 9
ROWS_FOR_RULE = 13


@dataclass(frozen=True, slots=True)
class ChartLine:
    """A curve with its name and its colour."""

    name: str
    """Name of the series, printable or not."""
    colour_index: int
    """Which of the eight colours; a series keeps it, whatever else is drawn."""
    x: NDArray[np.float64]
    """float64 of shape (n,)."""
    y: NDArray[np.float64]
    """Smoothed values, float64 of shape (n,)."""
    low: NDArray[np.float64] | None = None
    """Lowest values that each point stands for, float64 of shape (n,)."""
    high: NDArray[np.float64] | None = None
    """Highest values."""
    raw: NDArray[np.float64] | None = None
    """Values as told; drawn dim behind the curve where there is no `low` and `high`."""

    def as_line(self, *, band: bool) -> Line:
        """Return what is drawn of it."""
        low, high = (self.low, self.high) if self.low is not None else (self.raw, self.raw)
        owner = self.colour_index % COLOURS
        return Line(self.x, self.y, owner, low, high) if band else Line(self.x, self.y, owner)


@dataclass(frozen=True, slots=True)
class Frame:
    """What a chart looks like."""

    codes: NDArray[np.uint32]
    """Code point of each cell, little-endian uint32 of shape (height, width)."""
    styles: NDArray[np.int8]
    """Style of each cell, int8 of shape (height, width)."""

    def text(self) -> list[str]:
        """Return it as plain lines."""
        return [row.tobytes().decode("utf-32-le").rstrip() for row in self.codes]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a chart are, in cells."""

    left: int
    """Cells before the first column of dots: labels and the rule."""
    columns: int
    """Columns of the picture."""
    rows: int
    """Rows of the picture."""
    names: int
    """Cells at the right for names; 0 when there is room behind the curves' ends."""
    has_labels: bool
    """Whether there is a line of labels below."""
    has_rule: bool
    """Whether there is a rule between the picture and its labels."""
    has_readout: bool
    """Whether the last line tells values."""
    ends: tuple[tuple[float, float, ChartLine], ...]
    """x and y of the last point of each curve that is in the window."""


def make_frame(
    lines: Sequence[ChartLine],
    window: Window,
    width: int,
    height: int,
    *,
    axis_words: str = "step",
    band: bool = True,
    cursor: float | None = None,
    readout: bool = True,
    ascii: bool = False,
) -> Frame:
    """Draw a chart.

    Parameters
    ----------
    lines
        Curves; a later one lies above an earlier one.
    window
        Part of the plane that is shown.
    width, height
        Size in cells, everything included.
    axis_words
        What x is: ``step``, ``epoch``, ``time`` (Unix time) or ``elapsed`` (seconds).
    band
        Whether bands and raw values lie behind the curves.
    cursor
        x of the cursor; None: no cursor.
    readout
        Whether the last line tells values at the cursor, else the newest.
    ascii
        Whether the terminal shows nothing but ASCII.
    """
    frame = Frame(np.full((height, width), ord(" "), "<u4"), np.zeros((height, width), np.int8))
    layout = make_layout(lines, window, width, height, readout=readout)
    if layout.columns < 2 or layout.rows < 1:
        return frame
    kind = axis_kind(axis_words)
    cells = rasterise([line.as_line(band=band) for line in lines], window, layout.columns, layout.rows)
    _draw_cells(frame, cells, layout, ascii=ascii)
    _draw_y_axis(frame, window, layout, ascii=ascii)
    if layout.has_labels:
        _draw_x_axis(frame, window, layout, axis_words, kind, ascii=ascii)
    if cursor is not None:
        _draw_cursor(frame, cells, window, layout, cursor, ascii=ascii)
    _draw_names(frame, window, layout, ascii=ascii)
    if layout.has_readout:
        _draw_readout(frame, lines, height - 1, cursor, axis_words, kind, ascii=ascii)
    return frame


def make_layout(
    lines: Sequence[ChartLine], window: Window, width: int, height: int, *, readout: bool = True
) -> Layout:
    """Decide where the parts of a chart are."""
    has_labels = height >= ROWS_FOR_LABELS
    has_rule = height >= ROWS_FOR_RULE
    has_readout = readout and height >= ROWS_FOR_READOUT
    rows = height - has_labels - has_rule - has_readout
    labels = _y_ticks(window, rows)
    left = max([LABEL_CELLS, *(len(label) for _, label in labels)]) + 1
    columns = width - left
    longest = max((len(_name(line)) for line in lines), default=0)
    ends = _ends(lines, window)
    places = [dot_column(x, window, columns) for x, _, _ in ends]
    is_late = any(place is not None and place + 1 + longest >= columns for place in places)
    names = longest + 1 if is_late and columns > 3 * longest else 0
    return Layout(left, columns - names, rows, names, has_labels, has_rule, has_readout, ends)


def value_near(line: ChartLine, x: float | None) -> tuple[float, float]:
    """Return the point of a curve nearest to `x`, or its newest that is a number; NaN where there is none."""
    if x is None:
        return _newest(line)
    distance = np.abs(line.x - x)
    if not np.isfinite(distance).any():
        return float("nan"), float("nan")
    nearest = int(np.nanargmin(distance))
    return float(line.x[nearest]), float(line.y[nearest])


def _newest(line: ChartLine) -> tuple[float, float]:
    for part in (slice(-64, None), slice(None)):
        x, y = line.x[part], line.y[part]
        good = np.flatnonzero(np.isfinite(y) & np.isfinite(x))
        if good.size:
            return float(x[good[-1]]), float(y[good[-1]])
    return float("nan"), float("nan")


def _name(line: ChartLine) -> str:
    return cut_middle(printable(line.name), LONGEST_NAME)


def _plain(text: str) -> str:
    return text.replace("…", "~").encode("ascii", "replace").decode()


def write_text(frame: Frame, row: int, column: int, text: str, style: int, *, ascii: bool) -> None:
    """Write text, cut at both edges."""
    height, width = frame.codes.shape
    if column < 0:
        text, column = text[-column:], 0
    if not 0 <= row < height or column >= width:
        return
    shown = (_plain(text) if ascii else text)[: width - column]
    end = column + len(shown)
    frame.codes[row, column:end] = np.frombuffer(shown.encode("utf-32-le"), "<u4")
    frame.styles[row, column:end] = style


def _draw_cells(frame: Frame, cells: Cells, layout: Layout, *, ascii: bool) -> None:
    here = np.s_[: layout.rows, layout.left : layout.left + layout.columns]
    frame.codes[here] = character_codes(cells, ascii=ascii)
    frame.styles[here] = np.where(cells.owner < 0, PLAIN, cells.owner + np.where(cells.is_band, BAND, LINE))


def _y_ticks(window: Window, rows: int) -> list[tuple[float, str]]:
    return ticks(window.y_low, window.y_high, max(1, min(8, rows // 3)), window.log_y)


def _draw_y_axis(frame: Frame, window: Window, layout: Layout, *, ascii: bool) -> None:
    for row in range(layout.rows):
        write_text(frame, row, layout.left - 1, "|" if ascii else "│", AXIS, ascii=ascii)
    mark = "+" if ascii else "┤"
    for value, label in _y_ticks(window, layout.rows):
        at = dot_row(value, window, layout.rows)
        if at is not None:
            write_text(frame, at, 0, f"{label:>{layout.left - 1}}{mark}", AXIS, ascii=ascii)


def _draw_x_axis(frame: Frame, window: Window, layout: Layout, axis_words: str, kind: Kind, *, ascii: bool) -> None:
    row = layout.rows + layout.has_rule
    if layout.has_rule:
        corner, dash = ("+", "-") if ascii else ("└", "─")
        write_text(frame, layout.rows, layout.left - 1, corner + dash * layout.columns, AXIS, ascii=ascii)
    if len(axis_words) < layout.left:  # the title says it too; a part of a word says nothing
        write_text(frame, row, 0, axis_words, AXIS, ascii=ascii)
    free_from = layout.left
    for value, label in ticks(window.x_low, window.x_high, max(1, layout.columns // 12), window.log_x, kind):
        column = dot_column(value, window, layout.columns)
        if column is None:
            continue
        at = layout.left + column
        if layout.has_rule:
            write_text(frame, layout.rows, at, "+" if ascii else "┬", AXIS, ascii=ascii)
        end = layout.left + layout.columns + layout.names
        start = max(layout.left, min(at - len(label) // 2, end - len(label)))
        if start >= free_from:
            write_text(frame, row, start, label, AXIS, ascii=ascii)
            free_from = start + len(label) + 1


def _draw_cursor(frame: Frame, cells: Cells, window: Window, layout: Layout, cursor: float, *, ascii: bool) -> None:
    column = dot_column(cursor, window, layout.columns)
    if column is None:
        return
    free = np.flatnonzero((cells.dots[:, column] == 0) | cells.is_band[:, column])
    frame.codes[free, layout.left + column] = ord("|" if ascii else "│")
    frame.styles[free, layout.left + column] = CURSOR


def _ends(lines: Sequence[ChartLine], window: Window) -> tuple[tuple[float, float, ChartLine], ...]:
    """Return the last visible point of each curve."""
    ends = []
    for line in lines:
        # The last points decide nearly always; a curve that left the window needs all.
        for part in (slice(-64, None), slice(None)):
            x, y = line.x[part], line.y[part]
            inside = (x >= window.x_low) & (x <= window.x_high) & (y >= window.y_low) & (y <= window.y_high)
            if inside.any():
                last = int(np.flatnonzero(inside)[np.argmax(x[inside])])
                ends.append((float(x[last]), float(y[last]), line))
                break
    return tuple(ends)


def _draw_names(frame: Frame, window: Window, layout: Layout, *, ascii: bool) -> None:
    """Write each name behind the end of its curve, one a row."""
    places = []
    for x, y, line in layout.ends:
        column, row = dot_column(x, window, layout.columns), dot_row(y, window, layout.rows)
        if column is not None and row is not None:
            places.append((row, column, line))
    places = sorted(places, key=lambda place: place[:2])[: layout.rows]
    least = 0
    for index, (row, column, line) in enumerate(places):
        here = min(max(row, least), layout.rows - (len(places) - index))
        name = _name(line)
        start = layout.columns + 1 if layout.names else min(column + 2, layout.columns - len(name))
        if start >= 0:
            style = NAME + line.colour_index % COLOURS
            write_text(frame, here, layout.left + start, name, style, ascii=ascii)
        least = here + 1


def _draw_readout(
    frame: Frame,
    lines: Sequence[ChartLine],
    row: int,
    cursor: float | None,
    axis_words: str,
    kind: Kind,
    *,
    ascii: bool,
) -> None:
    """Write x at the cursor, and name and value of each curve as far as there is room."""
    column = 0
    if cursor is not None:
        text = f"{axis_words} {x_words(cursor, kind)}"
        write_text(frame, row, 0, text, WORDS, ascii=ascii)
        column = len(text) + 2
    for line in lines:
        _, value = value_near(line, cursor)
        text = f"{_name(line)} {short_number(value)}"
        if column + len(text) > frame.codes.shape[1]:
            break
        write_text(frame, row, column, text, NAME + line.colour_index % COLOURS, ascii=ascii)
        column += len(text) + 2
