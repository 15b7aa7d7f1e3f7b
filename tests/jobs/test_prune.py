"""Only what is over goes, and nothing outside the runs root."""

from __future__ import annotations

import time

import pytest

from cellmap_tui.jobs.execute import execute
from cellmap_tui.jobs.lock import RunLock
from cellmap_tui.jobs.runs import prune, prune_plan, requeue, show_run
from cellmap_tui.jobs.state import RunState, write_state
from tests.jobs.helpers import kill_job, queued_count, waiting_job
from tests.jobs.work import TEST_COMMANDS


def done_run(root):
    run = queued_count(root)
    execute(run, commands=TEST_COMMANDS)
    return run


def planned(root, **options):
    return {run.run_id for run in prune_plan(root, **options).runs}


def test_ended_runs_go_with_their_size_and_living_ones_stay(runs_root):
    done = done_run(runs_root)
    (done.path / "checkpoints").mkdir()
    (done.path / "checkpoints" / "best.pt").write_bytes(b"x" * 10_000)
    live, _, until = waiting_job(runs_root)
    queued = queued_count(runs_root)
    plan = prune_plan(runs_root)
    assert [run.run_id for run in plan.runs] == [done.run_id]
    assert plan.kept == 2
    assert plan.size_bytes > 10_000
    assert plan.size_bytes == show_run(done).size_bytes
    result = prune(plan)
    assert (result.removed, result.freed_bytes, result.failed) == ((done.run_id,), plan.size_bytes, ())
    assert {path.name for path in runs_root.iterdir()} == {live.run_id, queued.run_id}
    until.touch()


def test_a_job_that_died_here_goes_and_one_that_may_live_elsewhere_stays(runs_root):
    dead, pid, _ = waiting_job(runs_root)
    kill_job(dead, pid)
    away = queued_count(runs_root)
    write_state(away.state_path, RunState("running", host="gpu-07", heartbeat_s=1.0))
    assert planned(runs_root) == {dead.run_id}


def test_a_plan_can_be_narrowed(runs_root):
    runs = [done_run(runs_root) for _ in range(3)]
    assert planned(runs_root, run_ids={runs[0].run_id}) == {runs[0].run_id}
    assert planned(runs_root, states={"failed"}) == set()
    assert planned(runs_root, older_than_s=3600) == set()
    newest = max(runs, key=lambda run: (show_run(run).created_s, run.run_id))
    assert planned(runs_root, keep=1) == {run.run_id for run in runs} - {newest.run_id}


def test_a_run_that_comes_to_life_after_the_plan_stays(runs_root):
    run, other = done_run(runs_root), done_run(runs_root)
    write_state(run.state_path, RunState("stopped", heartbeat_s=time.time()))
    (run.events_path).unlink()
    plan = prune_plan(runs_root)
    requeue(run)
    result = prune(plan)
    assert result.removed == (other.run_id,)
    assert result.failed == ((run.run_id, f"run {run.run_id} is not over any more"),)
    assert run.path.is_dir()


def test_a_run_whose_lock_is_held_stays(runs_root):
    run = done_run(runs_root)
    plan = prune_plan(runs_root)
    with RunLock(run.lock_path):
        result = prune(plan)
    assert result.removed == ()
    assert "already running" in result.failed[0][1]
    assert run.request_path.exists()


def test_a_run_of_which_nothing_can_be_read_goes_only_when_it_is_named(runs_root):
    run = done_run(runs_root)
    for path in (run.request_path, run.events_path):
        path.unlink()
    run.state_path.write_bytes(b"\0")
    assert planned(runs_root) == set()
    plan = prune_plan(runs_root, run_ids={run.run_id})
    assert [chosen.state for chosen in plan.runs] == ["unreadable"]
    assert prune(plan).removed == (run.run_id,)


def test_links_are_not_followed(runs_root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("data")
    run = done_run(runs_root)
    (run.path / "link").symlink_to(outside)
    elsewhere = done_run(tmp_path / "elsewhere")
    (runs_root / "20250101T000000Z-demo-aaaa11").symlink_to(elsewhere.path)
    result = prune(prune_plan(runs_root))
    assert result.removed == (run.run_id,)
    assert (outside / "precious").read_text() == "data"
    assert elsewhere.request_path.exists()


@pytest.mark.parametrize("name", ["..", "../elsewhere", "/etc"])
def test_a_plan_that_names_something_else_removes_nothing(runs_root, name):
    from dataclasses import replace

    run = done_run(runs_root)
    plan = prune_plan(runs_root)
    result = prune(replace(plan, runs=(replace(plan.runs[0], run_id=name),)))
    assert result.removed == ()
    assert run.path.is_dir()


def test_what_a_killed_prune_left_is_removed_by_the_next(runs_root):
    run = done_run(runs_root)
    run.path.rename(runs_root / f".pruned-{run.run_id}")
    prune(prune_plan(runs_root))
    assert list(runs_root.iterdir()) == []
