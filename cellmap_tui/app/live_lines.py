"""Which curves are drawn where: panels of metrics, and the lines of the runs in them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.app.live_words import source_name
from cellmap_tui.app.widgets.line_chart import ChartLine
from cellmap_tui.errors import CellmapError
from cellmap_tui.monitor.curves import told_steps_per_epoch
from cellmap_tui.monitor.finding import Finding
from cellmap_tui.monitor.growing_curve import CurveKeeper
from cellmap_tui.monitor.metric_filter import parse_metric_filter
from cellmap_tui.monitor.words import names_words
from cellmap_tui.text import counted, cut_middle, printable

if TYPE_CHECKING:
    from cellmap_tui.app.live_run import LiveRun
    from cellmap_tui.app.live_view import LiveView
    from cellmap_tui.monitor.curves import Curve
    from cellmap_tui.monitor.source import Source

PANELS = 4
"""Charts there are; a small terminal shows one at a time."""
MOST_LINES = 8
"""Lines in a chart; there are no more colours that everybody tells apart."""
CLASS_PREFIX = "val/dice/"
_NAMED = 6
"""Metrics of a log that a sentence names; the others are counted."""
_LOSSES = ("loss", "val/loss")
_SCORES = ("val/dice", "val/score")
_RATES = ("lr", "grad_norm")
_SHORT = {
    "loss": "train",
    "val/loss": "val",
    "validation": "val",
    "val/dice": "Dice",
    "val/score": "score",
    "grad_norm": "gradient",
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: what it is called and which metrics are in it."""

    title: str
    """What it shows."""
    names: tuple[str, ...] = ()
    """Its metrics, the most telling first."""
    log_y: bool = False
    """Whether its values are on a logarithmic axis whatever the view says: they differ by powers of ten."""


def panels(live: LiveRun, view: LiveView) -> tuple[Panel, ...]:
    """Return what the charts show: the usual four of a training, or what the filter leaves.

    Raises
    ------
    CellmapError
        If the filter cannot be read.
    """
    names = _names(live)
    if view.metrics.strip():
        return _filled(_shared(list(parse_metric_filter(view.metrics).chosen(names))))
    if any(name in names for name in (*_SCORES, "lr")) and "loss" in names:
        return _own(live, names)
    return _filled(_foreign(names))


def _own(live: LiveRun, names: list[str]) -> tuple[Panel, ...]:
    losses = tuple(name for name in (*_LOSSES, "validation") if name in names)
    scores = tuple(name for name in _SCORES if name in names)
    rates = tuple(name for name in _RATES if name in names)
    return (
        Panel("loss", losses),
        Panel("mean Dice", scores),
        Panel("Dice by class", class_names(live)[:MOST_LINES]),
        Panel("learning rate, gradient", rates, log_y=True),
    )


def class_names(live: LiveRun) -> tuple[str, ...]:
    """Return the metrics of the classes, the worst first."""
    series = live.main.series
    found = []
    for name in series.names():
        if name.startswith(CLASS_PREFIX):
            points = series.points(name)
            value = float(points.mean[-1]) if len(points) else np.nan
            if np.isfinite(value):
                found.append((value, name))
    return tuple(name for _value, name in sorted(found))


def _names(live: LiveRun) -> list[str]:
    names = dict.fromkeys(name for source in live.sources for name in source.series.names())
    return sorted(names)


def _foreign(names: list[str]) -> list[Panel]:
    """Return a chart for losses, then one a metric."""
    drawn = [name for name in names if not name.startswith(("perf/", "memory/", "time/"))] or names
    losses = [name for name in drawn if "loss" in name.lower() or name == "validation"]
    others = [name for name in drawn if name not in losses]
    first = [Panel("loss", tuple(losses[:MOST_LINES]))] if losses else []
    return first + _shared(others, PANELS - len(first))


def _shared(names: list[str], charts: int = PANELS) -> list[Panel]:
    """Share metrics among the charts, neighbours by name in one."""
    each = max(1, -(-len(names) // charts))
    groups = [names[start : start + each] for start in range(0, len(names), each)]
    return [Panel(_title(group), tuple(group[:MOST_LINES])) for group in groups]


def _title(group: list[str]) -> str:
    left_out = len(group) - MOST_LINES
    more = f", {left_out} of {len(group)} not drawn: filter" if left_out > 0 else ""
    shown = printable(group[0]) if len(group) == 1 else f"{printable(group[0])} … {printable(group[-1])}"
    return cut_middle(shown, 40) + more


def _filled(found: list[Panel]) -> tuple[Panel, ...]:
    empty = [Panel("")] * PANELS
    return tuple((found + empty)[:PANELS])


class LineMaker:
    """Turns points into lines to draw; what has not changed since the last time is not computed again.

    A thread may `prepare` lines while another one draws.
    """

    def __init__(self) -> None:
        self._curves = CurveKeeper()
        self._guard = threading.Lock()
        self._ready: tuple[tuple[object, ...], dict[Panel, list[ChartLine]]] = ((), {})

    def prepare(self, live: LiveRun, view: LiveView) -> None:
        """Make the lines of all charts as of now; until the next time `lines` has them at once."""
        try:
            shown = panels(live, view)
        except CellmapError:
            return  # the filter is said to be wrong where it is typed
        key = _what(live, view)
        self._ready = (key, {panel: self._lines(live, view, panel) for panel in shown if panel.title})

    def lines(self, live: LiveRun, view: LiveView, panel: Panel) -> list[ChartLine]:
        """Return the lines of a chart.

        One run has a colour a metric; runs over each other have a colour each, and only the most telling
        metric of the chart is drawn of them, unless a filter asks for more.
        """
        key, ready = self._ready
        if key == _what(live, view) and panel in ready:
            return ready[panel]
        return self._lines(live, view, panel)

    def _lines(self, live: LiveRun, view: LiveView, panel: Panel) -> list[ChartLine]:
        drawn = []
        for label, number, name, found in self._drawn(live, view, panel):
            low, high = (found.low, found.high) if view.band else (None, None)
            raw = found.raw if view.band and smoothing_of(view, name) > 0 else None
            drawn.append(ChartLine(label, number, found.x, found.y, low, high, raw))
        return drawn

    def curves(self, live: LiveRun, view: LiveView, panel: Panel) -> list[tuple[str, int, Curve]]:
        """Return name, number of the colour, and values of the lines of a chart."""
        return [(label, number, found) for label, number, _name, found in self._drawn(live, view, panel)]

    def _drawn(self, live: LiveRun, view: LiveView, panel: Panel) -> list[tuple[str, int, str, Curve]]:
        several = len(live.sources) > 1
        names = _of_all(live, view, panel)
        if not names:
            return self._of(live.main, live, view, panel.names)
        drawn: list[tuple[str, int, str, Curve]] = []
        for source in reversed(live.sources):
            drawn += self._of(source, live, view, names, by_run=several)
        return drawn

    def _of(
        self, source: Source, live: LiveRun, view: LiveView, names: tuple[str, ...], *, by_run: bool = False
    ) -> list[tuple[str, int, str, Curve]]:
        drawn = []
        known = set(source.series.names())
        colours = _class_colours(live) if names and names[0].startswith(CLASS_PREFIX) else {}
        for place, name in enumerate(names):
            if name not in known or name in view.hidden or not _has_place(source, view, name):
                continue
            found = self.curve(source, view, name)
            label = line_name(source, name, by_run=by_run, alone=len(names) == 1)
            number = live.colour_of(source) if by_run else colours.get(name, place)
            drawn.append((label, number % MOST_LINES, name, found))
        return drawn

    def curve(self, source: Source, view: LiveView, name: str) -> Curve:
        """Return one metric of one run as the view wants it."""
        with self._guard:
            # The number first: should points be added in between, it still holds for them.
            generation = source.series.generation(name)
            return self._curves.curve(
                (source.path, name),
                source.series.points(name),
                generation,
                view.axis,
                smoothing_of(view, name),
                since_s=start_s(source) if view.axis == "elapsed" else None,
                steps_per_epoch=steps_per_epoch(source) if view.axis == "epoch" else None,
            )


def _of_all(live: LiveRun, view: LiveView, panel: Panel) -> tuple[str, ...]:
    """Return the metrics of a chart that are drawn of every run; none: it is about the run in hand alone."""
    if len(live.sources) == 1 or view.metrics:
        return panel.names
    return () if any(name.startswith(CLASS_PREFIX) for name in panel.names) else panel.names[:1]


def not_drawn(live: LiveRun, view: LiveView) -> list[Finding]:
    """Return a finding for each run or log of which no chart draws a metric, or which has no place over time."""
    try:
        wanted = [name for panel in panels(live, view) for name in _of_all(live, view, panel)]
    except CellmapError:
        return []  # the filter is said to be wrong where it is typed
    found = [_timeless(source) for source in live.sources if source.at_end and not _has_times(source, view)]
    for source in live.overlays:
        names = source.series.names()
        if names and source.at_end and not any(name in wanted for name in names):
            sentence = f"none of the {counted(len(names), 'metric')} of {source_name(source)} is in a chart"
            drawn = names_words(wanted, PANELS) or "nothing"
            evidence = f"it has {names_words(names, _NAMED)}; drawn: {drawn}"
            setting = "type one under /, or look at it alone (T, then enter)"
            found.append(Finding("warn", "not_drawn", sentence, evidence, setting))
    return found


def _timeless(source: Source) -> Finding:
    sentence = f"{source_name(source)} tells no times and is left out over time"
    return Finding("warn", "not_drawn", sentence, "no value of it has a time", "draw over steps or epochs (m)")


def _has_times(source: Source, view: LiveView) -> bool:
    names = source.series.names()
    return not names or any(_has_place(source, view, name) for name in names)


def _has_place(source: Source, view: LiveView, name: str) -> bool:
    """Return whether a metric has a place on the axis: without times all of it would stand at one."""
    return view.axis not in {"time", "elapsed"} or bool(np.isfinite(source.series.points(name).time_s).any())


def _what(live: LiveRun, view: LiveView) -> tuple[object, ...]:
    """Return what lines are made of but for the points: what comes meanwhile is in the next ones."""
    return (live, tuple(source.path for source in live.sources), view)


def smoothing_of(view: LiveView, name: str) -> float:
    """Return how much a metric is smoothed: what a validation measured is drawn as it is."""
    return 0.0 if name.startswith("val") or name == "lr" else view.smoothing


def steps_per_epoch(source: Source) -> float | None:
    """Return how many steps an epoch has: as it was configured, else as the longest metric tells; None: not known."""
    if source.facts.steps_per_epoch:
        return source.facts.steps_per_epoch
    told = [source.series.points(name) for name in source.series.names()]
    return told_steps_per_epoch(max(told, key=len)) if told else None


def start_s(source: Source) -> float | None:
    """Return when a run began, Unix seconds; None: not known."""
    run = source.facts.state
    if run is not None and (run.created_s or run.started_s):
        return run.created_s or run.started_s
    firsts = [float(points.time_s[0]) for name in source.series.names() if len(points := source.series.points(name))]
    return min((first for first in firsts if np.isfinite(first)), default=None)


def line_name(source: Source, name: str, *, by_run: bool, alone: bool) -> str:
    """Return what stands at a line's end."""
    metric = _SHORT.get(name) or cut_middle(printable(name.removeprefix(CLASS_PREFIX)), 16)
    if not by_run:
        return metric
    return source_name(source, 14) if alone else f"{source_name(source, 14)} {metric}"


def _class_colours(live: LiveRun) -> dict[str, int]:
    """Return the colours of the classes; a class keeps its own whatever its Dice is."""
    names = sorted(name for name in live.main.series.names() if name.startswith(CLASS_PREFIX))
    return {name: place % MOST_LINES for place, name in enumerate(names)}


def planned_end(live: LiveRun, view: LiveView) -> float | None:
    """Return where x ends when the run that goes on is over; None: not known, or not wanted."""
    facts = live.main.facts
    if view.follow:
        return None
    if view.axis == "step" and facts.planned_steps:
        return float(facts.planned_steps)
    if view.axis == "epoch" and facts.planned_epochs:
        return float(facts.planned_epochs)
    return None
