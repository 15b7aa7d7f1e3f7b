"""Runs in words."""

from __future__ import annotations

import pytest

from cellmap_tui.app import run_words
from cellmap_tui.app.event_words import event_lines, output_lines
from cellmap_tui.app.run_actions import may, stop_question
from cellmap_tui.app.run_details import run_details
from cellmap_tui.jobs.events import Event
from tests.app.builders import NOW_S, all_states, run_of


def test_progress_is_a_share_where_the_total_is_known_and_a_figure_where_not() -> None:
    assert run_words.progress_words(run_of("a", done=45, total=100)) == "45 %"
    assert run_words.progress_words(run_of("a", done=12345, total=None)) == "12 345"
    assert run_words.progress_words(run_of("a", done=1.9e9, total=None, unit="bytes")) == "1.9 G"
    assert run_words.progress_words(run_of("a", done=None, total=None)) == "-"
    assert run_words.progress_words(run_of("a", done=3, total=0)) == "3"


def test_a_part_of_a_training_is_no_progress_of_the_whole() -> None:
    part = {"state": "running", "command": "train", "done": 16.0, "total": 16.0, "unit": "validation tiles"}
    assert run_words.progress_words(run_of("a", **part)) == "-"
    assert run_words.share(run_of("a", **part)) is None
    assert run_words.progress_words(run_of("a", **{**part, "unit": "epochs", "total": 32.0})) == "50 %"


def test_amounts_of_bytes_are_sizes() -> None:
    run = run_of("a", done=4.1e9, total=22.8e9, unit="bytes", rate=88e6)

    assert run_words.amount_words(run) == "4.1 G / 22.8 G"
    assert run_words.rate_words(run) == "88.0 M/s"


def test_a_run_that_goes_on_ages_against_now() -> None:
    assert run_words.age_words(run_of("a", "running", started_s=NOW_S - 185)) == "3 min 05 s"
    assert run_words.age_words(run_of("a", "queued", started_s=None)) == "-"


def test_a_time_of_another_day_has_its_date() -> None:
    assert run_words.clock_words(NOW_S) == "08:53:20"
    assert run_words.clock_words(NOW_S - 86400) == "2025-10-08 08:53"
    assert run_words.clock_words(1e30) == "?"
    assert run_words.clock_words(None) == "-"


def test_a_bar_is_full_at_the_end_and_as_wide_as_asked() -> None:
    assert run_words.bar(1.0, 5) == "█████"
    assert run_words.bar(0.4, 5) == "██░░░"
    assert run_words.bar(None, 5) == "░░░░░"


@pytest.mark.parametrize(
    ("state", "stop", "pause", "resume"),
    [
        ("running", True, True, False),
        ("paused", True, True, True),
        ("stopping", True, False, False),
        ("quiet", True, True, False),
        ("queued", True, False, False),
        ("done", False, False, False),
        ("failed", False, False, True),
        ("stopped", False, False, True),
        ("lost", False, False, True),
        ("unreadable", False, False, False),
    ],
)
def test_only_keys_that_make_sense_for_a_state_are_offered(state: str, stop: bool, pause: bool, resume: bool) -> None:
    run = run_of("a", state)

    assert (may("stop", run), may("pause", run), may("resume", run)) == (stop, pause, resume)


def test_stopping_a_second_time_says_what_is_lost() -> None:
    assert stop_question(run_of("a", "running"))[0] == "Stop demo at 45 %?"
    assert stop_question(run_of("a", "stopping"))[0] == "Stop demo at once at 45 %?"
    assert "lost" in stop_question(run_of("a", "stopping"))[1]


@pytest.mark.parametrize("run", all_states(), ids=lambda run: run.state)
def test_details_of_every_state_name_it_and_carry_no_control_bytes(run: object) -> None:
    for short in (True, False):
        shown = run_details(run, short=short).plain  # type: ignore[arg-type]
        assert run.state in shown  # type: ignore[attr-defined]
        assert "\x1b" not in shown


def test_details_say_what_to_do_after_a_failure_and_of_a_newer_version() -> None:
    failed = run_details(all_states()[6], short=False).plain
    newer = run_details(all_states()[10], short=False).plain

    assert "mine.tif has no voxel size\ngive it with --voxel-size" in failed
    assert "newer version" in newer


def test_every_kind_of_event_has_words_and_unknown_kinds_too() -> None:
    def words(event: str, **fields: object) -> list[str]:
        return [line.text for line in event_lines(Event(event, NOW_S, fields))]

    assert words("progress", done=45, total=100, unit="blocks") == ["45 of 100 blocks"]
    assert words("progress", done=45, total=None, unit="blocks") == ["45 blocks"]
    assert words("metric", step=1200, values={"loss": 0.25, "dice": {"mean": 0.5}}) == [
        "step 1 200  loss 0.25  dice 0.5"
    ]
    assert words("metric", step=None, values=None) == ["step -  "]
    assert words("artefact", path="a/b", kind="volume") == ["wrote volume a/b"]
    assert words("state", state="stopping", by="me") == ["stopping, asked by me"]
    assert words("error", message="bad", remedy="mend it") == ["bad", "mend it"]
    assert words("note", message="two\nlines") == ["two", "lines"]
    assert words("comet", tail=3) == ["tail 3"]


def test_what_a_job_says_cannot_reach_the_terminal_as_codes() -> None:
    (line,) = event_lines(Event("note", NOW_S, {"message": "\x1b[31mred\x07"}))

    assert line.text == "·[31mred·"
    assert output_lines(b"a\tb\n\xff\x1b[2J\n")[1].text == "\ufffd·[2J"
