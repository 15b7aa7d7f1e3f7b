"""Interrupted and resumed equals uninterrupted, bit by bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cellmap_tui.errors import DataError, Stopped
from cellmap_tui.learning import train_asks
from tests.learning.training_parts import Heard, Small, asks, end_of, run

CHILD = Path(__file__).with_name("train_child.py")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(train_asks, "POLL_S", 0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    run(folder, scheduler="cosine")
    return end_of(folder)


@pytest.mark.parametrize("steps", [2, 4, 6, 8, 14, 16])
def test_a_run_that_was_stopped_within_an_epoch_ends_with_the_same_bits(tmp_path, whole, steps):
    with pytest.raises(Stopped):
        run(tmp_path, Heard(raises=(steps, Stopped("stop"))))
    heard = Heard()
    outcome = run(tmp_path, heard, resume=True)
    assert outcome.step == 18
    assert len(heard.records) == 18 - steps
    assert end_of(tmp_path) == whole
    assert not (tmp_path / "checkpoints" / "small_now.state").exists()


@pytest.mark.parametrize("steps", [7, 9, 13, 17])
def test_a_run_that_broke_off_without_a_word_ends_with_the_same_bits(tmp_path, whole, steps):
    class BrokenOffError(Exception):
        pass

    class Breaks(Heard):
        def step(self, record):
            super().step(record)
            if len(self.records) == steps:
                raise BrokenOffError

    with pytest.raises(BrokenOffError):
        run(tmp_path, Breaks())
    heard = Heard()
    run(tmp_path, heard, resume=True)
    assert heard.records[0].step == steps // 6 * 6 + 1
    assert end_of(tmp_path) == whole


def test_a_run_that_broke_off_in_a_validation_validates_first_and_ends_with_the_same_bits(tmp_path, whole):
    def breaks(call):
        if call.epoch == 2:
            raise KeyboardInterrupt
        return {"val/dice": 0.5}

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, validate=breaks)
    heard = Heard()
    run(tmp_path, heard, resume=True)
    assert [epoch for epoch, *_ in heard.validations] == [2, 3]
    assert heard.validations[0][1] == 12
    assert end_of(tmp_path) == whole


@pytest.mark.parametrize(
    ("scheduler", "options"),
    [
        ("poly", "{}"),
        ("OneCycleLR", "{}"),
        ("CosineAnnealingLR", "{}"),
        ("ReduceLROnPlateau", "{patience=0,factor=0.3}"),
    ],
)
def test_schedulers_go_on_where_they_were(tmp_path, scheduler, options):
    changes = {"scheduler": scheduler, "scheduler_kwargs": options, "epochs": "5", "warmup_epochs": "1"}
    worse = {"validate": lambda call: {"val/dice": 1 / (1 + call.epoch)}}
    plain = Heard()
    run(tmp_path / "whole", plain, **changes, **worse)
    first, rest = Heard(raises=(16, Stopped("stop"))), Heard()
    with pytest.raises(Stopped):
        run(tmp_path / "cut", first, **changes, **worse)
    run(tmp_path / "cut", rest, resume=True, **changes, **worse)
    rates = [record.lr for record in first.records + rest.records]
    assert rates == [record.lr for record in plain.records]
    assert len(set(rates)) > 3
    assert end_of(tmp_path / "cut", 5) == end_of(tmp_path / "whole", 5)


@pytest.mark.parametrize("kind", ["AdamW", "RAdam", "SGD"])
def test_without_averaging_and_accumulation_the_bits_are_the_same_too(tmp_path, kind):
    changes = {"optimizer": kind, "ema_decay": "none", "gradient_accumulation_steps": "1", "optimizer_kwargs": "{}"}
    run(tmp_path / "whole", **changes)
    with pytest.raises(Stopped):
        run(tmp_path / "cut", Heard(raises=(9, Stopped("stop"))), **changes)
    run(tmp_path / "cut", resume=True, **changes)
    names = [f"checkpoints/small_3{end}" for end in (".pth", ".state")]
    from cellmap_tui.learning.weights import load_file
    from tests.learning.training_parts import digest

    for name in names:
        assert digest(load_file(tmp_path / "cut" / name)) == digest(load_file(tmp_path / "whole" / name))


def test_a_changed_step_size_is_remembered(tmp_path):
    with pytest.raises(Stopped):
        run(tmp_path, Heard(asks={2: asks("lr", 0.5)}, raises=(8, Stopped("stop"))), scheduler="constant")
    heard = Heard()
    run(tmp_path, heard, resume=True, scheduler="constant")
    largest = max(record.lr for record in heard.records)
    assert largest > 0.5


def test_a_checkpoint_that_was_cut_short_is_told_and_the_one_before_it_taken(tmp_path):
    run(tmp_path, epochs="2", scheduler="constant")
    state = tmp_path / "checkpoints" / "small_2.state"
    state.write_bytes(state.read_bytes()[:-700])
    heard = Heard()
    run(tmp_path, heard, resume=True, epochs="2", scheduler="constant")
    assert any("small_2.state is cut short" in warning for warning in heard.warnings)
    assert [epoch for epoch, *_ in heard.validations] == [2]
    assert heard.records[0].step == 7


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    run(tmp_path, epochs="1", warmup_epochs="0")
    with pytest.raises(DataError, match="another network"):
        run(tmp_path, resume=True, network=Small(norm=False))


def test_a_run_that_is_done_is_done(tmp_path, whole):
    run(tmp_path)
    heard = Heard()
    outcome = run(tmp_path, heard, resume=True)
    assert (outcome.ending, outcome.step, heard.records) == ("finished", 18, [])
    assert end_of(tmp_path) == whole


def test_more_epochs_can_be_asked_of_a_run_that_is_done(tmp_path):
    run(tmp_path, epochs="1", warmup_epochs="0")
    assert run(tmp_path, epochs="2", resume=True).step == 12


@pytest.mark.slow
@pytest.mark.parametrize("steps", [9, 15])
def test_a_process_that_is_killed_in_mid_epoch_and_resumed_gets_the_same_bits(tmp_path, whole, steps):
    command = [sys.executable, str(CHILD), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment()) as child:
        for line in child.stdout:
            if line.split() == ["step", str(steps)]:
                child.send_signal(signal.SIGKILL)
                break
        child.stdout.read()
    assert child.returncode == -signal.SIGKILL
    done = subprocess.run([*command, "resume"], check=True, capture_output=True, text=True, env=_environment())
    assert done.stdout.split("\n")[0] == f"step {steps // 6 * 6 + 1}"
    assert end_of(tmp_path) == whole


def _environment():
    root = Path(__file__).parents[2]
    return os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
