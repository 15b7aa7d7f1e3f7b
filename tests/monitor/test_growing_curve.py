from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.monitor.column import Column
from cellmap_tui.monitor.curves import curve
from cellmap_tui.monitor.growing_curve import CurveKeeper, GrowingCurve
from cellmap_tui.monitor.points import make_points
from cellmap_tui.monitor.series import Batch, RunSeries

VALUES = st.one_of(st.floats(-1e3, 1e3), st.just(float("nan")))
KEEPS = st.sampled_from([0.0, 0.5, 0.9, 0.99])


@given(st.lists(st.lists(VALUES, max_size=80), max_size=6), KEEPS)
def test_a_curve_that_grows_in_pieces_equals_the_one_made_at_once(pieces: list[list[float]], keep: float) -> None:
    series, growing = RunSeries(), GrowingCurve(keep)
    step = 0
    for piece in pieces:
        series.add_newer([Batch({"loss": make_points(range(step, step + len(piece)), piece)}, step)])
        step += len(piece)
        points = series.points("loss")
        line, whole = growing.curve(points, series.generation("loss")), curve(points, "step", keep)
        np.testing.assert_allclose(line.y, whole.y, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(line.x, whole.x)


def test_what_was_handed_out_stays_when_the_curve_grows_or_begins_anew() -> None:
    series, growing = RunSeries(), GrowingCurve(0.9)
    series.add_newer([Batch({"loss": make_points(range(10), range(10))}, 0)])
    first = growing.curve(series.points("loss"), series.generation("loss"))
    before = first.y.copy()
    series.add_newer([Batch({"loss": make_points(range(10, 3000), range(2990))}, 10)])
    growing.curve(series.points("loss"), series.generation("loss"))
    series.add_newer([Batch({"loss": make_points(range(5, 9), [7.0] * 4)}, 5, is_restart=True)])
    again = growing.curve(series.points("loss"), series.generation("loss"))
    np.testing.assert_array_equal(first.y, before)
    np.testing.assert_allclose(again.y, curve(series.points("loss"), "step", 0.9).y)


def test_the_number_of_a_column_changes_with_its_beginning_and_not_with_its_end() -> None:
    column = Column(most_points=100)
    column.add_newer(make_points(range(10, 20), range(10)))
    first = column.generation
    column.add_newer(make_points(range(20, 90), range(70)))
    assert column.generation == first
    seen = {first}
    for change in (
        lambda: column.add_older(make_points(range(5), range(5))),
        lambda: column.void_from(60),
        lambda: column.add_newer(make_points([15], [0.5])),
        column.halve,
    ):
        change()
        assert column.generation not in seen
        seen.add(column.generation)


def test_curves_over_time_are_made_anew_only_for_other_points() -> None:
    keeper, points = CurveKeeper(), make_points(range(5), range(5), time_s=range(5))
    asked = {"since_s": None, "steps_per_epoch": None}
    first = keeper.curve("loss", points, 1, "time", 0.9, **asked)
    assert keeper.curve("loss", points, 1, "time", 0.9, **asked) is first
    assert keeper.curve("loss", points, 2, "time", 0.9, **asked) is not first
