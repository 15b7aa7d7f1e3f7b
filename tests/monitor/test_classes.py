"""Classes of a validation: the worst first, what is not validated apart, every epoch."""

from __future__ import annotations

import math

import numpy as np

from cellmap_tui.monitor.classes import class_epochs, class_table
from cellmap_tui.monitor.points import make_points
from cellmap_tui.monitor.series import Batch, RunSeries


def series(**told: list[float]) -> RunSeries:
    """Series of ``metric__class``, a value for each epoch from 1 on, 10 steps each."""
    found = RunSeries()
    rows = {}
    for name, values in told.items():
        metric, _, class_name = name.partition("__")
        epochs = range(1, len(values) + 1)
        rows[f"val/{metric}/{class_name}"] = make_points([10 * epoch for epoch in epochs], values, epoch=list(epochs))
    found.add_newer([Batch(rows, 10)])
    return found


def test_the_worst_class_comes_first_and_what_is_not_validated_last() -> None:
    told = series(dice__er=[0.2, 0.6], dice__nuc=[0.1, 0.3], dice__ld=[math.nan, math.nan], iou__er=[0.1, 0.5])
    rows = class_table(told, classes=("mito", "er"))
    assert [row.name for row in rows] == ["nuc", "er", "ld", "mito"]
    assert [row.is_validated for row in rows] == [True, True, False, False]
    assert (rows[1].dice, rows[1].iou, rows[1].recall) == (0.6, 0.5, None)
    assert rows[1].epoch == 2
    assert rows[3].epoch is None


def test_the_change_is_over_ten_epochs_or_as_many_as_there_are() -> None:
    table = {row.name: row for row in class_table(series(dice__a=[n / 100 for n in range(30)], dice__b=[0.1, 0.4]))}
    assert table["a"].delta is not None
    assert table["b"].delta is not None
    assert math.isclose(table["a"].delta, 0.10)
    assert math.isclose(table["b"].delta, 0.3)
    assert class_table(series(dice__c=[0.5]))[0].delta is None


def test_another_metric_sorts_and_changes() -> None:
    rows = class_table(series(dice__a=[0.1], dice__b=[0.9], recall__a=[0.8, 0.9], recall__b=[0.7, 0.5]), "recall")
    assert [row.name for row in rows] == ["b", "a"]
    assert rows[0].delta is not None
    assert math.isclose(rows[0].delta, -0.2)


def test_every_epoch_of_every_class_has_its_place() -> None:
    classes, epochs, values = class_epochs(series(dice__a=[0.1, 0.2, 0.3], dice__b=[math.nan, 0.5]))
    assert classes == ("a", "b")
    assert epochs == (1, 2, 3)
    assert np.array_equal(values, [[0.1, 0.2, 0.3], [math.nan, 0.5, math.nan]], equal_nan=True)


def test_a_run_without_classes_has_none() -> None:
    assert class_table(RunSeries()) == ()
    classes, epochs, values = class_epochs(RunSeries())
    assert (classes, epochs, values.shape) == ((), (), (0, 0))
