"""The page before a training: what it says while it looks, what refuses, and how it lets go."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cellmap_tui.app.preflight_feed import KEYS
from cellmap_tui.app.screens.preflight import FindingTable, Outcome, PreflightScreen
from cellmap_tui.app.training_start import command_line
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.app.widgets.error_view import ErrorView
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.jobs.rundir import RunDir
from cellmap_tui.learning.config_model import keys
from cellmap_tui.services.models import to_builtins
from cellmap_tui.services.train_model import (
    ClassPatches,
    Preflight,
    PreflightFinding,
    TrainRequest,
    TrainResult,
)
from tests.app.builders import NOW_S, app_with, run_of, settings_at, write_log
from tests.app.config_parts import request_of, write_config
from tests.app.test_live_jobs import until

if TYPE_CHECKING:
    from textual.pilot import Pilot

SMALL, LARGE = (80, 24), (160, 50)
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])
OK = (
    PreflightFinding("crops", "ok", "22 to train on, 6 to validate on; 3.1 G prepared"),
    PreflightFinding("GPU memory", "ok", "NVIDIA H100, bfloat16, 78 G of 80 G free; a step takes about 11.2 G"),
    PreflightFinding("disk", "ok", "5 checkpoints of 612 M: 3.1 G of 812 G free"),
    PreflightFinding("time", "ok", "42 s an epoch, 3 h 30 min in all, without validations"),
)
FULL = PreflightFinding("disk", "problem", "5 checkpoints of 612 M: 3.1 G of 1.2 G free", "free space, or keep fewer")
CLASSES = (
    ClassPatches("mito", 22, 81_234_567, 6, 431.0),
    ClassPatches("er", 20, 3_234_567, 5, 210.0),
    ClassPatches("lyso", 3, 12_345, 0, 2.0),
    ClassPatches("[bold]vim[/]", 0, 0, 0, 0.0),
)


def look_of(*findings: PreflightFinding) -> Preflight:
    step = 0.168 if all(finding.status != "problem" for finding in findings) else None
    eta = None if step is None else 12_600.0
    return Preflight(
        findings, CLASSES, "NVIDIA H100", 31_234_567, step, 0.02, 75_000, eta, 612_000_000, 3_060_000_000
    )


def look_run(state: str, look: Preflight | None = None, **event: object) -> RunDir:
    """Write the run directory of a look."""
    summary = run_of("20251009T085200Z-train-0000aa", "done", command="train")
    events = [{"event": "state", "state": "running", "by": None}, *([event] if event else [])]
    write_log(summary, [*events, {"event": "state", "state": state, "by": None}])
    run = RunDir(summary.path.absolute())
    document = {"v": 1, "state": state, "host": "testhost", "pid": 4321, "heartbeat": NOW_S, "end": NOW_S, "exit": 0}
    run.state_path.write_text(json.dumps(document))
    run.request_path.write_text(json.dumps({"v": 1, "command": "train", "request": {}, "cwd": "."}))
    if look is not None:
        result = TrainResult(run.path, "m", "dry_run", 0, 0, None, None, "dice", {}, None, None, 3.0, look)
        value = to_builtins(result)
        run.result_path.write_text(json.dumps({"v": 1, "command": "train", "value": value}))
    return run


@pytest.fixture
def started(monkeypatch) -> list[TrainRequest]:
    """Return what is trained, and train nothing."""
    found: list[TrainRequest] = []

    def start(settings, request) -> str:
        found.append(request)
        return "a-run"

    monkeypatch.setattr("cellmap_tui.app.training_start.start_training", start)
    return found


@pytest.fixture
def ended(monkeypatch) -> list[RunDir]:
    """Return the looks that are asked to stop."""
    found: list[RunDir] = []
    monkeypatch.setattr("cellmap_tui.app.training_start.end_look", found.append)
    return found


def give(monkeypatch, run: RunDir) -> None:
    monkeypatch.setattr("cellmap_tui.app.training_start.start_look", lambda settings, request: run)


def app_of_page():
    return app_with(settings=settings_at(Path()), start="train")


async def opened(pilot: Pilot[None], answers: list[object], request: TrainRequest | None = None) -> PreflightScreen:
    await pilot.pause()
    screen = PreflightScreen(request or request_of(write_config()))
    pilot.app.push_screen(screen, answers.append)
    await until(pilot, lambda: screen._state is not None)
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()
    return screen


def state_of(screen: PreflightScreen) -> str:
    return str(screen.query_one("#state").content)


def test_every_finding_leads_to_a_key_of_the_form() -> None:
    assert set(KEYS.values()) - {"config"} <= keys().keys()


async def test_what_was_found_is_shown_and_n_trains(monkeypatch, started) -> None:
    give(monkeypatch, look_run("done", look_of(*OK)))
    answers: list[object] = []
    async with app_of_page().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, answers)
        assert "nothing in the way" in state_of(screen)
        assert "3 h 30 min in all" in state_of(screen)
        names = [row.name for row in screen.query_one(FindingTable).index.rows]
        assert {"GPU memory", "disk", "time", "targets", "network"} <= set(names)
        rows = screen.query_one("#classes VirtualTable", VirtualTable).index.rows
        assert [row.name for row in rows][:2] == ["[bold]vim[/]", "lyso"]
        await pilot.press("n")
        await until(pilot, lambda: answers == [Outcome(run_id="a-run")])
        assert [request.force for request in started] == [False]


async def test_a_problem_asks_before_it_is_passed_over(monkeypatch, started) -> None:
    give(monkeypatch, look_run("done", look_of(FULL, *OK[:2])))
    answers: list[object] = []
    async with app_of_page().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, answers)
        assert "1 in the way" in state_of(screen)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("n")
        await until(pilot, lambda: pilot.app.screen is screen)
        assert started == []
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: answers == [Outcome(run_id="a-run")])
        assert [request.force for request in started] == [True]


async def test_enter_on_a_problem_answers_with_the_key_that_mends_it(monkeypatch) -> None:
    give(monkeypatch, look_run("done", look_of(FULL, *OK[:2])))
    answers: list[object] = []
    async with app_of_page().run_test(size=SMALL) as pilot:
        await opened(pilot, answers)
        await pilot.press("enter")
        await until(pilot, lambda: answers == [Outcome(key="keep_checkpoints")])


async def test_a_look_that_goes_on_says_how_far_and_ends_with_the_page(monkeypatch, ended) -> None:
    run = look_run("running", event="progress", done=12, total=36, unit="label arrays")
    give(monkeypatch, run)
    monkeypatch.setattr("cellmap_tui.app.screens.preflight.read_look", lambda run: _going_on(run))
    answers: list[object] = []
    async with app_of_page().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, answers)
        assert "12 / 36 label arrays" in state_of(screen)
        await pilot.press("escape")
        await until(pilot, lambda: answers == [None] and ended == [run])


async def test_training_while_it_looks_ends_the_look_first(monkeypatch, started, ended) -> None:
    run = look_run("running")
    give(monkeypatch, run)
    monkeypatch.setattr("cellmap_tui.app.screens.preflight.read_look", lambda run: _going_on(run))
    answers: list[object] = []
    async with app_of_page().run_test(size=SMALL) as pilot:
        await opened(pilot, answers)
        await pilot.press("n")
        await until(pilot, lambda: answers == [Outcome(run_id="a-run")])
        assert ended == [run]


async def test_a_look_that_fails_says_why_and_can_be_tried_again(monkeypatch) -> None:
    give(monkeypatch, look_run("failed", event="error", kind="missing", message="2 crops [are] gone", remedy="fetch"))
    async with app_of_page().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, [])
        await until(pilot, lambda: bool(screen.query(ErrorView)))
        assert "2 crops [are] gone" in str(screen.query_one(ErrorView).content)
        give(monkeypatch, look_run("done", look_of(*OK)))
        await pilot.press("tab", "shift+tab", "r")
        await until(pilot, lambda: "nothing in the way" in state_of(screen))


async def test_a_configuration_that_cannot_be_read_starts_no_look(monkeypatch) -> None:
    begun: list[object] = []
    monkeypatch.setattr("cellmap_tui.app.training_start.start_look", lambda *asked: begun.append(asked))
    async with app_of_page().run_test(size=SMALL) as pilot:
        await pilot.pause()
        screen = PreflightScreen(request_of(Path("gone.toml")))
        pilot.app.push_screen(screen)
        await until(pilot, lambda: bool(screen.query(ErrorView)))
        assert begun == []


def test_the_recorded_command_line_asks_the_same() -> None:
    request = TrainRequest(Path("c.toml"), ("epochs=2",), score_every=3, dry_run=True)
    words = command_line(request)
    assert words == [
        "cellmap-tui", "train", "c.toml", "--set", "epochs=2",
        "--score-every", "3", "--profile", "2026-06", "--dry-run",
    ]  # fmt: skip


def _going_on(run: RunDir):
    from cellmap_tui.app.preflight_feed import LookState

    summary = run_of(run.run_id, "running", done=12.0, total=36.0, unit="label arrays", message="crops are read")
    return LookState(replace(summary, path=run.path))
