"""Fixtures of the tests of jobs."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from cellmap_tui.errors import CellmapError
from cellmap_tui.jobs.listing import run_dirs
from cellmap_tui.jobs.lock import is_locked
from cellmap_tui.jobs.state import read_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def runs_root(tmp_path: Path) -> Iterator[Path]:
    """Give a runs root, and leave no job of it behind."""
    root = tmp_path / "runs"
    yield root
    for run in run_dirs(root) if root.is_dir() else []:
        try:
            state = read_state(run.state_path)
        except CellmapError:
            continue
        if state and state.pid and state.pid != os.getpid() and is_locked(run.lock_path):
            os.kill(state.pid, signal.SIGKILL)
