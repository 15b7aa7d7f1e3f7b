"""Every class of a training over its epochs, on one screen; ``enter`` goes to the class's slices at that epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.widgets import Static

from cellmap_tui.app.keys import bind
from cellmap_tui.app.live_class_rows import NAMES, next_metric
from cellmap_tui.app.live_export import TableExport
from cellmap_tui.app.screens.live_base import LivePage
from cellmap_tui.app.widgets.epoch_heat import EpochHeat
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.monitor.classes import METRICS, class_epochs, class_table
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.live_run import LiveRun

NOTHING_YET = "nothing was validated yet: an epoch that is validated is a column here"


class LiveHeatScreen(LivePage, TableExport):
    """Classes over epochs.

    Parameters
    ----------
    live
        What is looked at.
    """

    AUTO_FOCUS = "EpochHeat"
    CSS_PATH = "live_heat.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.sort", "sort", "worst first", help="Sort classes by name, or the worst first."),
        bind("live.metric", "metric"),
        bind("live.classes", "classes"),
        bind("do.export", "export", help="Write classes and epochs as CSV."),
    ]

    def __init__(self, live: LiveRun) -> None:
        super().__init__(live)
        self._metric = METRICS[0]
        self._worst_first = False

    def compose_body(self) -> ComposeResult:
        """Yield the map."""
        with Pane(id="map") as pane:
            pane.set_title("classes over epochs")
            yield Static(NOTHING_YET, markup=False, id="nothing")
            yield EpochHeat()

    def show_live(self) -> None:
        """Show what was validated."""
        series, name = self.live.main.series, NAMES[self._metric]
        classes, epochs, values = class_epochs(series, self._metric)
        if self._worst_first:
            places = {row.name: place for place, row in enumerate(class_table(series, self._metric))}
            order = sorted(range(len(classes)), key=lambda index: places[classes[index]])
            classes, values = tuple(classes[index] for index in order), values[order]
        self.query_one("#map").set_class(not len(epochs), "-nothing")
        self.query_one(EpochHeat).show(classes, epochs, values, metric=name)
        sorted_by = "lowest first" if self._worst_first else "by name"
        title = f"{name} of {len(classes)} classes over {len(epochs)} epochs, {sorted_by}"
        self.query_one("#map", Pane).set_title(title, "dark 0, light 1; a digit is its tenth")

    def action_sort(self) -> None:
        """Sort by name, or the worst first."""
        self._worst_first = not self._worst_first
        self.show_live()

    def action_metric(self) -> None:
        """Show the next of Dice, IoU, precision, recall."""
        self._metric = next_metric(self._metric)
        self.show_live()

    def action_classes(self) -> None:
        """Show every class, the worst first."""
        from cellmap_tui.app.screens.live_classes import LiveClassesScreen

        self.app.push_screen(LiveClassesScreen(self.live))

    def action_export(self) -> None:
        """Write every class at every epoch."""
        from cellmap_tui.app.live_tables import heat_rows

        found = class_epochs(self.live.main.series, self._metric)
        title = f"{self._metric} over epochs"
        self.ask_table(title, printable(self.live.main.name), heat_rows(*found, self._metric))

    @on(EpochHeat.CellOpened)
    def _open(self, event: EpochHeat.CellOpened) -> None:
        from cellmap_tui.app.screens.live_samples import LiveSamplesScreen

        self.app.push_screen(LiveSamplesScreen(self.live, event.class_name, event.epoch))
