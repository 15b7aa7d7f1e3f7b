"""What the evaluation screen looks like, at both sizes, in both themes, and in the states people forget."""

from __future__ import annotations

import pytest

from tests.app.builders import app_with, settings_at
from tests.app.eval_parts import CROP, MIDWAY, OTHER_ID, evaluation, explanation_of, pair_of, result_of
from tests.app.small_data import at_rest, write_small_data
from tests.app.test_live_jobs import until

SMALL, LARGE = (80, 24), (160, 50)
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])
LONG = "a_very-long.dataset-name-that-nobody-would-type-but-somebody-will-import-one-day-0123456789"


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setattr("cellmap_tui.app.eval_explain.explain_pair", lambda path, pair, *_: explanation_of(pair))


def after(*keys):
    """Return what waits for the evaluations, presses keys, and waits until nothing moves."""

    async def run(pilot):
        await until(pilot, lambda: pilot.app.screen.query("#remarks") or pilot.app.screen.has_class("-empty"))
        await _settled(pilot)
        for key in keys:
            await pilot.press(key)
            await _settled(pilot)

    return run


async def _settled(pilot):
    while True:
        await at_rest(pilot)
        screen = pilot.app.screen
        if getattr(screen, "_slice_rest", None) is None:
            break
        await pilot.pause(0.01)
    await pilot.pause()


def two():
    other = evaluation(OTHER_ID, result=result_of(better=-0.031), predictions="predictions/mito-s1/step 12 400")
    return evaluation(), other


@SIZES
@pytest.mark.parametrize("theme", ["cellmap-dark", "cellmap-light"])
def test_scores_by_class(snap_compare, size, theme) -> None:
    write_small_data()
    pairs = (pair_of(CROP, "mito", 0.18), *result_of().pairs)
    run = evaluation(result=result_of(pairs=pairs))
    app = app_with(run, settings=settings_at(theme=theme), start="eval")

    assert snap_compare(app, terminal_size=size, run_before=after())


@SIZES
def test_two_evaluations_side_by_side(snap_compare, size) -> None:
    assert snap_compare(app_with(*two(), start="eval"), terminal_size=size, run_before=after("c", "enter"))


@SIZES
def test_the_list_of_evaluations(snap_compare, size) -> None:
    failed = evaluation("20251009T065200Z-evaluate-0000df", "failed", message="the disk is full", remedy="free some")

    assert snap_compare(app_with(*two(), failed, start="eval"), terminal_size=size, run_before=after("escape"))


@SIZES
def test_no_evaluations(snap_compare, size) -> None:
    assert snap_compare(app_with(start="eval"), terminal_size=size, run_before=after())


@SIZES
def test_an_evaluation_that_goes_on(snap_compare, size) -> None:
    run = evaluation(state="running", events=MIDWAY, done=45.0, total=100.0, eta_s=180.0)

    assert snap_compare(app_with(run, start="eval"), terminal_size=size, run_before=after())


def test_a_failed_evaluation(snap_compare) -> None:
    run = evaluation(state="failed", events=MIDWAY, message="the disk is full", remedy="free some")
    app = app_with(run, start="eval", options={"run": run.run_id})

    assert snap_compare(app, terminal_size=SMALL, run_before=after())


@SIZES
def test_very_long_names_and_every_remark(snap_compare, size) -> None:
    pairs = tuple(pair_of(f"{LONG}/crop{n}", f"{LONG[:40]}{n}", 0.3, message=LONG) for n in range(3))
    result = result_of(
        pairs=pairs,
        profile="2026-07",
        provisional=True,
        overall_score=None,
        errors=(f"{LONG}/crop3/[bold]er[/]: \x1b[31m its shape is wrong",),
        warnings=(LONG,),
    )
    run = evaluation(result=result, predictions=f"/data/{LONG}/{LONG}")

    assert snap_compare(app_with(run, start="eval"), terminal_size=size, run_before=after("t"))


@SIZES
def test_the_objects_of_a_pair(snap_compare, size) -> None:
    assert snap_compare(app_with(evaluation(), start="eval"), terminal_size=size, run_before=after("enter", "enter"))


def test_a_new_evaluation(snap_compare) -> None:
    assert snap_compare(app_with(start="eval"), terminal_size=SMALL, run_before=after("n", "j"))


def test_without_colours(snap_compare, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert snap_compare(app_with(*two(), start="eval"), terminal_size=SMALL, run_before=after("c", "enter"))
