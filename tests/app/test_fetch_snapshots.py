"""What the fetch screen looks like, at both sizes, in both themes, and in the states people forget."""

from __future__ import annotations

import pytest

from cellmap_tui.errors import CellmapError
from cellmap_tui.services.fetch_model import FetchFailure
from tests.app.builders import NOW_S, app_with, run_of, settings_at
from tests.app.fetch_parts import (
    REFS,
    RUN_ID,
    crop_state,
    plan_of,
    plan_with,
    state_of,
    write_failures,
    write_fetch,
)
from tests.app.test_live_jobs import until

SMALL, LARGE = (80, 24), (160, 50)
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])
THEMES = pytest.mark.parametrize("theme", ["cellmap-dark", "cellmap-light"])
LONG = "a_very-long.dataset-name-that-nobody-would-type-but-somebody-will-publish-one-day/crop123456"


@pytest.fixture(autouse=True)
def _still(monkeypatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    plan_with(monkeypatch, lambda request, report: plan_of(request))


def fetch_app(*runs, marked=REFS, theme="cellmap-dark"):
    app = app_with(*runs, start="fetch", settings=settings_at(theme=theme))
    app.set_reactive(type(app).marked_crops, frozenset(marked))
    return app


def after(*keys, shows):
    """Return what waits until the screen shows something, presses keys, and waits for the workers."""

    async def run(pilot):
        await until(pilot, lambda: shows(pilot.app.screen))
        for _ in range(2):
            await pilot.app.workers.wait_for_complete()
            await pilot.pause()
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await pilot.pause()

    return run


def has_plan(screen) -> bool:
    return screen.plan is not None


def has_crops(screen) -> bool:
    return screen.is_live_shown and len(screen.under_way.table.index) > 0


def fetch(state="running", told=None, **changes):
    values = {"done": 2.7e9, "total": 5.7e9, "unit": "bytes", "rate": 88e6, "eta_s": 212.0, **changes}
    run = run_of(RUN_ID, state, command="fetch-data", **values)
    write_fetch(run, told)
    return run


@SIZES
@THEMES
def test_a_plan(snap_compare, size, theme) -> None:
    assert snap_compare(fetch_app(theme=theme), terminal_size=size, run_before=after(shows=has_plan))


@SIZES
def test_the_starter_set_where_nothing_is_marked(snap_compare, size) -> None:
    assert snap_compare(fetch_app(marked=()), terminal_size=size, run_before=after(shows=has_plan))


@SIZES
def test_a_plan_that_does_not_fit(snap_compare, size, monkeypatch) -> None:
    plan_with(monkeypatch, lambda request, report: plan_of(request, fits=False, free_bytes=9_000_000))

    assert snap_compare(fetch_app(), terminal_size=size, run_before=after(shows=has_plan))


@SIZES
def test_a_bucket_that_cannot_be_listed(snap_compare, size, monkeypatch) -> None:
    def fail(request: object, report: object) -> None:
        raise CellmapError("s3://b at http://[host]: no route", "check --endpoint-url, then start again")

    plan_with(monkeypatch, fail)
    run_before = after(shows=lambda screen: screen.before.pane.has_class("-failed"))
    assert snap_compare(fetch_app(), terminal_size=size, run_before=run_before)


def test_levels_of_a_crop(snap_compare) -> None:
    assert snap_compare(fetch_app(), terminal_size=SMALL, run_before=after("enter", "j", shows=has_plan))


def test_the_question_before_the_start(snap_compare) -> None:
    assert snap_compare(fetch_app(), terminal_size=SMALL, run_before=after("n", shows=has_plan))


def test_an_option_with_a_wrong_value(snap_compare) -> None:
    run_before = after("tab", "enter", *"[b]x", shows=has_plan)

    assert snap_compare(fetch_app(), terminal_size=SMALL, run_before=run_before)


@SIZES
@THEMES
def test_a_fetch_that_goes_on(snap_compare, size, theme) -> None:
    app = fetch_app(fetch(), theme=theme)

    assert snap_compare(app, terminal_size=size, run_before=after("j", shows=has_crops))


def test_a_fetch_without_colours(snap_compare, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert snap_compare(fetch_app(fetch()), terminal_size=LARGE, run_before=after("j", shows=has_crops))


def test_a_fetch_in_ascii(snap_compare, monkeypatch) -> None:
    monkeypatch.setenv("TERM", "linux")

    assert snap_compare(fetch_app(fetch()), terminal_size=LARGE, run_before=after("j", shows=has_crops))


@SIZES
def test_a_lost_fetch(snap_compare, size) -> None:
    app = fetch_app(fetch("lost", rate=None, eta_s=None), marked=())

    assert snap_compare(app, terminal_size=size, run_before=after("j", shows=has_crops))


@SIZES
def test_a_fetch_that_waits_for_the_server(snap_compare, size) -> None:
    told = state_of(waiting_since=NOW_S - 40, waiting_for="no route to [host]")
    app = fetch_app(fetch(told=told, rate=None, eta_s=None))

    assert snap_compare(app, terminal_size=size, run_before=after(shows=has_crops))


@SIZES
def test_a_fetch_that_misses_something(snap_compare, size) -> None:
    run = fetch("done", exit_code=1, rate=None, eta_s=None)
    write_failures(run, FetchFailure("labels/crop155/.zattrs", "denied", "access denied [403]", REFS[2]))

    def shows(screen) -> bool:
        return has_crops(screen) and bool(screen.under_way.tally.failures)

    assert snap_compare(fetch_app(run, marked=()), terminal_size=size, run_before=after("G", shows=shows))


@SIZES
def test_very_long_names(snap_compare, size) -> None:
    told = state_of(crop_state(LONG, "fetching", 5, 100_000_000, what="em " + " ".join("s12345678") + " + 48 labels"))

    assert snap_compare(fetch_app(fetch(told=told)), terminal_size=size, run_before=after(shows=has_crops))
