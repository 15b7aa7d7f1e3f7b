"""The rate of a fetch as a small chart that repaints only the lines that have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from cellmap_tui.app.rate_lines import AXIS, rate_lines
from cellmap_tui.app.signs import ascii_only

if TYPE_CHECKING:
    from collections.abc import Sequence


class RateChart(Widget):
    """A column a piece of time, the newest at the right."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"rate-chart--axis", "rate-chart--bar"}
    DEFAULT_CSS = """
    RateChart {
        height: 1fr; width: 1fr;

        & > .rate-chart--axis { color: $text-muted; }
        & > .rate-chart--bar { color: $primary; }
    }
    """
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: list[str] = []

    @property
    def columns(self) -> int:
        """Columns of the chart itself."""
        return max(0, self.size.width - AXIS)

    def show(self, rates: Sequence[float | None]) -> None:
        """Show these rates, a column each."""
        height = self.size.height
        lines = rate_lines(rates, height, ascii_only=ascii_only()) if height else []
        before, self._shown = self._shown, lines
        width = self.size.width
        if len(before) != len(lines):
            self.refresh()
            return
        changed = [
            Region(0, y, width, 1) for y, (old, new) in enumerate(zip(before, lines, strict=True)) if old != new
        ]
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        line = self._shown[y] if y < len(self._shown) else ""
        axis = self.get_component_rich_style("rate-chart--axis")
        columns = self.get_component_rich_style("rate-chart--bar")
        strip = Strip([Segment(line[:AXIS], axis), Segment(line[AXIS:], columns)])
        return strip.adjust_cell_length(self.size.width, self.rich_style)
