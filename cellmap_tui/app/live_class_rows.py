"""Classes of a training as rows and lines: Dice and its kin, how they change, which were never validated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.app.charts import Line
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.monitor.classes import BACK_EPOCHS, METRICS, class_epochs
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cellmap_tui.app.live_run import LiveRun
    from cellmap_tui.monitor.classes import ClassRow

NAMES = {"dice": "Dice", "iou": "IoU", "precision": "precision", "recall": "recall"}
_HEADS = {"dice": "Dice", "iou": "IoU", "precision": "prec.", "recall": "recall"}
SAME = 0.005
"""Changes below are none at two decimals."""
_POOR = 0.1
"""Dice below which a class is as good as not learned."""


def next_metric(metric: str) -> str:
    """Return the metric after this one."""
    return METRICS[(METRICS.index(metric) + 1) % len(METRICS)]


def class_columns(metric: str) -> tuple[Column[ClassRow], ...]:
    """Return the columns of the table of classes, which is told by a metric."""
    return (
        Column("name", "class", 14, lambda row: row.name, max_width=40, sort_key=lambda row: row.name),
        *(_metric_column(name) for name in METRICS),
        Column("delta", f"Δ{BACK_EPOCHS}ep {NAMES[metric]}", 14, delta_words, align="right", sort_key=_by_delta,
               look=_delta_look),
        Column("epoch", "epoch", 6, lambda row: "-" if row.epoch is None else str(row.epoch), align="right",
               priority=2),
    )  # fmt: skip


def delta_words(row: ClassRow) -> str:
    """Return a change with its sign: ``▲ +0.02``."""
    if row.delta is None:
        return "-"
    if abs(row.delta) < SAME:
        return "0.00"
    return f"{sign('up' if row.delta > 0 else 'down')} {row.delta:+.2f}"


def parted(rows: Iterable[ClassRow]) -> tuple[tuple[ClassRow, ...], tuple[ClassRow, ...]]:
    """Return the classes that are validated, and those that are not."""
    found = tuple(rows)
    return tuple(row for row in found if row.is_validated), tuple(row for row in found if not row.is_validated)


def absent_words(rows: Sequence[ClassRow]) -> str:
    """Return which classes occur in no validation crop; empty: all do."""
    if not rows:
        return ""
    return f"{len(rows)} in no validation crop: {', '.join(printable(row.name) for row in rows)}"


def class_lines(
    live: LiveRun, metric: str, names: Sequence[str]
) -> tuple[list[tuple[str, tuple[Line, ...]]], float | None]:
    """Return a chart for each class, a line a run, over epochs; and the epoch at which the run in hand will end.

    Parameters
    ----------
    live
        The runs.
    metric
        ``dice``, ``iou``, ``precision``, ``recall``.
    names
        Classes, in the order of their charts.
    """
    charts: dict[str, list[Line]] = {name: [] for name in names}
    for source in live.sources:
        classes, epochs, values = class_epochs(source.series, metric)
        x = np.asarray(epochs, np.float64)
        for name, row in zip(classes, values, strict=True):
            if name in charts:
                charts[name].append(Line(x, row, live.colour_of(source)))
    planned = live.main.facts.planned_epochs if live.is_live else None
    return [(name, tuple(lines)) for name, lines in charts.items()], planned


def _metric_column(metric: str) -> Column[ClassRow]:
    return Column(
        metric,
        _HEADS[metric],
        6,
        lambda row: _figure(getattr(row, metric)),
        align="right",
        priority=0 if metric == "dice" else 1,
        sort_key=lambda row: -1.0 if getattr(row, metric) is None else getattr(row, metric),
        look=_dice_look if metric == "dice" else None,
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _by_delta(row: ClassRow) -> float:
    return 0.0 if row.delta is None else row.delta


def _delta_look(row: ClassRow) -> str:
    if row.delta is None or abs(row.delta) < SAME:
        return "dim"
    return "good" if row.delta > 0 else "bad"


def _dice_look(row: ClassRow) -> str:
    return "bad" if row.dice is not None and row.dice < _POOR else "strong"
