"""What validations say of each class: a table, the worst first, and every epoch of every class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellmap_tui.monitor.points import Points
    from cellmap_tui.monitor.series import RunSeries

METRICS = ("dice", "iou", "precision", "recall")
BACK_EPOCHS = 10
"""Epochs over which a change is told."""
_PREFIXES = ("val/{metric}/", "validation/{metric}/", "valid/{metric}/")


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class in the newest validation; None: not known, or the class occurs in no validation crop."""

    name: str
    """The class; as it stands in the log, so pass it through `text.printable`."""
    dice: float | None
    """Overlap 2 TP / (predicted + present)."""
    iou: float | None
    """Overlap TP / (predicted + present - TP)."""
    precision: float | None
    """Share of what was predicted that is right."""
    recall: float | None
    """Share of what is there that was found."""
    delta: float | None
    """How much the chosen metric has changed over the last ten epochs."""
    epoch: int | None
    """Epoch of the newest value."""
    is_validated: bool
    """Whether the class occurs in the validation crops: it has a value in some epoch."""


def class_table(series: RunSeries, metric: str = "dice", classes: Sequence[str] = ()) -> tuple[ClassRow, ...]:
    """Return a row for each class: the worst first, those that are not validated at the end, by name.

    Parameters
    ----------
    metric
        By which is sorted, and whose change is told: ``dice``, ``iou``, ``precision``, ``recall``.
    classes
        Channels of the network: they have a row even if nothing was told of them.
    """
    names = dict.fromkeys([*_classes(series, METRICS), *classes])
    rows = [_row(series, name, metric) for name in names]
    return tuple(sorted(rows, key=lambda row: _rank(row, metric)))


def class_epochs(
    series: RunSeries, metric: str = "dice"
) -> tuple[tuple[str, ...], tuple[int, ...], NDArray[np.float64]]:
    """Return a metric of every class at every validated epoch.

    Returns
    -------
    tuple
        Classes, epochs, and values float64 ``[classes, epochs]``; NaN: no value. Where a log tells no epochs,
        its steps stand in their place.
    """
    told = {name: _points(series, metric, name) for name in _classes(series, (metric,))}
    keys = {name: _epoch_keys(points) for name, points in told.items()}
    epochs = sorted({key for found in keys.values() for key in found.tolist()})
    values = np.full((len(told), len(epochs)), np.nan)
    for row, (name, points) in enumerate(told.items()):
        # The last of several validations of an epoch is the one that counts.
        values[row, np.searchsorted(epochs, keys[name])] = points.mean
    return tuple(told), tuple(epochs), values


def _row(series: RunSeries, name: str, metric: str) -> ClassRow:
    told = {one: _points(series, one, name) for one in METRICS}
    newest = {one: _last(points) for one, points in told.items()}
    chosen = told.get(metric) or _points(series, metric, name)
    keys = _epoch_keys(chosen)
    return ClassRow(
        name=name,
        **newest,
        delta=_change(chosen, keys),
        epoch=int(keys[-1]) if len(keys) else None,
        is_validated=any(bool(np.any(np.isfinite(points.mean))) for points in told.values()),
    )


def _change(points: Points, epochs: NDArray[np.int64]) -> float | None:
    """Return the newest value minus the one ten epochs before, or of as many as there are, at least one."""
    is_told = np.isfinite(points.mean)
    if not len(points) or not is_told[-1] or np.count_nonzero(is_told) < 2:
        return None
    before = np.flatnonzero(is_told & (epochs <= epochs[-1] - BACK_EPOCHS))
    index = before[-1] if len(before) else np.flatnonzero(is_told)[0]
    return float(points.mean[-1] - points.mean[index])


def _rank(row: ClassRow, metric: str) -> tuple[bool, float, str]:
    value = getattr(row, metric, None)
    return not row.is_validated, -math.inf if value is None else value, row.name


def _classes(series: RunSeries, metrics: Sequence[str]) -> list[str]:
    """Return the classes that values were told of, in the order of their names."""
    heads = tuple(prefix.format(metric=metric) for metric in metrics for prefix in _PREFIXES)
    found = {name[len(head) :] for name in series.names() for head in heads if name.startswith(head)}
    return sorted(name for name in found if name)


def _points(series: RunSeries, metric: str, name: str) -> Points:
    heads = (prefix.format(metric=metric) for prefix in _PREFIXES)
    return next((found for head in heads if len(found := series.points(head + name))), series.points(""))


def _epoch_keys(points: Points) -> NDArray[np.int64]:
    is_known = bool(len(points)) and bool(np.all(np.isfinite(points.epoch)))
    return np.floor(points.epoch).astype(np.int64) if is_known else points.step


def _last(points: Points) -> float | None:
    value = float(points.mean[-1]) if len(points) else math.nan
    return value if math.isfinite(value) else None
