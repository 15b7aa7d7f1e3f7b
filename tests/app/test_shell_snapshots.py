"""What the shell's screens look like, at both sizes, in both themes, and in the states people forget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cellmap_tui.errors import CellmapError
from tests.app.builders import DEMO_EVENTS, LONG_NAME, all_states, app_with, run_of, settings_at, write_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

SMALL = (80, 24)
LARGE = (160, 50)
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])
THEMES = pytest.mark.parametrize("theme", ["cellmap-dark", "cellmap-light"])


def after(*keys: str) -> Callable[[Pilot[None]], object]:
    """Return what waits for the workers, presses keys, and waits again."""

    async def run(pilot: Pilot[None]) -> None:
        await _settle(pilot)
        await pilot.press(*keys)
        await _settle(pilot)

    return run


async def _settle(pilot: Pilot[None]) -> None:
    for _ in range(2):
        await pilot.pause()
        await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def _busy() -> list:
    runs = all_states()
    for run in runs[:2]:
        write_log(run, DEMO_EVENTS, "printed by the job\n")
    return runs


@SIZES
@THEMES
def test_home_with_nothing_local(snap_compare, size, theme) -> None:
    app = app_with(settings=settings_at(theme=theme))

    assert snap_compare(app, terminal_size=size, run_before=after())


@SIZES
def test_home_while_the_demo_is_made(snap_compare, size) -> None:
    assert snap_compare(app_with(*_busy()), terminal_size=size, run_before=after("tab"))


def test_home_after_the_demo(snap_compare) -> None:
    run = run_of("20251009T084500Z-demo-000008", "done", done=100.0)
    run.path.mkdir(parents=True)
    Path("state/demo/data").mkdir(parents=True)
    (run.path / "result.json").write_text(json.dumps({"v": 1, "value": {"data_root": "state/demo/data"}}))

    assert snap_compare(app_with(run), terminal_size=SMALL, run_before=after())


def test_home_with_a_data_root_that_is_a_file(snap_compare) -> None:
    Path("data").write_text("not a folder")

    assert snap_compare(app_with(), terminal_size=SMALL, run_before=after())


@SIZES
@THEMES
def test_runs_in_every_state(snap_compare, size, theme) -> None:
    app = app_with(*_busy(), start="runs", settings=settings_at(theme=theme))

    assert snap_compare(app, terminal_size=size, run_before=after())


@SIZES
def test_a_lost_run(snap_compare, size) -> None:
    assert snap_compare(app_with(*_busy(), start="runs"), terminal_size=size, run_before=after("j", "j", "j", "j"))


def test_a_failed_run_says_what_to_do(snap_compare) -> None:
    app = app_with(*_busy(), start="runs")

    assert snap_compare(app, terminal_size=LARGE, run_before=after(*"jjjjjj"))


@SIZES
def test_no_runs(snap_compare, size) -> None:
    assert snap_compare(app_with(start="runs"), terminal_size=size, run_before=after())


@SIZES
def test_very_long_names(snap_compare, size) -> None:
    run = run_of(
        LONG_NAME,
        "failed",
        command="a-very-long-command-name-" * 4,
        message="it is [bold]not[/] markup " * 12,
        arguments=("cellmap-tui", "import", "--raw", "/" + "very/long/" * 20 + "em.tif"),
    )

    assert snap_compare(app_with(run, start="runs"), terminal_size=size, run_before=after())


@pytest.mark.parametrize("start", ["home", "runs", "settings"])
def test_without_colour(snap_compare, start, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert snap_compare(app_with(*_busy(), start=start), terminal_size=SMALL, run_before=after())


def test_in_ascii(snap_compare, monkeypatch) -> None:
    monkeypatch.setenv("TERM", "linux")

    assert snap_compare(app_with(*_busy(), start="runs"), terminal_size=SMALL, run_before=after())


@SIZES
@THEMES
def test_settings(snap_compare, size, theme) -> None:
    app = app_with(start="settings", settings=settings_at(theme=theme, keys={"do.stop": "X"}))

    assert snap_compare(app, terminal_size=size, run_before=after())


@SIZES
def test_doctor(snap_compare, size) -> None:
    assert snap_compare(app_with(start="doctor"), terminal_size=size, run_before=after("G"))


def test_doctor_that_cannot_look(snap_compare, monkeypatch) -> None:
    def fail(request: object, report: object) -> None:
        raise CellmapError("the machine does not answer", "ask it again")

    monkeypatch.setattr("cellmap_tui.services.doctor.doctor", fail)

    assert snap_compare(app_with(start="doctor"), terminal_size=SMALL, run_before=after())


def test_a_setting_with_a_wrong_value(snap_compare) -> None:
    app = app_with(start="settings")

    assert snap_compare(app, terminal_size=SMALL, run_before=after("j", "j", "enter", *"ftp"))


@SIZES
def test_help(snap_compare, size) -> None:
    app = app_with(*_busy(), start="runs")

    assert snap_compare(app, terminal_size=size, run_before=after("question_mark"))


def test_palette(snap_compare) -> None:
    app = app_with(*_busy(), start="runs")

    assert snap_compare(app, terminal_size=SMALL, run_before=after("colon", *"stop"))


def test_question_before_a_stop(snap_compare) -> None:
    app = app_with(*_busy(), start="runs")

    assert snap_compare(app, terminal_size=SMALL, run_before=after("x"))


def test_jump(snap_compare) -> None:
    app = app_with(*_busy(), start="runs")

    assert snap_compare(app, terminal_size=SMALL, run_before=after("ctrl+o"))


def test_full_log(snap_compare) -> None:
    app = app_with(*_busy(), start="runs")

    assert snap_compare(app, terminal_size=SMALL, run_before=after("L"))


def test_enlarged_log(snap_compare) -> None:
    app = app_with(*_busy(), start="runs")

    assert snap_compare(app, terminal_size=SMALL, run_before=after("tab", "z"))


def test_tiny(snap_compare) -> None:
    assert snap_compare(app_with(*_busy()), terminal_size=(20, 5), run_before=after())
