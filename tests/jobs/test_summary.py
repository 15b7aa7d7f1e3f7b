"""A run is readable whatever its version and whatever is left of it."""

from __future__ import annotations

import shutil

import pytest

from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.jobs.events import Event
from cellmap_tui.jobs.rundir import RunDir
from cellmap_tui.jobs.runs import requeue
from cellmap_tui.jobs.state import RunState, write_state
from cellmap_tui.jobs.summary import summarise
from cellmap_tui.jobs.watch import RunReader, follow
from tests.jobs.helpers import HERE, SetClock, queued_count

OLDER, NEWER = "20250314T092653Z-demo-3f2a91", "20990101T000000Z-train-0b7c55"


@pytest.fixture
def older(tmp_path):
    # A copy has the times of its making, whatever the job's heartbeat was.
    return RunDir(shutil.copytree(HERE / "fixtures" / OLDER, tmp_path / OLDER, copy_function=shutil.copyfile))


@pytest.fixture
def newer(tmp_path):
    return RunDir(shutil.copytree(HERE / "fixtures" / NEWER, tmp_path / NEWER))


def test_a_run_of_an_older_version_is_read_with_what_it_has(older):
    summary = summarise(older)
    assert summary.state == "lost"
    assert (summary.command, summary.host, summary.pid) == ("demo", "gpu-07", 4711)
    assert (summary.done, summary.total, summary.unit) == (5, 10, "crops")
    assert summary.message == "crop 3 has no mitochondria"
    assert summary.arguments == ("cellmap-tui", "demo", "--make-only")
    assert (summary.created_s, summary.version, summary.is_newer, summary.problem) == (None, None, False, None)


def test_the_events_of_an_older_version_are_read_around_what_is_torn_or_foreign(older):
    reader = RunReader(older)
    events = reader.poll()
    assert [event.kind for event in events] == ["state", "progress", "metric", "telemetry", "progress", "note"]
    assert events[3].fields == {"gpu_share": 0.98}
    assert reader.skipped == 1
    assert not reader.is_newer


def test_following_a_lost_run_ends(older):
    assert len(list(follow(older))) == 6


def test_a_run_of_a_newer_version_is_shown_as_far_as_it_is_understood_and_flagged(newer):
    summary = summarise(newer)
    assert (summary.state, summary.is_newer, summary.version) == ("done", True, "9.4.1")
    reader = RunReader(newer)
    assert [event.kind for event in reader.poll()] == ["state", "progress", "picture", "result", "state"]
    assert reader.is_newer


def test_a_run_of_a_newer_version_is_not_started_again(newer):
    write_state(newer.state_path, RunState("failed", heartbeat_s=5e9))
    with pytest.raises(RequestError, match="newer version"):
        requeue(newer)


def test_a_run_without_a_state_file_is_read_from_its_whole_log(older):
    older.state_path.unlink()
    with older.events_path.open("ab") as log:
        log.write(b"\n" + b"".join(Event("note", 1741944440.0, {"message": "x" * 1000}).to_line() for _ in range(50)))
    summary = summarise(older)
    assert summary.state == "lost"
    assert summary.problem == f"run {OLDER} has no state.json"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"v":1}', b'{"state":7}', b"\xff\xfe\0", b"[" * 100_000])
def test_a_damaged_state_file_is_named_and_the_log_speaks(older, content):
    older.state_path.write_bytes(content)
    summary = summarise(older)
    assert summary.state == "lost"
    assert summary.problem is not None
    assert "state.json" in summary.problem


def test_a_damaged_request_is_named_and_the_rest_is_shown(older):
    older.request_path.write_text("not json")
    summary = summarise(older)
    assert (summary.command, summary.done) == ("demo", 5)
    assert summary.problem is not None
    assert "request.json is not JSON" in summary.problem


def test_fields_of_wrong_types_are_not_known(older):
    older.state_path.write_text('{"state":"running","pid":"x","host":7,"start":[],"heartbeat":"now","exit":1.5}')
    with older.events_path.open("ab") as log:
        log.write(b'\n{"time":1741944500,"event":"progress","done":"half","total":{},"unit":3}\n')
    summary = summarise(older)
    assert (summary.pid, summary.host, summary.started_s, summary.done, summary.unit) == (None,) * 5


def test_an_empty_directory_is_unreadable_with_the_reason(tmp_path):
    path = tmp_path / OLDER
    path.mkdir()
    summary = summarise(RunDir(path))
    assert (summary.state, summary.command, summary.is_live) == ("unreadable", "demo", False)
    assert summary.problem is not None
    assert "no request.json" in summary.problem


def test_no_directory_is_an_error(tmp_path):
    with pytest.raises(MissingDataError):
        summarise(RunDir(tmp_path / "nowhere"))


def log_of(run, *events):
    run.events_path.write_bytes(b"".join(event.to_line() for event in events))


def progress(time_s, done, total=100, unit="crops"):
    return Event("progress", time_s, {"done": done, "total": total, "unit": unit})


def at_work(tmp_path, clock, *events):
    run = RunDir(tmp_path / OLDER)
    run.path.mkdir(exist_ok=True)
    write_state(run.state_path, RunState("running", host="elsewhere", heartbeat_s=clock.now_s))
    log_of(run, *events)
    return run


def test_the_rate_is_that_of_the_last_minute_and_gives_the_time_left(tmp_path):
    clock = SetClock()
    now_s = clock.now_s
    run = at_work(tmp_path, clock, progress(now_s - 300, 10), progress(now_s - 50, 20), progress(now_s, 45))
    summary = summarise(run, None, clock)
    assert summary.rate == 0.5
    assert summary.eta_s == 110


def test_a_pause_or_another_unit_begins_the_rate_anew(tmp_path):
    clock = SetClock()
    now_s = clock.now_s
    again = Event("state", now_s - 10, {"state": "running", "by": "ada@lab"})
    run = at_work(tmp_path, clock, progress(now_s - 50, 10), again, progress(now_s - 10, 10), progress(now_s, 20))
    assert summarise(run, None, clock).rate == 1.0
    run = at_work(
        tmp_path, clock, progress(now_s - 50, 90, 99, "chunks"), progress(now_s - 10, 1), progress(now_s, 2)
    )
    assert summarise(run, None, clock).rate == 0.1
    run = at_work(tmp_path, clock, progress(now_s, 2))
    assert summarise(run, None, clock).rate is None


@pytest.mark.parametrize(
    ("last", "state"),
    [
        (Event("result", 2e9, {"command": "count", "value": {}}), "done"),
        (Event("error", 2e9, {"kind": "data", "message": "m", "remedy": "", "exit_code": 1}), "failed"),
        (Event("error", 2e9, {"kind": "stopped", "message": "m", "remedy": "", "exit_code": 130}), "stopped"),
        (Event("state", 2e9, {"state": "done", "by": None}), "done"),
    ],
)
def test_a_job_killed_while_it_wrote_its_end_has_ended_as_its_log_says(tmp_path, last, state):
    clock = SetClock()
    run = at_work(tmp_path, clock, progress(clock.now_s, 1), last)
    assert summarise(run, None, clock).state == state


def test_an_end_that_only_the_log_tells_has_its_exit_code(tmp_path):
    clock = SetClock()
    error = Event("error", 2e9, {"kind": "stopped", "message": "m", "remedy": "", "exit_code": 130})
    run = at_work(tmp_path, clock, error, Event("state", 2e9, {"state": "stopped", "by": "SIGTERM"}))
    summary = summarise(run, None, clock)
    assert (summary.state, summary.exit_code, summary.by) == ("stopped", 130, "SIGTERM")


def test_a_log_delayed_by_a_full_disk_does_not_hide_the_end_in_the_state_file(tmp_path):
    clock = SetClock()
    run = at_work(tmp_path, clock, Event("state", clock.now_s - 50, {"state": "running", "by": None}))
    write_state(run.state_path, RunState("done", host="elsewhere", heartbeat_s=clock.now_s, exit_code=0))
    assert summarise(run, None, clock).state == "done"


def test_a_run_with_a_huge_last_line_is_summarised(tmp_path):
    clock = SetClock()
    big = Event("note", clock.now_s, {"message": "x" * 200_000})
    run = at_work(tmp_path, clock, progress(clock.now_s, 7), big)
    assert summarise(run, None, clock).done == 7 or summarise(run, None, clock).message == "x" * 200_000


def test_a_queued_run_has_its_request(runs_root):
    run = queued_count(runs_root)
    summary = summarise(run)
    assert (summary.state, summary.command, summary.version) == ("queued", "count", "0.1.0")
    assert summary.arguments == ("cellmap-tui", "count")
