"""What a fetch has done, from its events: states, speeds, rates; and the words for it."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.app.fetch_live import FetchTally, failure_words
from cellmap_tui.app.fetch_words import crop_page, done_words, of_words, total_words
from cellmap_tui.app.rate_lines import AXIS, ceiling, rate_lines
from cellmap_tui.jobs.events import Event
from cellmap_tui.services.fetch_model import FetchFailure
from cellmap_tui.storage.transfer import FailureKind
from tests.app.builders import NOW_S, run_of
from tests.app.fetch_parts import MIDWAY, REFS, RUN_ID, crop_state, state_of


def events_of(told: list[dict[str, object]]) -> list[Event]:
    return [
        Event(str(event["event"]), NOW_S - 60 + index, {k: v for k, v in event.items() if k != "event"})
        for index, event in enumerate(told)
    ]


def tally_of(told: list[dict[str, object]]) -> FetchTally:
    tally = FetchTally()
    tally.take(events_of(told))
    return tally


def midway(**changes: object) -> FetchTally:
    tally = tally_of(MIDWAY)
    tally.take_state(state_of(**changes))  # type: ignore[arg-type]
    return tally


def test_each_crop_is_verified_under_way_or_failed_as_the_fetch_writes() -> None:
    done, coming, bad = midway().crops(is_live=True)

    assert (done.state, done.share) == ("verified", 1.0)
    assert (coming.state, coming.bytes_done, coming.objects) == ("fetching", 700_000_000, 62)
    assert (bad.state, bad.failed) == ("failed", 2)
    assert bad.problems == ("labels/groundtruth/crop155/.zattrs was not fetched",)


def test_what_is_unfinished_when_the_job_has_ended_is_stopped() -> None:
    assert [crop.state for crop in midway().crops(is_live=False)] == ["verified", "stopped", "failed"]


def test_the_failures_of_the_result_say_more_than_the_warnings() -> None:
    tally = midway()
    tally.failures = (FetchFailure("a/.zattrs", "denied", "access denied [403]", REFS[2]),)

    (problem,) = tally.crops(is_live=False)[2].problems
    assert problem.startswith("a/.zattrs: access denied [403]; the bucket is read without a name")


def test_every_kind_of_failure_says_what_to_do() -> None:
    for kind in get_args(FailureKind):
        assert "; " in failure_words(FetchFailure("a", kind, "went wrong"))


def test_a_fetch_that_ended_with_something_missing_is_not_called_done() -> None:
    run = run_of(RUN_ID, "done", command="fetch-data", done=2.7e9, total=5.7e9, unit="bytes", exit_code=1)

    assert total_words(run, midway(), midway().crops(is_live=False), 78, "").plain.startswith("✗ incomplete")


def test_a_crop_that_nothing_came_for_is_queued() -> None:
    tally = FetchTally()
    tally.take_state(state_of(crop_state(REFS[0], "queued", 0, 0)))
    crop = tally.crops(is_live=True)[0]

    assert (crop.state, done_words(crop)) == ("queued", "-")


def test_the_speed_of_a_crop_is_that_of_the_last_seconds_and_none_when_it_stands_still() -> None:
    tally = FetchTally()
    for second in range(12):
        coming = crop_state(REFS[1], "fetching", 10, 100_000_000 * second)
        tally.take_state(state_of(coming, time_s=NOW_S + second))
    assert tally.crops(is_live=True)[0].rate == pytest.approx(100_000_000)
    assert tally.crops(is_live=False)[0].rate is None

    for second in range(12, 24):
        tally.take_state(state_of(coming, time_s=NOW_S + second))
    assert tally.crops(is_live=True)[0].rate is None


def test_a_fetch_that_is_taken_up_again_forgets_old_failures() -> None:
    tally = midway()
    tally.take(events_of([{"event": "state", "state": "queued"}]))

    assert tally.crops(is_live=True)[2].problems == ()


@given(st.lists(st.tuples(st.floats(0.05, 20), st.integers(0, 10**9)), min_size=2, max_size=40), st.integers(2, 60))
def test_the_columns_of_the_chart_hold_all_bytes_of_their_time(steps: list[tuple[float, int]], columns: int) -> None:
    time_s, done, events = 1_000.0, 0, []
    for pause_s, gained in steps:
        time_s, done = time_s + pause_s, done + gained
        events.append(Event("progress", time_s, {"done": done, "total": None, "unit": "bytes"}))
    tally = FetchTally()
    tally.take(events)
    span_s = 2 * (tally.age_s + 1)
    rates = tally.rates(span_s, columns)

    assert len(rates) == columns
    assert all(rate is None or 0 <= rate < math.inf for rate in rates)
    most = max((rate for rate in rates if rate), default=0.0)
    assert most * tally.age_s >= 0.99 * sum(gained for _pause_s, gained in steps[1:]) / 2


def test_other_events_and_broken_ones_are_passed_over() -> None:
    told: list[dict[str, object]] = [
        {"event": "progress", "done": "many", "unit": "bytes"},
        {"event": "warning", "message": 5},
        {"event": "warning", "message": "waiting since 12:00:00: no route"},
        {"event": "news"},
    ]

    assert tally_of(told).crops(is_live=True) == ()


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (1.01, 2), (2.5, 5), (7, 10), (88e6, 100e6), (120e6, 200e6)]
)
def test_the_axis_ends_at_a_round_figure(value: float, top: float) -> None:
    assert ceiling(value) == top


@given(st.lists(st.none() | st.floats(0, 1e12), min_size=1, max_size=80), st.integers(1, 12), st.booleans())
def test_a_chart_has_its_size_whatever_the_rates(rates: list[float | None], height: int, ascii_only: bool) -> None:
    lines = rate_lines(rates, height, ascii_only=ascii_only)

    assert [len(line) for line in lines] == [AXIS + len(rates)] * height
    assert all(line.isascii() for line in lines) or not ascii_only


def test_anything_above_nothing_shows_in_the_chart() -> None:
    assert rate_lines([100.0, 0.01, 0.0, None], 2)[-1][AXIS:] == "█▁  "


def test_two_sizes_share_their_unit() -> None:
    assert of_words(0.3e9, 1.9e9) == "300 M / 1.9 G"
    assert of_words(1.3e9, 1.9e9) == "1.3 / 1.9 G"


def test_the_whole_is_said_in_two_lines_that_fit() -> None:
    tally = midway()
    crops = tally.crops(is_live=True)
    run = run_of(RUN_ID, "running", done=2.7e9, total=5.7e9, unit="bytes", rate=88e6, eta_s=212.0)
    lines = total_words(run, tally, crops, 78, "1.2 T").plain.split("\n")

    assert lines[0] == "● running  1 of 3 crops   2.7 / 5.7 G   88.0 M/s   ETA 3 min 32 s"
    assert lines[1].endswith(" 47 %")
    assert all(len(line) <= 78 for line in lines)
    assert "16 connections   disk free 1.2 T" in total_words(run, tally, crops, 150, "1.2 T").plain


def test_the_sign_of_life_of_a_listing_is_a_count() -> None:
    tally = tally_of([{"event": "progress", "done": 1204, "total": None, "unit": "objects"}])
    run = run_of(RUN_ID, "running", done=1204.0, total=None, unit="objects", rate=310.0)

    assert "listing… 1 204 objects, 310/s" in total_words(run, tally, (), 78, "").plain


def test_a_server_that_is_away_is_told_with_the_time() -> None:
    tally = midway(waiting_since=NOW_S - 30, waiting_for="no route")
    run = run_of(RUN_ID, "running", done=2.7e9, total=5.7e9, unit="bytes")

    assert "waiting since" in total_words(run, tally, tally.crops(is_live=True), 150, "").plain


def test_the_page_of_a_crop_says_what_is_missing_first_and_why() -> None:
    _done, coming, bad = midway().crops(is_live=True)

    parts = [line.split() for line in crop_page(coming, 60).plain.split("\n")[-3:]]
    assert parts == [["em/s1", "60", "/", "114"], ["labels/nuc", "0", "/", "2"], ["labels/mito", "2", "/", "2", "✓"]]
    assert "was not fetched" in crop_page(bad, 60).plain
    assert crop_page(None, 60).plain == ""
