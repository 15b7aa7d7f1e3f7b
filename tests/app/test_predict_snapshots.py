"""What the predict screen looks like, at both sizes, in both themes, and in the states people forget."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cellmap_tui.errors import CellmapError
from cellmap_tui.services.predict_model import TEMPLATE
from tests.app.builders import app_with, settings_at, write_log
from tests.app.predict_parts import (
    MISSING,
    OLDER_ID,
    crop,
    plan_with,
    planned_of,
    prediction,
    training,
    write_journal,
)
from tests.app.test_live_jobs import until

SMALL, LARGE = (80, 24), (160, 50)
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])
THEMES = pytest.mark.parametrize("theme", ["cellmap-dark", "cellmap-light"])
LONG = "a_very-long.dataset-name-that-somebody-will-publish-one-day-[bold]/crop123456"


@pytest.fixture(autouse=True)
def _still(monkeypatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    # The same on every machine: no absolute path is shown.
    plan_with(monkeypatch, lambda request: planned_of(request, output=TEMPLATE))


def after(*keys, shows):
    """Return what waits until the screen shows something, presses keys, and waits for the workers."""

    async def run(pilot):
        await until(pilot, lambda: shows(pilot.app.screen))
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        for _ in range(2):
            await pilot.app.workers.wait_for_complete()
            await pilot.pause()

    return run


def has_plan(screen) -> bool:
    return screen.planned is not None


def has_rows(screen) -> bool:
    return bool(screen.under_way.rows)


def predict_app(*runs, theme="cellmap-dark"):
    return app_with(*runs, start="predict", settings=settings_at(theme=theme))


@SIZES
@THEMES
def test_a_plan(snap_compare, size, theme) -> None:
    app = predict_app(training(), training(OLDER_ID), theme=theme)

    assert snap_compare(app, terminal_size=size, run_before=after(shows=has_plan))


@SIZES
def test_a_plan_that_is_refused_with_a_long_name(snap_compare, size, monkeypatch) -> None:
    crops = (crop(LONG, shape=(1600, 1600, 1600), size_bytes=164_000_000_000),)
    plan_with(
        monkeypatch,
        lambda request: planned_of(request, crops=crops, needed_bytes=164_000_000_000, free_bytes=12_000_000_000),
    )

    assert snap_compare(predict_app(training()), terminal_size=size, run_before=after(shows=has_plan))


def test_why_there_is_no_plan(snap_compare, monkeypatch) -> None:
    def plan(request):
        words = (
            "unet_2.pth is of another network than unet of its card: enc.0.weight is [8, 1, 3, 3], not [16, 1, 3, 3]"
        )
        raise CellmapError(words, "give the checkpoint with the model.json of its own run")

    plan_with(monkeypatch, plan)

    run_before = after(shows=lambda screen: bool(screen.query("ErrorView")))
    assert snap_compare(predict_app(training()), terminal_size=SMALL, run_before=run_before)


def test_no_network(snap_compare) -> None:
    run_before = after(shows=lambda screen: bool(screen.query("PredictedTable")))

    assert snap_compare(predict_app(), terminal_size=SMALL, run_before=run_before)


def test_the_question_before_it_starts(snap_compare, monkeypatch) -> None:
    names = ("nets/unet_2.pth, epoch 2: unet, 4 channels at 8 nm",)
    plan_with(monkeypatch, lambda request: planned_of(request, output=TEMPLATE, networks=names))

    assert snap_compare(predict_app(training()), terminal_size=SMALL, run_before=after("n", shows=has_plan))


def live() -> list:
    """Return a prediction in the middle of its work, told without absolute paths."""
    run = prediction(refs="234,236,558")
    request = json.loads((run.path / "request.json").read_text())
    request["request"]["output"] = "out"
    (run.path / "request.json").write_text(json.dumps(request))
    warning = {"event": "warning", "message": MISSING}
    done = {"event": "artefact", "path": "out/jrc_cos7-1a.zarr/crop236/mito", "kind": "prediction"}
    write_log(run, [{"event": "state", "state": "running"}, warning, done])
    return [run, training()]


@SIZES
@THEMES
def test_a_prediction_that_goes_on(snap_compare, size, theme, monkeypatch) -> None:
    # The service makes paths absolute, and these would differ from machine to machine.
    monkeypatch.setattr("cellmap_tui.services.predict_model._absolute", lambda place: place)
    parts = [[[z, 0, 0], [z + 128, 100, 100]] for z in range(0, 512, 128)]
    write_journal(Path("out/jrc_cos7-1a.zarr/crop234"), parts, {0: 128, 1: 192})

    app = predict_app(*live(), theme=theme)
    assert snap_compare(app, terminal_size=size, run_before=after(shows=has_rows))
