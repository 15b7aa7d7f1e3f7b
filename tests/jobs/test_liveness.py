"""Dead jobs are told from living ones, in order of evidence, whatever the clocks say."""

from __future__ import annotations

import os

import pytest

from cellmap_tui.jobs.liveness import Pulse, Sign, judged_state
from cellmap_tui.jobs.lock import RunLock
from cellmap_tui.jobs.process import host_name
from cellmap_tui.jobs.rundir import RunDir
from cellmap_tui.jobs.state import RunState, write_state
from cellmap_tui.jobs.summary import summarise
from tests.jobs.helpers import SetClock

ELSEWHERE = "gpu-07.example.org"


@pytest.fixture
def run(tmp_path):
    run = RunDir(tmp_path / "20231114T221320Z-count-0a1b2c")
    run.path.mkdir()
    return run


def beat(run, clock, *, state="running", host=ELSEWHERE, ahead_s=0.0, file_ahead_s=0.0):
    """Write a heartbeat as a job would whose clock and disk are ahead of the viewer's."""
    write_state(run.state_path, RunState(state, pid=1, host=host, heartbeat_s=clock.now_s + ahead_s))
    stamp_s = clock.now_s + file_ahead_s
    os.utime(run.state_path, (stamp_s, stamp_s))


@pytest.mark.parametrize("state", ["stopped", "done", "failed"])
def test_an_end_is_an_end_whatever_the_signs(state):
    assert judged_state(state, Sign(is_locked=True, silent_s=1e9, last_s=None)) == state


@pytest.mark.parametrize(
    ("is_locked", "silent_s", "shown"),
    [
        (True, 0, "running"),
        (True, 31, "quiet"),
        (True, 1e6, "quiet"),
        (False, 0, "lost"),
        (None, 29, "running"),
        (None, 31, "quiet"),
        (None, 119, "quiet"),
        (None, 121, "lost"),
    ],
)
def test_the_lock_counts_before_the_heartbeat(is_locked, silent_s, shown):
    assert judged_state("running", Sign(is_locked, silent_s, None)) == shown


def test_a_queued_run_is_given_time_to_start():
    assert judged_state("queued", Sign(is_locked=False, silent_s=5, last_s=None)) == "queued"
    assert judged_state("queued", Sign(is_locked=False, silent_s=31, last_s=None)) == "lost"


def test_a_run_elsewhere_is_quiet_after_30_s_lost_after_120_s_and_live_when_it_writes_again(run):
    clock, pulse = SetClock(), Pulse()
    shown = []
    beat(run, clock)
    for elapsed_s in (0, 25, 10, 80, 10):
        clock.pass_time(elapsed_s)
        shown.append(summarise(run, pulse, clock).state)
    beat(run, clock)
    shown.append(summarise(run, pulse, clock).state)
    assert shown == ["running", "running", "quiet", "quiet", "lost", "running"]


@pytest.mark.parametrize("ahead_s", [-7200, -600, 600, 7200])
def test_a_job_whose_clock_is_wrong_is_live_by_the_times_of_its_files(run, ahead_s):
    clock = SetClock()
    beat(run, clock, ahead_s=ahead_s)
    assert summarise(run, None, clock).state == "running"
    clock.pass_time(121)
    if ahead_s < 0:
        assert summarise(run, None, clock).state == "lost"


@pytest.mark.parametrize("ahead_s", [-7200, -600, 600, 7200])
def test_an_observer_that_keeps_looking_is_right_though_job_and_disk_have_wrong_clocks(run, ahead_s):
    clock, pulse = SetClock(), Pulse()
    beat(run, clock, ahead_s=ahead_s, file_ahead_s=ahead_s)
    summarise(run, pulse, clock)
    for _ in range(3):
        clock.pass_time(5)
        beat(run, clock, ahead_s=ahead_s, file_ahead_s=ahead_s)
        assert summarise(run, pulse, clock).state == "running"
    clock.pass_time(60)
    assert summarise(run, pulse, clock).state == "quiet"
    clock.pass_time(61)
    assert summarise(run, pulse, clock).state == "lost"
    beat(run, clock, ahead_s=ahead_s, file_ahead_s=ahead_s)
    assert summarise(run, pulse, clock).state == "running"


def test_on_its_own_host_a_run_without_its_lock_is_lost_at_once(run):
    clock = SetClock()
    beat(run, clock, host=host_name())
    run.lock_path.touch()
    summary = summarise(run, None, clock)
    assert summary.state == "lost"
    assert not summary.is_live
    with RunLock(run.lock_path):
        assert summarise(run, None, clock).state == "running"


def test_a_copied_run_is_not_judged_by_a_lock_of_this_host(run):
    clock = SetClock()
    beat(run, clock)
    run.lock_path.touch()
    assert summarise(run, None, clock).state == "running"


def test_a_run_that_ends_between_two_looks_is_not_called_lost(run, monkeypatch):
    clock = SetClock()
    beat(run, clock, host=host_name())
    run.lock_path.touch()

    def ends_meanwhile(path):
        beat(run, clock, state="done", host=host_name())
        return False

    monkeypatch.setattr("cellmap_tui.jobs.liveness.is_locked", ends_meanwhile)
    assert summarise(run, None, clock).state == "done"
