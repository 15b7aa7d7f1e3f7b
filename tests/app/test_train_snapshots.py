"""What the split looks like, at both sizes, in both themes, and in the states people forget."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.builders import app_with, settings_at
from tests.app.test_train import settled, write_crops
from tests.services.split_data import make_dataset

SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])
LONG = "a_very-long.dataset-name-that-nobody-would-type-but-somebody-will-import-one-day-0123456789"


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")


def after(*keys):
    """Return what waits for the split, presses keys, and waits again."""

    async def run(pilot):
        await settled(pilot)
        for key in keys:
            await pilot.press(key)
            await settled(pilot)

    return run


@SIZES
@pytest.mark.parametrize("theme", ["cellmap-dark", "cellmap-light"])
def test_a_split(snap_compare, size, theme) -> None:
    write_crops()
    app = app_with(settings=settings_at(theme=theme), start="train")

    assert snap_compare(app, terminal_size=size, run_before=after("m", "down"))


@SIZES
def test_the_options_of_a_split(snap_compare, size) -> None:
    write_crops()
    keys = ("t",) if size == (80, 24) else ("tab",)

    assert snap_compare(app_with(start="train"), terminal_size=size, run_before=after(*keys, "down"))


@SIZES
def test_long_names_and_a_class_that_nothing_can_be_learned_of(snap_compare, size) -> None:
    make_dataset(Path("data"), LONG, {1: {"nuc": 0.5}, 123456: {"nuc": 0.0}})

    assert snap_compare(app_with(start="train"), terminal_size=size, run_before=after())


@SIZES
def test_no_data(snap_compare, size) -> None:
    assert snap_compare(app_with(start="train"), terminal_size=size, run_before=after())
