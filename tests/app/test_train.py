"""The split on screen: it follows every change, takes it back, and writes what is shown."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from textual.widgets import Input
from textual.worker import WorkerFailed

from cellmap_tui.app.screens.train import TrainScreen
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.app.widgets.error_view import ErrorView
from cellmap_tui.challenge.datasplit import read_split
from cellmap_tui.services.split_model import SplitRequest
from tests.app.builders import app_with, settings_at
from tests.services.split_data import make_dataset

if TYPE_CHECKING:
    from textual.pilot import Pilot

CROPS = {
    1: {"nuc": 0.5, "er": 0.25},
    2: {"nuc": 0.25, "er": 0.25},
    3: {"nuc": 0.125, "er": 0.0},
    4: {"er": 0.5},
    5: {"nuc": 0.0, "er": 0.0},
    6: {"pm": 0.5},
}


def write_crops() -> None:
    """Write six crops of one dataset."""
    make_dataset(Path("data"), "mine", CROPS)


async def settled(pilot: Pilot[None]) -> TrainScreen:
    """Wait until the split that is shown is the one that was asked for."""
    while True:
        await pilot.pause()
        with suppress(WorkerFailed):  # the screen tells of it
            await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        screen = pilot.app.screen
        if not isinstance(screen, TrainScreen):
            return screen  # type: ignore[return-value]
        busy = screen._rest is not None or any(worker.is_running for worker in pilot.app.workers)
        if not busy and (screen.split.plan is not None or screen.query(ErrorView)):
            return screen
        await pilot.pause(0.01)


def sides(screen: TrainScreen) -> dict[str, str | None]:
    """Return what is shown of each crop."""
    return {crop.ref.rpartition("crop")[2]: crop.usage for crop in screen.split.crops.index.rows}


async def test_a_crop_moves_to_the_other_side_is_left_out_and_comes_back() -> None:
    write_crops()
    async with app_with(start="train").run_test(size=(160, 50)) as pilot:
        screen = await settled(pilot)
        before = sides(screen)
        assert before["6"] is None
        other = "validate" if before["1"] == "train" else "train"
        await pilot.press("m")
        screen = await settled(pilot)
        assert sides(screen)["1"] == other
        await pilot.press("x")
        screen = await settled(pilot)
        assert sides(screen)["1"] is None
        await pilot.press("x")
        screen = await settled(pilot)
        assert sides(screen) == before
        await pilot.press("u", "u")
        screen = await settled(pilot)
        assert sides(screen)["1"] == other
        await pilot.press("u")
        assert sides(await settled(pilot)) == before


async def test_an_option_changes_the_split_at_once_and_a_wrong_one_cannot_be_kept() -> None:
    write_crops()
    async with app_with(start="train").run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("t", "enter")
        field = pilot.app.screen.query_one(Input)
        field.value = "nuc"
        await pilot.press("enter")
        screen = await settled(pilot)
        assert screen.split.plan is not None
        assert screen.split.plan.targets == ("nuc",)
        await pilot.press("enter")
        pilot.app.screen.query_one(Input).value = "nucc"
        await pilot.press("enter")
        screen = await settled(pilot)
        assert "no class is called" in str(screen.query_one(ErrorView).render())
        await pilot.press("u")
        screen = await settled(pilot)
        assert screen.split.plan is not None
        assert not screen.query(ErrorView)


async def test_what_is_shown_is_what_is_written_after_a_yes() -> None:
    write_crops()
    async with app_with(start="train").run_test(size=(160, 50)) as pilot:
        screen = await settled(pilot)
        await pilot.press("m")
        screen = await settled(pilot)
        shown = {number: usage for number, usage in sides(screen).items() if usage is not None}
        await pilot.press("w")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("n")
        await pilot.pause()
        assert not Path("datasplit.csv").exists()
        await pilot.press("w")
        await pilot.pause()
        await pilot.press("y")
        await settled(pilot)
        split = read_split(Path("datasplit.csv"))
        assert {str(row.crop_id): row.usage for row in split.rows} == shown


async def test_a_request_of_the_command_line_fills_the_options() -> None:
    write_crops()
    request = SplitRequest(
        csv_path=Path("x.csv").absolute(), data_root=Path("data").absolute(), classes=("er",), seed=9
    )
    app = app_with(start="train", options={"command": "make-datasplit", "request": request})
    async with app.run_test(size=(160, 50)) as pilot:
        screen = await settled(pilot)
        while screen.split.plan is None or screen.split.plan.targets != ("er",):
            screen = await settled(pilot)
        assert screen.form.seed == 9


async def test_without_data_the_screen_says_what_to_do() -> None:
    async with app_with(settings=settings_at(), start="train").run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        assert "has labels below" in str(screen.query_one(ErrorView).render())
        assert not screen.check_action("write", ())
