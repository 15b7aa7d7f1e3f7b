"""Editing targets by keys, keeping them, and what the screen says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellmap_tui.app.screens.classes import ClassesScreen
from cellmap_tui.app.screens.targets import MappedTree, TargetsScreen
from cellmap_tui.app.widgets.ask_text import AskText
from cellmap_tui.challenge.targets import read_targets
from tests.app.builders import app_with
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
