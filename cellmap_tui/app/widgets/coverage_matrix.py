"""The required volumes as a matrix: classes by test crops, a sign a cell, the cursor names the volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cellmap_tui.app.keys import bind
from cellmap_tui.app.submit_words import SIGNS, STATES
from cellmap_tui.app.widgets.heat_map import HeatMap

if TYPE_CHECKING:
    from rich.style import Style
    from textual.binding import BindingType


class CoverageMatrix(HeatMap):
    """What there is of each volume; the sign says it, the colour only helps the eye."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "open", "fill gap", help="Go to what fills this gap."),
        bind("do.view", "screen.view", "view", help="View a slice of the prediction."),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "coverage-matrix--good",
        "coverage-matrix--attention",
        "coverage-matrix--gap",
    }
    DEFAULT_CSS = """
    CoverageMatrix > .coverage-matrix--good { color: $text-success; }
    CoverageMatrix > .coverage-matrix--attention { color: $text-warning; text-style: bold; }
    CoverageMatrix > .coverage-matrix--gap { color: $text-error; text-style: bold; }
    """

    @property
    def cell_width(self) -> int:
        """Room for ids of four figures where all crops fit so, else of three."""
        columns = len(self._counts.datasets) if self._counts is not None else 0
        return 5 if self.LABEL + 5 * columns <= self.content_size.width else 4

    def column_name(self, column: int) -> str:
        """Return the number of a crop."""
        assert self._counts is not None
        return self._counts.datasets[column].removeprefix("crop")

    def cell_text(self, value: int) -> str:
        """Return the sign of a state."""
        return SIGNS[STATES[value]]

    def cell_style(self, row: int, column: int, value: int) -> Style:
        """Return how a state looks."""
        if (row, column) == (self.row, self.column):
            return self.get_component_rich_style("heat-map--here")
        state = STATES[value]
        if state in ("present", "resampled"):
            return self.get_component_rich_style("coverage-matrix--good")
        if state in ("missing", "unreadable", "outside"):
            return self.get_component_rich_style("coverage-matrix--gap")
        return self.get_component_rich_style("coverage-matrix--attention")
