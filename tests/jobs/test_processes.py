"""Real processes: jobs, viewers and terminals are killed, and every viewer stays right."""

from __future__ import annotations

import itertools
import os
import pty
import random
import signal
import subprocess
import sys
import threading

import pytest

from cellmap_tui.errors import CellmapError, RefusedError, RequestError
from cellmap_tui.jobs.control import ask_pause, ask_resume, ask_stop
from cellmap_tui.jobs.launch import launch
from cellmap_tui.jobs.lock import is_locked
from cellmap_tui.jobs.rundir import create_run
from cellmap_tui.jobs.runs import pause_run, resume_run, stop_run
from cellmap_tui.jobs.summary import summarise
from cellmap_tui.jobs.watch import RunReader, follow
from tests.jobs.helpers import (
    HERE,
    WORKER,
    all_events,
    is_gone,
    kill_job,
    queued_count,
    state_of,
    states,
    wait_until,
    waiting_job,
)
from tests.jobs.work import FailRequest


def has_ended(run):
    return lambda: not summarise(run).is_live


def test_a_job_runs_in_a_session_of_its_own_and_is_followed_to_its_end(runs_root):
    run, pid, until = waiting_job(runs_root)
    assert os.getsid(pid) == pid
    until.touch()
    assert list(follow(run, 0.01))[-1].fields == {"state": "done", "by": None}
    assert summarise(run).pid == pid
    wait_until(lambda: is_gone(pid))


def test_a_killed_job_is_lost_at_once_and_its_torn_log_is_read(runs_root):
    """The job is killed at some moment of its writing, over and over; two viewers always agree."""
    chance = random.Random(7)
    for _ in range(6):
        run = queued_count(runs_root, steps=10**9, padding=chance.choice([10, 100_000]))
        pid = launch(run, WORKER)
        viewer = RunReader(run)
        seen = []
        wanted = chance.randrange(1, 400)
        wait_until(lambda: len(seen.extend(viewer.poll()) or seen) >= wanted)  # noqa: B023
        kill_job(run, pid)
        assert summarise(run).state == "lost"
        while not viewer.at_end or not seen:
            seen += viewer.poll()
        seen += viewer.poll()
        assert seen == all_events(run)
        notes = [int(event.fields["message"].split()[0]) for event in seen if event.kind == "note"]
        assert notes == list(range(len(notes)))
        assert viewer.skipped == 0


def test_a_killed_job_goes_on_in_its_directory_and_the_torn_line_harms_nobody(runs_root):
    run, pid, until = waiting_job(runs_root)
    kill_job(run, pid)
    with run.events_path.open("ab") as log:
        log.write(b'{"v":1,"time":17000')  # as a power cut leaves it
    ask_stop(run)  # asked of the dead job: shall not stop the next
    until.touch()
    again = resume_run(run, "ada@lab", WORKER)
    assert again not in {None, pid}
    wait_until(has_ended(run))
    assert states(run) == ["queued", "running", "queued", "running", "done"]
    reader = RunReader(run)
    reader.poll()
    assert reader.skipped == 1


def test_a_second_start_of_a_running_run_is_refused_and_harms_nothing(runs_root):
    run, pid, until = waiting_job(runs_root)
    with pytest.raises(RefusedError, match="already running"):
        launch(run, WORKER)
    with pytest.raises(RequestError, match="is running"):
        resume_run(run, worker=WORKER)
    direct = subprocess.run([*WORKER, str(run.path)], capture_output=True, check=False, timeout=600)
    assert direct.returncode == 3
    assert b"already running" in direct.stderr
    assert (summarise(run).state, summarise(run).pid) == ("running", pid)
    until.touch()
    wait_until(has_ended(run))
    assert states(run) == ["queued", "running", "done"]


def test_of_many_starts_at_once_one_does_the_work(runs_root):
    run = queued_count(runs_root, steps=30, pause_s=0.02)
    outcomes = []

    def start():
        try:
            outcomes.append(launch(run, WORKER))
        except CellmapError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(has_ended(run))
    assert states(run) == ["queued", "running", "done"]
    assert sum(isinstance(outcome, int) for outcome in outcomes) >= 1
    assert all(isinstance(outcome, int | RefusedError) for outcome in outcomes)


LATE = """
import subprocess, sys
subprocess.run([sys.executable, *sys.argv[1:]], check=True)
sys.exit(3)
"""
"""A process that comes to the run when another one has done its work."""


def test_a_start_that_comes_too_late_is_refused_and_what_the_other_did_stands(runs_root):
    run = queued_count(runs_root)
    with pytest.raises(RefusedError, match="the other start did the work"):
        launch(run, [sys.executable, "-c", LATE, *WORKER[1:]])
    assert summarise(run).state == "done"
    assert states(run) == ["queued", "running", "done"]


def test_pause_resume_and_stop_by_control_file(runs_root):
    run, pid, _ = waiting_job(runs_root)
    pause_run(run, "ada@lab")
    wait_until(lambda: summarise(run).state == "paused")
    assert is_locked(run.lock_path)
    with pytest.raises(RequestError, match="paused already"):
        pause_run(run)
    assert resume_run(run, "bob@home", WORKER) is None
    wait_until(lambda: summarise(run).state == "running")
    assert stop_run(run, "ada@lab") == "asked"
    wait_until(has_ended(run))
    assert [(e.fields["state"], e.fields["by"]) for e in all_events(run) if e.kind == "state"][1:] == [
        ("running", None),
        ("paused", "ada@lab"),
        ("running", "bob@home"),
        ("stopping", "ada@lab"),
        ("stopped", "ada@lab"),
    ]
    assert not list(run.control_path.iterdir())
    with pytest.raises(RequestError, match="it is stopped"):
        stop_run(run)
    wait_until(lambda: is_gone(pid))


def test_a_paused_job_can_be_stopped(runs_root):
    run, *_ = waiting_job(runs_root)
    ask_pause(run)
    wait_until(lambda: state_of(run) == "paused")
    ask_stop(run)
    wait_until(lambda: summarise(run).state == "stopped")


def test_a_stop_asked_again_ends_work_that_comes_to_no_step(runs_root):
    run, pid, _ = waiting_job(runs_root, checkpoints=False)
    assert stop_run(run) == "asked"
    wait_until(lambda: summarise(run).state == "stopping")
    assert not is_gone(pid)
    assert stop_run(run) == "signalled"
    wait_until(has_ended(run))
    assert summarise(run).state == "stopped"


def test_sigterm_lets_a_job_save_and_stop(runs_root):
    run, pid, _ = waiting_job(runs_root)
    os.kill(pid, signal.SIGTERM)
    wait_until(has_ended(run))
    summary = summarise(run)
    assert (summary.state, summary.by, summary.exit_code) == ("stopped", "SIGTERM", 130)


def test_sighup_does_not_end_a_job(runs_root):
    run, pid, until = waiting_job(runs_root)
    os.kill(pid, signal.SIGHUP)
    until.touch()
    wait_until(has_ended(run))
    assert summarise(run).state == "done"


def test_no_process_but_the_jobs_own_is_signalled(runs_root):
    run, pid, _ = waiting_job(runs_root)
    state = run.state_path.read_text()
    os.kill(pid, signal.SIGSTOP)  # so that it does not mend its state file
    try:
        run.state_path.write_text(state.replace('"process":"', '"process":"another'))
        with pytest.raises(RefusedError, match="not the job"):
            stop_run(run, force=True)
        run.state_path.write_text(state.replace('"host":"', '"host":"another'))
        with pytest.raises(RefusedError, match="runs on host another"):
            stop_run(run, force=True)
        assert not is_gone(pid)
    finally:
        run.state_path.write_text(state)
        os.kill(pid, signal.SIGCONT)
    assert stop_run(run, force=True) == "signalled"
    wait_until(has_ended(run))


LAUNCHER = """
import fcntl, sys, termios, threading
from pathlib import Path
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # this terminal is ours: closing it hangs us up
sys.path.insert(0, sys.argv[1])
from cellmap_tui.jobs.launch import launch
from tests.jobs.helpers import WORKER
from cellmap_tui.jobs.rundir import RunDir
print("started", launch(RunDir(Path(sys.argv[2])), WORKER), flush=True)
threading.Event().wait()
"""


def start_in_terminal(run):
    """Start a job from a process that leads a terminal of its own; return that process and the terminal."""
    terminal, other_end = pty.openpty()
    app = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(HERE.parents[1]), str(run.path)],
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        start_new_session=True,
    )
    os.close(other_end)
    said = b""
    while b"started" not in said:
        said += os.read(terminal, 1000)
    return app, terminal


@pytest.mark.parametrize(
    ("ending", "killed_by"), [("terminal closed", signal.SIGHUP), ("app killed", signal.SIGKILL)]
)
def test_a_job_outlives_its_terminal_and_the_app_that_started_it(runs_root, ending, killed_by):
    run = queued_count(runs_root, steps=10**9)
    app, terminal = start_in_terminal(run)
    if ending == "app killed":
        app.kill()
    os.close(terminal)
    assert app.wait(timeout=600) == -killed_by
    seen = len(all_events(run))
    wait_until(lambda: len(all_events(run)) > seen, "the job goes on")
    assert summarise(run).state == "running"
    stop_run(run)
    wait_until(has_ended(run))
    assert summarise(run).state == "stopped"


VIEWER = """
import sys
from pathlib import Path
from cellmap_tui.jobs.rundir import RunDir
from cellmap_tui.jobs.watch import follow
for event in follow(RunDir(Path(sys.argv[1])), 0.01):
    print(event.kind, flush=True)
"""


def test_a_killed_viewer_harms_neither_job_nor_other_viewers(runs_root):
    run, _, until = waiting_job(runs_root)
    viewers = [
        subprocess.Popen([sys.executable, "-c", VIEWER, str(run.path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for viewer in viewers:
        assert viewer.stdout is not None
        assert viewer.stdout.readline() == "state\n"
    viewers[0].kill()
    viewers[0].communicate()
    assert is_locked(run.lock_path)
    until.touch()
    assert viewers[1].stdout is not None
    with viewers[1].stdout as said:
        assert said.read().split() == ["state", "result", "state"]
    assert viewers[1].wait(timeout=600) == 0
    assert summarise(run).state == "done"


def test_a_job_that_cannot_start_is_told_by_the_launcher_and_by_the_run(runs_root):
    run = queued_count(runs_root)
    with pytest.raises(CellmapError, match=r"ended before it began.*No module named 'nowhere'"):
        launch(run, [sys.executable, "-c", "import nowhere"])
    summary = summarise(run)
    assert summary.state == "failed"
    assert summary.message is not None
    assert "No module named" in summary.message
    assert summary.remedy is not None
    assert str(run.log_path) in summary.remedy


def test_a_program_that_does_not_exist_is_told(runs_root):
    with pytest.raises(RefusedError, match="cannot start"):
        launch(queued_count(runs_root), ["/nowhere/python"])


def test_a_job_that_crashes_below_python_is_lost_and_leaves_its_stack(runs_root):
    run = create_run(runs_root, "fail", FailRequest("crash", runs_root))
    launch(run, WORKER)
    wait_until(has_ended(run))
    assert summarise(run).state == "lost"
    assert "Fatal Python error: Aborted" in run.log_path.read_text()


def test_a_job_goes_on_when_its_working_directory_is_gone(runs_root, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    run = queued_count(runs_root)
    monkeypatch.chdir(tmp_path)
    gone.rmdir()
    launch(run, WORKER)
    wait_until(has_ended(run))
    assert summarise(run).state == "done"


def test_a_stop_asked_before_the_job_looks_is_obeyed_by_its_first_step(runs_root):
    run = queued_count(runs_root, steps=10**9)
    ask_pause(run)
    ask_resume(run)
    ask_stop(run)
    launch(run, WORKER)
    wait_until(has_ended(run))
    assert summarise(run).state == "stopped"


def test_the_job_process_itself_knows_the_commands_of_the_tool(runs_root):
    run = queued_count(runs_root)
    launch(run)
    wait_until(has_ended(run))
    summary = summarise(run)
    assert summary.state == "failed"
    assert summary.message is not None
    assert "no command 'count'" in summary.message


def test_events_of_two_starts_are_in_order_of_time(runs_root):
    run, pid, until = waiting_job(runs_root)
    kill_job(run, pid)
    until.touch()
    resume_run(run, worker=WORKER)
    wait_until(has_ended(run))
    times = [event.time_s for event in all_events(run)]
    assert all(earlier <= later for earlier, later in itertools.pairwise(times))
