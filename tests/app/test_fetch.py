"""The fetch screen as a user meets it: keys in, plans, jobs and words out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, Static

from cellmap_tui.app.fetch_feed import fetch_run
from cellmap_tui.app.screens.fetch import FetchScreen
from cellmap_tui.app.screens.fetch_crop import FetchedCrop, PlannedCrop
from cellmap_tui.app.screens.full_log import FullLog
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.app.widgets.edit_line import EditLine
from cellmap_tui.app.widgets.fetch_live_view import CropList
from cellmap_tui.app.widgets.fetch_plan_view import OptionTable, PlanTable
from cellmap_tui.app.widgets.key_bar import KeyBar
from cellmap_tui.errors import CellmapError, RefusedError
from cellmap_tui.services.fetch_model import FetchFailure, FetchPlan, FetchRequest
from tests.app.builders import app_with, run_of
from tests.app.fetch_parts import REFS, RUN_ID, plan_of, plan_with, write_failures, write_fetch
from tests.app.test_live_jobs import until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from cellmap_tui.app.app import CellmapApp
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.report import Reporter


@pytest.fixture(autouse=True)
def requests(monkeypatch: pytest.MonkeyPatch) -> list[FetchRequest]:
    """Plans are made at once, and what was asked is kept."""
    asked: list[FetchRequest] = []

    def plan(request: FetchRequest, report: Reporter) -> FetchPlan:
        asked.append(request)
        return plan_of(request)

    plan_with(monkeypatch, plan)
    return asked


def fetch_app(*runs: RunSummary, marked: tuple[str, ...] = REFS) -> CellmapApp:
    app = app_with(*runs, start="fetch")
    app.set_reactive(type(app).marked_crops, frozenset(marked))
    return app


def running(**changes: object) -> RunSummary:
    values = {"done": 2.7e9, "total": 5.7e9, "unit": "bytes", "rate": 88e6, "eta_s": 212.0, **changes}
    run = run_of(RUN_ID, str(values.pop("state", "running")), command="fetch-data", **values)
    write_fetch(run)
    return run


def screen_of(pilot: Pilot[None]) -> FetchScreen:
    screen = pilot.app.screen
    assert isinstance(screen, FetchScreen)
    return screen


def words(pilot: Pilot[None], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).content)


async def planned(pilot: Pilot[None]) -> FetchScreen:
    await until(pilot, lambda: screen_of(pilot).plan is not None)
    await pilot.pause()
    return screen_of(pilot)


async def under_way(pilot: Pilot[None]) -> FetchScreen:
    await until(
        pilot, lambda: screen_of(pilot).is_live_shown and len(pilot.app.screen.query_one(CropList).index) == 3
    )
    await pilot.pause()
    return screen_of(pilot)


# Before


async def test_marked_crops_are_planned(requests: list[FetchRequest]) -> None:
    async with fetch_app().run_test() as pilot:
        await planned(pilot)

        assert requests[-1].crops == ",".join(REFS)
        assert [row.ref for row in pilot.app.screen.query_one(PlanTable).index.rows] == list(REFS)
        assert words(pilot, "#sum").startswith("3 crops   908 objects   14.1 M to fetch   480 k here")


async def test_with_nothing_marked_a_small_starter_set_is_planned_with_its_size(requests: list[FetchRequest]) -> None:
    async with fetch_app(marked=()).run_test() as pilot:
        screen = await planned(pilot)

        assert len(requests[-1].crops.split(",")) == 3
        assert "starter set" in str(screen.before.pane.border_title)
        assert "14.1 M to fetch" in words(pilot, "#sum")


async def test_crops_marked_meanwhile_are_taken_over(requests: list[FetchRequest]) -> None:
    app = fetch_app(marked=REFS[:1])
    async with app.run_test() as pilot:
        await planned(pilot)
        await pilot.press("0")
        app.marked_crops = frozenset(REFS)
        await pilot.press("3")
        await until(pilot, lambda: requests[-1].crops == ",".join(REFS))


async def test_enter_shows_the_levels_of_a_crop_and_why() -> None:
    async with fetch_app().run_test() as pilot:
        await planned(pilot)
        await pilot.press("enter")
        await pilot.pause()

        assert isinstance(pilot.app.screen, PlannedCrop)
        assert words(pilot, "#level").startswith("voxels of 4 nm, labels 8 nm: 0.5 × the labels on z")


async def test_an_option_changes_the_plan_at_once(requests: list[FetchRequest]) -> None:
    async with fetch_app().run_test() as pilot:
        await planned(pilot)
        before = words(pilot, "#sum")
        await pilot.press("tab", "enter")
        await pilot.press(*"16", "enter")
        await until(pilot, lambda: requests[-1].raw_padding == 16)
        await planned(pilot)

        assert words(pilot, "#sum") != before


async def test_a_limit_changes_the_words_and_needs_no_listing(requests: list[FetchRequest]) -> None:
    async with fetch_app().run_test() as pilot:
        await planned(pilot)
        asked = len(requests)
        pilot.app.screen.query_one(OptionTable).focus()
        pilot.app.screen.query_one(OptionTable).go_to("limit_rate")
        await pilot.press("enter", *"10k", "enter")
        await pilot.pause()

        assert "about 23 min 25 s" in words(pilot, "#sum")
        assert len(requests) == asked


async def test_a_wrong_value_is_told_while_it_is_typed_and_is_not_kept(requests: list[FetchRequest]) -> None:
    async with fetch_app().run_test() as pilot:
        await planned(pilot)
        await pilot.press("tab", "enter", *"lots", "enter")
        await pilot.pause()

        assert isinstance(pilot.app.screen, EditLine)
        assert "'lots' is not a whole number" in words(pilot, ".verdict")
        await pilot.press("escape")
        assert pilot.app.screen.query_one(OptionTable)
        assert not pilot.app.screen.query(Input)
        assert requests[-1].raw_padding == 0


async def test_a_listing_says_how_far_it_is_and_ends_when_an_option_changes(
    requests: list[FetchRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def endless(request: FetchRequest, report: Reporter) -> FetchPlan:
        if request.raw_padding:
            return plan_of(request)
        try:
            while True:
                report.progress(1204, None, "objects")
                report.checkpoint()
        finally:
            ended.set()

    plan_with(monkeypatch, endless)
    async with fetch_app().run_test() as pilot:
        await until(pilot, lambda: "listing… 1 204 objects" in str(screen_of(pilot).before.pane.border_subtitle))
        await pilot.press("tab", "enter", *"4", "enter")
        await planned(pilot)

        assert ended.is_set()


async def test_a_plan_that_cannot_be_made_says_why_and_r_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = [CellmapError("s3://b: no route to the server", "check --endpoint-url")]

    def plan(request: FetchRequest, report: Reporter) -> FetchPlan:
        if problems:
            raise problems.pop()
        return plan_of(request)

    plan_with(monkeypatch, plan)
    async with fetch_app().run_test() as pilot:
        await until(pilot, lambda: screen_of(pilot).before.pane.has_class("-failed"))
        await pilot.pause()
        assert "no route to the server" in str(pilot.app.screen.query_one("ErrorView", Static).content)
        await pilot.press("r")
        await planned(pilot)


async def test_a_plan_that_does_not_fit_is_refused_with_the_option_that_allows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan_with(monkeypatch, lambda request, report: plan_of(request, fits=False, free_bytes=1000))
    app = fetch_app()
    async with app.run_test(notifications=True) as pilot:
        await planned(pilot)
        assert "ignore disk" in words(pilot, "#sum")
        await pilot.press("n")

        assert isinstance(app.screen, FetchScreen)
        assert ["does not fit" in notification.message for notification in app._notifications] == [True]


# Start


async def test_n_asks_first_and_no_is_the_answer_of_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[object] = []
    monkeypatch.setattr("cellmap_tui.jobs.launch.launch", launched.append)
    async with fetch_app().run_test() as pilot:
        await planned(pilot)
        await pilot.press("n")
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("enter")
        await pilot.pause()

        assert isinstance(pilot.app.screen, FetchScreen)
        assert not launched


async def test_yes_starts_the_job_and_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[object] = []
    created: list[tuple[object, ...]] = []
    run = running()

    def create(*args: object) -> RunSummary:
        created.append(args)
        return run

    monkeypatch.setattr("cellmap_tui.jobs.launch.launch", launched.append)
    monkeypatch.setattr("cellmap_tui.jobs.rundir.create_run", create)
    app = fetch_app()
    async with app.run_test() as pilot:
        await planned(pilot)
        await pilot.press("n", "y")
        app._watch.fixed = (run,)  # type: ignore[attr-defined]
        await under_way(pilot)

        assert launched == [run]
        assert created[0][1] == "fetch-data"
        assert isinstance(created[0][2], FetchRequest)


async def test_a_job_that_cannot_start_says_why_in_the_pane(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RefusedError("the disk takes no more files", "make room")

    monkeypatch.setattr("cellmap_tui.jobs.rundir.create_run", refuse)
    async with fetch_app().run_test() as pilot:
        await planned(pilot)
        await pilot.press("n", "y")
        await until(pilot, lambda: screen_of(pilot).before.pane.has_class("-failed"))


# Under way


async def test_a_fetch_started_elsewhere_is_shown_when_the_app_opens() -> None:
    async with fetch_app(running()).run_test() as pilot:
        await under_way(pilot)

        assert "1 of 3 crops   2.7 / 5.7 G   88.0 M/s   ETA 3 min 32 s" in words(pilot, "#all Static")
        assert [crop.state for crop in pilot.app.screen.query_one(CropList).index.rows][:2] == [
            "verified",
            "fetching",
        ]


async def test_the_newest_live_fetch_goes_before_newer_ones_that_have_ended() -> None:
    ended = run_of("20251009T085900Z-fetch-data-00000b", "done", command="fetch-data")
    live = run_of(RUN_ID, "running", command="fetch-data")
    other = run_of("20251009T085930Z-demo-00000c", "running")

    assert fetch_run([other, ended, live]) is live
    assert fetch_run([other, ended]) is ended
    assert fetch_run([other, ended, live], ended.run_id) is ended
    assert fetch_run([other]) is None


async def test_t_changes_between_progress_and_plan() -> None:
    async with fetch_app(running()).run_test() as pilot:
        await under_way(pilot)
        await pilot.press("t")
        await planned(pilot)
        assert "t progress" in pilot.app.screen.query_one(KeyBar).line.plain
        await pilot.press("t")
        await under_way(pilot)

        assert "t plan" in pilot.app.screen.query_one(KeyBar).line.plain


@pytest.mark.parametrize(
    ("state", "keys"),
    [("running", {"pause", "stop"}), ("paused", {"pause", "stop", "resume"}), ("failed", {"resume"})],
)
async def test_pause_stop_and_retry_are_offered_where_they_can_do_something(state: str, keys: set[str]) -> None:
    async with fetch_app(running(state=state), marked=()).run_test() as pilot:
        await under_way(pilot)
        screen = screen_of(pilot)

        assert {key for key in ("pause", "stop", "resume") if screen.check_action(key, ())} == keys


async def test_r_fetches_what_is_missing_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    resumed: list[object] = []
    monkeypatch.setattr("cellmap_tui.jobs.runs.resume_run", lambda run: resumed.append(run.run_id))
    async with fetch_app(running(state="failed"), marked=()).run_test() as pilot:
        screen = await under_way(pilot)
        assert str(screen.query_one("#items").border_subtitle) == "r fetches what is missing"
        await pilot.press("r")
        await until(pilot, lambda: resumed == [RUN_ID])


async def test_r_asks_again_for_what_a_finished_fetch_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    again: list[str] = []
    monkeypatch.setattr("cellmap_tui.app.fetch_start.start_again", lambda settings, run: again.append(run.run_id))
    app = fetch_app(running(state="done", exit_code=1), marked=())
    async with app.run_test() as pilot:
        await under_way(pilot)
        await pilot.press("r")
        await until(pilot, lambda: again == [RUN_ID])


async def test_a_finished_fetch_that_has_everything_offers_nothing_to_retry() -> None:
    async with fetch_app(running(state="done", exit_code=0), marked=()).run_test() as pilot:
        await planned(pilot)
        await pilot.press("t")
        screen = await under_way(pilot)

        assert not screen.check_action("resume", ())


async def test_enter_shows_what_a_crop_lacks_and_why() -> None:
    run = running(state="done", exit_code=1)
    write_failures(run, FetchFailure("labels/crop155/.zattrs", "denied", "access denied [403]", REFS[2]))
    async with fetch_app(run, marked=()).run_test() as pilot:
        screen = await under_way(pilot)
        await until(pilot, lambda: bool(screen.under_way.tally.failures))
        await pilot.press("G", "enter")

        assert isinstance(pilot.app.screen, FetchedCrop)
        await until(pilot, lambda: "access denied [403]" in words(pilot, "VerticalScroll > Static"))


async def test_capital_l_shows_the_whole_log() -> None:
    async with fetch_app(running()).run_test() as pilot:
        await under_way(pilot)
        await pilot.press("L")

        assert isinstance(pilot.app.screen, FullLog)


async def test_a_screen_at_rest_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with fetch_app(running()).run_test(size=(160, 50)) as pilot:
        screen = await under_way(pilot)
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        drawn: list[object] = []
        for widget in screen.query("FetchLiveView *"):
            monkeypatch.setattr(widget, "refresh", lambda *regions, **_: drawn.append(regions))
        for _ in range(3):
            screen.under_way._look()
            screen._follow_runs()
            await pilot.app.workers.wait_for_complete()
            await pilot.pause()

        assert drawn == []
