"""A comparison of trainings as tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cellmap_tui.cli import output
from cellmap_tui.monitor.words import value_words
from cellmap_tui.text import count, cut_middle, duration, printable

if TYPE_CHECKING:
    from cellmap_tui.monitor.compare import BestEpoch, ClassRow, Comparison, ConfigRow, MetricRow

NAME_CELLS, VALUE_CELLS = 24, 40


def show_comparison(comparison: Comparison) -> None:
    """Write the tables: best epochs, configuration, metrics, classes, and what the classes say in pairs."""
    names = [cut_middle(printable(_short(run)), NAME_CELLS) for run in comparison.runs]
    columns = [f"{number + 1}: {name}" for number, name in enumerate(names)]
    best = [_best(column, at) for column, at in zip(columns, comparison.best, strict=True)]
    _table(best, {"value", "epoch", "step", "after", "epochs done"})
    _table([_config(row, columns) for row in comparison.config], set())
    _table([_metric(row, columns) for row in comparison.metrics], None)
    _table([_class(row, columns) for row in comparison.classes], None)
    for paired in comparison.paired:
        if paired.mean is not None:
            shared = "1 class" if paired.classes == 1 else f"{count(paired.classes)} classes"
            words = f"{paired.better} better, {paired.worse} worse, {paired.mean:+.4f} on average"
            output.write(f"{printable(_short(paired.run))}: {shared} in pairs, {words}")


def _table(rows: list[dict[str, object]], right: set[str] | None) -> None:
    """Write a table, numbers to the right; None: all columns but the first are numbers."""
    if rows:
        output.write_table(rows, right=list(rows[0])[1:] if right is None else sorted(right))
        output.write("")


def _best(column: str, at: BestEpoch) -> dict[str, object]:
    return {
        "training": column,
        "best by": at.metric or None,
        "value": value_words(at.value),
        "epoch": None if at.epoch is None else f"{at.epoch:.0f}",
        "step": None if at.step is None else count(at.step),
        "after": None if at.time_s is None else duration(at.time_s),
        "epochs done": None if at.epochs_done is None else f"{at.epochs_done:.0f}",
    }


def _config(row: ConfigRow, columns: list[str]) -> dict[str, object]:
    return {"configuration": row.key, **dict(zip(columns, map(_cut, row.values), strict=True))}


def _metric(row: MetricRow, columns: list[str]) -> dict[str, object]:
    best = {True: "lowest", False: "highest", None: "last"}[row.is_low_best]
    cells: dict[str, object] = {"metric": row.name, "": best}
    for number, column in enumerate(columns):
        cells[column] = value_words(row.best[number])
        if number:
            delta = row.deltas[number - 1]
            cells[f"change {number + 1}"] = "-" if delta is None else f"{delta:+.3g}"
    return cells


def _class(row: ClassRow, columns: list[str]) -> dict[str, object]:
    cells: dict[str, object] = {"class": row.name}
    for number, column in enumerate(columns):
        value = row.values[number]
        cells[column] = "-" if value is None else f"{value:.4f}"
        if number:
            delta = row.deltas[number - 1]
            cells[f"change {number + 1}"] = "-" if delta is None else f"{delta:+.4f}"
    return cells


def _cut(value: str | None) -> str | None:
    return None if value is None else cut_middle(printable(value), VALUE_CELLS)


def _short(run: str) -> str:
    """Return a run's name without the time at its beginning."""
    return re.sub(r"^\d{8}T\d{6}Z-", "", run)
