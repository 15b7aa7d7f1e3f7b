"""Metrics are gathered without losing a sample."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.jobs.metrics import MetricWindows, Window

FINITE = st.floats(-1e6, 1e6)


def test_the_first_value_is_told_at_once_and_the_next_after_half_a_second():
    windows = MetricWindows()
    windows.add(0, {"loss": 1.0}, None)
    assert list(windows.due(10.0)) == [{"step": 0, "epoch": None, "values": {"loss": 1.0}}]
    windows.add(1, {"loss": 3.0}, None)
    assert not list(windows.due(10.4))
    windows.add(2, {"loss": 5.0}, None)
    [line] = windows.due(10.5)
    assert line == {"step": 2, "epoch": None, "values": {"loss": {"mean": 4.0, "min": 3.0, "max": 5.0, "count": 2}}}


@given(st.lists(st.tuples(st.floats(0, 0.3), FINITE), max_size=60))
def test_every_sample_is_counted_once_and_lines_come_at_most_twice_a_second(samples):
    windows = MetricWindows()
    now_s, lines = 0.0, []
    for step, (elapsed_s, value) in enumerate(samples):
        now_s += elapsed_s
        windows.add(step, {"loss": value}, None)
        lines += list(windows.due(now_s))
    assert len(lines) <= 1 + now_s / 0.5
    lines += windows.flush()
    counts = [v["count"] if isinstance(v, dict) else 1 for v in (line["values"]["loss"] for line in lines)]
    assert sum(counts) == len(samples)


@given(st.lists(FINITE, min_size=2))
def test_the_mean_lies_between_the_bounds(samples):
    window = Window()
    for sample in samples:
        window.add(sample)
    told = window.to_json()
    assert isinstance(told, dict)
    assert told["min"] == min(samples)
    assert told["max"] == max(samples)
    assert told["min"] - 1e-6 <= told["mean"] <= told["max"] + 1e-6


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_breaks_the_mean_and_stays_out_of_the_bounds(bad):
    window = Window()
    for sample in (1.0, bad, 3.0):
        window.add(sample)
    assert window.to_json() == {"mean": None, "min": 1.0, "max": 3.0, "count": 3}
    alone = Window()
    alone.add(bad)
    assert alone.to_json() is None


def test_names_told_apart_keep_their_own_steps_and_names_of_one_step_share_a_line():
    windows = MetricWindows()
    windows.add(10, {"loss": 1.0}, 1)
    windows.add(10, {"dice": 0.5}, 1)
    windows.add(9, {"lr": 0.1}, 1)
    assert windows.flush() == [
        {"step": 10, "epoch": 1, "values": {"loss": 1.0, "dice": 0.5}},
        {"step": 9, "epoch": 1, "values": {"lr": 0.1}},
    ]
