"""The predict screen as a user meets it: keys in, plans, jobs and words out."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, Static

from cellmap_tui.app.predict_planning import Planned, Planner
from cellmap_tui.app.screens.predict import PredictScreen
from cellmap_tui.app.screens.predict_choose import ChooseCrops, ChooseNetworks
from cellmap_tui.app.screens.predict_page import PredictPage
from cellmap_tui.app.screens.trust import TrustQuestion
from cellmap_tui.app.trusting import unknown_code
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.app.widgets.edit_line import EditLine
from cellmap_tui.app.widgets.key_bar import KeyBar
from cellmap_tui.app.widgets.predict_live_view import VolumeTable
from cellmap_tui.app.widgets.predict_plan_view import PredictedTable, PredictOptions
from cellmap_tui.errors import CellmapError
from cellmap_tui.services.predict_model import PredictRequest
from tests.app.builders import app_with, run_of
from tests.app.predict_parts import (
    OLDER_ID,
    RUN_ID,
    TRAIN_ID,
    plan_with,
    planned_of,
    prediction,
    training,
    write_journal,
    write_network,
)
from tests.app.test_live_jobs import until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from cellmap_tui.app.app import CellmapApp
    from cellmap_tui.jobs.summary import RunSummary


@pytest.fixture(autouse=True)
def requests(monkeypatch: pytest.MonkeyPatch) -> list[PredictRequest]:
    """Plans are made at once, and what was asked is kept."""
    return plan_with(monkeypatch, planned_of)


def predict_app(*runs: RunSummary, **changes: object) -> CellmapApp:
    return app_with(*runs, start="predict", **changes)  # type: ignore[arg-type]


def screen_of(pilot: Pilot[None]) -> PredictScreen:
    screen = pilot.app.screen_stack[-1]
    assert isinstance(screen, PredictScreen)
    return screen


async def planned(pilot: Pilot[None]) -> PredictScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, PredictScreen))
    screen = screen_of(pilot)
    await until(pilot, lambda: screen.planned is not None)
    return screen


def words(screen: object, selector: str) -> str:
    return str(screen.query_one(selector, Static).content)  # type: ignore[attr-defined]


async def choose_option(pilot: Pilot[None], name: str) -> None:
    screen = screen_of(pilot)
    options = screen.query_one(PredictOptions)
    options.focus()
    await pilot.pause()
    assert options.go_to(name)
    await pilot.press("enter")
    await pilot.pause()


async def test_the_newest_training_is_planned_with_for_the_test_crops(requests) -> None:
    async with predict_app(training(), training(OLDER_ID)).run_test(size=(120, 40)) as pilot:
        screen = await planned(pilot)

        assert [Path(place).name for place in requests[-1].checkpoints] == [TRAIN_ID]
        assert requests[-1].crops == "test"
        assert "epoch 2: unet, 4 channels at 8 nm" in words(screen, "#sum")
        assert "2 crops" in words(screen, "#sum")
        assert "about 3 min 59 s" in words(screen, "#sum")


async def test_with_no_training_it_says_what_to_press(requests) -> None:
    async with predict_app(run_of("x")).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, PredictScreen))
        await pilot.pause()

        assert "c lists trainings" in words(screen_of(pilot), "#sum")
        assert not requests


async def test_options_make_a_new_plan_and_limits_do_not(requests) -> None:
    async with predict_app(training()).run_test(size=(120, 40)) as pilot:
        screen = await planned(pilot)
        await choose_option(pilot, "flips")
        await until(pilot, lambda: screen.planned is not None)
        assert requests[-1].flips
        plans = len(requests)
        await choose_option(pilot, "max_bytes")
        assert isinstance(pilot.app.screen, EditLine)
        pilot.app.screen.query_one(Input).value = "1M"
        await pilot.press("enter")
        await pilot.pause()

        assert "more than max bytes 1 M" in words(screen, "#sum").replace("1.0", "1")
        assert len(requests) == plans


async def test_a_refused_plan_does_not_start(requests, monkeypatch) -> None:
    plan_with(monkeypatch, lambda request: planned_of(request, free_bytes=1_000))
    async with predict_app(training()).run_test(size=(120, 40)) as pilot:
        screen = await planned(pilot)
        await pilot.press("n")
        await pilot.pause()

        assert screen.is_current
        assert "does not fit" in words(screen, "#sum")


async def test_why_there_is_no_plan_stands_in_its_place_in_words_of_the_screen(monkeypatch) -> None:
    def plan(request: PredictRequest) -> Planned:
        raise CellmapError("unet_2.pth is cut short", "add --trust-config")

    plan_with(monkeypatch, plan)
    async with predict_app(training()).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(pilot.app.screen.query("ErrorView")))

        shown = words(pilot.app.screen, "ErrorView")
        assert "cut short" in shown
        assert "own code" in shown


async def test_a_plan_that_nobody_waits_for_any_more_is_not_shown(monkeypatch) -> None:
    gate, begun = threading.Event(), threading.Event()

    def plan(self, request, tell, is_cancelled):
        if not request.flips:
            begun.set()
            gate.wait(30)
        return planned_of(request, device="late" if not request.flips else "cpu")

    monkeypatch.setattr(Planner, "plan", plan)
    async with predict_app(training()).run_test(size=(120, 40)) as pilot:
        await until(pilot, begun.is_set)
        screen = screen_of(pilot)
        await choose_option(pilot, "flips")
        await until(pilot, lambda: screen.planned is not None)
        gate.set()
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()

        assert screen.planned is not None
        assert screen.planned.plan.device == "cpu"


async def test_networks_are_marked_and_averaged(requests) -> None:
    async with predict_app(training(), training(OLDER_ID)).run_test(size=(120, 40)) as pilot:
        screen = await planned(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseNetworks))
        table = pilot.app.screen.query_one("NetworkTable")
        await until(pilot, lambda: len(table.index.rows) == 2)
        await pilot.press("m", "a", "enter")
        await until(pilot, lambda: screen.is_current and screen.planned is not None)

        assert len(requests[-1].checkpoints) == 2
        assert requests[-1].which == "latest"
        assert "and 1 more, averaged" in words(screen, "#sum")


async def test_a_network_without_a_checkpoint_is_not_taken(requests) -> None:
    async with predict_app(training(dice=())).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, PredictScreen))
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseNetworks))
        await until(pilot, lambda: bool(pilot.app.screen.query_one("NetworkTable").index.rows))
        await pilot.press("enter")
        await pilot.pause()

        assert isinstance(pilot.app.screen, ChooseNetworks)
        assert not requests


async def test_a_path_is_checked_while_it_is_typed_and_taken(requests) -> None:
    write_network(Path("elsewhere"), (0.5,))
    async with predict_app().run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, PredictScreen))
        screen = screen_of(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseNetworks))
        await pilot.press("n")
        await pilot.pause()
        line = pilot.app.screen
        assert isinstance(line, EditLine)
        line.query_one(Input).value = "nowhere"
        await pilot.pause()
        assert line.has_class("-bad")
        line.query_one(Input).value = "elsewhere"
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: screen.is_current and screen.planned is not None)

        assert requests[-1].checkpoints == (str(Path("elsewhere").absolute()),)


async def test_crops_are_marked_in_a_list(requests) -> None:
    async with predict_app(training()).run_test(size=(120, 40)) as pilot:
        screen = await planned(pilot)
        await choose_option(pilot, "crops")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseCrops))
        window = pilot.app.screen
        table = window.query_one("CropTable")
        await until(pilot, lambda: bool(table.index.rows))
        # All test crops are marked, as they are what is asked for; taking them changes nothing.
        await pilot.press("enter")
        await until(pilot, lambda: screen.is_current)
        assert screen.form.crops == "test"

        await choose_option(pilot, "crops")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseCrops))
        table = pilot.app.screen.query_one("CropTable")
        await until(pilot, lambda: bool(table.index.rows))
        table.set_marks(frozenset())
        await pilot.press("slash", *"cos7-1a", "enter")
        await pilot.press("a", "enter")
        await until(pilot, lambda: screen.is_current and screen.planned is not None)

        assert requests[-1].crops.startswith("jrc_cos7-1a/crop")
        assert set(requests[-1].crops.replace("jrc_cos7-1a/crop", "")) <= set("0123456789,b")


async def test_starting_asks_and_then_shows_the_job(monkeypatch) -> None:
    started = []

    def start(settings, request):
        started.append(request)
        return RUN_ID

    monkeypatch.setattr("cellmap_tui.app.predict_start.start_prediction", start)
    async with predict_app(training()).run_test(size=(120, 40)) as pilot:
        screen = await planned(pilot)
        await pilot.press("n")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("enter")
        await pilot.pause()
        assert not started
        await pilot.press("n", "y")
        await until(pilot, lambda: screen.is_live_shown)

        assert [request.crops for request in started] == ["test"]


async def test_a_prediction_that_goes_on_is_shown_with_its_blocks() -> None:
    run = prediction()
    write_journal(Path("data/predictions/jrc_cos7-1a.zarr/crop234"), [[[0, 0, 0], [128, 9, 9]]], {0: 64})
    async with predict_app(run, training()).run_test(size=(160, 50)) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, PredictScreen))
        screen = screen_of(pilot)
        await until(pilot, lambda: bool(screen.under_way.rows))
        await pilot.pause()

        assert screen.is_live_shown
        assert "1 000 / 3 456 tiles" in words(screen, "#all Static").replace("\u2009", " ").replace("\u202f", " ")
        assert "64 / 128" in words(screen, "#volume Static")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, PredictPage))
        await pilot.press("escape", "t")
        await pilot.pause()
        assert not screen.is_live_shown


async def test_keys_are_offered_only_while_they_do_something() -> None:
    async with predict_app(prediction("stopped"), training()).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, PredictScreen))
        screen = screen_of(pilot)
        await until(pilot, lambda: screen.is_live_shown)

        assert screen.check_action("resume", ())
        assert not screen.check_action("stop", ())
        assert not screen.check_action("start", ())
        await pilot.press("t")
        await until(pilot, lambda: screen.planned is not None)
        assert screen.check_action("start", ())
        assert not screen.check_action("resume", ())


def bar_of(pilot: Pilot[None]) -> str:
    return screen_of(pilot).query_one(KeyBar).line.plain


def has_keys(pilot: Pilot[None], *wanted: str) -> bool:
    return all(f"{words}  " in bar_of(pilot) for words in wanted)


async def test_the_six_most_useful_keys_stand_in_a_narrow_bar(requests) -> None:
    async with predict_app(prediction(), training()).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, PredictScreen))
        screen = screen_of(pilot)
        await until(pilot, lambda: screen.is_live_shown)
        await until(pilot, lambda: has_keys(pilot, "blocks", "p pause", "x stop", "P process", "t plan"))

        await pilot.press("t")
        await until(pilot, lambda: screen.planned is not None)
        await until(
            pilot,
            lambda: has_keys(pilot, "crop", "n start", "c networks", "i options", "P process", "t job"),
        )
        shown = [active.binding.description for active in screen.active_bindings.values()]
        assert {"sort", "slice"} <= set(shown)


async def test_a_command_line_opens_it_filled_in(requests) -> None:
    request = PredictRequest(checkpoints=("nets/a",), crops="234", manifest="m.csv", overlap=0.5)
    app = predict_app(training(), options={"command": "predict", "request": request})
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await planned(pilot)

        assert requests[-1] == request
        assert screen.form.overlap == 0.5


async def test_a_run_is_opened_by_its_name() -> None:
    app = predict_app(prediction("done"), training(), options={"run": RUN_ID})
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, PredictScreen))
        screen = screen_of(pilot)
        await until(pilot, lambda: screen.is_live_shown and bool(screen.query_one(VolumeTable).index.rows))

        assert screen.chosen_run() is not None


async def test_a_crop_whose_em_is_not_here_says_what_brings_it() -> None:
    async with predict_app(training()).run_test(size=(120, 40)) as pilot:
        screen = await planned(pilot)
        screen.query_one(PredictedTable).go_to("jrc_mus-kidney/crop558")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, PredictPage))
        await pilot.pause()

        assert "fetch-data --crops jrc_mus-kidney/crop558" in words(pilot.app.screen, "VerticalScroll > Static")


async def test_a_prediction_that_has_ended_makes_a_new_plan(requests) -> None:
    app = predict_app(training(), prediction())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, PredictScreen))
        await pilot.press("t")
        screen = await planned(pilot)
        before = len(requests)
        app.runs = (training(), prediction("done"))
        await until(pilot, lambda: len(requests) > before and screen.planned is not None)


async def test_a_python_configuration_is_asked_about_once_and_planned_after_a_yes(requests) -> None:
    Path("mine.py").write_text("learning_rate = 1\n")
    request = PredictRequest(checkpoints=(str(Path("mine.py").absolute()),), data_root=Path("data").absolute())
    app = predict_app(options={"command": "predict", "request": request})
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, TrustQuestion))
        before = len(requests)
        await pilot.press("y")
        await until(pilot, lambda: len(requests) > before)
        await until(pilot, lambda: isinstance(pilot.app.screen, PredictScreen))
        assert unknown_code([Path("mine.py")], Path("state")) is None
