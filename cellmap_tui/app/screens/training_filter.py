"""The filter of the list of trainings: parts of names, globs, expressions, and ``cfg.lr>=1e-3``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import on, work
from textual.message import Message

from cellmap_tui.app.screens.base import BaseScreen
from cellmap_tui.app.widgets.filter_bar import FilterBar, FilterInput
from cellmap_tui.app.widgets.training_table import TrainingRow, TrainingTable
from cellmap_tui.errors import CellmapError
from cellmap_tui.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class RunsFilter(FilterBar):
    """The filter line of the trainings; what its line says it says in its own name, as there is another one."""

    class Left(Message):
        """The user is done typing."""

    class Moved(Message):
        """The user moves in the list while typing."""

        def __init__(self, rows: int) -> None:
            self.rows = rows
            super().__init__()

    @on(FilterInput.Left)
    def _leave(self, event: FilterInput.Left) -> None:
        event.stop()
        self.post_message(self.Left())

    @on(FilterInput.Moved)
    def _move(self, event: FilterInput.Moved) -> None:
        event.stop()
        self.post_message(self.Moved(event.rows))


class TrainingFilter(BaseScreen):
    """A screen whose trainings can be filtered."""

    class ConfigsRead(Message):
        """What trainings were configured with is known."""

        def __init__(self, configs: Mapping[Path, Mapping[str, Any]]) -> None:
            self.configs = configs
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._configs: dict[Path, Mapping[str, Any]] = {}

    @property
    def runs_filter(self) -> RunsFilter:
        """The filter line of the trainings."""
        return self.query_one(RunsFilter)

    @property
    def table(self) -> TrainingTable:
        """The trainings."""
        return self.query_one(TrainingTable)

    def on_mount(self) -> None:
        """Follow what is typed."""
        self.watch(self.runs_filter, "text", self.filter_runs, init=False)

    def ask_runs_filter(self) -> None:
        """Type a filter of the trainings."""
        self.runs_filter.add_class("-open")
        self.runs_filter.input.focus()

    def filter_runs(self) -> None:
        """Show the trainings that the filter leaves."""
        from cellmap_tui.monitor.metric_filter import parse_metric_filter

        text = self.runs_filter.text.strip()
        if not text:
            self.runs_filter.show_error(None)
            self.runs_filter.show_count("")
            self.table.filter(None)
            return
        try:
            wanted = parse_metric_filter(text)
        except CellmapError as error:
            self.runs_filter.show_error(error)
            return
        self.runs_filter.show_error(None)
        self._read_configs([row.path for row in self.table.index.rows if row.path not in self._configs])

        def keep(row: TrainingRow) -> bool:
            return wanted.matches(f"{row.name} {row.path.name}", self._configs.get(row.path))

        self.table.filter(keep)
        self.runs_filter.show_count(counted(len(self.table.index), "training"))

    @work(thread=True, exclusive=True, group="training.configs", exit_on_error=False)
    def _read_configs(self, paths: list[Path]) -> None:
        from cellmap_tui.jobs.liveness import Pulse
        from cellmap_tui.monitor.facts import FactsReader

        if paths:
            self.post_message(
                self.ConfigsRead({path: FactsReader(path, Pulse()).read(None).config for path in paths})
            )

    @on(ConfigsRead)
    def _take_configs(self, event: ConfigsRead) -> None:
        self._configs.update(event.configs)
        self.filter_runs()

    @on(RunsFilter.Left)
    def _leave_runs_filter(self) -> None:
        self.runs_filter.set_class(bool(self.runs_filter.text), "-open")
        self.table.focus()

    @on(RunsFilter.Moved)
    def _move_in_runs(self, event: RunsFilter.Moved) -> None:
        self.table.action_move(event.rows)
