"""Runs are listed, found by what people type, and damaged ones do not spoil the list."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from cellmap_tui.errors import DataError, UnknownNameError
from cellmap_tui.jobs.execute import execute
from cellmap_tui.jobs.listing import RunIndex, find_run, list_runs
from cellmap_tui.jobs.lock import RunLock
from cellmap_tui.jobs.rundir import RunDir
from tests.jobs.helpers import queued_count
from tests.jobs.work import TEST_COMMANDS

NAMES = (
    "20250101T000000Z-demo-aaaa11",
    "20250102T000000Z-demo-aaaa22",
    "20250102T000000Z-import-bbbb33",
)


@pytest.fixture
def named(tmp_path):
    root = tmp_path / "runs"
    for number, name in enumerate(NAMES):
        (root / name).mkdir(parents=True)
        (root / name / "request.json").write_text(f'{{"v":1,"command":"demo","created":{1735689600 + number}}}')
    return root


def test_a_root_that_does_not_exist_has_no_runs(tmp_path):
    assert list_runs(tmp_path / "runs") == ()


def test_a_root_that_cannot_be_listed_is_told(tmp_path):
    root = tmp_path / "file"
    root.touch()
    with pytest.raises(DataError, match="runs root"):
        list_runs(root)


def test_runs_are_listed_newest_first(runs_root):
    made = [queued_count(runs_root) for _ in range(3)]
    assert {summary.run_id for summary in list_runs(runs_root)} == {run.run_id for run in made}
    created = [summary.created_s for summary in list_runs(runs_root)]
    assert created == sorted(created, reverse=True)


def test_damaged_runs_are_listed_with_the_reason_and_other_folders_are_not(named):
    empty = named / "20250103T000000Z-demo-cccc44"
    empty.mkdir()
    broken = named / "20250104T000000Z-demo-dddd55"
    broken.mkdir()
    (broken / "state.json").write_bytes(b"\0\0\0")
    (broken / "events.jsonl").mkdir()
    (named / "notes").mkdir()
    (named / ".hidden").mkdir()
    (named / "file.txt").touch()
    (named / "dangling").symlink_to(named / "nowhere")
    listed = {summary.run_id: summary for summary in list_runs(named)}
    assert set(listed) == {*NAMES, empty.name, broken.name}
    assert listed[empty.name].state == listed[broken.name].state == "unreadable"
    assert "is not JSON" in (listed[broken.name].problem or "")


@contextlib.contextmanager
def without_privileges():
    """Be a user whom file permissions bind, also where the tests run as root."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_run_that_may_not_be_looked_into_is_unreadable():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        run = queued_count(root)
        run.path.chmod(0)
        list_runs(root)  # what this imports may lie where only root may look
        with without_privileges():
            [summary] = list_runs(root)
        run.path.chmod(0o700)
    assert (summary.state, summary.command) == ("unreadable", "count")
    assert "Permission denied" in (summary.problem or "")


def test_what_has_ended_is_not_read_again_until_it_changes(runs_root, monkeypatch):
    done, queued = queued_count(runs_root), queued_count(runs_root)
    execute(done, commands=TEST_COMMANDS)
    index = RunIndex(runs_root)
    first = index.refresh()
    reads = []
    from cellmap_tui.jobs import listing

    real = listing.summarise
    monkeypatch.setattr(listing, "summarise", lambda run, pulse: reads.append(run.run_id) or real(run, pulse))
    assert [run.run_id for run in index.refresh()] == [run.run_id for run in first]
    assert reads == [queued.run_id]
    os.utime(done.state_path, (1, 1))
    index.refresh()
    assert sorted(reads[1:]) == sorted([done.run_id, queued.run_id])


def test_a_thousand_runs_are_listed_from_the_ends_of_their_logs(runs_root, monkeypatch):
    from cellmap_tui.jobs import summary as module

    run = queued_count(runs_root)
    with RunLock(run.lock_path), run.events_path.open("ab") as log:
        line = b'{"v":1,"time":1,"event":"note","message":"' + b"x" * 80 + b'"}\n'
        log.write(line * 20_000)
    sizes = []
    real = module.read_last_lines
    monkeypatch.setattr(module, "read_last_lines", lambda path, size: sizes.append(size) or real(path, size))
    list_runs(runs_root)
    assert max(sizes) <= 64 * 1024


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        (NAMES[0], NAMES[0]),
        ("20250101", NAMES[0]),
        ("20250102T000000Z-i", NAMES[2]),
        ("bbbb33", NAMES[2]),
        ("bb", NAMES[2]),
        ("aaaa2", NAMES[1]),
        ("import", NAMES[2]),
        ("latest", NAMES[2]),
    ],
)
def test_a_run_is_found_by_what_is_typed(named, ref, name):
    assert find_run(named, ref) == RunDir(named / name)


def test_a_run_elsewhere_is_found_by_its_path(named, tmp_path):
    assert find_run(tmp_path / "none", f"{named}/{NAMES[0]}").run_id == NAMES[0]


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("aaaa", r"fits 2 runs: .*aaaa11, .*aaaa22; give more"),
        ("2025", r"fits 3 runs"),
        ("aaaa23", r"no run 'aaaa23'; did you mean 20250102T000000Z-demo-aaaa22\?"),
        ("lattest", r"did you mean latest\?"),
        ("20250103T000000Z-demo-aaaa22", r"did you mean 20250102T000000Z-demo-aaaa22\?"),
        ("zzz", r"no run 'zzz'; list the runs"),
        ("", r"no run ''"),
        ("\x1b[31m", r"no run '·\[31m'"),
    ],
)
def test_what_fits_no_run_or_several_is_told_with_the_nearest(named, ref, says):
    with pytest.raises(UnknownNameError, match=says):
        find_run(named, ref)


def test_a_root_without_runs_says_so(tmp_path):
    with pytest.raises(UnknownNameError, match="there are no runs"):
        find_run(tmp_path, "latest")
