"""Every class of a training: a table and a chart each, the worst first; ``enter`` goes to the class's slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.widgets import Static

from cellmap_tui.app.keys import bind
from cellmap_tui.app.live_class_rows import NAMES, absent_words, class_columns, class_lines, next_metric, parted
from cellmap_tui.app.live_export import TableExport
from cellmap_tui.app.screens.live_base import LivePage
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.small_multiples import SmallMultiples
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected
from cellmap_tui.monitor.classes import METRICS, ClassRow, class_table
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.live_run import LiveRun

NOTHING_YET = "nothing was validated yet"


class LiveClassTable(VirtualTable[ClassRow]):
    """A class a row."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "slices", help="Show the example slices with this class alone.")
    ]

    def __init__(self) -> None:
        super().__init__(
            class_columns(METRICS[0]),
            row_key=lambda row: row.name,
            search_text=lambda row: row.name,
            markable=False,
            empty=NOTHING_YET,
        )


class LiveClassesScreen(LivePage, TableExport):
    """The classes of the run in hand.

    Parameters
    ----------
    live
        What is looked at; the others are drawn into the charts.
    """

    AUTO_FOCUS = "LiveClassTable"
    CSS_PATH = "live_classes.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("live.turn", "turn", "charts", help="Change between the table and a chart for each class."),
        bind("live.metric", "metric"),
        bind("live.heat", "heat"),
        bind("do.export", "export", help="Write the table as CSV."),
    ]

    def __init__(self, live: LiveRun) -> None:
        super().__init__(live)
        self._metric = METRICS[0]

    def compose_body(self) -> ComposeResult:
        """Yield table and charts."""
        with Pane(id="table") as pane:
            pane.set_title("classes")
            yield LiveClassTable()
            yield Static(markup=False, id="absent")
        with Pane(id="charts") as pane:
            pane.set_title("over the epochs")
            yield SmallMultiples()

    @property
    def table(self) -> LiveClassTable:
        """The table."""
        return self.query_one(LiveClassTable)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what changes nothing where both are shown."""
        if action == "turn":
            return not self.has_class("-wide")
        return super().check_action(action, parameters)

    def show_live(self) -> None:
        """Show the newest validation."""
        rows, absent = parted(class_table(self.live.main.series, self._metric, self.live.main.facts.classes))
        self.table.update_rows(rows)
        words = absent_words(absent)
        part = self.query_one("#absent", Static)
        if part.content != words:
            part.update(words)
        charts, planned = class_lines(self.live, self._metric, [row.name for row in rows])
        multiples = self.query_one(SmallMultiples)
        multiples.show(charts, planned_end=planned)
        name = NAMES[self._metric]
        epoch = next((row.epoch for row in rows if row.epoch is not None), None)
        when = NOTHING_YET if epoch is None else f"epoch {epoch}"
        self.query_one("#table", Pane).set_title(f"{len(rows)} classes, lowest {name} first, {when}")
        self.query_one("#charts", Pane).set_title(
            f"{name} over the epochs", self.query_one(SmallMultiples).page_words
        )

    # Keys

    def action_metric(self) -> None:
        """Tell by the next of Dice, IoU, precision, recall."""
        self._metric = next_metric(self._metric)
        self.table.set_columns(class_columns(self._metric))
        self.show_live()

    def action_turn(self) -> None:
        """Change between table and charts."""
        self.toggle_class("-charts")
        self.set_focus(self.query_one(SmallMultiples) if self.has_class("-charts") else self.table)

    def action_heat(self) -> None:
        """Show every class over the epochs."""
        from cellmap_tui.app.screens.live_heat import LiveHeatScreen

        self.app.push_screen(LiveHeatScreen(self.live))

    def action_export(self) -> None:
        """Write every class."""
        from cellmap_tui.app.live_tables import class_rows

        rows = class_table(self.live.main.series, self._metric, self.live.main.facts.classes)
        self.ask_table("classes", printable(self.live.main.name), class_rows(rows, self._metric))

    @on(RowHighlighted, "LiveClassTable")
    def _follow(self, event: RowHighlighted) -> None:
        names = [row.name for row in self.table.index.rows]
        if event.row is not None and event.row.name in names:
            self.query_one(SmallMultiples).index = names.index(event.row.name)
            self._title_charts()

    @on(SmallMultiples.Highlighted)
    def _title_charts(self) -> None:
        page = self.query_one(SmallMultiples).page_words
        title = f"{NAMES[self._metric]} over the epochs"
        self.query_one("#charts", Pane).set_title(f"{title}, {page}" if page else title)

    @on(RowSelected, "LiveClassTable")
    def _open_row(self, event: RowSelected) -> None:
        self._open(event.row.name)

    @on(SmallMultiples.Opened)
    def _open_chart(self, event: SmallMultiples.Opened) -> None:
        self._open(event.title)

    def _open(self, name: str) -> None:
        from cellmap_tui.app.screens.live_samples import LiveSamplesScreen

        self.app.push_screen(LiveSamplesScreen(self.live, name))
