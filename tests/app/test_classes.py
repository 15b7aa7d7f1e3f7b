from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.app.class_tree import flat, matches, tree
from cellmap_tui.app.class_words import class_page, resolution_words
from cellmap_tui.app.screens.classes import ClassesScreen
from cellmap_tui.app.screens.data import DataScreen
from cellmap_tui.app.screens.heat import HeatScreen
from cellmap_tui.app.widgets.box_map import Box, draw_map
from cellmap_tui.app.widgets.heat_map import HeatMap, shade, short_name
from cellmap_tui.challenge.catalog import builtin_catalog
from cellmap_tui.services.class_facts import class_rows, class_voxel_sizes, resolve
from tests.app.builders import app_with
from tests.app.small_data import at_rest

ROWS = class_rows(builtin_catalog())


async def loaded(app, pilot):
    await at_rest(pilot)
    while isinstance(app.screen, ClassesScreen) and app.screen._catalog is None:
        await pilot.pause(0.01)
    await at_rest(pilot)


def class_words(app):
    return app.screen.query_one("#class Static").content.plain


def test_the_tree_shows_each_group_with_its_members_and_every_class_once_at_least():
    nodes = tree(ROWS, {"cell"})
    assert {node.row.name for node in nodes} == {row.name for row in ROWS}
    mito = next(index for index, node in enumerate(nodes) if node.row.name == "mito")
    assert [node.row.name for node in nodes[mito : mito + 4]] == ["mito", "mito_mem", "mito_lum", "mito_ribo"]
    assert nodes[-1].row.name == "cell"
    assert len({node.key for node in nodes}) == len(nodes)


def test_a_closed_group_hides_its_members():
    names = [node.row.name for node in tree(ROWS, {"cell", "mito"})]
    assert "mito_ribo" not in names
    assert "mito" in names


@pytest.mark.parametrize(
    ("text", "names"),
    [("56", ["isg_mem"]), ("isg_*", ["isg_mem", "isg_lum", "isg_ins"]), ("chloroplast_sg", ["chlor_sg"])],
)
def test_a_class_is_found_by_id_by_part_of_its_name_and_by_its_alias(text, names):
    assert [node.row.name for node in flat(ROWS) if matches(node.row, text)] == names


@given(st.text(max_size=20))
def test_any_filter_text_is_answered(text):
    assert all(matches(row, text) in {True, False} for row in ROWS)


@pytest.mark.parametrize("class_id", [56, 57, 58, 59])
def test_an_id_outside_the_challenge_says_so_with_the_reason(class_id):
    words = resolution_words(resolve(builtin_catalog(), class_id), 60).plain
    assert "outside the challenge" in words.replace("\n        ", " ")


def test_an_id_names_its_parents_the_smallest_first():
    words = resolution_words(resolve(builtin_catalog(), 22), 60).plain
    assert "np < ne_mem_all < ne < er < nuc < cell" in words


def test_the_page_of_a_class_holds_a_histogram_of_voxel_sizes_and_a_suggested_scale():
    catalog = builtin_catalog()
    words = class_page(resolve(catalog, "nuc"), class_voxel_sizes(catalog, "nuc"), {"jrc_hela-2": 3}, 60).plain
    assert "64 nm" in words
    assert "suggested training scale: " in words
    assert "jrc_hela-2" in words


async def test_moving_in_the_tree_shows_the_class():
    app = app_with(start="classes")
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(app, pilot)
        await pilot.press("j", "j")
        await loaded(app, pilot)
        assert "50  mito  mitochondria" in class_words(app)
        assert "instance: object by object" in " ".join(class_words(app).split())


async def test_groups_open_and_close():
    app = app_with(start="classes")
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(app, pilot)
        before = len(app.screen.table.index)
        await pilot.press("j", "j", "j", "h")
        await loaded(app, pilot)
        assert len(app.screen.table.index) == before - 3
        assert app.screen.table.highlighted.row.name == "mito"
        await pilot.press("l")
        await loaded(app, pilot)
        assert len(app.screen.table.index) == before


async def test_a_number_in_the_filter_is_an_id():
    app = app_with(start="classes")
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(app, pilot)
        await pilot.press("slash", "5", "7", "enter")
        await loaded(app, pilot)
        assert app.screen.table.highlighted.row.name == "isg_lum"
        assert "outside the" in class_words(app)


async def test_an_id_is_resolved_while_it_is_typed_and_enter_goes_there():
    app = app_with(start="classes")
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(app, pilot)
        await pilot.press("i", "2")
        await pilot.pause()
        answer = app.screen.query_one("ResolveId Static")
        assert "pm" in answer.content.plain
        await pilot.press("2")
        await pilot.pause()
        assert "np_out" in answer.content.plain
        await pilot.press("9", "9")
        await pilot.pause()
        assert "no class has the id 2299" in answer.content.plain
        await pilot.press("backspace", "backspace", "enter")
        await loaded(app, pilot)
        assert app.screen.table.highlighted.row.name == "np_out"


async def test_a_member_that_only_the_whole_cell_shows_is_found_too():
    app = app_with(start="classes")
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(app, pilot)
        await pilot.press("i", "6", "1", "enter")
        await loaded(app, pilot)
        assert app.screen.table.highlighted.row.name == "actin"


async def test_enter_lists_the_crops_of_a_class_in_the_browser():
    app = app_with(start="classes")
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(app, pilot)
        await pilot.press("enter")
        await loaded(app, pilot)
        assert isinstance(app.screen, DataScreen)
        while app.screen.filter_bar.text != "class=ecs":
            await pilot.pause(0.01)
        await at_rest(pilot)
        ours = builtin_catalog().of_class("ecs")
        assert len(app.screen.crops.index) == len(ours)


async def test_the_heat_map_counts_crops_and_enter_lists_them():
    app = app_with(start="classes")
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(app, pilot)
        await pilot.press("j", "j", "m")
        await loaded(app, pilot)
        assert isinstance(app.screen, HeatScreen)
        heat = app.screen.query_one(HeatMap)
        counts = builtin_catalog().counts()["mito"]
        line = next(heat.render_line(y).text for y in range(1, 24) if heat.render_line(y).text.startswith("> mito"))
        first = builtin_catalog().datasets[0]
        assert f" {counts[first]} " in line
        await pilot.press("l", "enter")
        await at_rest(pilot)
        while not isinstance(app.screen, DataScreen) or not app.screen.filter_bar.text:
            await pilot.pause(0.01)
        assert app.screen.filter_bar.text == "class=mito dataset=jrc_cos7-1b"


async def test_the_heat_map_scrolls_to_every_dataset():
    app = app_with(start="classes")
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(app, pilot)
        await pilot.press("m", *["l"] * 30, "G")
        await loaded(app, pilot)
        heat = app.screen.query_one(HeatMap)
        assert heat.column == 21
        assert "jrc_zf-cardiac-1" in app.screen.query_one("Pane").border_subtitle


def test_shades_grow_with_the_number_and_nothing_has_none():
    shades = [shade(value, 26) for value in range(27)]
    assert shades == sorted(shades)
    assert (shades[0], shades[1] > 0, shades[26]) == (0, True, 8)


def test_short_names_of_datasets_differ_and_fit():
    names = [short_name(name) for name in builtin_catalog().datasets]
    assert all(len(name) <= 4 for name in names)
    assert len(set(names)) == len(names)


boxes = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(1, 500)).map(
        lambda pair: Box(str(pair), (pair[0],) * 3, (pair[0] + pair[1],) * 3)
    ),
    max_size=8,
)


@given(boxes, st.integers(0, 40), st.integers(0, 12))
def test_a_map_has_the_size_asked_for_and_shows_every_box(found, width, height):
    lines = draw_map(found, found[0].key if found else "", width, height, (1, 2))
    assert len(lines) == height
    assert all(len(line) == width for line in lines)
    if found and width and height:
        assert "█" in "".join(lines)
