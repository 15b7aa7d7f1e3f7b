"""From the cells of a chart to lines of a terminal, and which of them differ from the last ones."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip

from cellmap_tui.app.chart_frame import AXIS, BAND, COLOURS, CURSOR, LINE, NAME, WORDS

if TYPE_CHECKING:
    from rich.style import Style
    from textual.widget import Widget

    from cellmap_tui.app.chart_frame import Frame

JOIN = 6
"""Cells that did not change between two that did are sent too: moving the cursor costs as much."""

_PARTS = {
    AXIS: "axis",
    CURSOR: "cursor",
    WORDS: "words",
    **{LINE + index: f"line-{index + 1}" for index in range(COLOURS)},
    **{BAND + index: f"band-{index + 1}" for index in range(COLOURS)},
    **{NAME + index: f"name-{index + 1}" for index in range(COLOURS)},
}
FRAME_CLASSES = {f"chart--{part}" for part in _PARTS.values()}
"""Component classes of every widget that shows frames."""


def frame_css(widget: str) -> str:
    """Return the default style of a widget that shows frames."""
    colours = range(1, COLOURS + 1)
    return "\n".join(
        [
            f"{widget} {{ height: 1fr; width: 1fr;",
            "& > .chart--axis { color: $text-muted; }",
            "& > .chart--cursor { color: $foreground; text-style: bold; }",
            "& > .chart--words { color: $text-muted; }",
            *(f"& > .chart--line-{colour} {{ color: $class-{colour}; }}" for colour in colours),
            *(f"& > .chart--band-{colour} {{ color: $class-{colour} 45%; }}" for colour in colours),
            *(f"& > .chart--name-{colour} {{ color: $class-{colour}; text-style: bold; }}" for colour in colours),
            "}",
        ]
    )


def changed_regions(before: Frame | None, after: Frame) -> list[Region] | None:
    """Return the parts of lines that differ, None when all must be painted."""
    if before is None or before.codes.shape != after.codes.shape:
        return None
    # The colour of a space is not seen.
    differs = (before.codes != after.codes) | ((before.styles != after.styles) & (after.codes != ord(" ")))
    regions = []
    for row in np.flatnonzero(differs.any(axis=1)).tolist():
        columns = np.flatnonzero(differs[row])
        gaps = np.flatnonzero(np.diff(columns) > JOIN)
        starts = columns[np.concatenate([[0], gaps + 1])].tolist()
        ends = columns[np.concatenate([gaps, [-1]])].tolist()
        regions += [Region(start, row, end + 1 - start, 1) for start, end in zip(starts, ends, strict=True)]
    return regions


def frame_strip(widget: Widget, frame: Frame | None, y: int, styles: dict[int, Style]) -> Strip:
    """Return a line of a frame; `styles` keeps the styles of the theme between calls."""
    width = widget.content_size.width
    if frame is None or y >= len(frame.codes):
        return Strip.blank(width, widget.rich_style)
    codes, marks = frame.codes[y], frame.styles[y]
    text = codes.tobytes().decode("utf-32-le")
    # Spaces go with what is before them: fewer changes of colour.
    is_space = codes == ord(" ")
    last_seen = np.maximum.accumulate(np.where(is_space, 0, np.arange(len(marks))))
    marks = marks[last_seen]
    changes = [0, *(np.flatnonzero(marks[1:] != marks[:-1]) + 1).tolist(), len(text)]
    segments = [
        Segment(text[start:end], _style(widget, int(marks[start]), styles)) for start, end in pairwise(changes)
    ]
    return Strip(segments, len(text)).adjust_cell_length(width, widget.rich_style)


def _style(widget: Widget, mark: int, styles: dict[int, Style]) -> Style:
    style = styles.get(mark)
    if style is None:
        part = _PARTS.get(mark)
        style = widget.get_component_rich_style(f"chart--{part}") if part else widget.rich_style
        styles[mark] = style
    return style
