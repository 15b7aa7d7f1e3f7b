"""Charts without a terminal: numbers in, characters out.

One place to import from: curves as dots (`chart_raster`), limits and labels (`chart_axes`), and a whole chart
(`chart_frame`). Nothing here knows Textual; numpy comes with the import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.app.chart_axes import axis_kind, fit, nice_step, short_number, ticks, x_words, y_limits
from cellmap_tui.app.chart_frame import COLOURS, ChartLine, Frame, make_frame
from cellmap_tui.app.chart_raster import Cells, Line, Window, rasterise, to_text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "COLOURS",
    "Cells",
    "ChartLine",
    "Frame",
    "Line",
    "Window",
    "axis_kind",
    "fit",
    "frame_text",
    "make_frame",
    "nice_step",
    "rasterise",
    "short_number",
    "ticks",
    "to_text",
    "x_words",
    "y_limits",
]


def frame_text(
    lines: Sequence[Line],
    names: Sequence[str],
    width: int,
    height: int,
    *,
    window: Window | None = None,
    planned_end: float | None = None,
    axis_words: str = "step",
    log_x: bool = False,
    log_y: bool = False,
    clip_percent: float = 0.0,
    ascii: bool = False,
) -> list[str]:
    """Return a whole chart as plain text: axes, curves, names at their ends, newest values.

    Parameters
    ----------
    lines, names
        Curves and what they are called, as many of each.
    width, height
        Size in cells, everything included.
    window
        Part of the plane; None: what fits, by the parameters of `fit`.
    axis_words
        What x is: ``step``, ``epoch``, ``time`` (Unix time) or ``elapsed`` (seconds).
    ascii
        Whether only ASCII is written.
    """
    window = window or fit(lines, planned_end, log_x, log_y, clip_percent)
    drawn = [
        ChartLine(name, line.owner, line.x, line.y, line.low, line.high)
        for name, line in zip(names, lines, strict=True)
    ]
    return make_frame(drawn, window, width, height, axis_words=axis_words, ascii=ascii).text()
