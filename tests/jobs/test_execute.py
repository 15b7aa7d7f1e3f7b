"""Every ending of the work is written down, in place as in a job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RefusedError, RequestError, Stopped
from cellmap_tui.jobs.control import ask_stop
from cellmap_tui.jobs.execute import execute
from cellmap_tui.jobs.launch import launch
from cellmap_tui.jobs.lock import RunLock, is_locked
from cellmap_tui.jobs.rundir import RunDir, create_run, read_request
from cellmap_tui.jobs.runs import pause_run, requeue, resume_run
from cellmap_tui.jobs.state import read_state
from cellmap_tui.jobs.summary import summarise
from cellmap_tui.services.report import SilentReporter
from tests.jobs.helpers import (
    HERE,
    WORKER,
    all_events,
    is_locked_elsewhere,
    queued_count,
    state_of,
    states,
    wait_until,
)
from tests.jobs.work import TEST_COMMANDS, CountRequest, CountResult, FailRequest, WaitRequest


def run_failing(runs_root, how):
    run = create_run(runs_root, "fail", FailRequest(how, runs_root))
    with pytest.raises(Exception) as caught:
        execute(run, commands=TEST_COMMANDS)
    [error] = [event.fields for event in all_events(run) if event.kind == "error"]
    return run, caught.value, error


def test_work_in_place_returns_its_result_and_leaves_a_run(runs_root):
    run = queued_count(runs_root, steps=3)
    assert execute(run, commands=TEST_COMMANDS) == CountResult(3)
    assert states(run) == ["queued", "running", "done"]
    assert json.loads(run.result_path.read_bytes()) == {
        "v": 1,
        "command": "count",
        "value": {"counted": 3, "exit_code": 0},
    }
    summary = summarise(run)
    assert (summary.state, summary.exit_code, summary.done, summary.total, summary.unit) == ("done", 0, 3, 3, "steps")
    assert is_locked(run.lock_path) is False


def test_a_second_reporter_hears_what_the_service_says(runs_root):
    class Listening(SilentReporter):
        heard: list[float] = []  # noqa: RUF012

        def progress(self, done, total, unit):
            self.heard.append(done)

    execute(queued_count(runs_root, steps=50), Listening(), commands=TEST_COMMANDS)
    assert Listening.heard == list(range(1, 51))


def test_a_second_reporter_whose_pipe_is_closed_stops_the_work_in_words(runs_root):
    class Closed(SilentReporter):
        def progress(self, done, total, unit):
            raise BrokenPipeError

    run = queued_count(runs_root, steps=50)
    with pytest.raises(Stopped, match="closed output"):
        execute(run, Closed(), commands=TEST_COMMANDS)
    assert states(run) == ["queued", "running", "stopping", "stopped"]


def test_threads_of_a_service_pause_and_go_on_together(runs_root):
    run = create_run(runs_root, "threads", WaitRequest(runs_root / "go"))
    launch(run, WORKER)
    pause_run(run, "ada@lab")
    wait_until(lambda: state_of(run) == "paused")
    (runs_root / "go").touch()
    resume_run(run, "ada@lab")
    wait_until(lambda: state_of(run) == "done")
    assert states(run) == ["queued", "running", "paused", "running", "done"]


def test_a_users_error_is_told_with_its_remedy_and_no_traceback(runs_root):
    run, error, told = run_failing(runs_root, "data")
    assert isinstance(error, DataError)
    assert told == {
        "kind": "data", "message": "volume.zarr: key 'scale' is missing", "remedy": "write it again", "exit_code": 1,
    }  # fmt: skip
    assert states(run)[-1] == "failed"
    assert not run.log_path.exists()
    summary = summarise(run)
    assert (summary.message, summary.remedy) == ("volume.zarr: key 'scale' is missing", "write it again")


def test_a_bug_keeps_its_traceback_in_the_log_alone(runs_root):
    run, error, told = run_failing(runs_root, "a bug")
    assert isinstance(error, ZeroDivisionError)
    assert told["kind"] == "bug"
    assert str(run.log_path) in told["remedy"]
    assert "Traceback" not in run.events_path.read_text()
    assert "Traceback" in run.log_path.read_text()
    assert read_state(run.state_path).exit_code == 1


@pytest.mark.parametrize(("how", "says"), [("memory", "out of memory"), ("disk", "No space left on device")])
def test_what_the_machine_refuses_is_no_bug(runs_root, how, says):
    run, error, told = run_failing(runs_root, how)
    assert isinstance(error, CellmapError)
    assert says in told["message"]
    assert f"cellmap-tui runs resume {run.path}" in told["remedy"]  # not below the usual root: by its path


def test_a_stopped_run_can_be_queued_and_done_again_in_its_directory(runs_root):
    run = queued_count(runs_root)
    ask_stop(run, "ada@lab")
    with pytest.raises(Stopped):
        execute(run, commands=TEST_COMMANDS)
    assert summarise(run).state == "stopped"
    assert read_state(run.state_path).exit_code == 130
    requeue(run)
    execute(run, commands=TEST_COMMANDS)
    assert states(run) == ["queued", "running", "stopping", "stopped", "queued", "running", "done"]
    assert summarise(run).message is None


def test_a_result_may_carry_an_exit_code_of_its_own(runs_root):
    run = create_run(runs_root, "partly", CountRequest(2))
    execute(run, commands=TEST_COMMANDS)
    state = read_state(run.state_path)
    assert (state.state, state.exit_code) == ("done", 1)


def test_a_command_of_another_version_fails_the_run_with_its_name(runs_root):
    run = create_run(runs_root, "cuont", CountRequest(2))
    with pytest.raises(RequestError, match=r"no command 'cuont'.*did you mean 'count'"):
        execute(run, commands=TEST_COMMANDS)
    assert (summarise(run).state, read_state(run.state_path).exit_code) == ("failed", 2)


def test_a_request_that_does_not_fit_any_more_fails_the_run_with_the_field(runs_root):
    run = queued_count(runs_root)
    document = json.loads(run.request_path.read_bytes())
    document["request"]["steps"] = "many"
    run.request_path.write_text(json.dumps(document))
    with pytest.raises(RequestError, match="steps"):
        execute(run, commands=TEST_COMMANDS)
    assert states(run)[-1] == "failed"


def test_a_request_with_a_field_of_a_wrong_type_makes_no_run(runs_root):
    with pytest.raises(RequestError, match="steps"):
        create_run(runs_root, "count", CountRequest("many"))
    assert not runs_root.exists()


def test_a_run_without_a_request_fails_in_words(runs_root):
    run = queued_count(runs_root)
    run.request_path.unlink()
    with pytest.raises(DataError, match=r"has no request\.json"):
        execute(run, commands=TEST_COMMANDS)
    assert summarise(run).state == "failed"


def test_a_run_that_goes_on_elsewhere_is_refused_and_left_alone(runs_root):
    run = queued_count(runs_root)
    before = run.events_path.read_bytes(), run.state_path.read_bytes()
    with RunLock(run.lock_path), pytest.raises(RefusedError, match="already running"):
        execute(run, commands=TEST_COMMANDS)
    assert (run.events_path.read_bytes(), run.state_path.read_bytes()) == before


def test_a_run_that_is_done_is_not_done_again(runs_root):
    run = queued_count(runs_root)
    execute(run, commands=TEST_COMMANDS)
    with pytest.raises(RefusedError, match="is done"):
        execute(run, commands=TEST_COMMANDS)


def test_a_run_directory_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(MissingDataError, match="does not exist"):
        execute(RunDir(tmp_path / "nowhere"))


def test_the_request_file_keeps_no_password(runs_root, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    argv = ["cellmap-tui", "--endpoint-url", "https://ada:hunter2@store.example.org/x"]
    run = create_run(runs_root, "count", CountRequest(1), argv)
    assert "hunter2" not in run.request_path.read_text()
    assert read_request(run).arguments[2] == "https://store.example.org/x"


IN_PLACE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from cellmap_tui.errors import CellmapError
from cellmap_tui.jobs.execute import execute
from cellmap_tui.jobs.rundir import RunDir
from tests.jobs.work import TEST_COMMANDS
try:
    execute(RunDir(Path(sys.argv[2])), commands=TEST_COMMANDS)
except CellmapError as error:
    sys.exit(error.exit_code)
"""


def in_place(run):
    command = [sys.executable, "-c", IN_PLACE, str(HERE.parents[1]), str(run.path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    wait_until(lambda: state_of(run) == "running")
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_the_work_at_its_next_step(runs_root, number):
    run = create_run(runs_root, "wait", WaitRequest(runs_root / "never"))
    process = in_place(run)
    process.send_signal(number)
    _, said = process.communicate(timeout=600)
    assert (process.returncode, said) == (130, b"")
    assert states(run) == ["queued", "running", "stopping", "stopped"]
    assert all_events(run)[-1].fields["by"] == number.name


def test_a_second_signal_stops_work_that_comes_to_no_step(runs_root):
    run = create_run(runs_root, "wait", WaitRequest(runs_root / "never", checkpoints=False))
    process = in_place(run)
    process.send_signal(signal.SIGINT)
    wait_until(lambda: state_of(run) == "stopping")
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=600)
    assert (process.returncode, said) == (130, b"")
    assert states(run)[-1] == "stopped"


def test_signal_handlers_are_given_back(runs_root):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    execute(queued_count(runs_root), commands=TEST_COMMANDS)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_run_in_place_can_be_looked_at_by_its_own_process_without_losing_its_lock(runs_root):
    run = queued_count(runs_root)
    seen = []

    class Looking(SilentReporter):
        def progress(self, done, total, unit):
            seen.append(summarise(run).state)
            seen.append(is_locked_elsewhere(run.lock_path))

    execute(run, Looking(), commands=TEST_COMMANDS)
    assert seen == ["running", True] * 3
    assert os.getpid() == summarise(run).pid
