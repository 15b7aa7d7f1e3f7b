"""Two processes that train together get what one gets from the joined batches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cellmap_tui.learning.checkpoints import load_state
from cellmap_tui.learning.weights import load_file
from tests.learning.training_parts import run

CHILD = Path(__file__).with_name("rank_child.py")
CHANGES = {"optimizer": "SGD", "optimizer_kwargs": "{momentum=0.9}", "learning_rate": "0.1", "precision": "fp32"}


def torchrun(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(CHILD),
        str(folder), *arguments,
    ]  # fmt: skip
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=300)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("one")
    from tests.learning.rank_child import network

    run(folder, network=network(), batch_size="4", **CHANGES)
    return folder


def _worst(one: Path, two: Path) -> float:
    first, second = (load_file(folder / "checkpoints" / "small_3.pth") for folder in (one, two))
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.slow
def test_two_processes_equal_one_to_a_millionth(tmp_path, one):
    done = torchrun(tmp_path, "2")
    assert done.returncode == 0, done.stderr[-3000:]
    assert _worst(one, tmp_path) < 1e-6
    assert load_state(tmp_path / "checkpoints" / "small_3.state")["ranks"] == 2
    assert done.stdout.count("epoch 3") == 1


@pytest.mark.slow
def test_a_stop_of_the_first_process_stops_both_and_both_go_on(tmp_path, one):
    stopped = torchrun(tmp_path, "2", "stop")
    assert stopped.stdout.count("Stopped") == 2, stopped.stderr[-3000:]
    assert (tmp_path / "checkpoints" / "small_now.state").is_file()
    done = torchrun(tmp_path, "2", "resume")
    assert done.returncode == 0, done.stderr[-3000:]
    assert _worst(one, tmp_path) < 1e-6
