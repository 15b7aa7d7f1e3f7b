"""Curves become dots, limits and labels as they should, without a terminal."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellmap_tui.app.chart_frame import ChartLine, make_frame
from cellmap_tui.app.charts import Line, Window, fit, frame_text, nice_step, rasterise, short_number, ticks, to_text

COLUMNS, ROWS = 20, 6
UNIT = Window(0.0, 39.0, 0.0, 23.0)
"""A dot a unit: 40 dots across, 24 down."""
values = st.floats(-5, 30, allow_nan=False)


def dots(cells):
    """Return which dots are set, bool of shape (4 * rows, 2 * columns), y upwards."""
    order = ((0, 1, 2, 6), (3, 4, 5, 7))
    rows, columns = cells.dots.shape
    field = np.zeros((4 * rows, 2 * columns), bool)
    for side in range(2):
        for down in range(4):
            field[down::4, side::2] = cells.dots >> order[side][down] & 1
    return field[::-1]


def drawn(x, y, window=UNIT, **kwargs):
    return dots(rasterise([Line(np.asarray(x, float), np.asarray(y, float), 0, **kwargs)], window, COLUMNS, ROWS))


@given(arrays(float, st.integers(1, 60), elements=values), st.integers(0, 2**32 - 1))
def test_every_point_in_the_window_is_a_dot(y, seed):
    x = np.sort(np.random.default_rng(seed).uniform(-3, 42, len(y)))
    field = drawn(x, y)
    inside = (x >= 0) & (x <= 39) & (y >= 0) & (y <= 23)
    for px, py in zip(np.rint(x[inside]).astype(int), np.rint(y[inside]).astype(int), strict=True):
        assert field[py, px] or field[min(py + 1, 23), px] or field[max(py - 1, 0), px]


@given(arrays(float, st.integers(2, 60), elements=values))
def test_no_dot_is_above_or_below_the_curve(y):
    x = np.linspace(0, 39, len(y))
    field = drawn(x, y)
    fine = np.linspace(0, 39, 4001)
    curve = np.interp(fine, x, y)
    for column in range(40):
        near = curve[np.abs(fine - column) <= 0.51]
        rows = np.flatnonzero(field[:, column])
        if rows.size:
            assert near.min() - 1.01 <= rows.min()
            assert rows.max() <= near.max() + 1.01


@given(arrays(float, st.integers(2, 50), elements=st.floats(0, 23)))
def test_neighbouring_columns_of_a_curve_touch(y):
    field = drawn(np.linspace(0, 39, len(y)), y)
    for column in range(39):
        here, following = np.flatnonzero(field[:, column]), np.flatnonzero(field[:, column + 1])
        assert here.size
        assert following.size
        assert here.min() - 1 <= following.max()
        assert following.min() - 1 <= here.max()


def test_a_level_curve_is_one_dot_thick_and_a_slope_hardly_more():
    assert drawn([0, 39], [7, 7]).sum() == 40
    assert drawn(np.arange(40), np.arange(40) / 4).sum() <= 40 + 10


def test_what_is_no_number_breaks_the_curve():
    y = np.full(40, 5.0)
    y[10:14] = [np.nan, np.inf, -np.inf, np.nan]
    field = drawn(np.arange(40), y)
    assert not field[:, 10:14].any()
    assert field[5, [9, 14]].all()


def test_a_single_point_between_gaps_is_seen():
    assert drawn([3, 4, 5], [np.nan, 9, np.nan]).sum() == 1


def test_points_outside_are_dropped_and_not_put_on_the_edge():
    field = drawn([0, 10, 20, 30], [5, 99, 99, 5])
    assert not field[:, 12:18].any()
    assert not drawn([50, 60], [5, 5]).any()
    assert not drawn([0, 39], [-40, -40]).any()


def test_a_curve_enters_from_outside_the_window():
    field = drawn([-39, 39], [0, 20])
    assert field[10, 0]
    assert field.any(axis=0).all()


def test_a_spike_of_one_in_a_million_points_is_seen():
    y = np.ones(1_000_000)
    y[123_456] = 20
    field = drawn(np.linspace(0, 39, len(y)), y)
    assert field[20, round(123_456 / 1e6 * 39)]


def test_points_out_of_order_are_drawn_in_order():
    x, y = np.array([30.0, 0, 20, 10, np.nan]), np.array([3.0, 0, 2, 1, 9])
    assert (drawn(x, y) == drawn([0, 10, 20, 30], [0, 1, 2, 3])).all()


def test_a_later_curve_takes_the_cells_of_an_earlier_one_and_both_take_those_of_bands():
    x = np.arange(40.0)
    band = Line(x, np.full(40, 1.0), 0, np.full(40, 0.0), np.full(40, 23.0))
    cells = rasterise([band, Line(x, np.full(40, 1.0), 3), Line(x, np.full(40, 13.0), 4)], UNIT, COLUMNS, ROWS)
    assert set(cells.owner[5]) == {3}
    assert set(cells.owner[2]) == {4}
    assert not cells.is_band[[2, 5]].any()
    assert cells.is_band[[0, 1, 3, 4]].all()
    assert set(cells.owner[0]) == {0}


def test_log_axes_leave_out_what_is_not_above_zero():
    window = Window(1, 1e4, 1e-3, 1, log_x=True, log_y=True)
    x = np.array([-5, 0, 1, 10, 100, 1000, 10000.0])
    y = np.array([1, 1, 1, 0.1, -3, 0.01, 0.001])
    field = drawn(x, y, window)
    assert field[23, 0]
    assert field[15, 10]
    assert not field[:, 11:28].any()
    assert field[0, 39]


anything = st.floats(allow_nan=True, allow_infinity=True)


@example(np.full(30, 1.25e300), np.zeros(30), False, False, 0)
@example(np.zeros(30), np.full(30, 1.79e308), True, True, 0)
@given(
    arrays(float, 30, elements=anything), arrays(float, 30, elements=anything), st.booleans(), st.booleans(),
    st.sampled_from([0, 5]),
)  # fmt: skip
def test_nothing_that_is_told_can_break_a_chart(x, y, log_x, log_y, clip):
    line = Line(x, y, 0, y, x)
    window = fit([line], None, log_x, log_y, clip)
    assert np.isfinite([window.x_low, window.x_high, window.y_low, window.y_high]).all()
    assert window.x_low < window.x_high
    assert window.y_low < window.y_high
    lines = frame_text([line], ["\x1b[31m[red]"], 60, 15, log_x=log_x, log_y=log_y, clip_percent=clip)
    assert len(lines) == 15
    assert all(len(text) <= 60 and text.isprintable() for text in lines)


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (5, 2), (8, 4), (12, 5), (30, 9), (200, 60)])
def test_any_size_is_drawn(size):
    x = np.arange(100.0)
    lines = frame_text([Line(x, np.sin(x), 0)], ["a very long name of a series"], *size)
    assert len(lines) == size[1]
    assert max(map(len, lines), default=0) <= size[0]


def test_limits_stay_while_a_curve_grows_a_little():
    x = np.arange(1.0, 9001)
    y = 1 / x**0.3
    windows = {fit([Line(x[:end], y[:end], 0)]) for end in range(8100, 9000, 100)}
    assert len(windows) == 1


def test_limits_lie_at_round_values_and_hold_all():
    window = fit([Line(np.array([3.0, 117]), np.array([0.182, 1.31]), 0)])
    assert (window.x_low, window.x_high) == (0, 120)
    assert (window.y_low, window.y_high) == pytest.approx((0.0, 1.4))
    log = fit([Line(np.array([3.0, 117]), np.array([0.182, 1.31]), 0)], log_x=True, log_y=True)
    assert (log.x_low, log.x_high, log.y_low, log.y_high) == pytest.approx((2, 200, 0.1, 2))


def test_the_axis_reaches_to_the_planned_end_until_the_run_passes_it():
    x = np.array([100.0, 2000])
    assert fit([Line(x, x, 0)], 50_000).x_high == 50_000
    assert fit([Line(x, x, 0)], 50_000).x_low == 0
    assert fit([Line(x, x, 0)], 1500).x_high == 2000


def test_clipping_leaves_outliers_out_of_the_limits():
    y = np.ones(1000)
    y[5] = 1e6
    assert fit([Line(np.arange(1000.0), y, 0)], clip_percent=1).y_high < 2


def test_a_chart_of_nothing_has_axes():
    assert fit([]) == Window(0, 1, 0, 1)
    assert "0.5┤" in "\n".join(frame_text([], [], 40, 12))


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(1, 12), st.booleans(),
       st.sampled_from(["number", "time", "elapsed"]))  # fmt: skip
def test_ticks_lie_within_the_limits_and_are_not_too_many(low, width, count, log, kind):
    high = low + width
    found = ticks(low, high, count, log, kind)
    places = [value for value, _ in found]
    assert places == sorted(places)
    assert len(places) <= count + 1
    slack = width * 1e-6 + abs(low) * 1e-9
    assert all(low - slack <= value <= high + slack for value in places)


def test_ticks_are_words_for_people(monkeypatch):
    assert [label for _, label in ticks(0, 50_000, 5)] == ["0", "10 k", "20 k", "30 k", "40 k", "50 k"]
    assert [label for _, label in ticks(0.001, 1, 4, True)] == ["0.001", "0.01", "0.1", "1"]
    assert [label for _, label in ticks(0, 7200, 4, kind="elapsed")] == ["0", "30 min", "1:00 h", "1:30 h", "2:00 h"]
    assert [label for _, label in ticks(1.7e9, 1.7e9 + 3600, 4, kind="time")] == ["22:15", "22:30", "22:45", "23:00"]


@given(st.floats(1e-200, 1e200))
def test_a_nice_step_is_not_below_the_rough_one_and_at_most_two_and_a_half_times_it(rough):
    assert rough * 0.999 <= nice_step(rough) <= rough * 2.501


def test_numbers_are_short():
    assert [short_number(v) for v in (0, 0.182, 1, 12_400, 1e-5, 1.5e6, float("nan"))] == [
        "0", "0.182", "1", "12.4 k", "1e-5", "1.5 M", "-",
    ]  # fmt: skip


def test_a_whole_chart_is_text():
    x = np.arange(0.0, 101)
    curves = [Line(x, x / 100, 0), Line(x, np.full(101, 0.5), 1)]
    assert frame_text(curves, ["dice", "best"], 46, 14, planned_end=200) == WHOLE


def test_where_only_ascii_is_shown_only_ascii_is_written():
    x = np.arange(0.0, 101)
    line = Line(x, x / 100, 0, x / 120, x / 80)
    text = "\n".join(frame_text([line], ["diçe"], 46, 16, ascii=True))
    assert text.isascii()
    assert {":", "*", "."} & set(text)
    assert all(row.isascii() for row in to_text(rasterise([line], Window(0, 100, 0, 1), 20, 5), ascii=True))


WHOLE = [
    " 1.0┤                  ⢀⡴⠋ dice",
    "    │                ⢀⡴⠋",
    "    │               ⡠⠋",
    "    │             ⣠⠎⠁",
    "    │           ⣠⠞⠁",
    " 0.5┤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤ best",
    "    │       ⢀⠞⠁",
    "    │     ⢀⡴⠉",
    "    │   ⢀⡴⠋",
    "    │ ⢀⡴⠋",
    "   0┤⡴⠋",
    "    └┬───────────────────┬───────────────────┬",
    "step 0                  100                200",
    "dice 1  best 0.5",
]


@pytest.mark.parametrize("span_s", [0.0, 0.2, 1.9])
def test_what_was_told_within_a_moment_is_seconds_wide_over_the_time_of_day(span_s: float) -> None:
    when = np.linspace(0, span_s, 3) + 1.8e9
    window = fit([Line(when, np.arange(3.0), 0)])
    assert window.x_low < 1.8e9
    assert 1.8e9 + span_s < window.x_high < window.x_low + 60


@pytest.mark.parametrize(("axis", "label"), [("step", "step"), ("epoch", ""), ("elapsed", "")])
def test_an_axis_is_named_in_a_whole_word_or_not_at_all(axis: str, label: str) -> None:
    values = np.arange(3.0)
    frame = make_frame([ChartLine("loss", 0, values, values)], Window(0, 2, 0, 2), 60, 15, axis_words=axis)
    assert frame.text()[-2][:4].strip() == label
