"""The tables of the pages over a live training as CSV: classes, classes over epochs, runs side by side."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

from cellmap_tui.errors import RefusedError
from cellmap_tui.monitor.classes import BACK_EPOCHS, METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cellmap_tui.monitor.classes import ClassRow
    from cellmap_tui.monitor.compare import Comparison

Row = tuple[object, ...]


def class_rows(rows: Iterable[ClassRow], metric: str) -> Iterator[Row]:
    """Yield a row a class; empty cells: not measured.

    Parameters
    ----------
    metric
        What the change is told of.
    """
    yield ("class", *METRICS, f"{metric}_change_{BACK_EPOCHS}_epochs", "epoch")
    for row in rows:
        yield (row.name, *(getattr(row, name) for name in METRICS), row.delta, row.epoch)


def heat_rows(classes: Sequence[str], epochs: Sequence[int], values: NDArray, metric: str) -> Iterator[Row]:  # type: ignore[type-arg]
    """Yield a row for each class and epoch that was measured.

    Parameters
    ----------
    values
        float ``[classes, epochs]``; NaN: not measured.
    """
    yield ("class", "epoch", metric)
    for name, line in zip(classes, values, strict=True):
        for epoch, value in zip(epochs, line, strict=True):
            if not math.isnan(value):
                yield (name, int(epoch), float(value))


def compare_rows(comparison: Comparison) -> Iterator[Row]:
    """Yield a row for each setting, metric and class, a column a run."""
    yield ("what", "name", *comparison.runs)
    for config in comparison.config:
        yield ("setting", config.key, *config.values)
    for metric in comparison.metrics:
        yield ("best", metric.name, *metric.best)
        yield ("last", metric.name, *metric.last)
    for row in comparison.classes:
        yield ("Dice at the best epoch", row.name, *row.values)


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """Write rows as CSV, whole or not at all.

    Raises
    ------
    RefusedError
        If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        temporary.replace(path)
    except OSError as error:
        raise RefusedError(f"{path} cannot be written: {error.strerror}", "choose another place") from None
