"""The evaluation screen as a user meets it: keys in, tables, windows, jobs and files out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from textual.widgets import Input, Static

from cellmap_tui.app.eval_slices import crops_of, slices_of
from cellmap_tui.app.screens.eval import EvalScreen
from cellmap_tui.app.screens.eval_choose import ChooseEvaluation
from cellmap_tui.app.screens.eval_new import NewEvaluation
from cellmap_tui.app.screens.eval_objects import PairObjects
from cellmap_tui.app.screens.eval_view import EvalSlice
from cellmap_tui.app.screens.evaluation import EvaluationScreen
from cellmap_tui.app.screens.start import StartWork
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.app.widgets.edit_line import EditLine
from cellmap_tui.app.widgets.error_view import ErrorView
from cellmap_tui.app.widgets.eval_tables import ObjectTable
from cellmap_tui.app.widgets.key_bar import KeyBar
from cellmap_tui.app.widgets.slice_state import AXES
from cellmap_tui.app.widgets.slice_view import SliceView
from cellmap_tui.errors import DataError
from cellmap_tui.jobs.rundir import RunDir, read_request
from cellmap_tui.services.evaluate_model import EvaluateRequest
from cellmap_tui.services.plan_words import plan_lines
from cellmap_tui.services.predicted_planes import PredictedPlanes
from cellmap_tui.volumes.comparison import PREDICTED_OUTLINE
from cellmap_tui.volumes.write import write_array
from tests.app.builders import app_with, settings_at
from tests.app.eval_parts import CROP, MIDWAY, OTHER_ID, RUN_ID, evaluation, explanation_of, pair_of, result_of, told
from tests.app.small_data import GRID, at_rest, write_small_data
from tests.app.test_live_jobs import until

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from cellmap_tui.app.app import CellmapApp
    from cellmap_tui.jobs.summary import RunSummary

SMALL, LARGE = (80, 24), (160, 50)


@pytest.fixture(autouse=True)
def explained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Objects are known at once, and which were asked for is kept."""
    asked: list[str] = []

    def explain(run_path: Path, pair: str, is_cancelled: object, tell: object):
        asked.append(pair)
        return explanation_of(pair)

    monkeypatch.setattr("cellmap_tui.app.eval_explain.explain_pair", explain)
    return asked


def eval_app(*runs: RunSummary) -> CellmapApp:
    return app_with(*runs, start="eval")


def words(pilot: Pilot[None], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).content)


async def opened(pilot: Pilot[None]) -> EvaluationScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, EvaluationScreen))
    screen = pilot.app.screen
    assert isinstance(screen, EvaluationScreen)
    await until(pilot, lambda: bool(screen._pairs))
    await at_rest(pilot)
    return screen


async def listed(pilot: Pilot[None]) -> EvalScreen:
    await opened(pilot)
    await pilot.press("escape")
    await pilot.pause()
    screen = pilot.app.screen
    assert isinstance(screen, EvalScreen)
    return screen


async def typed(pilot: Pilot[None], text: str) -> None:
    pilot.app.screen.query_one(Input).value = text
    await pilot.press("enter")
    await pilot.pause()


# The list


async def test_without_evaluations_the_screen_says_how_to_make_one() -> None:
    async with eval_app().run_test(size=SMALL) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, EvalScreen)
        await until(pilot, lambda: screen.has_class("-empty"))

        assert "cellmap-tui --batch evaluate --predictions" in words(pilot, "#empty")
        assert "n evaluate" in str(screen.query_one(KeyBar).line)


async def test_the_newest_evaluation_opens_by_itself_and_esc_goes_to_the_list() -> None:
    runs = evaluation(), evaluation(OTHER_ID, predictions="predictions/mito-s1/best")
    async with eval_app(*runs).run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        assert screen.item.name == "mito-s0/best"

        above = await listed(pilot)
        assert [item.name for item in above.items] == ["mito-s0/best", "mito-s1/best"]


async def test_enter_opens_another_evaluation() -> None:
    runs = evaluation(), evaluation(OTHER_ID, predictions="predictions/mito-s1/best")
    async with eval_app(*runs).run_test(size=SMALL) as pilot:
        await listed(pilot)
        await pilot.press("j", "enter")

        assert (await opened(pilot)).item.name == "mito-s1/best"


async def test_a_failed_evaluation_says_why_and_what_goes_on() -> None:
    run = evaluation(state="failed", message="the disk is full", remedy="free some")
    async with eval_app(run).run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "the disk is full" in words(pilot, "#brief"))
        assert "finished pairs are kept" in words(pilot, "#brief")

        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, EvaluationScreen))
        await pilot.pause()
        assert "the disk is full" in words(pilot, "#head")
        assert "free some" in words(pilot, "#remarks")


async def test_a_run_named_by_another_screen_is_opened() -> None:
    runs = evaluation(), evaluation(OTHER_ID)
    async with app_with(*runs, start="eval", options={"run": OTHER_ID}).run_test(size=SMALL) as pilot:
        assert (await opened(pilot)).item.run.run_id == OTHER_ID


# One evaluation


async def test_classes_come_worst_first_with_their_scores() -> None:
    async with eval_app(evaluation()).run_test(size=SMALL) as pilot:
        screen = await opened(pilot)

        assert [row.result.label for row in screen.class_table.index.rows] == ["mito", "er", "ecs"]
        assert "score 0.594  profile 2026-06" in words(pilot, "#head")
        assert "best 113 0.690, worst 28 0.210" in words(pilot, "#brief")


async def test_sorting_and_filtering_change_the_order_and_the_rows() -> None:
    async with eval_app(evaluation()).run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await pilot.press("s", "home")
        assert screen.class_table.highlighted.result.label == "ecs"

        await pilot.press("slash", *"inst", "enter")
        assert len(screen.class_table.index) == 1
        await pilot.press("escape")
        assert len(screen.class_table.index) == 3


async def test_enter_lists_the_crops_of_a_class_and_esc_returns() -> None:
    async with eval_app(evaluation()).run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await pilot.press("enter")
        await at_rest(pilot)
        assert [row.pair.crop for row in screen.pairs.index.rows] == ["crop28", "crop9", "crop113"]

        await pilot.press("escape")
        assert screen.table is screen.class_table


async def test_where_there_is_room_the_crops_stand_beside_the_classes() -> None:
    async with eval_app(evaluation()).run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        await pilot.press("enter")

        assert screen.focused is screen.crops
        assert [row.pair.crop for row in screen.crops.index.rows] == ["crop28", "crop9", "crop113"]
        assert "0.2-0.3" in words(pilot, "#spread Static")


async def test_t_shows_every_pair_and_missing_ones_can_be_filtered() -> None:
    async with eval_app(evaluation()).run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await pilot.press("t")
        assert len(screen.pairs.index) == 8

        await pilot.press("slash", *"missing", "enter")
        assert [row.key for row in screen.pairs.index.rows if row.pair.status == "missing"] == ["crop155/ecs"]
        assert len(screen.pairs.index) == 1


async def test_the_objects_of_a_pair_are_listed_with_what_became_of_them(explained: list[str]) -> None:
    async with eval_app(evaluation()).run_test(size=SMALL) as pilot:
        await opened(pilot)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, PairObjects))
        await at_rest(pilot)

        assert explained == ["crop28/mito"]
        assert "4 of 11 objects matched" in words(pilot, "#words")
        table = pilot.app.screen.query_one(ObjectTable)
        assert [row.what for row in table.index.rows] == ["hallucinated", "missed", "matched"]

        await pilot.press("slash", *"missed", "enter")
        assert len(table.index) == 1
        await pilot.press("escape", "escape")
        assert isinstance(pilot.app.screen, EvaluationScreen)


async def test_objects_that_cannot_be_found_say_why_and_r_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def explain(run_path: Path, pair: str, is_cancelled: object, tell: object):
        tries.append(pair)
        raise DataError("the predictions are gone", "bring them back")

    monkeypatch.setattr("cellmap_tui.app.eval_explain.explain_pair", explain)
    async with eval_app(evaluation()).run_test(size=SMALL) as pilot:
        await opened(pilot)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: bool(pilot.app.screen.query(ErrorView)))
        assert "the predictions are gone" in str(pilot.app.screen.query_one(ErrorView).content)

        await pilot.press("r")
        await until(pilot, lambda: len(tries) == 2)


# Slices


async def test_v_shows_the_crop_at_the_object_with_its_class_alone() -> None:
    write_small_data()
    result = result_of(pairs=(pair_of(CROP, "mito", 0.2),))
    async with eval_app(evaluation(result=result)).run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await until(pilot, lambda: screen._browsed is not None)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, PairObjects))
        await at_rest(pilot)
        await until(pilot, lambda: pilot.app.screen._browsed is not None)
        await pilot.press("j", "v")
        await until(pilot, lambda: isinstance(pilot.app.screen, EvalSlice))
        await at_rest(pilot)

        look = pilot.app.screen.query_one(SliceView).look
        assert look is not None
        assert (look.point, look.only_class) == ((7, 8, 12), "mito")


async def test_what_was_predicted_is_outlined_over_the_truth(tmp_path: Path) -> None:
    write_small_data()
    predicted = np.zeros((16, 32, 32), np.uint16)
    predicted[:, 10:20, 10:20] = 7
    write_array(tmp_path / "out" / "crop7" / "mito", predicted, GRID)
    request = EvaluateRequest(
        predictions=str(tmp_path / "out"), crops="mine/7", data_root=tmp_path / "data", state_dir=tmp_path / "state"
    )
    browsed = crops_of(settings_at(), {})
    source, look = slices_of(browsed, "crop7", "mito", {"crops": "mine/7"}, PredictedPlanes(request))

    for axis in range(3):
        spec = replace(look, axis=axis).spec(32, 32, coarse=False)
        drawing = source.draw(spec)
        painted = (drawing.rgb == PREDICTED_OUTLINE).all(axis=2)
        assert painted.any(), AXES[axis]
        assert drawing.legend[-1].name == "mito prediction"
    rows, columns = np.nonzero((source.draw(look.spec(32, 32, coarse=False)).rgb == PREDICTED_OUTLINE).all(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 19, 10, 19)
    assert len(rows) == 36


async def test_without_a_prediction_the_truth_alone_is_drawn(tmp_path: Path) -> None:
    write_small_data()
    request = EvaluateRequest(
        predictions=str(tmp_path / "nowhere"), crops="mine/7", data_root=tmp_path / "data", state_dir=tmp_path / "s"
    )
    source, look = slices_of(
        crops_of(settings_at(), {}), "crop7", "mito", {"crops": "mine/7"}, PredictedPlanes(request)
    )

    drawing = source.draw(look.spec(32, 32, coarse=False))
    assert not (drawing.rgb == PREDICTED_OUTLINE).all(axis=2).any()
    assert "prediction" in drawing.notes[-1]


async def test_a_crop_that_is_not_here_says_how_to_get_it() -> None:
    async with eval_app(evaluation()).run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await until(pilot, lambda: screen._browsed is not None)
        await pilot.press("v")
        await pilot.pause()

        [notice] = pilot.app._notifications
        assert "crop28 is not on this disk" in notice.message


async def test_the_crop_in_hand_is_drawn_beside_the_tables() -> None:
    write_small_data()
    result = result_of(pairs=(pair_of(CROP, "mito", 0.2),))
    async with eval_app(evaluation(result=result)).run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        await until(pilot, lambda: screen.query_one(SliceView).source is not None)
        await at_rest(pilot)

        assert screen.query_one(SliceView).look.only_class == "mito"


# Side by side, files


async def test_c_puts_another_evaluation_beside_it_and_takes_it_away() -> None:
    runs = evaluation(result=result_of(better=0.02)), evaluation(OTHER_ID, predictions="predictions/mito-s1/best")
    async with eval_app(*runs).run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await pilot.press("c")
        assert isinstance(pilot.app.screen, ChooseEvaluation)
        await pilot.press("enter")
        await until(pilot, lambda: screen.compared is not None)
        await at_rest(pilot)
        assert "score 0.614 +0.020 ▲" in words(pilot, "#head")
        assert "compared with mito-s1/best: mito +0.020 ▲" in words(pilot, "#brief")
        assert screen.class_table.highlighted.delta == pytest.approx(0.02)

        await pilot.press("c", "enter")
        await pilot.pause()
        assert screen.compared is None


async def test_alone_there_is_nothing_to_compare_with() -> None:
    async with eval_app(evaluation()).run_test(size=SMALL) as pilot:
        await opened(pilot)
        await pilot.press("c")
        await pilot.pause()

        assert isinstance(pilot.app.screen, EvaluationScreen)
        assert len(pilot.app._notifications) == 1


async def test_e_writes_the_scores_into_a_file(tmp_path: Path) -> None:
    async with eval_app(evaluation()).run_test(size=SMALL) as pilot:
        await opened(pilot)
        await pilot.press("e")
        assert isinstance(pilot.app.screen, EditLine)
        await typed(pilot, "scores.csv")

        assert (tmp_path / "scores.csv").read_text().startswith("crop,label,kind")


# Under way


async def test_a_live_evaluation_shows_its_pairs_worst_first_and_how_far_it_is() -> None:
    run = evaluation(state="running", events=MIDWAY, done=45.0, total=100.0, eta_s=180.0)
    async with eval_app(run).run_test(size=SMALL) as pilot:
        screen = await opened(pilot)

        assert [row.key for row in screen.pairs.index.rows] == ["crop113/mito", "crop28/mito", "crop28/er"]
        assert "45 % of the voxels  3 min 00 s left" in words(pilot, "#head")


async def test_pairs_appear_as_they_are_finished_and_the_result_follows() -> None:
    run = evaluation(state="running", events=MIDWAY)
    app = eval_app(run)
    async with app.run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        evaluation(state="running", events=(*MIDWAY, told("crop9", "er", score=0.1, tp=1, fp=1, fn=1)))
        await until(pilot, lambda: len(screen.pairs.index.rows) == 4)

        done = evaluation(events=MIDWAY)
        app._watch.fixed = (done,)
        await until(pilot, lambda: screen.result is not None)
        await at_rest(pilot)
        assert screen.table is screen.class_table
        assert "score 0.594" in words(pilot, "#head")


async def test_x_asks_before_a_live_evaluation_is_stopped() -> None:
    run = evaluation(state="running", events=MIDWAY)
    async with eval_app(run).run_test(size=SMALL) as pilot:
        await opened(pilot)
        await pilot.press("x")

        assert isinstance(pilot.app.screen, Confirm)


async def test_a_result_that_cannot_be_read_is_an_error_in_the_pane() -> None:
    run = evaluation()
    (run.path / "result.json").write_text("{")
    async with app_with(run, start="eval", options={"run": RUN_ID}).run_test(size=SMALL) as pilot:
        await until(pilot, lambda: bool(pilot.app.screen.query(ErrorView)))

        assert "result.json" in str(pilot.app.screen.query_one(ErrorView).content)


# A new one


async def test_n_asks_what_to_score_and_offers_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.setattr("cellmap_tui.services.plan_words.plan_lines", lambda command, request: ["8 pairs to score"])
    started: list[RunDir] = []
    monkeypatch.setattr("cellmap_tui.jobs.launch.launch", started.append)
    async with eval_app().run_test(size=SMALL) as pilot:
        await pilot.press("n")
        assert isinstance(pilot.app.screen, NewEvaluation)
        await pilot.press("n")
        assert "nothing to score" in next(iter(pilot.app._notifications)).message
        await pilot.press("enter")
        await typed(pilot, "out")
        await pilot.press("j", "enter")
        await typed(pilot, "234,236")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.screen, StartWork))
        await until(pilot, lambda: "8 pairs to score" in words(pilot, "#plan"))

        await pilot.press("y")
        await until(pilot, lambda: bool(started))
        asked = read_request(started[0])
        assert (asked.command, asked.values["crops"]) == ("evaluate", "234,236")
        assert asked.values["predictions"] == str(tmp_path / "out")


async def test_the_plan_says_pairs_memory_and_time(tmp_path: Path) -> None:
    write_small_data(tmp_path / "data")
    predictions = tmp_path / "data" / "mine" / "mine.zarr" / "recon-1" / "labels" / "groundtruth"
    request = EvaluateRequest(
        predictions=f"{predictions}/{{crop}}/{{label}}",
        crops="mine/7",
        classes=("mito", "er"),
        data_root=tmp_path / "data",
        state_dir=tmp_path / "state",
    )

    lines = plan_lines("evaluate", request)
    assert lines[0] == "2 pairs of 1 crop and 2 classes: 2 to score"
    assert "32 768 voxels" in lines[1]
    assert any(line.startswith("profile 2026-06") for line in lines)
