"""What a training runs on: GPUs, host, container, disk, and where the time of its steps goes.

Everything was read by the job and stands in its run directory: a run elsewhere, or one that is over, looks the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from textual.containers import Container, VerticalScroll
from textual.widgets import Static

from cellmap_tui.app import run_words
from cellmap_tui.app.charts import Line
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
from cellmap_tui.app.widgets.small_multiples import SmallMultiples
from cellmap_tui.app.widgets.table import VirtualTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult
    from textual.events import Resize

    from cellmap_tui.monitor.points import Points
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
_BAR, _NARROW_BAR = 16, 8


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
            pane.set_title("machine")
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
        with Pane(id="history") as pane:
            pane.set_title("shares over time", "0 to 1")
            yield SmallMultiples()

    def on_resize(self, event: Resize) -> None:
        """Make bars as long as there is room."""
        super().on_resize(event)
        if self.is_mounted:
            self.show_live()

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
        lines = [share_line(row, self._bar) for row in host_rows(machine, reading)]
        self._tell("#figures", "\n".join(lines) or self._nothing())
        self._tell("#split", "\n".join(self._time_lines()))
        self._show_history(machine)

    @property
    def _bar(self) -> int:
        return _NARROW_BAR if self.app.size.width < 100 else _BAR

    def _show_history(self, machine: Machine | None) -> None:
        drawn = [
            (title, points, whole, owner)
            for title, name, whole, owner in self._histories(machine)
            if len(points := self._points(name))
        ]
        start_s = min((float(np.nanmin(points.time_s)) for _, points, _, _ in drawn), default=0.0)
        charts = [
            (title, Line(points.time_s - start_s, points.mean / whole, owner))
            for title, points, whole, owner in drawn
        ]
        self.query_one("#history").set_class(not charts, "-none")
        self.query_one(SmallMultiples).show(charts)

    def _histories(self, machine: Machine | None) -> Iterator[tuple[str, str, float, int]]:
        """Yield title, name, what is the whole, and colour of each share that is drawn."""
        for gpu in machine.gpus if machine is not None else ():
            yield f"gpu{gpu.index} busy", f"gpu{gpu.index}/utilisation", 1.0, 0
            if gpu.memory_bytes:
                yield f"gpu{gpu.index} memory", f"gpu{gpu.index}/memory_used_bytes", gpu.memory_bytes, 1
        yield "CPU", "cpu", 1.0, 2
        if machine is not None and machine.memory_bytes:
            yield "RAM", "memory_used_bytes", machine.memory_bytes, 3
        if machine is not None and machine.container_limit_bytes:
            yield "container", "container_used_bytes", machine.container_limit_bytes, 4
        yield "waits for data", "perf/data_wait", 1.0, 5

    def _points(self, name: str) -> Points:
        source = self.live.main
        return source.series.points(name) if name.startswith("perf/") else source.telemetry.points(name)

    def _gpu_sentence(self, machine: Machine | None) -> str:
        return gpu_words(machine) if machine is not None or self.live.is_live else self._nothing()

    def _nothing(self) -> str:
        return NO_TELEMETRY if self.live.main.kind == "run" else FOREIGN

    def _show_place(self, machine: Machine | None, reading: Reading | None) -> None:
        if machine is None and reading is None:
            return
        here = self.cellmap.host
        words = place_words(machine, reading, here, run_words.now(), is_live=self.live.is_live)
        has_gpus = machine is not None and bool(machine.gpus)
        self.query_one("#gpus", Pane).set_title(words, gpu_words(machine) if has_gpus else "")

    def _time_lines(self) -> list[str]:
        latest = self._means()
        split = split_of(self.live.main.facts.steps_per_epoch, latest)
        lines = [*step_lines(latest), "", "of an epoch's time", *split_lines(split, self._bar)]
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
