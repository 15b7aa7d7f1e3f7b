from __future__ import annotations

import time

import numpy as np
import pytest
import tifffile

from cellmap_tui.app.app import CellmapApp
from cellmap_tui.app.screens.start import StartWork
from cellmap_tui.jobs.runs import list_runs
from cellmap_tui.services.import_data import ImportRequest
from tests.app.builders import settings_at


@pytest.fixture
def settings(tmp_path):
    return settings_at(tmp_path)


def text_of(app):
    """What the screen shows, as text."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def request(tmp_path, name="em.tif"):
    tifffile.imwrite(tmp_path / "em.tif", np.full((6, 16, 16), 100, np.uint8), photometric="minisblack")
    return ImportRequest(
        data_root=tmp_path / "data", dataset="mine", raw=str(tmp_path / name), voxel_size_nm=(8.0, 8.0, 8.0)
    )


async def until(pilot, condition):
    """Let the app work until something shows."""
    deadline_s = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline_s, text_of(pilot.app)
        await pilot.pause(0.01)


async def test_a_command_opens_with_its_options_and_plan_and_starts_as_a_job(settings, tmp_path):
    app = CellmapApp(settings, start="runs", options={"command": "import", "request": request(tmp_path)})
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "6×16×16 at 8 nm" in text_of(app))
        shown = text_of(app)
        assert "Start import?" in shown
        assert "mine" in shown
        await pilot.press("y")
        await until(pilot, lambda: not isinstance(app.screen, StartWork))
        assert [run.command for run in list_runs(settings.runs_root)] == ["import"]


async def test_a_command_is_left_alone_by_no(settings, tmp_path):
    app = CellmapApp(settings, start="runs", options={"command": "import", "request": request(tmp_path)})
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, StartWork))
        await pilot.press("n")
        await until(pilot, lambda: not isinstance(app.screen, StartWork))
        assert list_runs(settings.runs_root) == ()


async def test_a_command_that_cannot_be_done_says_why_in_place(settings, tmp_path):
    app = CellmapApp(settings, start="runs", options={"command": "import", "request": request(tmp_path, "none.tif")})
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "did you mean em.tif?" in text_of(app))
        assert isinstance(app.screen, StartWork)


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_both_answers_are_seen_below_a_long_plan_and_the_plan_can_be_read_on(settings, tmp_path, size):
    app = CellmapApp(settings, start="runs", options={"command": "import", "request": request(tmp_path)})
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "mine/crop1 below" in text_of(app))
        app.screen.post_message(StartWork.Planned([f"step {number}" for number in range(40)]))
        await until(pilot, lambda: "step 0" in text_of(app) or "step 1" in text_of(app))
        assert "no, leave it" in text_of(app)
        assert "start it as a job" in text_of(app)
        for _ in range(20):
            await pilot.press("ctrl+d")
        await until(pilot, lambda: "step 39" in text_of(app))
        assert "start it as a job" in text_of(app)
