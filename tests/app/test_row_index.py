from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.app.widgets.columns import Column, fit, fitted
from cellmap_tui.app.widgets.row_index import RowIndex

names = st.lists(st.text("abcd", max_size=4), max_size=60)


def index_of(rows):
    index = RowIndex(lambda row: row[0], lambda row: row[1])
    index.set_rows(list(enumerate(rows)))
    index.advance()
    return index


def shown(index):
    return [index.row(position) for position in range(len(index))]


@given(names, st.text("abcd", max_size=3), st.text("abcd", max_size=2))
def test_a_longer_query_gives_the_same_rows_as_that_query_alone(rows, first, more):
    typed, direct = index_of(rows), index_of(rows)
    for text in (first, first + more):
        typed.search(text)
        typed.advance()
    direct.search(first + more)
    direct.advance()
    assert shown(typed) == shown(direct) == [row for row in enumerate(rows) if (first + more) in row[1]]


@given(names, st.sampled_from("abcd"))
def test_a_filter_run_in_slices_ends_with_the_rows_of_one_run_at_once(rows, letter):
    index = index_of(rows * 8)
    index.filter(lambda row: letter in row[1])
    while not index.advance(0.0):
        pass
    assert shown(index) == [row for row in enumerate(rows * 8) if letter in row[1]]


@given(names, st.sets(st.integers(0, 59)), st.text("abcd", min_size=1, max_size=2))
def test_marks_survive_a_filter_and_the_hidden_ones_are_counted(rows, marked, text):
    index = index_of(rows)
    marked = {number for number in marked if number < len(rows)}
    index.set_marks(marked)
    index.search(text)
    index.advance()
    assert index.marks == marked
    assert index.marks_hidden == sum(text not in rows[number] for number in marked)


def test_marking_all_twice_leaves_only_the_hidden_marks():
    index = index_of(["ab", "cd", "ac"])
    index.set_marks({1})
    index.search("a")
    index.advance()
    index.toggle_all()
    assert index.marks == {0, 1, 2}
    index.toggle_all()
    assert index.marks == {1}
    assert index.marks_hidden == 1


def test_a_query_of_several_words_wants_all_of_them_in_any_case():
    index = index_of(["Mito jrc_hela", "mito jrc_cos7", "er jrc_hela"])
    index.search("HELA mito")
    index.advance()
    assert shown(index) == [(0, "Mito jrc_hela")]


def test_an_order_survives_a_filter_and_new_rows():
    index = index_of(["b", "a", "c"])
    index.sort(lambda row: row[1], reverse=True)
    index.advance()
    assert [row[1] for row in shown(index)] == ["c", "b", "a"]
    index.filter(lambda row: row[1] != "b")
    index.advance()
    index.set_rows([(0, "a"), (1, "d"), (2, "b")])
    index.advance()
    assert [row[1] for row in shown(index)] == ["d", "a"]


def test_a_filter_that_narrows_looks_only_at_the_rows_shown():
    index = index_of(["a"] * 50 + ["b"])
    index.search("b")
    index.advance()
    seen = []
    index.filter(lambda row: bool(seen.append(row)) or True, narrows=True)
    index.advance()
    assert seen == [(50, "b")]


def column(key, width, priority=0, max_width=0):
    return Column(key, key, width, str, priority=priority, max_width=max_width)


COLUMNS = [column("a", 4), column("b", 10, max_width=30), column("c", 6, 1), column("d", 8, 2), column("e", 5, 2)]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, ["a", "b", "c", "d", "e"]),
        (41, ["a", "b", "c", "d", "e"]),
        (40, ["a", "b", "c", "d"]),
        (33, ["a", "b", "c"]),
        (23, ["a", "b"]),
        (5, ["a", "b"]),
    ],
)
def test_columns_leave_by_priority_and_from_the_right(width, expected):
    assert [kept.key for kept, _ in fit(COLUMNS, width)] == expected


def test_a_flexible_column_takes_what_is_left_up_to_its_limit():
    assert {kept.key: width for kept, width in fit(COLUMNS, 50)}["b"] == 19
    assert {kept.key: width for kept, width in fit(COLUMNS, 150)}["b"] == 30


@given(st.text(max_size=40), st.integers(1, 30), st.sampled_from(["left", "right"]))
def test_a_cell_is_exactly_as_wide_as_asked_and_holds_no_control_character(text, width, align):
    from rich.cells import cell_len

    cell = fitted(text, width, align)
    assert cell_len(cell) == width
    assert "\x1b" not in cell
    assert "\n" not in cell


def test_long_names_are_cut_in_the_middle():
    assert fitted("jrc_mus-liver-zon-1", 15) == "jrc_mus…r-zon-1"
