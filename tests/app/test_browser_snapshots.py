"""What the browser looks like, at both sizes, in both themes, and in the states people forget."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.local import add_local_crops
from tests.app.builders import app_with, settings_at
from tests.app.small_data import CROP, GRID, at_rest, write_small_data
from tests.app.test_data import at_rest_with_error, typed

SMALL, LARGE = (80, 24), (160, 50)
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])
LONG = "a_very-long.dataset-name-that-nobody-would-type-but-somebody-will-import-one-day-0123456789"


@pytest.fixture(autouse=True)
def _colours(monkeypatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")


def after(*keys, crop=None):
    """Return what comes to rest, goes to a crop, presses keys, and comes to rest again."""

    async def run(pilot):
        await at_rest(pilot)
        if crop is not None:
            pilot.app.screen.crops.go_to(crop)
            await at_rest(pilot)
        for key in keys:
            await pilot.press(key)
            await at_rest(pilot)

    return run


@SIZES
@pytest.mark.parametrize("theme", ["cellmap-dark", "cellmap-light"])
def test_data_with_marks_and_a_filter(snap_compare, size, theme) -> None:
    app = app_with(settings=settings_at(theme=theme), start="data")

    keys = ("space", "space", "j", "slash", *typed("hela mito"), "enter", "j")
    assert snap_compare(app, terminal_size=size, run_before=after(*keys))


def test_data_without_colours(snap_compare, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    write_small_data()

    assert snap_compare(app_with(start="data"), terminal_size=LARGE, run_before=after(crop=CROP.ref))


@SIZES
def test_data_with_a_local_crop_in_hand(snap_compare, size) -> None:
    write_small_data()

    assert snap_compare(app_with(start="data"), terminal_size=size, run_before=after("space", crop=CROP.ref))


@SIZES
def test_data_as_annotations(snap_compare, size) -> None:
    keys = ("t", "slash", *typed("er voxel<=2"), "enter", "s")
    assert snap_compare(app_with(start="data"), terminal_size=size, run_before=after(*keys))


def test_data_where_nothing_matches(snap_compare) -> None:
    keys = ("slash", *typed("local"), "enter")
    assert snap_compare(app_with(start="data"), terminal_size=SMALL, run_before=after(*keys))


def test_data_with_a_wrong_word_in_the_filter(snap_compare) -> None:
    assert snap_compare(
        app_with(start="data"), terminal_size=SMALL, run_before=after("slash", *typed("hela mitoo er"))
    )


def test_data_that_cannot_be_listed(snap_compare) -> None:
    Path("data").write_text("")

    assert snap_compare(app_with(start="data"), terminal_size=SMALL, run_before=at_rest_with_error)


@SIZES
def test_data_with_very_long_names(snap_compare, size) -> None:
    crop = Crop(123456, LONG, "train", GRID, tuple(f"{LONG}-{n}"[-60:] for n in range(3)), source="import")
    add_local_crops(Path("data"), [crop])

    assert snap_compare(app_with(start="data"), terminal_size=size, run_before=after(crop=crop.ref))


def test_leaving_a_crop_out(snap_compare) -> None:
    assert snap_compare(app_with(start="data"), terminal_size=SMALL, run_before=after("x", *typed("resin")))


@SIZES
def test_the_page_of_a_crop(snap_compare, size) -> None:
    write_small_data()

    assert snap_compare(app_with(start="data"), terminal_size=size, run_before=after("enter", crop=CROP.ref))


@SIZES
def test_slices(snap_compare, size) -> None:
    write_small_data()

    assert snap_compare(app_with(start="data"), terminal_size=size, run_before=after("v", crop=CROP.ref))


@SIZES
def test_the_page_of_a_dataset(snap_compare, size) -> None:
    run_before = after("m", "j", "j", crop="jrc_hela-2/crop1")

    assert snap_compare(app_with(start="data"), terminal_size=size, run_before=run_before)


async def _classes(pilot, *keys):
    while pilot.app.screen._catalog is None:
        await pilot.pause(0.01)
    await at_rest(pilot)
    for key in keys:
        await pilot.press(key)
        await at_rest(pilot)


@SIZES
@pytest.mark.parametrize("theme", ["cellmap-dark", "cellmap-light"])
def test_classes(snap_compare, size, theme) -> None:
    app = app_with(settings=settings_at(theme=theme), start="classes")

    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: _classes(pilot, "j", "j"))


def test_classes_outside_the_challenge(snap_compare) -> None:
    keys = ("slash", *typed("isg"), "enter")
    assert snap_compare(
        app_with(start="classes"), terminal_size=SMALL, run_before=lambda pilot: _classes(pilot, *keys)
    )


def test_resolving_an_id(snap_compare) -> None:
    assert snap_compare(
        app_with(start="classes"), terminal_size=SMALL, run_before=lambda pilot: _classes(pilot, "i", "5", "6")
    )


def test_the_heat_map(snap_compare) -> None:
    assert snap_compare(
        app_with(start="classes"), terminal_size=SMALL, run_before=lambda pilot: _classes(pilot, "m", "l", "j")
    )
