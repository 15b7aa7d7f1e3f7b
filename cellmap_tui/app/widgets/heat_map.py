"""A table of numbers shaded by their size, with a cursor that names its row and column.

The number is always printed: the shade only helps the eye. Rows and columns that do not fit scroll.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from cellmap_tui.app.keys import bind
from cellmap_tui.app.widgets.columns import fitted

if TYPE_CHECKING:
    from rich.style import Style
    from textual.binding import BindingType

    from cellmap_tui.services.class_facts import ClassCounts

SHADES = 9


def shade(value: int, most: int) -> int:
    """Return the shade of a number: 0 for nothing, then 1 to 8 by the square root, so that few still shows."""
    if value <= 0 or most <= 0:
        return 0
    return max(1, min(SHADES - 1, round(math.sqrt(value / most) * (SHADES - 1))))


def short_name(dataset: str) -> str:
    """Return a dataset's name in four letters: ``jrc_mus-liver-zon-1`` is ``mlz1``, ``jrc_hela-2`` is ``hel2``."""
    parts = dataset.removeprefix("jrc_").replace("_", "-").split("-")
    words = [part for part in parts if part and not part[0].isdigit()]
    tail = "".join(part[-1:] for part in parts if part and part[0].isdigit())[-1:]
    room = 4 - len(tail)
    head = words[0][:room] if len(words) == 1 else "".join(word[0] for word in words)[:room]
    return f"{head}{tail}"


class HeatMap(Widget, can_focus=True):
    """Crops of each class in each dataset."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "open", "list crops"),
        bind("move.left", "move(0, -1)", show=False, help="Move one dataset to the left."),
        bind("move.right", "move(0, 1)", show=False, help="Move one dataset to the right."),
        bind("move.up", "move(-1, 0)", show=False),
        bind("move.down", "move(1, 0)", show=False),
        bind("move.top", "move(-9999, 0)", show=False),
        bind("move.bottom", "move(9999, 0)", show=False),
        bind("move.half_down", "move(10, 0)", show=False),
        bind("move.half_up", "move(-10, 0)", show=False),
        bind("move.page_down", "move(20, 0)", show=False),
        bind("move.page_up", "move(-20, 0)", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "heat-map--heading",
        "heat-map--here",
        *(f"heat-map--{level}" for level in range(SHADES)),
    }
    DEFAULT_CSS = "\n".join(
        [
            "HeatMap { height: 1fr; background: $surface; color: $foreground;",
            "& > .heat-map--heading { color: $text-muted; text-style: bold; }",
            "& > .heat-map--here { color: $text-primary; text-style: bold reverse; }",
            "& > .heat-map--0 { color: $text-muted; }",
            *(f"& > .heat-map--{level} {{ background: $heat-{level}; color: auto; }}" for level in range(1, SHADES)),
            "}",
        ]
    )

    LABEL: ClassVar[int] = 12
    """Cells a row's name takes."""

    row: reactive[int] = reactive(0, repaint=False)
    """Class under the cursor."""
    column: reactive[int] = reactive(0, repaint=False)
    """Dataset under the cursor."""

    class CellHighlighted(Message):
        """The cursor came to another class or dataset."""

        def __init__(self, heat_map: HeatMap, class_name: str, dataset: str, crops: int) -> None:
            self.heat_map = heat_map
            self.class_name = class_name
            self.dataset = dataset
            self.crops = crops
            super().__init__()

    class CellOpened(Message):
        """The user wants the crops of a class in a dataset."""

        def __init__(self, class_name: str, dataset: str) -> None:
            self.class_name = class_name
            self.dataset = dataset
            super().__init__()

    def __init__(self, counts: ClassCounts | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._counts = counts
        self._most = 0
        self._top = 0
        self._left = 0
        if counts is not None:
            self.show(counts)

    def show(self, counts: ClassCounts) -> None:
        """Show other counts."""
        self._counts = counts
        self._most = max((value for row in counts.counts for value in row), default=0)
        self.refresh()
        self._tell()

    def go_to(self, class_name: str) -> None:
        """Put the cursor on a class."""
        if self._counts is not None and class_name in self._counts.classes:
            self.row = self._counts.classes.index(class_name)

    def on_mount(self) -> None:
        """Say where the cursor is."""
        self._tell()

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self._follow()

    def on_focus(self) -> None:
        """Show the cursor."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide the cursor's strength."""
        self.refresh()

    def validate_row(self, row: int) -> int:
        """Keep the cursor on a class."""
        return max(0, min(row, len(self._counts.classes) - 1)) if self._counts else 0

    def validate_column(self, column: int) -> int:
        """Keep the cursor on a dataset."""
        return max(0, min(column, len(self._counts.datasets) - 1)) if self._counts else 0

    def watch_row(self, old: int, new: int) -> None:
        """Repaint both lines."""
        self._moved(old, new)

    def watch_column(self) -> None:
        """Repaint the line and the heading."""
        self._moved(self.row, self.row)

    def action_move(self, rows: int, columns: int) -> None:
        """Move the cursor."""
        self.row += rows
        self.column += columns

    def action_open(self) -> None:
        """Ask for the crops."""
        if self._counts is not None:
            self.post_message(self.CellOpened(self._counts.classes[self.row], self._counts.datasets[self.column]))

    def render_line(self, y: int) -> Strip:
        """Return the heading or a class."""
        width = self.content_size.width
        if self._counts is None or not self._counts.datasets:
            return Strip.blank(width, self.rich_style)
        shown = range(self._left, min(len(self._counts.datasets), self._left + self._columns_that_fit))
        if y == 0:
            segments = self._heading(shown)
        elif self._top + y - 1 < len(self._counts.classes):
            segments = self._class_line(self._top + y - 1, shown)
        else:
            segments = []
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _heading(self, shown: range) -> list[Segment]:
        assert self._counts is not None
        plain = self.get_component_rich_style("heat-map--heading")
        here = self.get_component_rich_style("heat-map--here")
        segments = [Segment(" " * self.LABEL, plain)]
        for column in shown:
            text = fitted(self.column_name(column), self.cell_width - 1, "right")
            segments += [Segment(" ", plain), Segment(text, here if column == self.column else plain)]
        return segments

    def _class_line(self, row: int, shown: range) -> list[Segment]:
        assert self._counts is not None
        is_here = row == self.row
        name = f"{'>' if is_here else ' '} {self._counts.classes[row]}"
        style = self.get_component_rich_style("heat-map--heading") if is_here else self.rich_style
        segments = [Segment(fitted(name, self.LABEL), style)]
        for column in shown:
            value = self._counts.counts[row][column]
            text = f"{self.cell_text(value):>{self.cell_width - 1}} "
            segments.append(Segment(text, self.cell_style(row, column, value)))
        return segments

    @property
    def cell_width(self) -> int:
        """Cells that a column takes."""
        return 5

    def column_name(self, column: int) -> str:
        """Return the heading of a column."""
        assert self._counts is not None
        return short_name(self._counts.datasets[column])

    def cell_text(self, value: int) -> str:
        """Return what a cell prints."""
        return str(value) if value else "·"

    def cell_style(self, row: int, column: int, value: int) -> Style:
        """Return how a cell looks."""
        if (row, column) == (self.row, self.column):
            return self.get_component_rich_style("heat-map--here")
        return self.get_component_rich_style(f"heat-map--{shade(value, self._most)}")

    @property
    def _columns_that_fit(self) -> int:
        return max(1, (self.content_size.width - self.LABEL) // self.cell_width)

    def _moved(self, old: int, new: int) -> None:
        if self._follow():
            self.refresh()
        else:
            width = self.content_size.width
            lines = {0, old - self._top + 1, new - self._top + 1}
            self.refresh(*(Region(0, y, width, 1) for y in lines if 0 <= y < self.content_size.height))
        self._tell()

    def _follow(self) -> bool:
        before = (self._top, self._left)
        lines, columns = max(1, self.content_size.height - 1), self._columns_that_fit
        self._top = max(self.row - lines + 1, min(self._top, self.row))
        self._left = max(self.column - columns + 1, min(self._left, self.column))
        return before != (self._top, self._left)

    def _tell(self) -> None:
        if self._counts is not None and self._counts.classes and self._counts.datasets:
            class_name, dataset = self._counts.classes[self.row], self._counts.datasets[self.column]
            crops = self._counts.counts[self.row][self.column]
            self.post_message(self.CellHighlighted(self, class_name, dataset, crops))
