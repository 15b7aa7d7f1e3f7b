"""A job that died for want of memory is told so afterwards, with numbers; one that died otherwise is not."""

from __future__ import annotations

import os
import signal

import pytest

from cellmap_tui.jobs.death import memory_death
from cellmap_tui.jobs.rundir import RunDir
from cellmap_tui.jobs.summary import summarise
from cellmap_tui.services.telemetry_model import NAME, Machine, Reading, to_line
from tests.jobs.helpers import wait_until, waiting_job

GB = 10**9


@pytest.fixture
def run(tmp_path):
    run = RunDir(tmp_path / "20231114T221320Z-train-0a1b2c")
    run.path.mkdir()
    return run


def readings(run, *rows):
    (run.path / NAME).write_text("".join(to_line(row) + "\n" for row in rows), encoding="utf-8")


def machine(**changes):
    return Machine(1.0, "host", 7, memory_bytes=32 * GB, **changes)


def test_a_full_container_is_named_with_what_the_job_held(run):
    last = Reading(2.0, process_bytes=15 * GB, container_used_bytes=int(15.8 * GB), memory_available_bytes=9 * GB)
    readings(run, machine(container_limit_bytes=16 * GB), last)
    death = memory_death(run)
    assert death is not None
    assert death.message.endswith("the job held 15.0 G, 15.8 G of the container's 16.0 G were in use")
    assert "signal 9" in death.message
    assert "batch_size" in death.remedy


def test_a_machine_without_free_memory_is_named(run):
    readings(run, machine(), Reading(2.0, process_bytes=30 * GB, memory_available_bytes=10**8))
    death = memory_death(run)
    assert death is not None
    assert "100 M of 32.0 G were free" in death.message


def test_a_kill_that_the_system_counted_is_certain(run):
    room = {"memory_available_bytes": 9 * GB}
    readings(run, machine(), Reading(2.0, oom_kills=3, **room), Reading(3.0, oom_kills=4, **room))
    death = memory_death(run)
    assert death is not None
    assert death.message.startswith("the system killed the job for want of memory")


def test_bad_alloc_in_the_log_needs_no_readings(run):
    run.log_path.write_bytes(b"terminate called after throwing an instance of 'std::bad_alloc'\n  what(): \xff\n")
    death = memory_death(run)
    assert death is not None
    assert "std::bad_alloc" in death.message


def test_nothing_is_made_up_where_nothing_speaks_for_it(run):
    assert memory_death(run) is None
    readings(run, machine(), Reading(2.0, process_bytes=GB, memory_available_bytes=20 * GB))
    assert memory_death(run) is None


def test_a_job_that_is_killed_with_full_memory_is_explained_where_it_is_shown_as_lost(runs_root):
    run, pid, _ = waiting_job(runs_root)
    readings(run, machine(), Reading(2.0, process_bytes=30 * GB, memory_available_bytes=10**8))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: summarise(run).state == "lost")
    summary = summarise(run)
    assert summary.message is not None
    assert "for want of memory" in summary.message
    assert run.run_id in (summary.remedy or "")
