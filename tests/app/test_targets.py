"""Editing targets by keys, keeping them, and what the screen says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellmap_tui.app.runs_watch import RunsWatch
from cellmap_tui.app.screens.classes import ClassesScreen
from cellmap_tui.app.screens.start import StartWork
from cellmap_tui.app.screens.targets import MappedTree, TargetsScreen
from cellmap_tui.app.widgets.ask_text import AskText
from cellmap_tui.challenge.datasplit import Split, SplitRow, write_split
from cellmap_tui.challenge.targets import read_targets
from tests.app.builders import app_with, settings_at
from tests.app.small_data import at_rest, write_small_data

SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORTERM", "truecolor")


async def opened(pilot):
    await at_rest(pilot)
    while isinstance(pilot.app.screen, ClassesScreen) and pilot.app.screen._catalog is None:
        await pilot.pause(0.01)
    await at_rest(pilot)
    await pilot.press("t")
    await at_rest(pilot)


async def press(pilot, *keys):
    for key in keys:
        await pilot.press(key)
        await at_rest(pilot)


def names(app):
    return [row.target.name for row in app.screen._facts]


def classes_of(app, name):
    return next(row.target.classes for row in app.screen._facts if row.target.name == name)


async def test_space_makes_a_target_of_the_class_and_takes_it_away():
    app = app_with(start="classes")
    async with app.run_test(size=(160, 50)) as pilot:
        await opened(pilot)
        await press(pilot, "space", "j", "j", "space")
        assert names(app) == ["ecs", "mito"]
        await press(pilot, "space")
        assert names(app) == ["ecs"]
        await press(pilot, "u")
        assert names(app) == ["ecs", "mito"]
        assert app.screen.query_one(MappedTree).highlighted.name == "mito"


async def test_enter_puts_a_class_into_the_target_in_hand_and_m_moves_it_elsewhere():
    app = app_with(start="classes")
    async with app.run_test(size=(160, 50)) as pilot:
        await opened(pilot)
        await press(pilot, "space", "j", "enter")
        assert classes_of(app, "ecs") == ("ecs", "pm")
        await press(pilot, "m", "j", "j", "enter")
        assert app.screen._draft.targets.ignored == ("pm",)
        await press(pilot, "m", "j", "enter")
        assert isinstance(app.screen, AskText)
        await press(pilot, *["backspace"] * 2, "x", "enter")
        assert classes_of(app, "x") == ("pm",)


async def test_targets_are_renamed_and_their_kind_and_cores_turned():
    app = app_with(start="classes")
    async with app.run_test(size=(160, 50)) as pilot:
        await opened(pilot)
        await press(pilot, "j", "j", "space", "tab", "c")
        target = app.screen._draft.targets.get("mito")
        assert (target.kind, target.core) == ("instance", True)
        await press(pilot, "i")
        assert app.screen._draft.targets.get("mito").kind == "semantic"
        await press(pilot, "r", "s", "enter")
        assert names(app) == ["s"]
        await press(pilot, "x")
        assert names(app) == []


async def test_what_was_edited_is_saved_kept_and_read_again():
    app = app_with(start="classes")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "space", "w", "enter")
        assert read_targets(Path("targets.toml")).names == ("ecs",)
        await press(pilot, "j", "space", "escape")
        assert isinstance(app.screen, ClassesScreen)
        await press(pilot, "t")
        assert isinstance(app.screen, TargetsScreen)
        assert names(app) == ["ecs", "pm"]
        await press(pilot, "f", "enter")
        assert names(app) == ["ecs"]
        await press(pilot, "u")
        assert names(app) == ["ecs", "pm"]


async def test_a_wrong_file_is_told_and_the_draft_stays():
    Path("targets.toml").write_text('[targets]\na = ["mito"]\nb = ["mito"]\n')
    app = app_with(start="classes")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "space", "f", "enter")
        assert names(app) == ["ecs"]
        assert any("in 'a' and in 'b'" in note.message for note in app._notifications)
        await press(pilot, "w", "enter")
        assert "Replace" in str(app.screen._question)
        await press(pilot, "n")
        assert "mito" in Path("targets.toml").read_text()


async def test_an_empty_target_is_not_saved():
    app = app_with(start="classes")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "n", *["backspace"] * 3, "q", "enter", "w", "enter")
        assert not Path("targets.toml").exists()
        assert any("has no classes" in note.message for note in app._notifications)


@SIZES
def test_targets_with_one_of_two_classes(snap_compare, size) -> None:
    write_small_data()

    async def edited(pilot):
        await opened(pilot)
        await press(pilot, "space", "j", "j", "space", "j", "enter", "tab")

    assert snap_compare(app_with(start="classes"), terminal_size=size, run_before=edited)


def write_small_split(path=Path("datasplit.csv"), classes=("pm", "mito", "er")):
    """Write a split of the two small crops: one trains, one validates."""
    root = str(Path("data/mine/mine.zarr").absolute())
    rows = [
        SplitRow(usage, root, "recon-1/em/fibsem-uint8", root, f"recon-1/labels/groundtruth/crop{number}", classes)
        for usage, number in (("train", 7), ("validate", 8))
    ]
    write_split(path, Split(tuple(rows)))


def sides_of(app, name):
    row = next(row for row in app.screen._facts if row.target.name == name)
    return [(side.crops, side.scanned, side.with_foreground) for side in (row.train, row.validate)]


async def counted(pilot):
    while pilot.app.screen._split is None:
        await pilot.pause(0.01)
    await at_rest(pilot)


async def test_targets_are_counted_by_the_sides_of_the_split_of_the_folder():
    write_small_data()
    write_small_split()
    app = app_with(start="classes")
    async with app.run_test(size=(160, 50)) as pilot:
        await opened(pilot)
        await counted(pilot)
        await press(pilot, "j", "j", "space")
        assert sides_of(app, "mito") == [(1, 0, 0), (0, 0, 0)]
        checks = str(app.screen.query_one("#checks Static").render())
        assert "no crop that validates in the split knows mito" in checks


async def test_a_split_that_is_chosen_counts_the_classes_that_its_rows_name():
    write_small_data()
    write_small_split(Path("other.csv"), ("pm",))
    app = app_with(start="classes")
    async with app.run_test(size=(160, 50)) as pilot:
        await opened(pilot)
        await press(pilot, "j", "space", "j", "space", "d")
        assert isinstance(app.screen, AskText)
        app.screen.query_one("Input").value = "missing.csv"
        await press(pilot, "enter")
        assert any("cannot be read" in note.message for note in app._notifications)
        await press(pilot, "d")
        app.screen.query_one("Input").value = "other.csv"
        await press(pilot, "enter")
        await counted(pilot)
        assert sides_of(app, "pm") == [(1, 0, 0), (1, 0, 0)]
        assert sides_of(app, "mito") == [(0, 0, 0), (0, 0, 0)]


async def test_a_job_counts_and_its_counts_appear():
    write_small_data()
    write_small_split()
    app = app_with(settings=settings_at(Path.cwd()), start="classes")
    app._watch = RunsWatch(app.settings.runs_root)
    async with app.run_test(size=(160, 50)) as pilot:
        await opened(pilot)
        await counted(pilot)
        await press(pilot, "j", "j", "space", "o")
        assert isinstance(app.screen, StartWork)
        await press(pilot, "y")
        while not (isinstance(app.screen, TargetsScreen) and app.screen._facts[0].scanned):
            await pilot.pause(0.02)
        assert sides_of(app, "mito")[0] == (1, 1, 1)


@SIZES
def test_targets_counted_by_a_split(snap_compare, size) -> None:
    write_small_data()
    write_small_split()

    async def edited(pilot):
        await opened(pilot)
        await counted(pilot)
        await press(pilot, "j", "space", "j", "space")

    assert snap_compare(app_with(start="classes"), terminal_size=size, run_before=edited)
