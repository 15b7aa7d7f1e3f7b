"""Trainings live: curves, classes, machine and log of the one in hand, others drawn over it; steered from here.

A training is a job of its own, so leaving this page or the app ends nothing, and any number may look at it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Container, Vertical
from textual.message import Message
from textual.widgets import Static

from cellmap_tui.app import live_words, run_words
from cellmap_tui.app.keys import bind
from cellmap_tui.app.live_bell import Heard, heard, rings
from cellmap_tui.app.live_control import LiveControl
from cellmap_tui.app.live_export import LiveExport
from cellmap_tui.app.live_lines import not_drawn
from cellmap_tui.app.live_rows import training_rows
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.screens.training_charts import MetricFilterBar, TrainingCharts
from cellmap_tui.app.screens.training_filter import RunsFilter, TrainingFilter
from cellmap_tui.app.screens.training_pages import TrainingPages
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.run_log import RunLog
from cellmap_tui.app.widgets.table_messages import RowSelected
from cellmap_tui.app.widgets.training_table import NOTHING, TrainingRow, TrainingTable
from cellmap_tui.text import count, cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.content import Content
    from textual.events import Resize

    from cellmap_tui.app.live_run import LiveRun
    from cellmap_tui.app.live_view import LiveView
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.monitor.finding import Finding
    from cellmap_tui.services.train_model import TrainRequest

TRAIN = "train"
"""Name of the command."""
BEAT_S = 1.0
SELDOM = 5
"""Of so many beats one is shown while the screen is left alone."""
STRIP_LINES = 3


class TrainingScreen(TrainingCharts, TrainingPages, TrainingFilter, LiveControl, LiveExport, SubScreen):
    """The trainings below the runs root, one of them in hand.

    Parameters
    ----------
    request
        What is filled in for the next one; it is asked for at once.
    path
        Run directory, or log of another tool, to take in hand; None: the newest training.
    """

    MODE = "train"
    AUTO_FOCUS = "#chart0 TrainingChart"
    CSS_PATH = "training.tcss"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (36, "-tall")]  # noqa: RUF012 - as Textual declares it
    FAILURES: ClassVar[Mapping[str, str]] = {"training.open": "#charts"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("pane.next", "next_chart(1)", "chart", help="Show the next chart, or go to the next pane."),
        bind("pane.previous", "next_chart(-1)", show=False),
        bind("live.checkpoint", "checkpoint"),
        bind("do.stop", "stop", "stop…", help="Stop the training; asks first. Asked again, it ends at once."),
        bind("do.pause", "pause", help="Pause the training, or let it go on."),
        bind("do.reload", "resume", "go on", help="Go on with what was stopped, lost or failed, in the same run."),
        bind("train.runs", "runs", "trainings", help="Show all trainings: to look at another, or to overlay some."),
        bind("live.validate", "validate_now", show=False),
        bind("live.rate", "rate", show=False),
        bind("live.epoch", "stop_after_epoch", show=False),
        bind("live.classes", "page('classes')", show=False),
        bind("live.heat", "page('heat')", show=False),
        bind("do.view", "page('samples')", "samples", show=False, help="View example slices of each epoch."),
        bind("live.machine", "page('machine')", show=False),
        bind("live.compare", "page('compare')", show=False),
        bind("live.findings", "page('findings')", show=False),
        bind("live.add", "add", show=False),
        bind("live.bell", "bell", show=False),
        bind("do.new", "new", "train", help="Train from a configuration, or look at what it takes, as a job."),
        bind(
            "do.filter", "filter", show=False, help="Choose metrics by name: substring, glob, /regex/, AND, OR, NOT."
        ),
        bind("do.export", "export", show=False, help="Write the chart in hand as CSV, JSON, SVG or PNG."),
        bind("do.log", "full_log", show=False),
        bind("do.close", "close", show=False, help="Close the innermost thing; at last go back to the split."),
        bind("do.open", "enlarge", show=False, help="Enlarge the chart; again to restore it."),
    ]

    class Opened(Message):
        """A run is open."""

        def __init__(self, live: LiveRun) -> None:
            self.live = live
            super().__init__()

    class Added(Message):
        """Another source is drawn, or no longer."""

    def __init__(self, request: TrainRequest | None = None, path: Path | None = None) -> None:
        super().__init__()
        self.request = request
        self._wanted = path
        self._asks = request is not None
        self._heard = Heard()
        self._beats = 0

    def compose_body(self) -> ComposeResult:
        """Yield where it stands, charts, trainings, classes, machine and log."""
        yield Static("looking for trainings…", id="status", markup=False)
        yield Static(id="finding", markup=False)
        yield MetricFilterBar("loss, val/*, /dice.(er|mito)/, loss OR lr, NOT perf …")
        with Container(id="middle"):
            with Pane(id="charts"):
                yield from self.compose_charts()
            with Vertical(id="side"):
                with Pane(id="runs") as pane:
                    pane.set_title("trainings", "⏎ look at  ␣ overlay")
                    yield RunsFilter("part of a name, cfg.lr>=1e-3, cfg.model~unet …")
                    yield TrainingTable()
                with Pane(id="machine") as pane:
                    pane.set_title("machine and loader", "M more")
                    yield Static(markup=False, id="machine-lines")
        yield Static(id="strip", markup=False)
        yield Static(id="machine-line", markup=False)
        yield Static(id="last-line", markup=False)
        with Pane(id="events") as pane:
            pane.set_title("says", "L full log")
            yield RunLog()

    def on_mount(self) -> None:
        """Follow the runs; take the wanted one in hand."""
        self.chart_panes[0].add_class("-front")
        if self._wanted is not None:
            self.take_in_hand(self._wanted)
        self.watch(self.app, "runs", self._see_runs, init=True)
        self.watch(self.filter_bar, "text", self.refilter, init=False)
        self.set_interval(BEAT_S, self._beat)
        if self._asks:
            self.call_after_refresh(self.action_new)

    def on_resize(self, event: Resize) -> None:
        """Draw what has room now."""
        self.call_after_refresh(self._show_all)

    def chosen_run(self) -> RunSummary | None:
        """Return the training that the keys are about: the one in hand."""
        live = self.live
        if live is None:
            return None
        return next((run for run in self.cellmap.runs if run.path == live.path), live.summary)

    def goes_on(self) -> bool:
        """Whether a job works on the run in hand."""
        run = self.chosen_run()
        return run is not None and run.is_live

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if action in {"export", "bell"}:
            return self.live is not None
        if action == "enlarge":
            return not self.shows_one
        return super().check_action(action, parameters)

    # Trainings

    def take_in_hand(self, path: Path) -> None:
        """Look at another run, with what was drawn over it the last time."""
        self.query_one("#charts", Pane).clear_error()
        if self.live is None:
            self._say("#status", f"opening {cut_middle(printable(path.name), 40)}…")
        self._open(path)

    @work(thread=True, exclusive=True, group="training.open", exit_on_error=False)
    def _open(self, path: Path) -> None:
        from cellmap_tui.app.live_run import open_live
        from cellmap_tui.app.live_view import load_view

        view = load_view(self.cellmap.settings.state_dir, path)
        self.post_message(self.Opened(open_live(path, map(Path, view.overlays))))

    @on(Opened)
    def _take_opened(self, event: Opened) -> None:
        from cellmap_tui.jobs.rundir import RunDir

        self._heard = Heard()
        self._wanted = None
        self.take_view(self.cellmap.settings.state_dir, event.live)
        is_run = event.live.run_dir is not None
        self.query_one(RunLog).follow(RunDir(event.live.path) if is_run else None)
        self.watch_live(event.live)
        self.cellmap.watched[event.live.path] = event.live
        self._show_rows()
        self.refresh_bindings()

    def _focus_changed(self, has_focus: bool) -> None:
        super()._focus_changed(has_focus)
        if has_focus:
            self._see_runs()

    def _see_runs(self) -> None:
        if not self.app.app_focus:
            return
        runs = [run for run in self.cellmap.runs if run.command == TRAIN]
        if self.live is None and self._wanted is None and runs:
            self._wanted = runs[0].path
            self.take_in_hand(runs[0].path)
        self._show_rows()
        self._show_state()
        self.refresh_bindings()

    def _show_rows(self) -> None:
        rows = training_rows([run for run in self.cellmap.runs if run.command == TRAIN], self.live)
        self.table.update_rows(rows)
        self._show_alone(len(rows))

    def _show_alone(self, trainings: int) -> None:
        if self.live is None and self._wanted is None and not trainings:
            self._say("#status", NOTHING)

    @on(RowSelected, "TrainingTable")
    def _choose(self, event: RowSelected) -> None:
        row = event.row
        self.remove_class("-runs")
        if isinstance(row, TrainingRow) and (self.live is None or row.path != self.live.path):
            self.take_in_hand(row.path)
        self.call_after_refresh(self.front.chart.focus)

    @on(TrainingTable.OverlayAsked)
    def _overlay(self, event: TrainingTable.OverlayAsked) -> None:
        live = self.live
        if live is None or event.row.path == live.path:
            return
        if live.remove(event.row.path):
            self._overlays_changed()
        else:
            self._add(live, event.row.path)

    def add_source(self, path: Path) -> None:
        """Draw another folder or log too, or take it in hand where there is none."""
        if self.live is None:
            self.take_in_hand(path)
        else:
            self._add(self.live, path)

    @work(thread=True, group="training.add", exit_on_error=False)
    def _add(self, live: LiveRun, path: Path) -> None:
        from cellmap_tui.monitor.source import open_source

        source = open_source(path)
        source.poll()
        live.add(source)
        self.post_message(self.Added())

    @on(Added)
    def _overlays_changed(self) -> None:
        if self.live is not None:
            self.look(replace(self.view, overlays=tuple(str(source.path) for source in self.live.overlays)))
            self._show_rows()
            self._looked_s = float("-inf")
            self.look_for_findings(self.live)
            self._look()

    def action_filter(self) -> None:
        """Type a filter: of the trainings where these have the focus, else of the metrics."""
        if self.table.has_focus:
            self.ask_runs_filter()
        else:
            super().action_filter()

    def action_runs(self) -> None:
        """Show all trainings, or the charts again."""
        if self.has_class("-wide") and not self.has_class("-low"):
            self.table.focus()
            return
        self.toggle_class("-runs")
        self.call_after_refresh((self.table if self.has_class("-runs") else self.front.chart).focus)

    def action_close(self) -> None:
        """Close the innermost thing: the list of trainings, a filter, an enlarged chart, this page."""
        if self.has_class("-runs") and not self.runs_filter.text:
            self.action_runs()
        elif self.maximized is None and self.runs_filter.text and self.table.has_focus:
            self.runs_filter.text = ""
            self.runs_filter.remove_class("-open")
        elif self.maximized is None and self.filter_bar.text:
            self.filter_bar.text = ""
            self.remove_class("-filtered")
        else:
            super().action_close()

    def action_enlarge(self) -> None:
        """Enlarge the chart in hand, or restore it."""
        self.chart_pane.action_zoom()

    # What it tells

    def show_live(self) -> None:
        """Paint what is known now."""
        live = self.live
        if live is None:
            return
        self.show_charts()
        self._show_state()
        self._show_rows()
        self._show_brief(live)
        self.look_for_findings(live)
        self.hear_live()

    def hear_live(self) -> None:
        """Ring at what is worth it."""
        if self.live is None:
            return
        now = heard(self.live.main, self.chosen_run())
        if self.view.bell and rings(self._heard, now):
            self.app.bell()
        self._heard = now

    def _show_all(self) -> None:
        if self.live is not None:
            self.show_live()

    def _beat(self) -> None:
        self._beats += 1
        if self._beats % SELDOM and self.is_left_alone:
            return
        if self.is_current and self.app.app_focus and self.goes_on():
            self._show_state()

    def _show_state(self) -> None:
        if self.live is not None and self.is_mounted:
            short = self.has_class("-narrow")
            words = live_words.status(
                self.live, self.chosen_run(), run_words.now(), self.cellmap.host, short=short, bell=self.view.bell
            )
            self._say("#status", words)

    def _show_brief(self, live: LiveRun) -> None:
        from cellmap_tui.monitor.classes import class_table

        telemetry = live.main.telemetry
        width = self.size.width - 2
        if self.shows_one:
            lines = live_words.class_lines(class_table(live.main.series, "dice"), width, STRIP_LINES)
            self._say("#strip", "\n".join(lines))
            machine = live_words.machine_line(telemetry.machine, telemetry.latest)
            self._say("#machine-line", "  ".join(filter(None, (live_words.loader_words(live.main), machine))))
            self._say("#last-line", live_words.last_words(live.main, self.chosen_run()))
        else:
            cells = self.query_one("#machine-lines").size.width
            lines = live_words.machine_lines(telemetry.machine, telemetry.latest, width=cells)
            loader = live_words.loader_words(live.main)
            self._say("#machine-lines", "\n".join([*lines, *([loader] if loader else [])]))

    def look(self, view: LiveView) -> None:
        """Look another way; what has no place on the new axis is told."""
        is_other_axis = view.axis != self.view.axis
        super().look(view)
        if is_other_axis and self.live is not None:
            self._diagnose(self.live)

    def more_findings(self, live: LiveRun) -> Sequence[Finding]:
        """Return what was added and is not drawn: who has just added it looks for it."""
        return not_drawn(live, self.view)

    def say_finding(self, words: Content | str) -> None:
        """Show the worst of what stands out."""
        self.set_class(bool(words), "-found")
        self._say("#finding", words)

    def _say(self, selector: str, words: Content | str) -> None:
        shown = self.query_one(selector, Static)
        if shown.content != words:
            shown.update(words, layout=selector == "#strip")

    # Keys

    def action_new(self) -> None:
        """Choose what is trained, then start the job."""
        from cellmap_tui.app.screens.config import ConfigScreen

        def started(run_id: str | None) -> None:
            if run_id:
                self.take_in_hand(self.cellmap.settings.runs_root / run_id)

        self.app.push_screen(ConfigScreen(self.request), started)

    def action_bell(self) -> None:
        """Ring at an end, a failure, and a new best; or no longer."""
        self.look(replace(self.view, bell=not self.view.bell))
        self._show_state()
        rings_now = "rings at the end, at a failure, and at a new best" if self.view.bell else "is silent"
        self.app.notify(f"The bell {rings_now}.")

    def action_export(self) -> None:
        """Write the chart in hand."""
        view = self.view_data()
        if view is None or self.live is None:
            self.app.notify("There is nothing in this chart yet.")
        else:
            self.ask_export(view, printable(self.live.main.name))

    def place_words(self) -> str:
        """Return where the run in hand is."""
        step = self.live.main.series.last_step if self.live is not None else None
        return "" if step is None else f" at step {count(step)}"

    def rate_now(self) -> str:
        """Return the learning rate as it is now."""
        rate = live_words.latest(self.live.main, "lr") if self.live is not None else None
        return "" if rate is None else f"{rate:.3g}"
