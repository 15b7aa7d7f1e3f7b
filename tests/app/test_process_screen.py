"""The recipe editor by keys: steps are changed, shown on a slice, kept, saved, and carried out by a job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cellmap_tui.app.recipe_draft import open_draft
from cellmap_tui.app.screens.fill_in import FillIn
from cellmap_tui.app.screens.process import ProcessScreen
from cellmap_tui.app.screens.slice import SliceScreen
from cellmap_tui.app.screens.start import StartWork
from cellmap_tui.app.screens.trust import TrustQuestion
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.app.widgets.header import Header
from cellmap_tui.app.widgets.recipe_tables import ClassTable, StepTable
from cellmap_tui.services.process import process
from cellmap_tui.services.process_model import ProcessRequest
from cellmap_tui.services.process_recipe import Recipe, built_in, read_recipe
from cellmap_tui.services.report import SilentReporter
from tests.app.builders import app_with, run_of, write_log
from tests.app.test_live_jobs import until
from tests.services.processing import predicted_crop, write_em

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from cellmap_tui.challenge.crops import Crop

SHAPE = (20, 40, 60)
SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])


@pytest.fixture(autouse=True)
def crop(monkeypatch: pytest.MonkeyPatch) -> Crop:
    """Predict a crop; its EM is not there."""
    monkeypatch.setenv("COLORTERM", "truecolor")
    return predicted_crop(Path("data"), 1, SHAPE)[0]


async def at_rest(pilot: Pilot[None]) -> None:
    for _ in range(3):
        await pilot.pause()
        await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def press(pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await at_rest(pilot)


async def opened(pilot: Pilot[None], request: object = None) -> ProcessScreen:
    await at_rest(pilot)
    screen = ProcessScreen(request)
    await pilot.app.push_screen(screen)
    await at_rest(pilot)
    while not screen._is_found or screen._shown is None:
        await at_rest(pilot)
    await at_rest(pilot)
    return screen


def steps(screen: ProcessScreen) -> list[str]:
    own = screen.own_steps()
    assert own is not None
    return [step.words for step in own.steps]


async def test_a_class_that_is_predicted_is_shown_with_what_its_built_in_steps_make_of_a_slice() -> None:
    async with app_with().run_test(size=(160, 50)) as pilot:
        screen = await opened(pilot)
        assert screen.class_in_hand().name == "ves"
        assert screen.view.preview.labels.shape == (40, 60)
        rows = screen.query_one(StepTable).index.rows
        assert [row.objects for row in rows if not row.option] == [None, screen._shown.preview.steps[-1].objects]


async def test_values_are_nudged_and_typed_and_taken_back() -> None:
    async with app_with().run_test(size=(160, 50)) as pilot:
        screen = await opened(pilot)
        await press(pilot, "j", "plus", "plus")
        assert steps(screen)[0] == "threshold above 0.6"
        assert "above = 0.6" in screen._shown.request.recipe
        await press(pilot, "enter", *["backspace"] * 3, "2")
        assert "is not a number from 0 to 1" in str(pilot.app.screen.query_one(".verdict").render())
        await press(pilot, "enter")
        assert pilot.app.screen is not screen
        await press(pilot, "backspace", "0", "full_stop", "3")
        assert "above = 0.3" in screen._shown.request.recipe
        await press(pilot, "escape")
        assert steps(screen)[0] == "threshold above 0.6"
        assert "above = 0.6" in screen._shown.request.recipe
        await press(pilot, "u", "u")
        assert steps(screen)[0] == "threshold above 0.5"
        assert not screen.class_in_hand().is_own


async def test_steps_are_added_moved_left_out_and_a_wrong_order_is_told_but_not_shown() -> None:
    async with app_with().run_test(size=(160, 50)) as pilot:
        screen = await opened(pilot)
        await press(pilot, "n", "enter")
        assert steps(screen)[1].startswith("open radius_nm 8")
        shown = screen._shown.request.recipe
        await press(pilot, "K")
        assert "needs a mask" in str(screen.query_one("#say").render())
        assert screen._shown.request.recipe == shown
        assert screen.query_one(ClassTable).highlighted.problem
        await press(pilot, "x")
        assert [words.split()[0] for words in steps(screen)] == ["threshold", "cores"]
        await press(pilot, "R")
        assert isinstance(pilot.app.screen, Confirm)
        await press(pilot, "y")
        assert not screen.class_in_hand().is_own


async def test_what_was_not_saved_is_there_again_and_saving_forgets_the_draft() -> None:
    async with app_with().run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "j", "plus", "escape")
        screen = await opened(pilot)
        assert screen.draft.was_kept
        assert steps(screen)[0] == "threshold above 0.55"
        await press(pilot, "w", "enter")
        assert read_recipe(Path("recipe.toml")).classes["ves"].steps[0]["above"] == 0.55
        assert screen.draft.is_saved
        assert not open_draft(None, Path("state")).was_kept
        assert not open_draft(Path("recipe.toml").absolute(), Path("state")).was_kept


async def test_saving_keeps_the_comments_of_the_file() -> None:
    text = '# mine\n[classes.ves]\nsteps = [\n  { step = "threshold", above = 0.5 }, # tried\n  "components",\n]\n'
    Path("mine.toml").write_text(text)
    async with app_with().run_test(size=(80, 24)) as pilot:
        await opened(pilot, ProcessRequest(recipe=Path("mine.toml").absolute(), data_root=Path("data").absolute()))
        await press(pilot, "j", "plus", "w", "enter")
    assert Path("mine.toml").read_text() == text.replace("0.5", "0.55")
    assert not Path("mine.toml.bak").exists()


async def test_comments_that_cannot_be_kept_are_copied_and_it_is_said() -> None:
    text = '# mine\n[default]\nsteps = [{ step = "threshold", above = 0.5 }, "components"]\n'
    Path("mine.toml").write_text(text)
    async with app_with().run_test(size=(80, 24)) as pilot:
        screen = await opened(
            pilot, ProcessRequest(recipe=Path("mine.toml").absolute(), data_root=Path("data").absolute())
        )
        screen.take_recipe(Recipe({"er": built_in("semantic")}))
        await press(pilot, "w", "enter")
        assert any("mine.toml.bak has the file as it was" in toast.message for toast in pilot.app._notifications)
    assert Path("mine.toml.bak").read_text() == text
    assert list(read_recipe(Path("mine.toml")).classes) == ["er"]


async def test_the_tuning_form_is_as_it_was_filled_in_last(crop: Crop) -> None:
    async with app_with().run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "T", "n")
        form = replace(pilot.app.screen.form, crops="1", thresholds="0.3 0.4", seed=7)
        pilot.app.screen.form = form
        await press(pilot, "n")
        await until(pilot, lambda: isinstance(pilot.app.screen, StartWork))
        await press(pilot, "escape", "escape", "escape")
        screen = await opened(pilot)
        screen.form = replace(screen.form, classes=("ves",))
        await press(pilot, "T", "n")
        await until(pilot, lambda: isinstance(pilot.app.screen, FillIn))
        assert pilot.app.screen.form == replace(form, classes=("ves",))


async def test_a_file_that_somebody_else_wrote_is_replaced_only_when_told() -> None:
    Path("recipe.toml").write_text("[classes.er]\nsteps = ['threshold']\n")
    async with app_with().run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "j", "plus", "w", "enter")
        assert isinstance(pilot.app.screen, Confirm)
        await press(pilot, "n")
        assert "er" in Path("recipe.toml").read_text()


async def test_the_slice_is_stepped_and_turned() -> None:
    async with app_with().run_test(size=(160, 50)) as pilot:
        screen = await opened(pilot)
        screen.view.focus()
        await press(pilot, "]", "}")
        assert screen._shown.request.index == 10 + 1 + 8
        await press(pilot, "t")
        assert (screen._shown.preview.axis, screen._shown.preview.index) == ("y", 20)
        await press(pilot, "plus", "l", "o")
        assert (screen.view.look.zoom, screen.view.look.overlay) == (2, "outline")


async def test_processing_shows_its_plan_and_is_asked_with_the_saved_recipe() -> None:
    async with app_with().run_test(size=(160, 50)) as pilot:
        await opened(pilot, ProcessRequest(crops="mine/1", data_root=Path("data").absolute()))
        await press(pilot, "j", "plus", "P", "enter")
        assert Path("recipe.toml").is_file()
        await press(pilot, "n")
        assert isinstance(pilot.app.screen, StartWork)
        request = pilot.app.screen._request
        assert (request.crops, request.recipe) == ("mine/1", Path("recipe.toml").absolute())
        assert "ves: threshold above 0.55" in str(pilot.app.screen.query_one("#plan").render())


async def test_a_broken_recipe_is_told_and_the_editor_opens_without_it() -> None:
    Path("mine.toml").write_text("[classes.ves]\nsteps = ['nothing']\n")
    async with app_with().run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, ProcessRequest(recipe=Path("mine.toml").absolute()))
        assert any("unknown step nothing" in note.message for note in pilot.app._notifications)
        assert screen.draft.path is None


async def test_without_predictions_it_says_what_to_do() -> None:
    import shutil

    shutil.rmtree("data/predictions")
    async with app_with().run_test(size=(80, 24)) as pilot:
        screen = ProcessScreen()
        await pilot.app.push_screen(screen)
        while not screen._is_found:
            await at_rest(pilot)
        assert "Nothing is predicted" in screen.view._message


async def test_the_em_lies_behind_the_labels_and_beside_them_by_key(crop: Crop) -> None:
    write_em(Path("data"), crop)
    async with app_with().run_test(size=(160, 50)) as pilot:
        screen = await opened(pilot)
        assert screen._shown.em.shape == (40, 60)
        assert "probability | result over EM" in str(screen.query_one("#preview").border_title)
        screen.view.focus()
        await press(pilot, "m")
        assert "EM | result over EM" in str(screen.query_one("#preview").border_title)
        await press(pilot, "o", "o")
        assert str(screen.query_one("#preview").border_title).endswith("EM | result")


async def test_without_em_the_labels_lie_over_the_probability() -> None:
    async with app_with().run_test(size=(160, 50)) as pilot:
        screen = await opened(pilot)
        screen.view.focus()
        await press(pilot, "m")
        assert screen._shown.em is None
        assert "probability | result over probability" in str(screen.query_one("#preview").border_title)


async def test_a_draft_whose_order_is_wrong_says_so_in_place_of_the_slice() -> None:
    async with app_with().run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "n", "enter", "K", "escape")
        screen = ProcessScreen()
        await pilot.app.push_screen(screen)
        while not screen._is_found:
            await at_rest(pilot)
        await at_rest(pilot)
        assert "the steps are right" in screen.view._message
        assert "not saved" in str(screen.query_one("#steps").border_title)
        await press(pilot, "u")
        while screen.view.preview is None:
            await at_rest(pilot)


async def test_the_job_stands_above_what_the_step_does() -> None:
    run = run_of("20251009T085200Z-process-0000c1", "running", command="process", done=1.0, total=4.0, unit="voxels")
    write_log(run, [])
    async with app_with(run).run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        job, say = screen.query_one("#job"), screen.query_one("#say")
        assert job.region.y + 1 == say.region.y
        assert "25 %" in str(job.render())


async def test_a_job_that_died_says_which_key_goes_on() -> None:
    run = run_of("20251009T085200Z-process-0000c1", "lost", command="process", done=1.0, total=4.0, unit="voxels")
    write_log(run, [])
    async with app_with(run).run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        while not pilot.app.runs:
            await pilot.pause(0.01)
        screen._run_id = run.run_id
        screen.see_runs()
        assert "lost  process  r goes on  25 %" in str(screen.query_one("#job").render())


async def test_v_opens_the_labels_of_the_crop_and_the_prediction_while_there_are_none(crop: Crop) -> None:
    write_em(Path("data"), crop)
    async with app_with().run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "v")
        await until(pilot, lambda: isinstance(pilot.app.screen, SliceScreen))
        assert pilot.app.screen._look.kinds == ("predictions",)
        header = pilot.app.screen.query_one(Header)
        assert "[6 Predict]" in header.line.plain
        assert "[1 Data]" not in header.line.plain
        await press(pilot, "escape")
        process(ProcessRequest(crops="mine/1", data_root=Path("data").absolute()), SilentReporter())
        await press(pilot, "v")
        await until(pilot, lambda: isinstance(pilot.app.screen, SliceScreen))
        assert pilot.app.screen._look.kinds == ("processed",)


async def test_code_is_asked_about_before_its_plan_and_a_yes_is_remembered() -> None:
    Path("mine.py").write_text("def process_func(x):\n    return x > 0.5\n")
    async with app_with().run_test(size=(80, 24)) as pilot:
        await opened(pilot, ProcessRequest(recipe=Path("mine.py").absolute(), data_root=Path("data").absolute()))
        await press(pilot, "P")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrustQuestion))
        await press(pilot, "n", "P")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrustQuestion))
        await press(pilot, "y")
        await until(pilot, lambda: isinstance(pilot.app.screen, FillIn))
        await press(pilot, "escape", "P")
        await until(pilot, lambda: isinstance(pilot.app.screen, FillIn))


@SIZES
def test_a_recipe_with_its_slice(snap_compare, size, crop: Crop) -> None:
    write_em(Path("data"), crop)

    async def edited(pilot: Pilot[None]) -> None:
        screen = await opened(pilot)
        await press(pilot, "n", "enter")
        while not screen.view._strips:
            await at_rest(pilot)

    assert snap_compare(app_with(), terminal_size=size, run_before=edited)
