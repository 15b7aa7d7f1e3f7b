"""What the form of a configuration, its question about Python, and the page before a training look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellmap_tui.app.screens.preflight import PreflightScreen
from cellmap_tui.app.screens.trust import TrustQuestion
from cellmap_tui.app.widgets.filter_bar import FilterBar
from cellmap_tui.learning.config_python import PythonFacts
from tests.app.config_parts import app_of_form, opened, request_of, settled, typed
from tests.app.test_live_jobs import until
from tests.app.test_preflight import FULL, OK, give, look_of, look_run

SMALL, LARGE = (80, 24), (160, 50)
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])
THEMES = pytest.mark.parametrize("theme", ["cellmap-dark", "cellmap-light"])
REQUEST = request_of(None, "datasplit_path=/data/datasplit.csv", "base_experiment_path=/data/mine", "epochs=40")
CODE = '1  """[bold]Mine[/]."""\n2  import os\n3  learning_rate = 1e-4'


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")


def form(*steps):
    """Return what opens the form and does something in it."""

    async def run(pilot):
        screen = await opened(pilot, REQUEST)
        for step in steps:
            await step(pilot, screen)
        await settled(pilot, screen)
        pilot.app.clear_notifications()
        await pilot.pause()

    return run


def value(name: str, text: str, *keys: str):
    async def step(pilot, screen):
        await typed(pilot, screen, name, text)
        await pilot.press(*keys)
        await settled(pilot, screen)

    return step


def page(monkeypatch, *findings):
    give(monkeypatch, look_run("done", look_of(*findings)))

    async def run(pilot):
        await pilot.pause()
        screen = PreflightScreen(REQUEST)
        pilot.app.push_screen(screen)
        await until(pilot, lambda: screen._state is not None and screen._state.is_over)
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()

    return run


@SIZES
@THEMES
def test_a_form_with_a_change(snap_compare, size, theme) -> None:
    run = form(value("learning_rate", "0.003", "enter"))
    assert snap_compare(app_of_form(theme), terminal_size=size, run_before=run)


@SIZES
def test_a_wrong_value_that_is_being_typed(snap_compare, size) -> None:
    run = form(value("warmup_epochs", "7", "enter"), value("epochs", "4x"))
    assert snap_compare(app_of_form(), terminal_size=size, run_before=run)


def test_a_filter_that_finds_nothing(snap_compare) -> None:
    async def narrow(pilot, screen):
        screen.query_one(FilterBar).text = "nothing like it"

    assert snap_compare(app_of_form(), terminal_size=SMALL, run_before=form(narrow))


def test_without_colours(snap_compare, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    run = form(value("epochs", "many", "enter"))
    assert snap_compare(app_of_form(), terminal_size=SMALL, run_before=run)


@SIZES
def test_the_question_whether_python_may_run(snap_compare, monkeypatch, size) -> None:
    monkeypatch.setattr("cellmap_tui.app.screens.trust._numbered", lambda path, names: CODE)
    facts = PythonFacts(Path("/home/somebody/own.py"), "0" * 64, ("os", "torch"), (), ("os",), {})

    async def ask(pilot):
        await pilot.pause()
        pilot.app.push_screen(TrustQuestion(facts))
        await pilot.pause()
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()

    assert snap_compare(app_of_form(), terminal_size=size, run_before=ask)


@SIZES
@THEMES
def test_a_look_with_a_problem(snap_compare, monkeypatch, size, theme) -> None:
    run = page(monkeypatch, FULL, *OK[:2])
    assert snap_compare(app_of_form(theme), terminal_size=size, run_before=run)


@SIZES
def test_a_look_with_nothing_in_the_way(snap_compare, monkeypatch, size) -> None:
    assert snap_compare(app_of_form(), terminal_size=size, run_before=page(monkeypatch, *OK))
