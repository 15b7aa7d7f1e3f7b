"""The heat map of classes and datasets on a page of its own, for narrow terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.widgets.heat_map import HeatMap
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.text import count

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from cellmap_tui.services.class_facts import ClassCounts


class HeatScreen(SubScreen):
    """Crops per class and dataset; ``enter`` lists those under the cursor.

    Parameters
    ----------
    counts
        What is shown.
    class_name
        Where the cursor begins.
    """

    MODE = "classes"
    AUTO_FOCUS = "HeatMap"

    def __init__(self, counts: ClassCounts, class_name: str) -> None:
        super().__init__()
        self._counts = counts
        self._class_name = class_name

    def compose_body(self) -> ComposeResult:
        """Yield the map."""
        with Pane() as pane:
            pane.set_title("training crops: class × dataset", "esc back")
            yield HeatMap(self._counts)

    def on_mount(self) -> None:
        """Begin at the class."""
        self.query_one(HeatMap).go_to(self._class_name)

    def on_heat_map_cell_highlighted(self, event: HeatMap.CellHighlighted) -> None:
        """Name the cell."""
        note = f"{event.class_name} × {event.dataset}: {count(event.crops)} crops   esc back"
        self.query_one(Pane).set_title("training crops: class × dataset", note)

    def on_heat_map_cell_opened(self, event: HeatMap.CellOpened) -> None:
        """List the crops."""
        self.leave((event.class_name, event.dataset))
