"""What a service says reaches the log at the right pace, and what users ask reaches the service."""

from __future__ import annotations

import json

import pytest

from cellmap_tui.errors import RequestError, Stopped
from cellmap_tui.jobs.control import ask, ask_pause, ask_resume, ask_stop, pending_requests
from cellmap_tui.jobs.execute import FanOut
from cellmap_tui.jobs.recorder import RunReporter
from cellmap_tui.jobs.rundir import RunDir
from cellmap_tui.jobs.runs import pause_run, resume_run
from cellmap_tui.jobs.state import read_state
from cellmap_tui.jobs.summary import summarise
from cellmap_tui.services.report import Ask, SilentReporter, asked, run_folder
from tests.jobs.helpers import SetClock, all_events


@pytest.fixture
def run(tmp_path):
    run = RunDir(tmp_path / "20231114T221320Z-count-0a1b2c")
    run.path.mkdir()
    return run


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def recorder(run, clock):
    recorder = RunReporter(run, clock=clock)
    recorder.begin()
    yield recorder
    recorder.__exit__()


def told(run, kind):
    return [event.fields for event in all_events(run) if event.kind == kind]


def test_progress_is_written_four_times_a_second_and_the_last_always(run, clock, recorder):
    for done in range(100):
        recorder.progress(done, 200, "chunks")
        clock.pass_time(0.01)
    written = [fields["done"] for fields in told(run, "progress")]
    assert written[0] == 0
    assert len(written) <= 5
    recorder.flush()
    assert told(run, "progress")[-1] == {"done": 99, "total": 200, "unit": "chunks"}


def test_the_end_and_a_new_unit_are_written_at_once(run, clock, recorder):
    recorder.progress(1, 3, "chunks")
    clock.pass_time(0.05)
    recorder.progress(3, 3, "chunks")
    clock.pass_time(0.05)
    recorder.progress(1, 9, "crops")
    assert [(f["done"], f["unit"]) for f in told(run, "progress")] == [(1, "chunks"), (3, "chunks"), (1, "crops")]


def test_many_short_counts_do_not_fill_the_log(run, clock, recorder):
    for _ in range(10_000):
        recorder.progress(1, 1, "chunks")
        clock.pass_time(0.0001)
    assert len(told(run, "progress")) <= 51


def test_figures_held_back_are_written_by_the_heartbeat_of_a_busy_service(run, clock, recorder):
    recorder.progress(1, 9, "crops")
    recorder.progress(2, 9, "crops")
    recorder.metric(0, {"loss": 1.0})
    recorder.metric(1, {"loss": 2.0})
    clock.pass_time(1)
    recorder.tick()
    assert told(run, "progress")[-1]["done"] == 2
    assert told(run, "metric")[-1]["step"] == 1


def test_what_is_held_back_comes_before_the_result(run, recorder):
    recorder.progress(1, 9, "crops")
    recorder.progress(2, 9, "crops")
    recorder.metric(0, {"loss": 1.0})
    recorder.metric(1, {"loss": 2.0})
    recorder.result("count", {})
    recorder.enter_state("done")
    assert [event.kind for event in all_events(run)][-4:] == ["progress", "metric", "result", "state"]


def test_the_state_file_beats_every_five_seconds(run, clock, recorder):
    start_s = clock.now_s
    clock.pass_time(4)
    recorder.tick()
    assert read_state(run.state_path).heartbeat_s == start_s
    clock.pass_time(1)
    recorder.tick()
    state = read_state(run.state_path)
    assert state.heartbeat_s == start_s + 5
    assert state.started_s == start_s
    assert state.state == "running"


def test_the_state_file_has_the_documented_keys(run, recorder):
    keys = json.loads(run.state_path.read_bytes())
    assert set(keys) == {
        "v", "state", "pid", "process", "own_session", "host", "created", "start", "heartbeat", "end", "exit", "by",
    }  # fmt: skip


def test_a_stop_is_told_at_once_and_obeyed_at_the_next_checkpoint(run, clock, recorder):
    recorder.checkpoint()
    ask_stop(run, "ada@lab")
    assert pending_requests(run) == ("stop",)
    clock.pass_time(1)
    recorder.tick()
    assert pending_requests(run) == ()
    assert told(run, "state")[-1] == {"state": "stopping", "by": "ada@lab"}
    with pytest.raises(Stopped, match="ada@lab"):
        recorder.checkpoint()


def test_a_stop_made_by_hand_with_touch_is_obeyed(run, clock, recorder):
    run.control_path.mkdir()
    (run.control_path / "stop").touch()
    with pytest.raises(Stopped):
        recorder.checkpoint()
    assert told(run, "state")[-1] == {"state": "stopping", "by": "control file"}
    assert not list(run.control_path.iterdir())


def test_a_stop_asked_twice_is_told_of_twice_and_done_once(run, clock, recorder):
    ask_stop(run, "ada@lab")
    ask_stop(run, "bob@home")
    with pytest.raises(Stopped, match="ada@lab"):
        recorder.checkpoint()
    assert "bob@home" in told(run, "note")[-1]["message"]
    assert len(told(run, "state")) == 2


def test_a_stop_ends_a_pause_that_has_not_begun(run, recorder):
    ask_pause(run, "ada@lab")
    ask_stop(run, "ada@lab")
    with pytest.raises(Stopped):
        recorder.checkpoint()
    assert "paused" not in [fields["state"] for fields in told(run, "state")]


def test_a_pause_taken_back_before_the_next_step_does_not_happen(run, recorder):
    ask_pause(run, "ada@lab")
    ask_resume(run, "ada@lab")
    recorder.checkpoint()
    assert [fields["state"] for fields in told(run, "state")] == ["running"]


def test_a_pause_that_waits_for_the_step_at_hand_is_known_and_asked_once(run, monkeypatch):
    monkeypatch.setattr("cellmap_tui.jobs.recorder.LOOK_INTERVAL_S", 0.0)
    recorder = RunReporter(run)
    recorder.begin()
    assert not summarise(run).is_pausing
    pause_run(run, "ada@lab")
    assert summarise(run).is_pausing  # the job has not seen it
    pause_run(run, "ada@lab")
    assert pending_requests(run) == ("pause",)
    recorder.tick()
    assert summarise(run).is_pausing  # it has, and is busy
    pause_run(run, "ada@lab")
    assert pending_requests(run) == ()
    assert resume_run(run, "bob@lab") is None
    recorder.tick()
    assert not summarise(run).is_pausing
    assert told(run, "note")[-1]["message"] == "resume asked by bob@lab; the job was not paused"
    recorder.__exit__()


def test_what_is_asked_of_a_training_reaches_it_once_and_names_who_asked(run, recorder):
    ask(run, "checkpoint", by="ada@lab")
    ask(run, "lr", 0.002, by="bob@lab")
    assert asked(recorder) == (Ask("checkpoint", "ada@lab"), Ask("lr", "bob@lab", 0.002))
    assert asked(recorder) == ()
    assert [fields["message"] for fields in told(run, "note")] == [
        "ada@lab asks for a checkpoint now",
        "bob@lab asks for another learning rate: 0.002",
    ]


def test_an_empty_file_asks_by_its_name_alone(run, recorder):
    run.control_path.mkdir()
    (run.control_path / "stop_after_epoch").touch()
    (run.control_path / "lr").touch()
    assert asked(recorder) == (Ask("stop_after_epoch", "control file"),)
    assert told(run, "warning") == [{"message": "control file asked for another learning rate and gave none"}]


def test_what_nobody_can_ask_is_refused_with_the_nearest_name(run):
    with pytest.raises(RequestError) as refused:
        ask(run, "checkpiont")
    assert "'checkpoint'" in refused.value.remedy
    with pytest.raises(RequestError, match="learning rate"):
        ask(run, "lr")


def test_the_folder_of_a_run_is_known_through_a_second_listener_too(run, recorder):
    assert run_folder(recorder) == run.path
    assert run_folder(FanOut(recorder, SilentReporter())) == run.path
    assert run_folder(SilentReporter()) is None
    assert asked(SilentReporter()) == ()


def test_a_request_of_a_newer_version_is_answered_and_the_work_goes_on(run, recorder):
    run.control_path.mkdir()
    (run.control_path / "00000000000000001-rewind-a1b2c3.json").write_text('{"v":2,"action":"rewind","by":"ada@lab"}')
    recorder.checkpoint()
    assert told(run, "warning") == [{"message": "ada@lab asked for 'rewind', which this version does not know"}]


def test_control_is_not_listed_more_than_five_times_a_second(run, clock, recorder, monkeypatch):
    looks = []
    monkeypatch.setattr("cellmap_tui.jobs.control.take_requests", lambda run: looks.append(run) or [])
    for _ in range(1000):
        recorder.checkpoint()
        clock.pass_time(0.001)
    assert 4 <= len(looks) <= 6


def test_a_listener_gets_every_event_that_is_written(run, clock):
    heard = []
    with RunReporter(run, heard.append, clock) as recorder:
        recorder.begin()
        recorder.note("one")
        recorder.result("count", {"n": 1})
    assert heard == all_events(run)


def test_a_listener_that_fails_is_dropped_and_the_work_goes_on(run, clock, capsys):
    def fail(_):
        raise RuntimeError("no")

    recorder = RunReporter(run, fail, clock)
    recorder.begin()
    recorder.note("one")
    recorder.checkpoint()
    recorder.__exit__()
    assert [event.kind for event in all_events(run)] == ["state", "note"]
    assert capsys.readouterr().err.count("failed") == 1


def test_a_closed_pipe_asks_the_work_to_stop(run, clock):
    def closed(_):
        raise BrokenPipeError

    recorder = RunReporter(run, closed, clock)
    recorder.begin()
    with pytest.raises(Stopped, match="closed output"):
        recorder.checkpoint()
    recorder.__exit__()


@pytest.mark.parametrize("padding", [0, 40])
def test_on_a_full_disk_the_state_file_is_written_over(run, clock, recorder, monkeypatch, padding):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    if padding:
        recorder.enter_state("running", "x" * padding)
    monkeypatch.setattr("cellmap_tui.jobs.state.replace_file", full)
    clock.pass_time(5)
    recorder.tick()
    assert read_state(run.state_path).heartbeat_s == clock.now_s
    recorder.enter_state("failed", exit_code=1)
    state = read_state(run.state_path)
    assert (state.state, state.exit_code, state.ended_s) == ("failed", 1, clock.now_s)


def test_a_full_disk_is_told_in_the_job_log_and_later_in_the_events(run, clock, capsys, monkeypatch):
    import os

    real = os.write
    recorder = RunReporter(run, clock=clock)
    recorder.begin()
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    recorder.note("lost?")
    recorder.note("no")
    assert "No space left on device" in capsys.readouterr().err
    monkeypatch.setattr(os, "write", real)
    recorder.note("again")
    recorder.__exit__()
    assert [fields["message"] for fields in told(run, "note")] == ["lost?", "no", "again"]
    assert "0 were lost" in told(run, "warning")[0]["message"]
