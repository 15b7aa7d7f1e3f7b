"""What the training page looks like, at both sizes, in both themes, and in the states people forget."""

from __future__ import annotations

import pytest

from cellmap_tui.app.screens.training import TrainingScreen
from tests.app.builders import app_with, settings_at
from tests.app.test_live_jobs import until
from tests.app.training_parts import OTHER_ID, training, training_events

SMALL, LARGE = (80, 24), (160, 50)
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])
LONG = "a_very-long.class-name-that-somebody-will-import-one-day-[bold]-0123456789"


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")


def after(*keys: str):
    """Return what opens the page, waits until nothing moves, and presses keys."""

    async def run(pilot):
        await pilot.pause()
        await pilot.press("T")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrainingScreen))
        screen = pilot.app.screen
        await until(pilot, lambda: screen._feed is None or (screen._feed.at_end and not _reads(screen)))
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()

    return run


def _reads(screen):
    return any(worker.group == "training.read" and worker.is_running for worker in screen.workers)


@SIZES
@pytest.mark.parametrize("theme", ["cellmap-dark", "cellmap-light"])
def test_a_training_that_goes_on(snap_compare, size, theme) -> None:
    other = training(OTHER_ID, "done", events=training_events(20), done=20.0, rate=None, eta_s=None)
    app = app_with(training(), other, settings=settings_at(theme=theme), start="train")

    assert snap_compare(app, terminal_size=size, run_before=after())


@SIZES
def test_a_stop_asks_first(snap_compare, size) -> None:
    assert snap_compare(app_with(training(), start="train"), terminal_size=size, run_before=after("x"))


@SIZES
def test_no_training(snap_compare, size) -> None:
    assert snap_compare(app_with(start="train"), terminal_size=size, run_before=after())


@SIZES
def test_a_validation_that_goes_on(snap_compare, size) -> None:
    run = training(done=34.0, total=120.0, unit="validation tiles", rate=1.4, eta_s=61.0)

    assert snap_compare(app_with(run, start="train"), terminal_size=size, run_before=after())


def test_a_training_that_prepares(snap_compare) -> None:
    run = training(events=[{"event": "state", "state": "running", "by": None}], done=None, total=None)

    assert snap_compare(app_with(run, start="train"), terminal_size=SMALL, run_before=after())


@SIZES
def test_a_training_that_failed_with_long_names(snap_compare, size) -> None:
    message = "the loss is no number at step 31 (epoch 2, batch 11); the last good checkpoint is 2d_unet_1.pth"
    events = [
        *training_events(classes=(LONG, "er")),
        {"event": "error", "kind": "error", "message": message, "remedy": "lower learning_rate; then resume"},
    ]
    run = training(state="failed", events=events, message=message, rate=None, eta_s=None)

    assert snap_compare(app_with(run, start="train"), terminal_size=size, run_before=after())


def test_without_colours(snap_compare, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert snap_compare(app_with(training(), start="train"), terminal_size=SMALL, run_before=after())
