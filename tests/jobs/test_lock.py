"""The lock tells who lives, and looking at it harms nobody."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cellmap_tui.errors import RefusedError
from cellmap_tui.jobs.lock import RunLock, is_locked
from tests.jobs.helpers import is_locked_elsewhere, wait_until

HOLDER = """
import os, sys
from pathlib import Path
from cellmap_tui.jobs.lock import RunLock
with RunLock(Path(sys.argv[1])):
    if len(sys.argv) > 2 and os.fork() == 0:
        os.close(1)
        sys.stdin.read()
        os._exit(0)
    print("held", flush=True)
    sys.stdin.read()
"""


def held_elsewhere(path, *more):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_no_lock_file_tells_nothing(tmp_path):
    assert is_locked(tmp_path / "lock") is None


def test_a_lock_is_seen_by_others_and_by_its_own_process(tmp_path):
    path = tmp_path / "lock"
    with RunLock(path):
        assert is_locked(path) is True
        assert is_locked_elsewhere(path)
    assert is_locked(path) is False
    assert not is_locked_elsewhere(path)


def test_looking_at_ones_own_lock_does_not_drop_it(tmp_path):
    path = tmp_path / "lock"
    (tmp_path / "link").symlink_to(tmp_path)
    with RunLock(path):
        for _ in range(3):
            assert is_locked(path)
            assert is_locked(tmp_path / "link" / "lock")
        with pytest.raises(RefusedError), RunLock(path):
            pass
        assert is_locked_elsewhere(path)


def test_looking_does_not_take_the_lock(tmp_path):
    path = tmp_path / "lock"
    process = held_elsewhere(path)
    assert is_locked(path) is True
    with pytest.raises(RefusedError, match="already running"), RunLock(path):
        pass
    process.communicate(b"")
    assert is_locked(path) is False
    with RunLock(path):
        pass


def test_a_killed_holder_leaves_the_lock_free_also_when_a_child_of_it_lives_on(tmp_path):
    path = tmp_path / "lock"
    process = held_elsewhere(path, "with child")
    process.kill()
    process.wait()
    wait_until(lambda: is_locked(path) is False)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()


def test_a_lock_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(RefusedError, match="cannot lock"), RunLock(tmp_path / "nowhere" / "lock"):
        pass


def test_run_directories_can_be_read_where_there_are_no_posix_locks(tmp_path):
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "import pathlib, cellmap_tui.jobs.runs, cellmap_tui.jobs.watch, cellmap_tui.jobs.execute\n"
        "from cellmap_tui.jobs.lock import is_locked\n"
        "assert is_locked(pathlib.Path(sys.argv[1])) is None"
    )
    (tmp_path / "lock").touch()
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], check=True, env=os.environ, timeout=600)


def test_nothing_heavy_is_imported_with_the_jobs():
    code = (
        "import sys, cellmap_tui.jobs.runs, cellmap_tui.jobs.execute, cellmap_tui.jobs.watch\n"
        "heavy = {'numpy', 'zarr', 'torch', 'pandas', 'boto3', 'skimage', 'textual', 'rich', 'msgspec', 'argparse'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
