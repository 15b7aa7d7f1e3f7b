"""Curves over steps or time that repaint only the cells that have changed.

The chart knows its lines, its cursor and its window, and zooms by itself. What changes the numbers (smoothing,
the axis, which series) is asked of its owner by `OptionAsked`, who answers with `show`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from textual.message import Message

from cellmap_tui.app.chart_axes import fit, y_limits
from cellmap_tui.app.chart_frame import ChartLine, Frame, Layout, make_frame, make_layout, value_near
from cellmap_tui.app.chart_raster import Window, dot_column, x_of_column
from cellmap_tui.app.keys import bind
from cellmap_tui.app.signs import ascii_only
from cellmap_tui.app.widgets.frame_view import FrameView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType
    from textual.events import Click

__all__ = ["ChartLine", "LineChart", "Options"]

ZOOM = 2.0
CLOSEST = 1e-6
"""Windows are not made narrower than this share of the whole."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the lines are shown."""

    planned_end: float | None = None
    """x at which the run will end; None: it has ended, or nobody knows."""
    axis_words: str = "step"
    """What x is: ``step``, ``epoch``, ``time`` (Unix time) or ``elapsed`` (seconds)."""
    log_x: bool = False
    """Whether x is drawn by its logarithm."""
    log_y: bool = False
    """Whether y is drawn by its logarithm."""
    clip_percent: float = 0.0
    """Percent of outliers at each end that do not count for the limits."""
    band: bool = True
    """Whether bands and raw values lie behind the curves."""


class LineChart(FrameView):
    """A chart of up to eight colours; the names stand at the curves' ends."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("chart.left", "cursor(-1)"),
        bind("chart.right", "cursor(1)", show=False),
        bind("chart.closer", "closer"),
        bind("chart.farther", "farther", show=False),
        bind("chart.fit", "fit"),
        bind("chart.follow", "follow", show=False),
        bind("chart.smoother", "ask('smoother')"),
        bind("chart.rougher", "ask('rougher')", show=False),
        bind("chart.raw", "ask('raw')", show=False),
        bind("chart.band", "ask('band')", show=False),
        bind("chart.axis", "ask('axis')"),
        bind("chart.log_y", "ask('log_y')"),
        bind("chart.log_x", "ask('log_x')", show=False),
        bind("chart.series", "ask('series')", show=False),
        bind("chart.clip", "ask('clip')", show=False),
        bind("do.close", "no_cursor", show=False, help="Take the cursor away."),
    ]

    class CursorMoved(Message):
        """The user moved the cursor; x is None when it was taken away."""

        def __init__(self, chart: LineChart, x: float | None) -> None:
            self.chart = chart
            self.x = x
            super().__init__()

    class Zoomed(Message):
        """The user chose another part of the plane; None: everything again."""

        def __init__(self, chart: LineChart, window: Window | None) -> None:
            self.chart = chart
            self.window = window
            super().__init__()

    class OptionAsked(Message):
        """The user wants something that the owner decides, named as in `Options`."""

        def __init__(self, chart: LineChart, what: str) -> None:
            self.chart = chart
            self.what = what
            super().__init__()

    def __init__(self, *, id: str | None = None, classes: str | None = None, readout: bool = True) -> None:
        super().__init__(id=id, classes=classes)
        self._readout = readout
        self._lines: tuple[ChartLine, ...] = ()
        self._options = Options()
        self._cursor: float | None = None
        self._fixed: Window | None = None
        self._span: tuple[float, float] | None = None
        self._following = False

    def show(
        self,
        lines: Sequence[ChartLine],
        *,
        planned_end: float | None = None,
        axis_words: str = "step",
        log_x: bool = False,
        log_y: bool = False,
        clip_percent: float = 0.0,
        band: bool = True,
    ) -> None:
        """Show these lines; see `Options` for the rest. Only cells that differ are repainted."""
        options = Options(planned_end, axis_words, log_x, log_y, clip_percent, band)
        if (options.axis_words, options.log_x) != (self._options.axis_words, self._options.log_x):
            self._fixed = self._span = self._cursor = None
        self._lines = tuple(lines)
        self._options = options
        if self._following:
            self._follow()
        self.draw()

    def set_cursor(self, x: float | None) -> None:
        """Put the cursor at `x`, or take it away; posts nothing."""
        if x != self._cursor:
            self._cursor = x
            self.draw()

    def set_window(self, window: Window | None) -> None:
        """Show exactly this part of the plane, or everything; posts nothing."""
        self._fixed, self._span = window, None
        self.draw()

    def set_span(self, span: tuple[float, float] | None) -> None:
        """Show this part of the x axis, with limits of y that fit; for charts that zoom together."""
        self._fixed, self._span = None, span
        self.draw()

    def set_following(self, following: bool) -> None:
        """Let a zoomed window go along with the newest points, or stay."""
        self._following = following
        if following:
            self._follow()
            self.draw()

    @property
    def following(self) -> bool:
        """Whether a zoomed window goes along."""
        return self._following

    @property
    def cursor(self) -> float | None:
        """X of the cursor."""
        return self._cursor

    @property
    def lines(self) -> tuple[ChartLine, ...]:
        """What is shown."""
        return self._lines

    @property
    def options(self) -> Options:
        """How it is shown."""
        return self._options

    @property
    def window(self) -> Window:
        """The part of the plane that is shown."""
        if self._fixed is not None:
            return self._fixed
        options = self._options
        lines = [line.as_line(band=options.band) for line in self._lines]
        whole = fit(lines, options.planned_end, options.log_x, options.log_y, options.clip_percent)
        if self._span is None:
            return whole
        low, high = self._span
        parts = [_between(line, low, high).as_line(band=options.band) for line in self._lines]
        y_low, y_high = y_limits(parts, options.log_y, options.clip_percent)
        return Window(low, high, y_low, y_high, options.log_x, options.log_y)

    def readout(self, x: float | None = None) -> list[tuple[str, float, float]]:
        """Return name, x and value of each line at `x`, else at the cursor, else at its newest point."""
        at = self._cursor if x is None else x
        return [(line.name, *value_near(line, at)) for line in self._lines]

    def action_cursor(self, direction: int) -> None:
        """Move the cursor to the next point that lies in another column."""
        here = self._next_point(direction)
        if here is not None:
            self.set_cursor(here)
            self.post_message(self.CursorMoved(self, here))

    def action_no_cursor(self) -> None:
        """Take the cursor away."""
        self.set_cursor(None)
        self.post_message(self.CursorMoved(self, None))

    def action_closer(self) -> None:
        """Show half of the x axis, around the cursor, else its newest part."""
        self._zoom(1 / ZOOM)

    def action_farther(self) -> None:
        """Show twice as much of the x axis, at most all."""
        self._zoom(ZOOM)

    def action_fit(self) -> None:
        """Show everything again."""
        self._following = False
        self.set_window(None)
        self.post_message(self.Zoomed(self, None))

    def action_follow(self) -> None:
        """Follow the newest points, or no longer."""
        self.set_following(not self._following)
        self.post_message(self.OptionAsked(self, "follow"))

    def action_ask(self, what: str) -> None:
        """Ask the owner."""
        self.post_message(self.OptionAsked(self, what))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave esc to others while there is no cursor."""
        return self._cursor is not None if action == "no_cursor" else True

    def on_click(self, event: Click) -> None:
        """Put the cursor under the mouse."""
        window = self.window
        layout = self._layout(window)
        column = event.x - self.gutter.left - layout.left
        if 0 <= column < layout.columns:
            x = x_of_column(column, window, layout.columns)
            self.set_cursor(x)
            self.post_message(self.CursorMoved(self, x))

    def make_frame(self, width: int, height: int) -> Frame:
        """Return the chart."""
        options = self._options
        return make_frame(
            self._lines,
            self.window,
            width,
            height,
            axis_words=options.axis_words,
            band=options.band,
            cursor=self._cursor,
            readout=self._readout,
            ascii=ascii_only(),
        )

    def _layout(self, window: Window) -> Layout:
        return make_layout(self._lines, window, *self.content_size, readout=self._readout)

    def _next_point(self, direction: int) -> float | None:
        """Return x of the nearest point in another column than the cursor's; the newest point if there is none."""
        window = self.window
        low, high = window.x_low, window.x_high
        if self._cursor is not None:
            columns = self._layout(window).columns
            here = dot_column(self._cursor, window, columns)
            if here is not None:
                edge = x_of_column(here + direction / 2, window, columns)
                low, high = (max(low, edge), high) if direction > 0 else (low, min(high, edge))
        takes_last = self._cursor is None or direction < 0
        ends = []
        for line in self._lines:
            x = line.x[(line.x >= low) & (line.x <= high) & np.isfinite(line.y)]
            if x.size:
                ends.append(float(x.max() if takes_last else x.min()))
        if not ends:
            return None
        return max(ends) if takes_last else min(ends)

    def _zoom(self, factor: float) -> None:
        whole = fit(
            [line.as_line(band=False) for line in self._lines], self._options.planned_end, self._options.log_x
        )
        span = _zoomed(self.window, whole, self._centre(), factor)
        self.set_span(span)
        self.post_message(self.Zoomed(self, self.window if span is not None else None))

    def _centre(self) -> float | None:
        if self._cursor is not None:
            return self._cursor
        newest = [x for _, x, _ in self.readout() if np.isfinite(x)]
        return max(newest, default=None)

    def _follow(self) -> None:
        """Move a zoomed window on by half its width when the newest point has left it."""
        newest = max((float(line.x[-1]) for line in self._lines if len(line.x)), default=float("nan"))
        if self._span is None:
            return
        low, high = self._span
        width = high - low
        if not low <= newest <= high and np.isfinite(newest) and not self._options.log_x:
            self._span = (newest - width / 2, newest + width / 2)


def _between(line: ChartLine, low: float, high: float) -> ChartLine:
    """Return the points of a line from `low` to `high`."""
    inside = (line.x >= low) & (line.x <= high)
    low_part, high_part, raw = (None if part is None else part[inside] for part in (line.low, line.high, line.raw))
    return ChartLine(line.name, line.colour_index, line.x[inside], line.y[inside], low_part, high_part, raw)


def _zoomed(window: Window, whole: Window, centre: float | None, factor: float) -> tuple[float, float] | None:
    """Return the part of the x axis after a zoom, None for all of it."""
    scale = math.log10 if whole.log_x else float
    low, high = scale(window.x_low), scale(window.x_high)
    first, last = scale(whole.x_low), scale(whole.x_high)
    width = (high - low) * factor
    if width >= last - first:
        return None
    if width < CLOSEST * (last - first):
        return (window.x_low, window.x_high)
    middle = scale(centre) if centre is not None and window.x_low <= centre <= window.x_high else (low + high) / 2
    start = min(max(first, middle - width / 2), last - width)
    ends = (start, start + width)
    return (10.0 ** ends[0], 10.0 ** ends[1]) if whole.log_x else ends
