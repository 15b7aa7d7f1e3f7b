"""The training page as a user meets it: numbers and a curve, and keys that ask before they end anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.widgets import Static

from cellmap_tui.app.screens.training import TrainingScreen
from cellmap_tui.app.training_feed import MOST_POINTS, TrainingTally
from cellmap_tui.app.training_words import curve_lines
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.jobs.control import pending_requests
from cellmap_tui.jobs.events import Event
from cellmap_tui.jobs.rundir import RunDir
from tests.app.builders import app_with
from tests.app.test_live_jobs import until
from tests.app.training_parts import OTHER_ID, RUN_ID, training, training_events

if TYPE_CHECKING:
    from textual.pilot import Pilot

SMALL = (80, 24)


@pytest.fixture
def asked(monkeypatch) -> list[tuple[str, str]]:
    """Return what is asked of runs, and ask nobody."""
    found: list[tuple[str, str]] = []
    for action in ("stop", "pause", "resume"):
        monkeypatch.setattr(
            f"cellmap_tui.jobs.runs.{action}_run", lambda run, action=action: found.append((action, run.run_id))
        )
    return found


async def opened(pilot: Pilot[None]) -> TrainingScreen:
    """Open the page and wait for its figures."""
    await pilot.pause()
    await pilot.press("T")
    await until(pilot, lambda: isinstance(pilot.app.screen, TrainingScreen))
    screen = pilot.app.screen
    assert isinstance(screen, TrainingScreen)
    if screen.chosen_run() is not None:
        await until(pilot, lambda: "loss" in words(pilot))
    return screen


def words(pilot: Pilot[None]) -> str:
    return str(pilot.app.screen.query_one("#figures", Static).content)


async def test_the_figures_are_those_of_the_run_under_the_cursor() -> None:
    other = training(OTHER_ID, "done", events=training_events(20))
    async with app_with(training(), other, start="train").run_test(size=SMALL) as pilot:
        await opened(pilot)
        assert "step       120, epoch 6" in words(pilot)
        assert "best       0.640 at epoch 6" in words(pilot)
        await pilot.press("j")
        await until(pilot, lambda: "step       20, epoch 1" in words(pilot))


async def test_what_is_told_later_is_shown() -> None:
    training(events=training_events(20))
    async with app_with(training(events=training_events(20)), start="train").run_test(size=SMALL) as pilot:
        await opened(pilot)
        training(events=training_events(40))
        await until(pilot, lambda: "step       40, epoch 2" in words(pilot))


async def test_stopping_asks_first_and_no_leaves_it_alone(asked) -> None:
    async with app_with(training(), start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await pilot.press("x")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Confirm)
        assert asked == []
        await pilot.press("n")
        await until(pilot, lambda: pilot.app.screen is screen)
        await pilot.app.workers.wait_for_complete()
        assert asked == []
        await pilot.press("x")
        await pilot.pause()
        await pilot.press("y")
        await until(pilot, lambda: asked == [("stop", RUN_ID)])


async def test_pausing_and_going_on_is_asked_of_the_job(asked) -> None:
    async with app_with(training(), start="train").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await pilot.press("p")
        await until(pilot, lambda: asked == [("pause", RUN_ID)])
        assert pending_requests(RunDir(training().path)) == ()
    async with app_with(training(state="paused"), start="train").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await pilot.press("p")
        await until(pilot, lambda: asked[1:] == [("resume", RUN_ID)])


async def test_keys_that_can_do_nothing_are_not_there() -> None:
    async with app_with(training(state="done"), start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        assert not any(screen.check_action(action, ()) for action in ("stop", "pause", "resume"))
        assert screen.check_action("new", ())
    async with app_with(start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        assert "no training yet" in words(pilot)
        assert not screen.check_action("stop", ())


def test_steps_that_are_learned_anew_replace_the_old_ones() -> None:
    tally = TrainingTally()
    tally.take(_events(1, 2, 3, 4))
    tally.take(_events(3, loss=0.25))
    assert tally.losses == [(1, 1.0), (2, 1.0), (3, 0.25)]
    assert tally.step == 3


def test_a_long_training_keeps_a_part_of_its_losses() -> None:
    tally = TrainingTally()
    tally.take(_events(*range(1, 3 * MOST_POINTS)))
    assert len(tally.losses) <= MOST_POINTS
    assert tally.losses[-1][0] == 3 * MOST_POINTS - 1


def test_a_curve_has_its_largest_value_at_the_top_and_works_in_ascii() -> None:
    lines = curve_lines([1.0, 0.5, None, 0.0], 4)
    assert lines[0] == "      1┤█   "
    assert lines[-1] == "      0┤██ ▁"
    assert all(line.isascii() for line in curve_lines([1.0, 0.5], 4, ascii_only=True))


def _events(*steps: int, loss: float = 1.0) -> list[Event]:
    return [Event("metric", 0.0, {"step": step, "epoch": 1, "values": {"loss": loss}}) for step in steps]
