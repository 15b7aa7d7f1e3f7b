"""What the live screen of trainings looks like, at both sizes, in both themes, and in the states people forget."""

from __future__ import annotations

import json
from pathlib import Path

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


def after(*keys: str, overlays: tuple[str, ...] = ()):
    """Return what opens the screen, waits until nothing moves, and presses keys."""

    async def run(pilot):
        await pilot.pause()
        await pilot.press("T")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrainingScreen))
        screen = pilot.app.screen
        await until(pilot, lambda: not pilot.app.runs or (screen.live is not None and screen.live.at_end))
        await pilot.app.workers.wait_for_complete()
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()

    return run


@SIZES
@pytest.mark.parametrize("theme", ["cellmap-dark", "cellmap-light"])
def test_a_training_that_goes_on(snap_compare, size, theme) -> None:
    other = training(OTHER_ID, "done", events=training_events(20), done=20.0, rate=None, eta_s=None)
    app = app_with(training(), other, settings=settings_at(theme=theme), start="train")

    assert snap_compare(app, terminal_size=size, run_before=after())


@SIZES
def test_another_training_over_it(snap_compare, size) -> None:
    other = training(OTHER_ID, "stopped", events=training_events(80, scale=1.3), done=4.0, rate=None, eta_s=None)
    keys = ("T", "j", "space", *(("T",) if size == SMALL else ()))

    assert snap_compare(app_with(training(), other, start="train"), terminal_size=size, run_before=after(*keys))


@SIZES
def test_smoothed_with_a_cursor_and_a_band(snap_compare, size) -> None:
    app = app_with(training(), start="train")

    assert snap_compare(app, terminal_size=size, run_before=after("plus", "plus", "b", "y", "i", "left", "left"))


@SIZES
def test_a_filter_of_metrics(snap_compare, size) -> None:
    keys = ("slash", *"dice", "enter")

    assert snap_compare(app_with(training(), start="train"), terminal_size=size, run_before=after(*keys))


@SIZES
def test_the_list_of_trainings_with_a_log_that_is_gone(snap_compare, size) -> None:
    run = training(state="lost", message="making epoch 6")
    other = training(OTHER_ID, "quiet", events=training_events(20), done=1.0, silent_s=41.0)

    assert snap_compare(app_with(run, other, start="train"), terminal_size=size, run_before=after("T"))


@SIZES
def test_a_stop_asks_first(snap_compare, size) -> None:
    assert snap_compare(app_with(training(), start="train"), terminal_size=size, run_before=after("x"))


def test_a_learning_rate_is_typed(snap_compare) -> None:
    app = app_with(training(), start="train")

    assert snap_compare(app, terminal_size=SMALL, run_before=after("R", *("backspace",) * 8, *"20"))


@SIZES
def test_no_training(snap_compare, size) -> None:
    assert snap_compare(app_with(start="train"), terminal_size=size, run_before=after())


def test_a_training_that_prepares(snap_compare) -> None:
    run = training(events=[{"event": "state", "state": "running", "by": None}], done=None, total=None)

    assert snap_compare(app_with(run, start="train"), terminal_size=SMALL, run_before=after())


@SIZES
def test_a_training_that_failed_with_long_names(snap_compare, size) -> None:
    message = "the loss is no number at step 31 (epoch 2, batch 11); the last good checkpoint is 2d_unet_1.pth"
    events = [
        *training_events(classes=(LONG, "er")),
        {"event": "metric", "step": 121, "epoch": 7, "values": {"loss": None}},
        {"event": "error", "kind": "error", "message": message, "remedy": "lower learning_rate; then resume"},
    ]
    run = training(state="failed", events=events, message=message, rate=None, eta_s=None)

    assert snap_compare(app_with(run, start="train"), terminal_size=size, run_before=after())


@SIZES
def test_gpus_of_another_machine(snap_compare, size) -> None:
    run = training(host="gpu-07")
    (run.path / "telemetry.jsonl").write_text(_telemetry(), encoding="utf-8")

    assert snap_compare(app_with(run, start="train"), terminal_size=size, run_before=after())


def test_a_csv_log_of_another_tool(snap_compare) -> None:
    rows = [f"{step},{1 / (1 + step):.4f},{1e-3 / (1 + step):.3g}" for step in range(60)]
    Path("log.csv").write_text("\n".join(["step,train_loss,lr", *rows]), encoding="utf-8")
    app = app_with(start="train", options={"command": "train", "path": Path("log.csv").absolute()})

    assert snap_compare(app, terminal_size=SMALL, run_before=_settled)


def test_without_colours(snap_compare, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert snap_compare(app_with(training(), start="train"), terminal_size=SMALL, run_before=after())


async def _settled(pilot) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, TrainingScreen) and pilot.app.screen.live is not None)
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def _telemetry() -> str:
    gpus = [
        {
            "index": index,
            "name": "A GPU",
            "uuid": f"GPU-{index}",
            "memory_bytes": 80_000_000_000,
            "power_limit_w": 700,
        }
        for index in range(2)
    ]
    machine = {"v": 1, "kind": "machine", "time": 1.0, "host": "gpu-07", "pid": 7, "processors": 64,
               "memory_bytes": 512_000_000_000, "gpu_state": "ok", "gpus": gpus}  # fmt: skip
    used = [
        {"index": 0, "utilisation": 0.98, "memory_used_bytes": 61_000_000_000, "power_w": 690.0, "temperature_c": 71,
         "throttle": ["power cap"]},
        {"index": 1, "utilisation": 0.0, "memory_used_bytes": 600_000_000, "power_w": 70.0, "temperature_c": 34},
    ]  # fmt: skip
    reading = {"v": 1, "kind": "reading", "time": 2.0, "process_cpu": 6.4, "process_bytes": 41_000_000_000,
               "disk_free_bytes": 900_000_000_000, "gpus": used}  # fmt: skip
    return f"{json.dumps(machine)}\n{json.dumps(reading)}\n"
