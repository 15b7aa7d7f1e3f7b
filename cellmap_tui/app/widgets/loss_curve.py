"""The loss of a training as a curve that is repainted when it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from cellmap_tui.app.signs import ascii_only
from cellmap_tui.app.training_words import AXIS, curve_lines

if TYPE_CHECKING:
    from textual.events import Resize

    from cellmap_tui.app.training_feed import TrainingTally


class LossCurve(Widget):
    """Mean loss over the steps, a column a span of them."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"loss-curve--axis", "loss-curve--bar"}
    DEFAULT_CSS = """
    LossCurve {
        height: 1fr; width: 1fr;

        & > .loss-curve--axis { color: $text-muted; }
        & > .loss-curve--bar { color: $primary; }
    }
    """
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tally: TrainingTally | None = None
        self._lines: list[str] = []

    def show(self, tally: TrainingTally | None) -> None:
        """Show the losses so far."""
        self._tally = tally
        values = tally.curve(max(0, self.size.width - AXIS)) if tally is not None else []
        lines = curve_lines(values, self.size.height, ascii_only=ascii_only()) if values and self.size.height else []
        if lines != self._lines:
            self._lines = lines
            self.refresh()

    def on_resize(self, _event: Resize) -> None:
        """Draw anew for another size."""
        self.show(self._tally)

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        line = self._lines[y] if y < len(self._lines) else ""
        axis = self.get_component_rich_style("loss-curve--axis")
        columns = self.get_component_rich_style("loss-curve--bar")
        strip = Strip([Segment(line[:AXIS], axis), Segment(line[AXIS:], columns)])
        return strip.adjust_cell_length(self.size.width, self.rich_style)
