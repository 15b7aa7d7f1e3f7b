"""What a training runs on: GPUs, host, container, disk, and where the time of its steps goes.

Everything was read by the job and stands in its run directory: a run elsewhere, or one that is over, looks the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from textual.containers import Container, VerticalScroll
from textual.widgets import Static

from cellmap_tui.app import run_words
from cellmap_tui.app.machine_words import (
    GpuRow,
    gpu_columns,
    gpu_rows,
    gpu_words,
    host_rows,
    place_words,
    share_line,
    sound,
    split_lines,
    split_of,
    step_lines,
    wait_words,
)
from cellmap_tui.app.screens.live_base import LivePage
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table import VirtualTable

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from cellmap_tui.services.telemetry_model import Machine, Reading

LAST = 50
"""Points that the figures of speed are means of."""
SPEEDS = (
    "perf/samples_per_s",
    "perf/step_ms",
    "perf/data_ms",
    "perf/compute_ms",
    "perf/data_wait",
    "val/seconds",
)
NO_TELEMETRY = "this run has told nothing of its machine"
FOREIGN = "a log of another tool tells nothing of its machine"
_BAR = 16


class GpuTable(VirtualTable[GpuRow]):
    """A GPU a row."""

    def __init__(self) -> None:
        super().__init__(gpu_columns(), row_key=lambda row: row.number, markable=False, empty="")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Take the key that opens a row away."""
        return action != "select" and super().check_action(action, parameters)


class LiveMachineScreen(LivePage):
    """The machine of the run in hand."""

    AUTO_FOCUS = "GpuTable"
    CSS_PATH = "live_machine.tcss"

    def compose_body(self) -> ComposeResult:
        """Yield GPUs, host, and time."""
        with Pane(id="gpus") as pane:
            pane.set_title("GPUs")
            yield Static(markup=False, id="no-gpu")
            yield GpuTable()
        with Container(id="below"):
            with Pane(id="host") as pane:
                pane.set_title("host")
                with VerticalScroll():
                    yield Static(markup=False, id="figures")
            with Pane(id="time") as pane:
                pane.set_title("where the time goes")
                with VerticalScroll():
                    yield Static(markup=False, id="split")

    def show_live(self) -> None:
        """Show the newest reading."""
        telemetry = self.live.main.telemetry
        machine = None if telemetry.machine is None else sound(telemetry.machine)
        reading = None if telemetry.latest is None else sound(telemetry.latest)
        rows = gpu_rows(machine, reading)
        self._show_place(machine, reading)
        self.query_one("#gpus").set_class(not rows, "-none")
        self._tell("#no-gpu", self._gpu_sentence(machine))
        table = self.query_one(GpuTable)
        if table.styles.height is None or table.styles.height.value != len(rows) + 1:
            table.styles.height = len(rows) + 1
        table.update_rows(rows)
        lines = [share_line(row, _BAR) for row in host_rows(machine, reading)]
        self._tell("#figures", "\n".join(lines) or self._nothing())
        self._tell("#split", "\n".join(self._time_lines()))

    def _gpu_sentence(self, machine: Machine | None) -> str:
        return gpu_words(machine) if machine is not None or self.live.is_live else self._nothing()

    def _nothing(self) -> str:
        return NO_TELEMETRY if self.live.main.kind == "run" else FOREIGN

    def _show_place(self, machine: Machine | None, reading: Reading | None) -> None:
        if machine is None and reading is None:
            return
        here = self.cellmap.host
        words = place_words(machine, reading, here, run_words.now(), is_live=self.live.is_live)
        self.query_one("#host", Pane).set_title(words)
        self.query_one("#gpus", Pane).set_title("GPUs", gpu_words(machine))

    def _time_lines(self) -> list[str]:
        latest = self._means()
        split = split_of(self.live.main.facts.steps_per_epoch, latest)
        lines = [*step_lines(latest), "", *split_lines(split, _BAR)]
        wait = wait_words(latest)
        return [*lines, "", wait] if wait else lines

    def _means(self) -> dict[str, float]:
        """Return the mean of the last points of each speed that was told."""
        series = self.live.main.series
        found = {}
        for name in SPEEDS:
            told = series.points(name).mean[-LAST if name.startswith("perf/") else -1 :]
            if np.isfinite(told).any():
                found[name] = float(np.nanmean(told))
        return found

    def _tell(self, selector: str, words: str) -> None:
        part = self.query_one(selector, Static)
        if part.content != words:
            part.update(words)
