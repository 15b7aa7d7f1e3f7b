"""What holds when steps repeat, come late, or are told again; and how points stay within bounds."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.monitor.column import Column, halved
from cellmap_tui.monitor.merging import in_order, merged
from cellmap_tui.monitor.points import Points, make_points

Row = tuple[int, float, float]
FEW = settings(max_examples=60, deadline=None)


@st.composite
def logs(draw: st.DrawFn) -> list[Row]:
    """Attempts that each begin somewhere in what was done, lines missing, late, and blocks copied twice."""
    rows: list[Row] = []
    done = 0
    for attempt in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, done))
        steps = list(range(start, start + draw(st.integers(1, 12))))
        done = steps[-1]
        here = [(step, 100.0 * attempt + step, float(draw(st.integers(-9, 9)))) for step in steps]
        here = [row for row in here if draw(st.integers(0, 4))]
        for index in draw(st.lists(st.integers(0, 10), max_size=2)):
            here[index : index + 2] = reversed(here[index : index + 2])
        copied = slice(*sorted(draw(st.tuples(st.integers(0, 12), st.integers(0, 12)))))
        rows += [*here, *here[copied]]
    return rows


def as_points(rows: list[Row]) -> Points:
    return make_points([row[0] for row in rows], [row[2] for row in rows], time_s=[row[1] for row in rows])


def as_rows(points: Points) -> list[Row]:
    return list(zip(points.step.tolist(), points.time_s.tolist(), points.mean.tolist(), strict=True))


def what_holds(rows: list[Row]) -> list[Row]:
    """The rule of `merging`, row by row."""
    kept: list[Row] = []
    for step, time_s, value in rows:
        kept = [row for row in kept if row[0] != step and not (row[0] > step and row[1] < time_s)]
        kept.append((step, time_s, value))
    return sorted(kept)


@FEW
@given(logs())
def test_rows_in_any_order_hold_as_the_rule_says(rows: list[Row]) -> None:
    assert as_rows(in_order(as_points(rows))) == what_holds(rows)


@FEW
@given(logs(), st.integers(0, 40))
def test_a_log_read_in_two_parts_holds_the_same(rows: list[Row], cut: int) -> None:
    parts = in_order(as_points(rows[:cut])), in_order(as_points(rows[cut:]))
    assert as_rows(merged(*parts)) == what_holds(rows)


def test_a_resumed_run_takes_back_the_steps_that_it_runs_again() -> None:
    rows = [(1, 1.0, 0.9), (2, 2.0, 0.8), (3, 3.0, 0.7), (2, 10.0, 0.5)]
    assert as_rows(in_order(as_points(rows))) == [(1, 1.0, 0.9), (2, 10.0, 0.5)]


def test_a_late_line_finds_its_place() -> None:
    rows = [(1, 1.0, 0.9), (3, 3.0, 0.7), (2, 2.0, 0.8), (4, 4.0, 0.6)]
    assert as_rows(in_order(as_points(rows))) == sorted(rows)


def test_without_times_a_step_that_goes_back_is_a_resume() -> None:
    rows = [(1, math.nan, 0.9), (3, math.nan, 0.7), (2, math.nan, 0.8)]
    assert [row[0] for row in as_rows(in_order(as_points(rows)))] == [1, 2]


def test_a_block_copied_twice_changes_nothing() -> None:
    block = [(step, float(step), step / 10) for step in range(100)]
    assert as_rows(in_order(as_points([*block, *block[20:60]]))) == block


def test_a_clock_that_jumps_back_loses_nothing() -> None:
    rows = [(step, float(step if step < 50 else step - 5000), 0.0) for step in range(100)]
    assert len(in_order(as_points(rows))) == 100


@FEW
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(0, 7))
def test_a_column_filled_from_its_end_equals_one_filled_in_order(sizes: list[int], newest: int) -> None:
    blocks, start = [], 0
    for size in sizes:
        blocks.append(make_points(range(start, start + size), np.arange(start, start + size) / 7))
        start += size
    newest = min(newest, len(blocks) - 1)
    column = Column()
    for block in blocks[newest:]:
        column.add_newer(block)
    for block in reversed(blocks[:newest]):
        column.add_older(block)
    assert column.points().step.tolist() == list(range(start))
    assert np.allclose(column.points().mean, np.arange(start) / 7)


def test_what_was_handed_out_never_changes() -> None:
    column = Column(most_points=64)
    seen = []
    for step in range(0, 500, 5):
        column.add_newer(make_points(range(step, step + 5), range(step, step + 5)))
        points = column.points()
        seen.append((points, points.step.copy(), points.mean.copy()))
        if step % 50 == 0:
            column.void_from(step + 2)
    assert all(np.array_equal(points.step, step) and np.array_equal(points.mean, mean) for points, step, mean in seen)


@FEW
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=600))
def test_decimation_keeps_the_least_and_the_most(values: list[float]) -> None:
    column = Column(most_points=128)
    column.add_newer(make_points(range(len(values)), values))
    points = column.points()
    assert len(points) <= 128
    assert float(np.nanmin(points.low)) == min(values)
    assert float(np.nanmax(points.high)) == max(values)
    assert points.step[-1] == len(values) - 1


def test_a_break_stays_a_break_when_neighbours_become_one() -> None:
    points = halved(make_points([1, 2, 3, 4, 5], [1.0, math.nan, 2.0, 4.0, 5.0], low=[1, math.nan, 2, 4, 5]))
    assert points.step.tolist() == [2, 4, 5]
    assert np.isnan(points.mean[0])
    assert points.mean[1:].tolist() == [3.0, 5.0]
    assert points.low.tolist() == [1.0, 2.0, 5.0]
