"""One chart in one app: told frames by its parent, it answers with the processor time of each.

    python bench/charting/side.py ours|textual-plot|textual-plotext all|reduced POINTS ADDED ASKED TELL

Runs on a pseudo terminal. A line on the descriptor ASKED asks for something, a line on TELL
answers: ``frame`` adds points
and shows them, ``cpu`` tells the processor seconds so far.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from textual.app import App, ComposeResult

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from textual.widget import Widget

SERIES = ("train", "val", "mito", "er", "nucleus")
COLUMNS = 240
FRAMES = 1000
"""No more frames are asked for than data was made for."""


class Curves:
    """Five noisy curves that grow."""

    def __init__(self, points: int, added: int) -> None:
        rng = np.random.default_rng(0)
        self.points, self.added = points, added
        steps = np.arange(points + added * FRAMES, dtype=np.float64)
        self.planned_end = float(points * 2)
        self.x = steps
        self.y = [
            0.1 * (index + 1) + np.exp(-steps / (points / (2 + index))) + 0.02 * rng.standard_normal(len(steps))
            for index in range(len(SERIES))
        ]

    def grow(self) -> None:
        """Let a frame's points come."""
        self.points += self.added

    def now(self, *, reduced: bool) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return x and y of each curve, perhaps only lowest and highest of each column."""
        parts = [(self.x[: self.points], y[: self.points]) for y in self.y]
        return [_reduced(x, y, self.planned_end) for x, y in parts] if reduced else parts


def _reduced(
    x: NDArray[np.float64], y: NDArray[np.float64], planned_end: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    starts = np.unique(np.searchsorted(x, np.linspace(0, planned_end, COLUMNS + 1)[:-1]))
    starts = starts[starts < len(x)]
    both = np.stack([np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)], axis=1)
    return np.repeat(x[starts], 2), both.ravel()


class ChartApp(App[None]):
    """A chart that fills the screen."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, side: str, data: str, points: int, added: int, asked: int, tell: int) -> None:
        super().__init__()
        self.asked, self.tell = asked, tell
        self.side, self.is_reduced = side, data == "reduced"
        self.curves = Curves(points, added)
        self.chart: Widget | None = None

    def compose(self) -> ComposeResult:
        """Make the chart of the side."""
        if self.side == "ours":
            from cellmap_tui.app.widgets.line_chart import LineChart

            self.chart = LineChart()
        elif self.side == "textual-plot":
            from textual_plot import PlotWidget

            self.chart = PlotWidget()
        else:
            from textual_plotext import PlotextPlot

            self.chart = PlotextPlot()
        yield self.chart

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return the variables that our chart's colours use."""
        names = [f"class-{index}" for index in range(1, 9)] + [f"heat-{index}" for index in range(9)]
        return dict.fromkeys(names, "#56b4e9") | {"class-1": "#e69f00", "class-3": "#009e73", "class-4": "#f0e442"}

    def on_ready(self) -> None:
        """Show the first frame and listen."""
        import asyncio

        self.show()
        asyncio.get_running_loop().add_reader(self.asked, self.answer)

    def answer(self) -> None:
        """Do what the parent asks."""
        word = os.read(self.asked, 100).decode().strip()
        if not word:
            os._exit(1)  # who measures is gone; an ended pipe is readable for ever
        if word == "frame":
            self.curves.grow()
            self.show()
        if word == "quit":
            self.exit()
        else:
            os.write(self.tell, f"{time.process_time()}\n".encode())

    def show(self) -> None:
        """Give the curves to the chart."""
        curves = self.curves.now(reduced=self.is_reduced)
        end = self.curves.planned_end
        if self.side == "ours":
            from cellmap_tui.app.widgets.line_chart import ChartLine

            lines = [ChartLine(name, k, x, y) for k, (name, (x, y)) in enumerate(zip(SERIES, curves, strict=True))]
            self.chart.show(lines, planned_end=end)
        elif self.side == "textual-plot":
            from textual_plot import HiResMode

            self.chart.clear()
            for colour, (x, y) in zip(COLOURS, curves, strict=True):
                self.chart.plot(x, y, line_style=colour, hires_mode=HiResMode.BRAILLE)
            self.chart.set_xlimits(0, end)
        else:
            plt = self.chart.plt
            plt.clear_data()
            for name, (x, y) in zip(SERIES, curves, strict=True):
                plt.plot(x.tolist(), y.tolist(), marker="braille", label=name)
            plt.xlim(0, end)
            self.chart.refresh()


COLOURS = ("yellow", "blue", "green", "red", "magenta")

if __name__ == "__main__":
    ChartApp(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:7])).run()
