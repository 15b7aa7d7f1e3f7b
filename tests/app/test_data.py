from __future__ import annotations

import re
from pathlib import Path

import pytest

from cellmap_tui.app.screens.crop import CropScreen
from cellmap_tui.app.screens.data import DataScreen
from cellmap_tui.app.screens.dataset import DatasetScreen
from cellmap_tui.app.screens.slice import SliceScreen
from cellmap_tui.app.widgets.slice_view import SliceView
from cellmap_tui.challenge.exclusions import read_exclusions
from cellmap_tui.challenge.layout import label_path
from tests.app.builders import app_with
from tests.app.small_data import CROP, UNKNOWN_ID, at_rest, write_small_data

TEXT = {" ": "space", "<": "less_than_sign", "=": "equals_sign", ":": "colon", "-": "minus", "_": "underscore"}


def typed(text):
    return [TEXT.get(character, character) for character in text]


def lines(table):
    return [table.render_line(y).text.rstrip() for y in range(table.size.height)]


def count_of(app):
    return app.screen.filter_bar._count.content.plain


def error_of(app):
    bar = app.screen.filter_bar
    return bar._error.content.plain if bar.has_class("-bad") else ""


async def test_the_whole_challenge_is_listed_offline_with_nothing_on_disk():
    app = app_with(start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest(pilot)
        assert count_of(app) == "305 of 305 crops"
        assert "○ remote" in lines(app.screen.crops)[1]


async def test_a_filter_works_while_it_is_typed_and_esc_clears_it():
    app = app_with(start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest(pilot)
        await pilot.press("slash", *typed("mito dataset:hela voxel<=4"))
        await at_rest(pilot)
        assert count_of(app) == "45 of 305 crops"
        await pilot.press("enter")
        assert app.focused is app.screen.crops
        assert all("hela" in line for line in lines(app.screen.crops)[1:10])
        await pilot.press("escape")
        await at_rest(pilot)
        assert count_of(app) == "305 of 305 crops"


async def test_a_wrong_word_is_pointed_at_and_the_table_keeps_its_last_good_rows():
    app = app_with(start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest(pilot)
        await pilot.press("slash", *typed("hela "))
        await at_rest(pilot)
        before = count_of(app)
        await pilot.press(*typed("mitoo er"))
        await at_rest(pilot)
        assert "'mitoo' at position 6" in error_of(app)
        assert "did you mean 'mito'?" in error_of(app)
        assert count_of(app) == before
        await pilot.press("escape")
        await at_rest(pilot)
        assert error_of(app) == ""


async def test_the_arrows_move_in_the_table_while_the_filter_is_typed():
    app = app_with(start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest(pilot)
        await pilot.press("slash", *typed("hela"), "down", "down", "up")
        await at_rest(pilot)
        assert app.screen.crops.cursor == 1


async def test_all_published_annotations_are_filtered_as_rows_of_their_own():
    app = app_with(start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest(pilot)
        await pilot.press("t")
        await at_rest(pilot)
        assert count_of(app) == "11 786 of 11 786 annotations"
        await pilot.press("slash", *typed("class=mito_ribo liver"))
        await at_rest(pilot)
        shown = app.screen.annotations.index
        assert {shown.row(position).class_name for position in range(len(shown))} == {"mito_ribo"}
        assert {"liver" in shown.row(position).crop.dataset for position in range(len(shown))} == {True}


async def test_marks_are_the_same_in_both_tables_and_kept_by_the_app():
    app = app_with(start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest(pilot)
        first, second = app.screen.crops.index.key(0), app.screen.crops.index.key(1)
        await pilot.press("space", "space", "t")
        await at_rest(pilot)
        assert app.marked_crops == {first, second}
        assert app.screen.annotations.marks == {first, second}
        await pilot.press("slash", *typed("fly"))
        await at_rest(pilot)
        assert count_of(app).endswith("2 marked")
        assert "2 hidden by the filter" in app.screen.query_one("#brief").content.plain


async def test_a_dataset_in_the_tree_shows_only_its_crops():
    app = app_with(start="data")
    async with app.run_test(size=(160, 50)) as pilot:
        await at_rest(pilot)
        await pilot.press("shift+tab", "shift+tab", "j")
        await at_rest(pilot)
        shown = app.screen.crops.index
        assert len({shown.row(position).crop.dataset for position in range(len(shown))}) == 1
        app.screen.crops.focus()
        await pilot.press("escape")
        await at_rest(pilot)
        assert count_of(app) == "305 of 305 crops"


async def test_x_leaves_a_crop_out_with_a_reason_and_x_again_takes_it_back():
    write_small_data()
    app = app_with(start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest(pilot)
        app.screen.crops.go_to(CROP.ref)
        await pilot.press("x", *typed("empty resin"), "enter")
        await at_rest(pilot)
        assert read_exclusions(Path("data"))[CROP.ref].reason == "empty resin"
        assert "✗ 7" in lines(app.screen.crops)[app.screen.crops.cursor + 1 - app.screen.crops.scroll_offset.y]
        await pilot.press("slash", *typed("excluded"), "enter")
        await at_rest(pilot)
        assert count_of(app) == "1 of 307 crops"
        await pilot.press("x")
        await at_rest(pilot)
        assert read_exclusions(Path("data")) == {}


async def test_a_crop_without_a_reason_is_not_left_out():
    write_small_data()
    app = app_with(start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest(pilot)
        await pilot.press("x", "enter", "space", "enter", "escape")
        await at_rest(pilot)
        assert isinstance(app.screen, DataScreen)
        assert read_exclusions(Path("data")) == {}


async def test_the_page_of_a_local_crop_tells_what_its_arrays_hold():
    write_small_data()
    app = app_with(start="data")
    async with app.run_test(size=(120, 40)) as pilot:
        await at_rest(pilot)
        app.screen.crops.go_to(CROP.ref)
        await pilot.press("enter")
        await at_rest(pilot)
        assert isinstance(app.screen, CropScreen)
        words = app.screen.query_one("CropDetails Static").content.plain
        assert "s0 8×4×4 nm" in words
        assert "anisotropic" in words
        assert f"holds id {UNKNOWN_ID} that the class table does not know" in words
        rows = "\n".join(lines(app.screen.query_one("CropDetails VirtualTable")))
        assert re.search(r"pm +absent \(true negative\)", rows)
        assert "ids 3-5, 2 objects" in rows
        assert "mask 0/1, 1 part" in rows
        assert "unknown" in rows


async def test_a_crop_of_resin_carries_its_badge():
    write_small_data()
    app = app_with(start="data")
    async with app.run_test(size=(120, 40)) as pilot:
        await at_rest(pilot)
        app.screen.crops.go_to("mine/crop8")
        await pilot.press("enter")
        await at_rest(pilot)
        assert "empty resin" in app.screen.query_one("CropDetails Static").content.plain


async def test_a_remote_crop_says_where_it_lies_and_its_address_is_copied():
    app = app_with(start="data")
    async with app.run_test(size=(120, 40)) as pilot:
        await at_rest(pilot)
        await pilot.press("y")
        address = "s3://janelia-cosem-datasets/jrc_cos7-1a/jrc_cos7-1a.zarr/recon-1/labels/groundtruth/crop234"
        assert app.clipboard == address
        await pilot.press("enter")
        await at_rest(pilot)
        words = app.screen.query_one("CropDetails Static").content.plain
        assert address in words
        assert "○ remote" in words


async def test_the_path_of_a_local_crop_is_copied():
    write_small_data()
    app = app_with(start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest(pilot)
        app.screen.crops.go_to(CROP.ref)
        await pilot.press("y")
        assert app.clipboard.endswith("data/mine/mine.zarr/recon-1/labels/groundtruth/crop7")
        before = app.clipboard
        await pilot.press("Y")
        assert app.clipboard == before


async def test_v_opens_the_slices_of_a_local_crop_with_a_legend_and_esc_comes_back():
    write_small_data()
    app = app_with(start="data")
    async with app.run_test(size=(120, 40)) as pilot:
        await at_rest(pilot)
        app.screen.crops.go_to(CROP.ref)
        await pilot.press("v")
        await at_rest(pilot)
        assert isinstance(app.screen, SliceScreen)
        assert "mito" in app.screen.query_one("#legend Static").content.plain
        await pilot.press("right_square_bracket", "t")
        await at_rest(pilot)
        assert app.screen.query_one(SliceView).look.point == (9, 16, 16)
        await pilot.press("enter", "escape")
        await at_rest(pilot)
        assert isinstance(app.screen, SliceScreen)
        await pilot.press("escape")
        assert isinstance(app.screen, DataScreen)


async def test_v_on_a_remote_crop_says_what_to_do():
    app = app_with(start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest(pilot)
        await pilot.press("v")
        await pilot.pause()
        assert isinstance(app.screen, DataScreen)
        assert any("is not on this disk" in toast.message for toast in app._notifications)


async def test_the_preview_follows_the_cursor_and_is_stepped_from_the_table():
    write_small_data()
    app = app_with(start="data")
    async with app.run_test(size=(160, 50)) as pilot:
        await at_rest(pilot)
        view = app.screen.query_one(SliceView)
        assert "Not on this disk" in view.render_line(0).text
        app.screen.crops.go_to(CROP.ref)
        await at_rest(pilot)
        await pilot.press("right_square_bracket")
        await at_rest(pilot)
        assert view.source.key.endswith(CROP.ref)
        assert view.look.index == 9
        assert "▀" in "".join(view.render_line(y).text for y in range(10)) or view._strips


async def test_a_broken_label_group_is_told_and_hides_nothing_else():
    write_small_data()
    (Path("data") / label_path(CROP, "er") / ".zattrs").write_text('{"multiscales": 5}')
    app = app_with(start="data")
    async with app.run_test(size=(120, 40)) as pilot:
        await at_rest(pilot)
        app.screen.crops.go_to(CROP.ref)
        await pilot.press("enter")
        await at_rest(pilot)
        rows = "\n".join(lines(app.screen.query_one("CropDetails VirtualTable")))
        assert "broken" in rows
        assert "ids 3-5, 2 objects" in rows
        await pilot.press("v")
        await at_rest(pilot)
        assert isinstance(app.screen, SliceScreen)


async def test_a_data_root_that_is_a_file_is_one_clear_line_and_r_tries_again():
    Path("data").write_text("")
    app = app_with(start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest_with_error(pilot)
        error = app.screen.query_one("ErrorView")
        assert "is a file" in error.content.plain
        Path("data").unlink()
        await pilot.press("r")
        await at_rest(pilot)
        assert count_of(app) == "305 of 305 crops"


async def at_rest_with_error(pilot):
    while not pilot.app.screen.query("ErrorView"):
        await pilot.pause(0.01)
    await pilot.pause()


async def test_the_page_of_a_dataset_shows_sizes_and_a_map_and_leads_to_a_crop():
    app = app_with(start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest(pilot)
        app.screen.crops.go_to("jrc_hela-2/crop4")
        await pilot.press("m")
        await at_rest(pilot)
        assert isinstance(app.screen, DatasetScreen)
        rows = lines(app.screen.query_one("DatasetCrops"))
        assert any("524×2000×2000" in row and "200×1000×1000" in row for row in rows)
        await pilot.press("j", "enter")
        await at_rest(pilot)
        assert app.screen.crops.highlighted.crop.ref == "jrc_hela-2/crop3"


async def test_another_data_root_is_looked_at_when_the_setting_changes():
    write_small_data(Path("elsewhere"))
    app = app_with(start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest(pilot)
        from dataclasses import replace

        app.settings = replace(app.settings, data_root=Path("elsewhere"))
        await at_rest(pilot)
        while count_of(app) != "307 of 307 crops":
            await pilot.pause(0.01)


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (100, 30), (140, 40)])
async def test_it_fits_into_every_size(size):
    app = app_with(start="data")
    async with app.run_test(size=size) as pilot:
        await at_rest(pilot)
        await pilot.press("t", "G", "g", "tab", "shift+tab")
        await at_rest(pilot)
        assert app.screen.annotations.highlighted is not None
