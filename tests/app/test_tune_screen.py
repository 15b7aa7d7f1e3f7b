"""The tuner's page: what was tried and why the best was chosen, and the way back into the recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cellmap_tui.app.process_form import ProcessForm, TuneForm
from cellmap_tui.app.screens.tune import TriedTable, TuneScreen
from cellmap_tui.app.widgets.error_view import ErrorView
from cellmap_tui.errors import RequestError
from cellmap_tui.jobs.rundir import create_run
from cellmap_tui.services.models import to_builtins
from cellmap_tui.services.process_model import ProcessRequest
from cellmap_tui.services.process_recipe import read_recipe
from cellmap_tui.services.tune_model import TunedClass, TuneRequest, TuneResult, TuneRow
from tests.app.builders import app_with, run_of, settings_at

if TYPE_CHECKING:
    from textual.pilot import Pilot

SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])
RUN = "data/predictions"


def tuned_run():
    """Return a run that has tuned two classes, one for better and one for worse."""
    recipe = Path("tuned.toml").absolute()
    recipe.write_text(
        '[classes.mito]\nsteps = [{ step = "threshold", above = 0.65 }, "fill_holes", "cores"]\n'
        '[classes.er]\nsteps = [{ step = "threshold", above = 0.4 }]\n'
    )
    rows = (
        TuneRow("mito", RUN, "cores", 0.5, 0, 0.0, 0.465, f1=0.272, is_start=True, reported=0.722, seed_voxels=20),
        TuneRow("mito", RUN, "components", 0.2, 0, 0.0, None, skipped=2),
        TuneRow("mito", RUN, "cores", 0.65, 50, 0.0, 0.955, f1=0.947, is_best=True, reported=0.948, seed_voxels=5),
        TuneRow("mito", RUN, "components", 0.7, 50, 0.0, 0.776, f1=0.7),
        TuneRow("er", RUN, "mask", 0.4, 0, 0.0, 0.91, iou=0.91, is_best=True, reported=0.85),
    )
    classes = (
        TunedClass("mito", "instance", RUN, "cores", 0.65, 50, 0.0, 0.465, 0.955, 0.722, 0.948, ("crop1",),
                   ("crop2",), 4),
        TunedClass("er", "semantic", RUN, "mask", 0.4, 0, 0.0, 0.9, 0.91, 0.87, 0.85, ("crop1",), ("crop2",), 1),
    )  # fmt: skip
    result = TuneResult(recipe, recipe.with_suffix(".csv"), "2026-06", classes, rows, 0.796, 0.899)
    run = create_run(Path("runs"), "tune", TuneRequest(crops="1,2", output=recipe), ("cellmap-tui", "tune"))
    run.result_path.write_text(json.dumps({"value": to_builtins(result)}))
    return run_of(run.run_id, "done", command="tune", path=run.path, message="tuned")


async def at_rest(pilot: Pilot[None]) -> None:
    for _ in range(3):
        await pilot.pause()
        await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def opened(pilot: Pilot[None], answers: list | None = None) -> TuneScreen:
    while pilot.app._watch.poll() and not pilot.app.runs:
        await pilot.pause(0.01)
    screen = TuneScreen(TuneForm())
    await pilot.app.push_screen(screen, (answers if answers is not None else []).append)
    await at_rest(pilot)
    while screen.tuning is None and pilot.app.runs and not screen.query(ErrorView):
        await at_rest(pilot)
    await at_rest(pilot)
    return screen


async def test_the_chosen_half_is_told_from_the_reported_one_and_a_loss_is_said() -> None:
    async with app_with(tuned_run()).run_test(size=(160, 50)) as pilot:
        screen = await opened(pilot)
        why = screen.query_one("#why")
        assert "Chosen on crop1: best of 4, 0.465 → 0.955, +0.179 to the next." in str(why.render())
        assert "Reported on crop2, which had no say: 0.722 → 0.948 (+0.226" in str(why.render())
        scores = [row.score for row in screen.query_one(TriedTable).index.rows]
        assert scores == [0.955, 0.776, 0.465, None]
        await pilot.press("j")
        await at_rest(pilot)
        assert "worse there than the start" in str(why.render())


async def test_one_crop_that_chose_and_reports_is_not_said_to_have_had_no_say() -> None:
    run = tuned_run()
    found = (run.path / "result.json").read_text()
    (run.path / "result.json").write_text(found.replace('"reported_on": ["crop2"]', '"reported_on": ["crop1"]'))
    async with app_with(run).run_test(size=(160, 50)) as pilot:
        screen = await opened(pilot)
        said = str(screen.query_one("#why").render())
        assert "Reported on crop1: 0.722" in said
        assert "no say" not in said


@pytest.mark.parametrize(
    ("state", "words"),
    [("stopped", "52 %  r goes on"), ("lost", "52 %  r goes on"), ("failed", "disk full  r goes on")],
)
async def test_a_tuning_that_ended_early_says_which_key_goes_on(state: str, words: str) -> None:
    said = {"stopped": "stopped by me", "lost": "", "failed": "disk full"}[state]
    run = run_of("t", state, command="tune", done=52.0, unit="recipes", message=said, remedy="`runs resume`")
    async with app_with(run).run_test(size=(80, 24)) as pilot:
        screen = TuneScreen(TuneForm())
        await pilot.app.push_screen(screen)
        while not pilot.app.runs:
            await pilot.pause(0.01)
        await at_rest(pilot)
        assert words in screen.table.empty
        assert "runs resume" not in screen.table.empty


async def test_the_tuned_steps_of_marked_classes_go_into_the_recipe() -> None:
    answers: list = []
    async with app_with(tuned_run()).run_test(size=(80, 24)) as pilot:
        await opened(pilot, answers)
        await pilot.press("space", "w")
        await at_rest(pilot)
    (recipe,) = answers
    assert dict(recipe.classes) == {"mito": read_recipe(Path("tuned.toml")).classes["mito"]}


async def test_another_row_than_the_best_can_be_taken() -> None:
    answers: list = []
    async with app_with(tuned_run()).run_test(size=(80, 24)) as pilot:
        await opened(pilot, answers)
        await pilot.press("enter", "j", "enter")
        await at_rest(pilot)
    assert (
        answers[0].classes["mito"].words
        == "threshold above 0.7 · fill_holes · components · remove_small min_voxels 50"
    )


async def test_a_result_that_is_damaged_is_told() -> None:
    run = tuned_run()
    (run.path / "result.json").write_text("{")
    async with app_with(run).run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        assert screen.query(ErrorView)


async def test_before_the_first_tuning_it_says_what_to_press() -> None:
    async with app_with().run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        assert "n tries" in screen.table.empty
        await pilot.press("w")
        await at_rest(pilot)
        assert pilot.app.screen is screen


def test_forms_make_the_requests_that_they_were_made_of() -> None:
    settings = settings_at(Path().absolute())
    asked = TuneRequest(
        predictions=("/a", "/b"), crops="1,2", classes=("mito",), thresholds=(0.3, 0.5), sizes=(0, 10), seed=4,
        output=Path("/tmp/x.toml"), data_root=settings.data_root, state_dir=settings.state_dir, manifest="m.csv",
    )  # fmt: skip
    assert TuneForm.of_request(asked).request(settings) == asked
    process = ProcessRequest(
        crops="all", classes=("er",), predictions="/p", overwrite=True, memory_bytes=2_000_000_000,
        data_root=settings.data_root, state_dir=settings.state_dir, test_manifest="t.csv", workers=3,
    )  # fmt: skip
    assert ProcessForm.of_request(process).request(settings) == process
    with pytest.raises(RequestError, match="which crops"):
        TuneForm().request(settings)


@SIZES
def test_a_tuning_with_its_table(snap_compare, size) -> None:
    async def shown(pilot: Pilot[None]) -> None:
        screen = await opened(pilot)
        screen.query_one("#tuned").set_title("tuned classes")
        screen.query_one("#log").display = False

    assert snap_compare(app_with(tuned_run()), terminal_size=size, run_before=shown)
