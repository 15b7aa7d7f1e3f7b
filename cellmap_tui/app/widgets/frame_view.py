"""What all charts share: a picture in cells of which only what has changed is repainted."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from cellmap_tui.app.chart_frame import AXIS, BAND, COLOURS, CURSOR, HEAT, HEATS, HERE, LINE, NAME, WORDS, Frame
from cellmap_tui.app.widgets.terse_strip import TerseStrip

if TYPE_CHECKING:
    from rich.style import Style

_PARTS = {
    AXIS: "axis",
    CURSOR: "cursor",
    WORDS: "words",
    HERE: "here",
    **{LINE + index: f"line-{index + 1}" for index in range(COLOURS)},
    **{BAND + index: f"band-{index + 1}" for index in range(COLOURS)},
    **{NAME + index: f"name-{index + 1}" for index in range(COLOURS)},
    **{HEAT + index: f"heat-{index}" for index in range(HEATS)},
}


def _css() -> str:
    colours = range(1, COLOURS + 1)
    return "\n".join(
        [
            "FrameView { height: 1fr; width: 1fr;",
            "& > .frame--axis { color: $text-muted; }",
            "& > .frame--cursor { color: $foreground; text-style: bold; }",
            "& > .frame--words { color: $text-muted; }",
            "& > .frame--here { color: $text-primary; text-style: bold reverse; }",
            *(f"& > .frame--line-{colour} {{ color: $class-{colour}; }}" for colour in colours),
            *(f"& > .frame--band-{colour} {{ color: $class-{colour} 45%; }}" for colour in colours),
            *(f"& > .frame--name-{colour} {{ color: $class-{colour}; text-style: bold; }}" for colour in colours),
            *(f"& > .frame--heat-{level} {{ background: $heat-{level}; color: auto; }}" for level in range(HEATS)),
            "}",
        ]
    )


class FrameView(Widget, can_focus=True):
    """A widget that shows a `Frame`. While it is hidden it keeps what it knows, and no picture."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"frame--{part}" for part in _PARTS.values()}
    DEFAULT_CSS = _css()
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._frame: Frame | None = None
        self._styles: dict[int, Style] = {}
        self._strips: dict[int, Strip] = {}

    def make_frame(self, width: int, height: int) -> Frame:
        """Return the picture for a size in cells, both above 0."""
        raise NotImplementedError

    def draw(self) -> None:
        """Make the picture anew and repaint what differs."""
        width, height = self.content_size
        if not width or not height or not self.is_attached or not self.display:
            self._frame = None
            return
        before, self._frame = self._frame, self.make_frame(width, height)
        regions = changed_regions(before, self._frame)
        if regions is None:
            self._strips.clear()
            self.refresh()
            return
        for region in regions:
            self._strips.pop(region.y, None)
        if regions:
            self.refresh(*regions)

    def on_resize(self) -> None:
        """Draw for another size."""
        self.draw()

    def on_show(self) -> None:
        """Draw what came while nobody looked."""
        self.draw()

    def on_hide(self) -> None:
        """Keep no picture."""
        self._frame = None
        self._strips.clear()

    def notify_style_update(self) -> None:
        """Take the colours of another theme."""
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return lines that are sent with few bytes."""
        return [TerseStrip(strip._segments, strip._cell_length) for strip in super().render_lines(crop)]

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        strip = self._strips.get(y)
        if strip is None:
            strip = self._strips[y] = self._strip(y)
        return strip

    def _strip(self, y: int) -> Strip:
        width, frame = self.content_size.width, self._frame
        if frame is None or y >= len(frame.codes):
            return Strip.blank(width, self.rich_style)
        text, marks = frame.codes[y].tobytes().decode("utf-32-le"), joined(frame, y)
        changes = [0, *(np.flatnonzero(marks[1:] != marks[:-1]) + 1).tolist(), len(text)]
        segments = [Segment(text[start:end], self._style(int(marks[start]))) for start, end in pairwise(changes)]
        return Strip(segments, len(text))

    def _style(self, mark: int) -> Style:
        style = self._styles.get(mark)
        if style is None:
            part = _PARTS.get(mark)
            style = self.get_component_rich_style(f"frame--{part}") if part else self.rich_style
            self._styles[mark] = style
        return style


def changed_regions(before: Frame | None, after: Frame) -> list[Region] | None:
    """Return the parts of lines that differ, None when all must be painted."""
    if before is None or before.codes.shape != after.codes.shape:
        return None
    # The colour of text is not seen where there is none, that of a ground is.
    visible = (after.codes != ord(" ")) | (after.styles >= HERE) | (before.styles >= HERE)
    differs = (before.codes != after.codes) | ((before.styles != after.styles) & visible)
    # One part a line: Textual sends a line from the widget's left edge to the end of each part of it.
    rows = np.flatnonzero(differs.any(axis=1))
    starts = differs[rows].argmax(axis=1)
    ends = differs.shape[1] - differs[rows, ::-1].argmax(axis=1)
    parts = zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True)
    return [Region(start, row, end - start, 1) for row, start, end in parts]


def joined(frame: Frame, y: int) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """Return the styles of a line, spaces with what is before them: fewer changes of colour to send."""
    styles = frame.styles[y]
    has_ground = styles >= HERE
    is_free = (frame.codes[y] == ord(" ")) & ~has_ground
    last = np.maximum.accumulate(np.where(is_free, 0, np.arange(len(styles))))
    marks: np.ndarray[tuple[int], np.dtype[np.int8]] = np.where(is_free & has_ground[last], 0, styles[last])
    return marks
