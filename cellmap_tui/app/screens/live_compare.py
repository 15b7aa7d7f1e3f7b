"""Runs side by side: the settings in which they differ, their metrics, their classes in pairs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from cellmap_tui.app.compare_rows import (
    ALONE,
    NO_CLASSES,
    NO_CONFIG,
    NO_METRICS,
    class_columns,
    config_columns,
    config_words,
    metric_columns,
    run_words,
)
from cellmap_tui.app.keys import bind
from cellmap_tui.app.live_export import TableExport
from cellmap_tui.app.screens.live_base import LivePage
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected
from cellmap_tui.monitor.compare import ClassRow, side_by_side
from cellmap_tui.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.live_run import LiveRun
    from cellmap_tui.monitor.compare import Comparison

AGAIN_S = 2.0
"""Comparing looks at the whole history of every run; nobody reads it faster."""
SERIES_COLOURS = 8
_PANES = ("config", "metrics", "classes")


class RunTable(VirtualTable[Any]):
    """One of the tables."""

    def __init__(self, id: str, empty: str, *, opens: bool = False) -> None:
        super().__init__(
            (), row_key=lambda row: getattr(row, "name", None) or row.key, markable=False, empty=empty, id=id
        )
        self._opens = opens

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Take the key that opens a row away where there is nothing to open."""
        return (action != "select" or self._opens) and super().check_action(action, parameters)


class LiveCompareScreen(LivePage, TableExport):
    """The runs that are drawn over each other."""

    AUTO_FOCUS = "#config-rows"
    CSS_PATH = "live_compare.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"compare.runs": "#runs"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("live.turn", "turn", "metrics, classes", help="Change between settings, metrics and classes."),
        bind("do.export", "export", help="Write settings, metrics and classes of the runs as CSV."),
    ]

    class Compared(Message):
        """The runs were compared."""

        def __init__(self, comparison: Comparison) -> None:
            self.comparison = comparison
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest counts."""
            return isinstance(message, LiveCompareScreen.Compared)

    def __init__(self, live: LiveRun) -> None:
        super().__init__(live)
        self._runs = 0
        self._compared_s = float("-inf")
        self._waits = False
        self._comparison: Comparison | None = None

    def compose_body(self) -> ComposeResult:
        """Yield the runs, then three tables."""
        with Pane(id="runs") as pane:
            pane.set_title("best epochs; classes against run 1")
            yield Static("comparing…", markup=False, id="names")
        with Container(id="tables"):
            with Pane(id="config") as pane:
                pane.set_title("settings that differ")
                yield RunTable("config-rows", NO_CONFIG)
                yield Static(markup=False, id="whole")
            with Pane(id="metrics") as pane:
                pane.set_title("metrics, the best of each run")
                yield RunTable("metric-rows", NO_METRICS)
            with Pane(id="classes") as pane:
                pane.set_title("classes at the best epochs, the largest difference first")
                yield RunTable("class-rows", NO_CLASSES, opens=True)

    def on_mount(self) -> None:
        """Begin with the settings."""
        self.add_class("-config")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what changes nothing where all is shown."""
        if action == "turn":
            return not self.has_class("-wide")
        return super().check_action(action, parameters)

    def show_live(self) -> None:
        """Compare again, after a while."""
        wait_s = self._compared_s + AGAIN_S - time.monotonic()
        if wait_s > 0:
            if not self._waits:
                self._waits = True
                self.set_timer(wait_s, self._later)
            return
        self._compared_s = time.monotonic()
        self._compare(self.live)

    def _later(self) -> None:
        self._waits = False
        if self.is_current:
            self.show_live()

    @work(thread=True, exclusive=True, group="compare.runs", exit_on_error=False)
    def _compare(self, live: LiveRun) -> None:
        comparison = side_by_side(live.sources)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Compared(comparison))

    @on(Compared)
    def _show(self, event: Compared) -> None:
        event.stop()
        comparison = self._comparison = event.comparison
        tables = {name: self.query_one(f"#{name}-rows", RunTable) for name in ("config", "metric", "class")}
        if len(comparison.runs) != self._runs:
            self._runs = len(comparison.runs)
            tables["config"].set_columns(config_columns(self._runs))
            tables["metric"].set_columns(metric_columns(self._runs))
            tables["class"].set_columns(class_columns(self._runs))
        colours = [f"$class-{self.live.colour_of(source) % SERIES_COLOURS + 1}" for source in self.live.sources]
        words = run_words(comparison, colours[: self._runs])
        if self._runs == 1:
            words = Content("\n").join([words, Content(ALONE)])
        names = self.query_one("#names", Static)
        if names.content != words:
            names.update(words)
        for table, rows in zip(
            tables.values(), (comparison.config, comparison.metrics, comparison.classes), strict=True
        ):
            table.update_rows(rows)
        many = counted(len(comparison.config), "setting")
        differ = "of this run" if self._runs == 1 else "differs" if len(comparison.config) == 1 else "differ"
        self.query_one("#config", Pane).set_title(f"{many} {differ}")

    def action_turn(self) -> None:
        """Show the next of settings, metrics and classes."""
        here = next(name for name in _PANES if self.has_class(f"-{name}"))
        there = _PANES[(_PANES.index(here) + 1) % len(_PANES)]
        self.remove_class(f"-{here}")
        self.add_class(f"-{there}")
        self.query_one(f"#{there} RunTable", RunTable).focus()

    def action_export(self) -> None:
        """Write all three tables."""
        from cellmap_tui.app.live_tables import compare_rows

        if self._comparison is not None:
            name = printable(self.live.main.name)
            self.ask_table("comparison", name, compare_rows(self._comparison))

    @on(RowHighlighted, "#config-rows")
    def _show_whole(self, event: RowHighlighted) -> None:
        self.query_one("#whole", Static).update("" if event.row is None else config_words(event.row))

    @on(RowSelected, "#class-rows")
    def _open(self, event: RowSelected) -> None:
        from cellmap_tui.app.screens.live_samples import LiveSamplesScreen

        if isinstance(event.row, ClassRow):
            self.app.push_screen(LiveSamplesScreen(self.live, event.row.name))
