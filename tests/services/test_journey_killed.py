"""The demo's plan, killed at random moments and carried on: the same bytes in the end."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cellmap_tui.services.demo import DemoRequest, demo
from cellmap_tui.services.demo_journey import make_stand_in
from cellmap_tui.services.demo_root import DemoRoot
from cellmap_tui.services.journey import run_journey
from cellmap_tui.services.journey_model import JourneyRequest, JourneyResult
from cellmap_tui.services.journey_state import read_state, state_file
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.submissions import list_submissions

if TYPE_CHECKING:
    from pathlib import Path

MADE = ("mapped", "exported", "submission.zip", "counts.csv", "datasplit.csv", "fetched")
REMEMBERED = {".cellmap-tui"}
"""Folders of what the tool remembers: with times of requests, not part of what is made."""


def hashes(root: Path) -> dict[str, str]:
    files = [root / name for name in MADE if (root / name).is_file()]
    files += [path for name in MADE for path in (root / name).rglob("*") if path.is_file()]
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not REMEMBERED & set(path.parts)
    }


def scored_demo(root: Path) -> JourneyResult:
    """Make a demo and carry out its plan up to the first score."""
    result = demo(DemoRequest(root, size="tiny", make_only=True, user_data_root=root / "users"), SilentReporter())
    make_stand_in(DemoRoot(root), SilentReporter())
    request = JourneyRequest(result.plan, until="evaluate", state_dir=root / ".state")
    return run_journey(request, SilentReporter())


def start(plan: Path) -> subprocess.Popen[bytes]:
    runs = str(plan.parent / "runs")
    line = [sys.executable, "-m", "cellmap_tui", "--batch", "--runs-root", runs, "run", str(plan)]
    line += ["--until", "evaluate"]  # trainings have tests of their own, with kills of their own
    env = os.environ | {"CELLMAP_TUI_STATE_DIR": str(plan.parent / ".state"), "CELLMAP_TUI_DATA_ROOT": "nowhere"}
    return subprocess.Popen(line, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_plan_killed_at_random_moments_makes_the_same_bytes(tmp_path):
    root = tmp_path / "demo"
    result = scored_demo(root)
    whole = hashes(root)
    assert len(whole) > 100
    for name in (*MADE, ".state", "plan.state.json", "result.json", "result_extended.json"):
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    chance = random.Random(7)
    kills = 0
    for attempt in range(40):
        process = start(result.plan)
        try:
            code = process.wait(timeout=chance.uniform(0.4, 1.6) + attempt / 10 if attempt < 30 else 300)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        assert code == 0
        break
    assert kills >= 3
    assert len(read_state(state_file(result.plan)).done) == 9, "all up to the score"
    assert hashes(root) == whole


def test_the_score_of_a_packed_zip_is_noted_in_the_log(tmp_path):
    root = tmp_path / "demo"
    steps = {step.name: step.result for step in scored_demo(root).steps}
    (row,) = list_submissions(root / ".state")
    assert str(row.path) == steps["pack-results"]["zip"]
    assert [note.overall for note in row.scores] == [steps["evaluate"]["overall_score"]]
