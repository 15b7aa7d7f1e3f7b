"""Axes, smoothing and readout of curves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.monitor.curves import curve, smoothed, told_steps_per_epoch, value_at
from cellmap_tui.monitor.points import make_points, no_points

VALUES = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(math.nan)), max_size=150)


def plainly_smoothed(values: list[float], keep: float) -> list[float]:
    """The formula, a point at a time."""
    average, count, found = 0.0, 0, []
    for value in values:
        if math.isnan(value):
            found.append(math.nan)
            continue
        average, count = keep * average + (1 - keep) * value, count + 1
        found.append(average / (1 - keep**count))
    return found


@settings(max_examples=100, deadline=None)
@given(VALUES, st.floats(0.01, 0.99))
def test_smoothing_is_the_corrected_average(values: list[float], keep: float) -> None:
    assert np.allclose(
        smoothed(np.array(values, float), keep), plainly_smoothed(values, keep), rtol=1e-9, atol=1e-6, equal_nan=True
    )


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.99, 2.0, -1.0])
def test_what_is_level_stays_level_from_the_first_point(keep: float) -> None:
    assert np.allclose(smoothed(np.full(1000, 7.0), keep), 7.0)


def test_no_points_are_no_curve() -> None:
    for axis in ("step", "epoch", "time", "elapsed"):
        assert len(curve(no_points(), axis, 0.6)) == 0  # type: ignore[arg-type]
    assert value_at(curve(no_points()), 3.0) is None


def test_epochs_lie_between_where_the_steps_of_one_are_known() -> None:
    points = make_points([5, 10, 15], [1, 2, 3], epoch=[1, 1, 2])
    assert curve(points, "epoch", steps_per_epoch=10).x.tolist() == [0.5, 1.0, 1.5]
    assert curve(points, "epoch").x.tolist() == [1.0, 1.0, 2.0]
    assert curve(points, "epoch", steps_per_epoch=2).x.tolist() == [1.0, 1.0, 2.0]


@pytest.mark.parametrize("first", [0, 1])
def test_how_many_steps_an_epoch_has_is_taken_from_where_epochs_begin(first: int) -> None:
    steps = np.arange(first, 100 + first)
    points = make_points(steps, np.ones(100), epoch=(steps - first) // 20 + first)
    assert told_steps_per_epoch(points) == 20
    x = curve(points, "epoch", steps_per_epoch=told_steps_per_epoch(points)).x
    assert np.allclose(np.diff(x), 0.05)


def test_what_tells_no_whole_epochs_or_one_alone_tells_no_steps_of_an_epoch() -> None:
    assert told_steps_per_epoch(no_points()) is None
    assert told_steps_per_epoch(make_points([1, 2], [1, 1])) is None
    assert told_steps_per_epoch(make_points([1, 2, 3], [1, 1, 1], epoch=[1, 1, 1])) is None
    assert told_steps_per_epoch(make_points([1, 2, 3], [1, 1, 1], epoch=[0.1, 0.2, 0.3])) is None
    assert told_steps_per_epoch(make_points([1, 2, 3], [1, 1, 1], epoch=[1, 2, 3])) is None


def test_a_log_without_epochs_shows_its_steps() -> None:
    points = make_points([5, 10], [1, 2])
    assert curve(points, "epoch").x.tolist() == [5.0, 10.0]
    assert curve(points, "epoch", steps_per_epoch=10).x.tolist() == [0.5, 1.0]


def test_a_clock_that_jumps_back_never_turns_a_curve_back() -> None:
    points = make_points([1, 2, 3, 4], [1, 2, 3, 4], time_s=[1000, 1010, 500, 520])
    assert curve(points, "elapsed").x.tolist() == [0, 10, 10, 30]
    assert curve(points, "time").x.tolist() == [1000, 1010, 1010, 1030]
    assert curve(points, "elapsed", since_s=990).x.tolist() == [10, 20, 20, 40]


def test_times_that_are_not_known_take_the_one_before() -> None:
    points = make_points([1, 2, 3], [1, 2, 3], time_s=[math.nan, 100, math.nan])
    assert curve(points, "time").x.tolist() == [100, 100, 100]


def test_the_readout_is_the_last_point_at_or_before_a_place() -> None:
    points = make_points([10, 20], [1.0, 3.0], low=[0.5, 2.5], high=[1.5, 3.5])
    line = curve(points, "step", 0.5)
    assert value_at(line, 9.0) is None
    found = value_at(line, 29.0)
    assert found is not None
    assert (found.x, found.raw, found.low, found.high, found.index) == (20.0, 3.0, 2.5, 3.5, 1)
    assert found.y == pytest.approx((0.25 * 1 + 0.5 * 3) / 0.75)
