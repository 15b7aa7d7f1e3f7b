"""The charts of a live training: what is in them, one cursor and zoom for all, and the keys that change the look."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import on, work

from cellmap_tui.app.keys import bind
from cellmap_tui.app.live_lines import PANELS, LineMaker, Panel, line_name, panels, planned_end, smoothing_of
from cellmap_tui.app.live_view import LiveView, load_view, save_view
from cellmap_tui.app.screens.live_base import LiveWatch
from cellmap_tui.app.widgets.filter_bar import FilterBar, FilterInput
from cellmap_tui.app.widgets.line_chart import LineChart
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.pick import Pick
from cellmap_tui.errors import CellmapError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.live_run import LiveRun
    from cellmap_tui.monitor.export import ViewData

_AXES = {"step": "steps", "epoch": "epochs", "time": "time of day", "elapsed": "time"}
_DRAWN, _HIDDEN = "x ", "  "


class MetricFilterBar(FilterBar):
    """The filter line of the metrics."""


class TrainingChart(LineChart):
    """A chart that leaves the footer to the keys that steer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("chart.fit", "fit", show=False),
        bind("chart.smoother", "ask('smoother')", show=False),
        bind("chart.axis", "ask('axis')", show=False),
        bind("chart.log_y", "ask('log_y')", show=False),
    ]


class ChartPane(Pane):
    """One chart with its title."""

    DEFAULT_CSS = """
    ChartPane { padding: 0; }
    """

    def __init__(self, place: int) -> None:
        super().__init__(id=f"chart{place}", classes="chart")
        self.place = place
        """Which of the charts."""
        self.panel = Panel("")
        """What is in it."""

    def compose(self) -> ComposeResult:
        """Yield the chart."""
        yield TrainingChart()

    @property
    def chart(self) -> LineChart:
        """The chart."""
        return self.query_one(LineChart)


class TrainingCharts(LiveWatch):
    """A screen with the charts of `live`."""

    def __init__(self) -> None:
        super().__init__()
        self.view = LiveView()
        self._lines = LineMaker()
        self._panes: list[ChartPane] = []
        self._turns: list[ChartPane] = []
        self._moves: list[tuple[ChartPane, Callable[[LineChart], None]]] = []
        self._draws_on = False

    def compose_charts(self) -> Iterator[ChartPane]:
        """Yield the charts."""
        for place in range(PANELS):
            yield ChartPane(place)

    # Parts

    @property
    def chart_panes(self) -> list[ChartPane]:
        """The charts with their titles."""
        if not self._panes:
            self._panes = list(self.query(ChartPane))
        return self._panes

    @property
    def chart_pane(self) -> ChartPane:
        """The chart in hand: the focused one, else the one in front."""
        panes = self.chart_panes
        return next((pane for pane in panes if pane.has_focus_within), None) or self.front

    @property
    def front(self) -> ChartPane:
        """The chart that is shown where there is room for one."""
        panes = self.chart_panes
        return next((pane for pane in panes if pane.has_class("-front")), panes[0])

    @property
    def filter_bar(self) -> MetricFilterBar:
        """The filter line of the metrics."""
        return self.query_one(MetricFilterBar)

    @property
    def shows_one(self) -> bool:
        """Whether there is room for one chart at a time."""
        return self.has_class("-narrow") or self.has_class("-low")

    def goes_on(self) -> bool:
        """Whether a job works on the run in hand; a screen that knows better says so."""
        return self.live is not None and self.live.is_live

    # Draw

    def take_view(self, state_dir: Path, live: LiveRun) -> None:
        """Look as the user did the last time, at the overlays of this run."""
        self.view = replace(load_view(state_dir, live.path), overlays=tuple(str(s.path) for s in live.overlays))
        self.filter_bar.set_reactive(FilterBar.text, self.view.metrics)
        self.filter_bar.input.value = self.view.metrics
        self._show_filter()

    def prepare_live(self, live: LiveRun) -> None:
        """Make the lines of the charts."""
        self._lines.prepare(live, self.view)

    def show_charts(self) -> None:
        """Draw what is known now, the chart in hand first; a chart that shows the same sends nothing."""
        live = self.live
        if live is None:
            return
        for pane, panel in zip(self.chart_panes, self._panels(live), strict=True):
            pane.panel = panel
            pane.set_class(not panel.title, "-empty")
        in_hand = self.chart_pane
        self._end_moves()
        self._turns = [in_hand, *(pane for pane in self.chart_panes if pane is not in_hand)]
        if self.is_left_alone:
            self._draw_rest()  # no key is waited for, and painting once is cheaper
        else:
            self._draw_turn()
        if self.front.has_class("-empty"):
            self._bring(self.chart_panes[0])

    def _draw_turn(self) -> None:
        """Draw the next chart, and go on when it is painted: a key comes in between, it need not wait for all."""
        while self.live is not None and (self._moves or self._turns):
            pane, move = self._moves.pop(0) if self._moves else (self._turns.pop(0), None)
            if move is not None:
                move(pane.chart)
            elif not self._draw(pane, self.live):
                continue
            if (self._moves or self._turns) and not self._draws_on:
                # Of the chart: its wish to be painted reaches the screen before this does.
                self._draws_on = pane.chart.call_after_refresh(self._draw_on)
            return

    def _draw_on(self) -> None:
        self._draws_on = False
        if self.is_attached:
            self._draw_turn()

    def _draw_rest(self) -> None:
        """Draw all that wait for their turn: what comes now is about charts as they are now."""
        self._end_moves()
        while self._turns and self.live is not None:
            self._draw(self._turns.pop(0), self.live)

    def _end_moves(self) -> None:
        while self._moves:
            pane, move = self._moves.pop(0)
            move(pane.chart)

    def _move_others(self, chart: LineChart, move: Callable[[LineChart], None]) -> None:
        """Let the other charts follow one in which the user moved, each in its turn."""
        self._draw_rest()
        self._moves = [(pane, move) for pane in self.chart_panes if pane.chart is not chart]
        if not self._draws_on:
            self._draws_on = chart.call_after_refresh(self._draw_on)

    def _draw(self, pane: ChartPane, live: LiveRun) -> bool:
        """Draw a chart with its title; return whether there was something to draw."""
        pane.set_title(pane.panel.title + self._look_words(pane.panel))
        if not pane.display or not pane.panel.title:
            return False
        pane.chart.show(
            self._lines.lines(live, self.view, pane.panel),
            planned_end=planned_end(live, self.view) if self.goes_on() else None,
            axis_words=self.view.axis,
            log_x=self.view.log_x,
            log_y=self.view.log_y or pane.panel.log_y,
            clip_percent=self.view.clip_percent,
        )
        return True

    def _panels(self, live: LiveRun) -> tuple[Panel, ...]:
        try:
            found = panels(live, self.view)
        except CellmapError as error:
            self.filter_bar.show_error(error)
            return panels(live, replace(self.view, metrics=""))
        self.filter_bar.show_error(None)
        if self.view.metrics:
            drawn = sum(len(panel.names) for panel in found)
            self.filter_bar.show_count(f"{drawn} metrics")
        return found

    def _look_words(self, panel: Panel) -> str:
        view = self.view
        words = [
            f"over {_AXES[view.axis]}" if view.axis != "step" else "",
            "log y" if view.log_y or panel.log_y else "",
            "log x" if view.log_x else "",
            f"smooth {view.smoothing:g}" if any(smoothing_of(view, name) for name in panel.names) else "",
            "clipped" if view.clip else "",
        ]
        return "".join(f"  {word}" for word in words if word)

    # One in front

    def action_next_chart(self, step: int) -> None:
        """Bring the next chart to the front, or move on to the next pane where all are shown."""
        if not self.shows_one or self.has_class("-runs"):
            self.focus_next() if step > 0 else self.focus_previous()
            return
        panes = [pane for pane in self.chart_panes if not pane.has_class("-empty")]
        if panes:
            place = panes.index(self.front) if self.front in panes else 0
            self._bring(panes[(place + step) % len(panes)])

    def _bring(self, pane: ChartPane) -> None:
        for other in self.chart_panes:
            other.set_class(other is pane, "-front")
        if self.live is not None and pane.panel.title:
            self._draw(pane, self.live)
        if self.shows_one:
            pane.chart.focus()

    # Keys of the charts

    @on(LineChart.CursorMoved)
    def _move_cursors(self, event: LineChart.CursorMoved) -> None:
        self._move_others(event.chart, lambda chart: chart.set_cursor(event.x))

    @on(LineChart.Zoomed)
    def _zoom_all(self, event: LineChart.Zoomed) -> None:
        span = None if event.window is None else (event.window.x_low, event.window.x_high)
        self._move_others(event.chart, lambda chart: chart.set_span(span))

    @on(LineChart.OptionAsked)
    def _change(self, event: LineChart.OptionAsked) -> None:
        what, view = event.what, self.view
        if what == "series":
            self._ask_series()
        elif what == "smoother":
            self.look(view.smoother(1))
        elif what == "rougher":
            self.look(view.smoother(-1))
        elif what == "raw":
            self.look(replace(view, smoothing=0.0))
        elif what == "axis":
            self.look(view.next_axis())
        elif what == "follow":
            self._follow(event.chart.following)
        elif what == "log_y" and self.chart_pane.panel.log_y:
            self.app.notify(
                f"{self.chart_pane.panel.title} is always logarithmic: its values differ by powers of ten."
            )
        elif what in {"band", "log_y", "log_x", "clip"}:
            self.look(view.turned(what))

    def _follow(self, following: bool) -> None:
        self._draw_rest()
        for pane in self.chart_panes:
            pane.chart.set_following(following)
        self.look(replace(self.view, follow=following))

    def look(self, view: LiveView) -> None:
        """Look another way from now on, and the next time too."""
        if view != self.view:
            self.view = view
            self.show_charts()
            self._keep(view)

    @work(thread=True, exclusive=True, group="live.keep", exit_on_error=False)
    def _keep(self, view: LiveView) -> None:
        save_view(self.cellmap.settings.state_dir, view, self.live.path if self.live is not None else None)

    def _ask_series(self) -> None:
        pane, live = self.chart_pane, self.live
        if live is None or not pane.panel.names:
            return
        words = {
            (_HIDDEN if name in self.view.hidden else _DRAWN)
            + printable(f"{line_name(live.main, name, by_run=False, alone=True)}   {name}"): name
            for name in pane.panel.names
        }

        def turn(line: str | None) -> None:
            if line is None:
                return
            name, hidden = words[line], self.view.hidden
            self.look(
                replace(
                    self.view,
                    hidden=tuple(one for one in hidden if one != name) if name in hidden else (*hidden, name)[-100:],
                )
            )

        self.app.push_screen(Pick("curves: enter draws one, or no longer", list(words)), turn)

    # Filter

    def action_filter(self) -> None:
        """Type a filter of the metrics."""
        self.add_class("-filtered")
        self.filter_bar.input.focus()

    def refilter(self) -> None:
        """Draw the metrics that the filter leaves."""
        if self.filter_bar.text != self.view.metrics:
            self.look(replace(self.view, metrics=self.filter_bar.text))

    @on(FilterInput.Left)
    def _leave_filter(self) -> None:
        self._show_filter()
        self.front.chart.focus() if self.shows_one else self.chart_panes[0].chart.focus()

    def _show_filter(self) -> None:
        self.set_class(bool(self.filter_bar.text), "-filtered")

    # Export

    def view_data(self) -> ViewData | None:
        """Return the chart in hand as data; None: nothing is in it."""
        from cellmap_tui.monitor.export import ViewData

        live, pane = self.live, self.chart_pane
        if live is None or not pane.panel.names:
            return None
        lines = self._lines.curves(live, self.view, pane.panel)
        log_y = self.view.log_y or pane.panel.log_y
        return ViewData(pane.panel.title, self.view.axis, log_y, tuple(lines)) if lines else None
