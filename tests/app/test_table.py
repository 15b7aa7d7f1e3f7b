from __future__ import annotations

import pytest
from textual.app import App

from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.app.widgets.table import VirtualTable

COLUMNS = (
    Column("id", "crop", 6, lambda row: str(row[0]), align="right", sort_key=lambda row: row[0]),
    Column("name", "dataset", 12, lambda row: row[1], max_width=30, sort_key=lambda row: row[1]),
    Column("note", "note", 30, lambda row: row[2], priority=1, look=lambda row: "dim"),
)


class TableApp(App):
    def __init__(self, rows, **options):
        super().__init__()
        self.rows = rows
        self.seen = []
        self.options = options

    def compose(self):
        yield VirtualTable(COLUMNS, row_key=lambda row: row[0], search_text=lambda row: row[1], **self.options)

    def on_mount(self):
        self.table = self.query_one(VirtualTable)
        self.table.set_rows(self.rows)
        self.table.focus()

    def on_virtual_table_row_highlighted(self, event):
        self.seen.append(("highlighted", event.row and event.row[0]))

    def on_virtual_table_row_selected(self, event):
        self.seen.append(("selected", event.row[0]))

    def on_virtual_table_marks_changed(self, event):
        self.seen.append(("marks", event.marks))


def rows_of(number, name="jrc_hela-{}"):
    return [(i, name.format(i % 7), "note") for i in range(number)]


def screen_lines(app):
    return [app.table.render_line(y).text for y in range(app.table.size.height)]


async def settled(app, pilot):
    await pilot.pause()
    while app.table.index.is_filtering:
        await pilot.pause()
    await pilot.pause()


@pytest.mark.parametrize(
    ("keys", "position"),
    [
        ("j j k", 1),
        ("down up up", 0),
        ("G", 999),
        ("G g", 0),
        ("end home", 0),
        ("ctrl+d", 10),
        ("ctrl+d ctrl+u ctrl+u", 0),
        ("pagedown", 19),
        ("pagedown pageup", 0),
    ],
)
async def test_keys_move_the_cursor_and_keep_it_in_view(keys, position):
    app = TableApp(rows_of(1000))
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press(*keys.split())
        await pilot.pause()
        assert app.table.cursor == position
        assert any(line.startswith(f">  {position:6}") for line in screen_lines(app)[1:])


async def test_a_cursor_step_repaints_two_lines_and_formats_no_others():
    formatted = []
    app = TableApp(rows_of(1000))
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        whole = app.table.render_line
        app.table.render_line = lambda y: (formatted.append(y), whole(y))[1]
        await pilot.press("j")
        await pilot.pause()
    assert sorted(formatted) == [1, 2]


async def test_enter_opens_the_row_and_space_marks_and_steps_on():
    app = TableApp(rows_of(10))
    async with app.run_test() as pilot:
        await pilot.press("enter", "space", "space", "k", "space")
        await pilot.pause()
        assert ("selected", 0) in app.seen
        assert app.table.marks == {0}
        assert [what[1] for what in app.seen if what[0] == "marks"] == [{0}, {0, 1}, {0}]
        assert [line[:3] for line in screen_lines(app)[1:4]] == [" ✓ ", "   ", ">  "]


async def test_marks_are_for_all_shown_rows_and_survive_the_filter():
    app = TableApp(rows_of(70))
    async with app.run_test() as pilot:
        app.table.search("hela-3")
        await settled(app, pilot)
        await pilot.press("a")
        app.table.search("hela-4")
        await settled(app, pilot)
        assert app.table.marks == set(range(3, 70, 7))
        assert app.table.index.marks_hidden == 10


async def test_a_table_without_marks_has_no_key_for_them():
    app = TableApp(rows_of(5), markable=False)
    async with app.run_test() as pilot:
        await pilot.press("space", "a")
        await pilot.pause()
        assert app.table.marks == frozenset()
        offered = [active.binding.id for active in app.screen.active_bindings.values() if active.node is app.table]
        assert "do.mark" not in offered


async def test_s_sorts_by_each_column_in_turn_and_s_upper_turns_round():
    app = TableApp([(2, "b", ""), (1, "c", ""), (3, "a", "")])
    async with app.run_test() as pilot:
        orders = []
        for key in ("s", "s", "S", "s"):
            await pilot.press(key)
            await pilot.pause()
            orders.append([app.table.index.key(p) for p in range(3)])
        assert orders == [[1, 2, 3], [3, 2, 1], [1, 2, 3], [2, 1, 3]]


async def test_the_sorted_column_says_so_in_its_heading():
    app = TableApp(rows_of(3))
    async with app.run_test() as pilot:
        await pilot.press("s", "S")
        await pilot.pause()
        assert "crop▼" in screen_lines(app)[0]


async def test_the_cursor_stays_on_its_row_when_a_filter_lets_it():
    app = TableApp(rows_of(70))
    async with app.run_test() as pilot:
        await pilot.press("j", "j", "j")
        app.table.search("hela-3")
        await settled(app, pilot)
        assert app.table.highlighted == (3, "jrc_hela-3", "note")
        app.table.search("hela-5")
        await settled(app, pilot)
        assert app.table.highlighted == (5, "jrc_hela-5", "note")
        assert app.seen[-1] == ("highlighted", 5)


async def test_a_filter_over_a_hundred_thousand_rows_ends_with_every_match():
    app = TableApp(rows_of(100_000))
    async with app.run_test() as pilot:
        app.table.search("hela-6")
        await settled(app, pilot)
        assert len(app.table.index) == len(range(6, 100_000, 7))
        await pilot.press("G")
        await pilot.pause()
        assert app.table.highlighted[0] == range(6, 100_000, 7)[-1]


async def test_an_empty_table_says_what_to_press():
    app = TableApp([], empty="No data here yet: press n")
    async with app.run_test() as pilot:
        await pilot.press("j", "space", "enter", "a", "s", "G")
        await pilot.pause()
        assert "No data here yet: press n" in screen_lines(app)[1]
        assert app.table.highlighted is None


async def test_data_is_never_markup_and_never_reaches_the_terminal_as_control_bytes():
    app = TableApp([(1, "[bold red]x[/] \x1b[2J", "a\nb\x07 日本")])
    async with app.run_test(size=(90, 20)) as pilot:
        await pilot.pause()
        line = screen_lines(app)[1]
        assert "[bold red]x[/] ·[2J" in line
        assert "a·b· 日本" in line
        assert app.table.render_line(1).cell_length == app.table.scrollable_content_region.width


async def test_columns_leave_a_narrow_table():
    app = TableApp(rows_of(3))
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        assert "note" not in screen_lines(app)[0]
        await pilot.resize_terminal(90, 10)
        await pilot.pause()
        assert "note" in screen_lines(app)[0]


async def test_a_click_moves_the_cursor_and_a_click_on_a_heading_sorts():
    app = TableApp([(2, "b", ""), (1, "a", ""), (3, "c", "")])
    async with app.run_test() as pilot:
        await pilot.click(VirtualTable, offset=(12, 3))
        await pilot.pause()
        assert app.table.cursor == 2
        await pilot.click(VirtualTable, offset=(13, 0))
        await pilot.pause()
        assert [app.table.index.key(p) for p in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("slice_s", [-1.0, 1000.0])
async def test_the_cursor_stays_on_its_row_however_long_a_filter_takes(monkeypatch, slice_s):
    """With slices of no time the first rows are known at once and the row of the cursor only later."""
    for name in ("FIRST_SLICE_S", "NEXT_SLICE_S"):
        monkeypatch.setattr(f"cellmap_tui.app.widgets.table.{name}", slice_s)
    app = TableApp(rows_of(2000))
    async with app.run_test(size=(60, 20)) as pilot:
        app.table.go_to(1400)
        app.table.search("hela-0")
        app.table.search("hela")
        await settled(app, pilot)
        assert app.table.highlighted[0] == 1400
        assert any(line.lstrip("> ").startswith("1400 ") for line in screen_lines(app))
        app.table.search("hela-0")
        await pilot.press("j")
        await settled(app, pilot)
        app.table.search("no such name")
        await settled(app, pilot)
        assert app.table.cursor == 0
