"""A real job under the app: watched, killed, seen as lost, taken up again, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from textual.widgets import OptionList

from cellmap_tui.app.app import CellmapApp
from cellmap_tui.app.screens.runs import RunsScreen
from cellmap_tui.app.widgets.header import Header
from cellmap_tui.app.widgets.run_log import RunLog
from cellmap_tui.jobs.launch import launch
from cellmap_tui.jobs.rundir import RunDir, create_run
from cellmap_tui.services.demo import DemoRequest
from tests.app.builders import settings_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

DEADLINE_S = 600.0


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """Let the app go on until something holds."""
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, "it did not come to that in time"
        await pilot.pause()
        await asyncio.sleep(0.02)


def start_demo() -> RunDir:
    root, users = Path("demo").absolute(), Path("data").absolute()
    request = DemoRequest(root=root, make_only=True, user_data_root=users)
    run = create_run(Path("runs").absolute(), "demo", request, ("cellmap-tui", "demo"))
    launch(run)
    return run


async def test_a_killed_job_is_shown_as_lost_and_goes_on_after_r() -> None:
    run = start_demo()
    app = CellmapApp(settings_at(Path().absolute()), start="runs", options={"run": run.run_id})
    async with app.run_test() as pilot:
        state = lambda: app.runs[0].state if app.runs else ""  # noqa: E731
        await until(pilot, lambda: state() == "running")
        assert "1 run" in app.screen.query_one(Header).line.plain
        pid = app.runs[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(pilot, lambda: state() == "lost")
        assert "1 run" not in app.screen.query_one(Header).line.plain
        shown = app.screen
        assert isinstance(shown, RunsScreen)
        await until(pilot, lambda: shown.check_action("resume", ()) is True)
        await pilot.press("r")
        await until(pilot, lambda: state() == "done")
        log = app.screen.query_one(RunLog)
        await until(pilot, lambda: bool(log.lines) and log.lines[-1].text == "done")

        assert (Path("demo") / "data").is_dir()


async def test_the_app_leaves_a_job_alone_when_it_is_left() -> None:
    run = start_demo()
    first = CellmapApp(settings_at(Path().absolute()))
    async with first.run_test() as pilot:
        await until(pilot, lambda: bool(first.live_runs))
        await pilot.press("q")
    second = CellmapApp(settings_at(Path().absolute()))
    async with second.run_test() as pilot:
        await until(pilot, lambda: bool(second.runs) and second.runs[0].state == "done")
        steps = second.screen.query_one("#steps", OptionList)
        await until(pilot, lambda: "Browse the demo data" in str(steps.get_option_at_index(0).prompt))

    assert run.result_path.is_file()
