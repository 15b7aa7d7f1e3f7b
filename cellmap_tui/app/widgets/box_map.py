"""A small map of boxes in the world: where the crops of a dataset lie, seen along an axis.

`draw_map` is pure; `BoxMap` shows it. Crops are braille dots, so that many fit; the one under the
cursor is solid, so that it stands out without colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from cellmap_tui.app.signs import ascii_only
from cellmap_tui.app.widgets.columns import fitted
from cellmap_tui.text import number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import ClassVar

    from cellmap_tui.challenge.grid import Vec3

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = 0x2800
_SOLID = "█"


@dataclass(frozen=True, slots=True)
class Box:
    """A box in the world."""

    key: str
    """What it is."""
    lower_nm: Vec3
    """Lower corner, z, y, x."""
    upper_nm: Vec3
    """Upper corner, z, y, x."""


def draw_map(boxes: Sequence[Box], chosen: str, width: int, height: int, axes: tuple[int, int]) -> list[str]:
    """Draw boxes into lines of text, in their true proportions.

    Parameters
    ----------
    boxes
        What is drawn.
    chosen
        Key of the box that is drawn solid.
    width, height
        Cells.
    axes
        Axes down and across: 0 z, 1 y, 2 x.
    """
    if not boxes or width < 1 or height < 1:
        return [" " * width] * height
    lower = [min(box.lower_nm[axis] for box in boxes) for axis in axes]
    upper = [max(box.upper_nm[axis] for box in boxes) for axis in axes]
    # Braille dots are square: a cell is twice as high as wide and has 4 by 2 of them.
    step = max((high - low) / dots for low, high, dots in zip(lower, upper, (height * 4, width * 2), strict=True))
    codes = [[_BLANK] * width for _ in range(height)]
    solid: set[tuple[int, int]] = set()
    for box in boxes:
        rows, columns = (
            _dots(box.lower_nm[axis] - low, box.upper_nm[axis] - low, step, most)
            for axis, low, most in zip(axes, lower, (height * 4, width * 2), strict=True)
        )
        for row in rows:
            for column in columns:
                codes[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
                if box.key == chosen:
                    solid.add((row // 4, column // 2))
    return ["".join(_sign(code, (y, x) in solid) for x, code in enumerate(line)) for y, line in enumerate(codes)]


def _dots(low: float, high: float, step: float, most: int) -> range:
    first = min(most - 1, int(low / step))
    return range(first, min(most, max(first + 1, round(high / step))))


def _sign(code: int, is_solid: bool) -> str:
    if ascii_only():
        return "#" if is_solid else "." if code != _BLANK else " "
    return _SOLID if is_solid else chr(code) if code != _BLANK else " "


class BoxMap(Widget):
    """Two views of boxes, side by side: along z and along y."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"box-map--words"}
    DEFAULT_CSS = """
    BoxMap {
        height: 10;
        color: $text-primary;
        & > .box-map--words { color: $text-muted; }
    }
    """

    def __init__(self, boxes: Sequence[Box]) -> None:
        super().__init__()
        self._boxes = tuple(boxes)
        self._chosen = ""
        self._lines: list[str] = []

    def choose(self, key: str) -> None:
        """Draw another box solid."""
        self._chosen = key
        self._draw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._draw()

    def render_line(self, y: int) -> Strip:
        """Return a line of both views; the last says what they are."""
        width, height = self.content_size
        if y == height - 1:
            style = self.get_component_rich_style("box-map--words")
            return Strip([Segment(fitted(self._words(width // 2), width), style)], width)
        line = self._lines[y] if y < len(self._lines) else ""
        return Strip([Segment(fitted(line, width), self.rich_style)], width)

    def _draw(self) -> None:
        width, height = self.content_size
        half = max(0, width // 2 - 2)
        left = draw_map(self._boxes, self._chosen, half, height - 1, (1, 2))
        right = draw_map(self._boxes, self._chosen, half, height - 1, (0, 2))
        self._lines = [f"{a}    {b}" for a, b in zip(left, right, strict=True)]
        self.refresh()

    def _words(self, half: int) -> str:
        spans = [
            max(box.upper_nm[axis] for box in self._boxes) - min(box.lower_nm[axis] for box in self._boxes)
            for axis in range(3)
        ]
        z, y, x = (f"{number(float(f'{span / 1000:.3g}'))} µm" for span in spans)
        return f"{f'along z: y {y} down, x {x}':<{half + 2}}along y: z {z} down, x {x}"
