"""Job scripts: the run goes on through a requeue, and only the queue's own signal requeues it."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from cellmap_tui.errors import RequestError
from cellmap_tui.jobs.cluster import ClusterJob, render_job, write_job
from cellmap_tui.jobs.control import ask_stop
from cellmap_tui.jobs.rundir import create_run
from cellmap_tui.jobs.summary import summarise
from tests.jobs.helpers import WORKER, wait_until
from tests.jobs.work import WaitRequest


def a_job(run, **changes):
    values = {"kind": "slurm", "name": "a b", "gpus": 2, "processors": 16, "memory_bytes": 64 * 2**30, "hours": 24.5}
    return ClusterJob(run=run, **(values | changes))


@pytest.fixture
def queue(tmp_path):
    """A folder with a `scontrol` that notes what it is asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "scontrol").write_text(f'#!/bin/bash\necho "$@" >> {tmp_path}/asked.txt\n', encoding="utf-8")
    (folder / "scontrol").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "77"}


def started(run, tmp_path, queue, kind="slurm"):
    script = render_job(a_job(run.path, kind=kind), [*WORKER, str(run.path)], tmp_path)
    process = subprocess.Popen(
        ["bash", "-c", script], env=queue, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: summarise(run).state == "running")
    return process


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_the_signal_of_the_queue_stops_the_job_and_requeues_it(runs_root, tmp_path, queue, number):
    run = create_run(runs_root, "wait", WaitRequest(tmp_path / "never"), [])
    process = started(run, tmp_path, queue)
    process.send_signal(number)
    assert process.wait(600) == 0
    assert (tmp_path / "asked.txt").read_text(encoding="utf-8") == "requeue 77\n"
    assert summarise(run).state == "stopped"


def test_lsf_requeues_by_an_exit_code(runs_root, tmp_path, queue):
    run = create_run(runs_root, "wait", WaitRequest(tmp_path / "never"), [])
    process = started(run, tmp_path, queue, kind="lsf")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(600) == 99


def test_a_run_that_a_user_stops_is_not_requeued(runs_root, tmp_path, queue):
    run = create_run(runs_root, "wait", WaitRequest(tmp_path / "never"), [])
    process = started(run, tmp_path, queue)
    ask_stop(run, "ada@lab")
    assert process.wait(600) == 130
    assert not (tmp_path / "asked.txt").exists()


def test_scripts_ask_for_what_the_job_needs(tmp_path):
    slurm = render_job(a_job(tmp_path, queue="gpu", account="lab"))
    for line in ("job-name=cellmap-a-b", "gpus-per-node=2", "cpus-per-task=16", "mem=65536M", "time=24:30:00",
                 "signal=B:USR1@300", "requeue", "partition=gpu", "account=lab"):  # fmt: skip
        assert f"#SBATCH --{line}\n" in slurm
    lsf = render_job(a_job(tmp_path, kind="lsf", gpus=0))
    assert "#BSUB -W 24:30\n" in lsf
    assert "-gpu" not in lsf


def test_a_run_that_waits_in_a_queue_is_not_lost(runs_root, tmp_path, monkeypatch):
    run = create_run(runs_root, "wait", WaitRequest(tmp_path / "never"), [])
    write_job(a_job(run.path), "script")
    monkeypatch.setattr("cellmap_tui.jobs.summary.judged_state", lambda *_: "lost")
    assert summarise(run).state == "queued"


def test_what_cannot_stand_in_a_script_is_refused(tmp_path):
    with pytest.raises(RequestError, match="--queue"):
        a_job(tmp_path, queue="gpu; rm")
    with pytest.raises(RequestError, match="a space, a quote"):
        render_job(a_job(tmp_path / "my runs"))
    with pytest.raises(RequestError, match="--time"):
        a_job(tmp_path, hours=0)
