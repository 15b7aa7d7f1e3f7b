"""Training as a service: from a configuration to a run directory, and what a resumed run keeps and refuses."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch

from cellmap_tui.errors import MissingDataError, RefusedError, RequestError
from cellmap_tui.learning.config_read import read_config
from cellmap_tui.services import train_preflight
from cellmap_tui.services.models import from_json, to_json
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.telemetry_model import Reading, read_telemetry
from cellmap_tui.services.train import train
from cellmap_tui.services.train_model import TrainRequest, TrainResult
from cellmap_tui.services.train_prepare import absolute_sets
from cellmap_tui.services.train_score import _Alive
from tests.learning.bank_data import tree_hash
from tests.services.split_data import make_dataset

if TYPE_CHECKING:
    from pathlib import Path

CROPS = {1: {"mito": 0.5, "nuc": 0.25}, 2: {"mito": 0.25, "nuc": 0.5}, 3: {"mito": 0.25, "nuc": 0.25}}
CONFIG = """
classes = ["mito", "nuc"]
model_name = "basicunet"
model_kwargs = { features = [4, 4, 4, 4, 4, 4] }
input_array_info = { shape = [1, 32, 32], scale = [8, 8, 8] }
datasplit_path = "split.csv"
validation_prob = 0.3
epochs = 2
iterations_per_epoch = 3
batch_size = 2
workers = 1
device = "cpu"
"""


class Heard(SilentReporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.metrics: dict[str, float] = {}

    def note(self, message: str) -> None:
        self.said.append(message)

    def warning(self, message: str) -> None:
        self.said.append(message)

    def metric(self, step, values, epoch=None) -> None:
        self.metrics |= values


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def place(tmp_path):
    """Three small crops and a configuration."""
    make_dataset(tmp_path / "data", "own", CROPS)
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def asked(place: Path, *sets: str, **options) -> TrainRequest:
    values = {
        "config": place / "config.toml",
        "sets": sets,
        "data_root": place / "data",
        "state_dir": place / "state",
        "folder": place / "run",
    }
    return TrainRequest(**(values | options))


def weights(path: Path) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(torch.load(path, weights_only=True).items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def test_a_training_leaves_a_run_that_others_can_read(place):
    before, heard = tree_hash(place / "data" / "own" / "own.zarr"), Heard()
    result = train(asked(place), heard)
    assert (result.ended, result.epochs, result.steps) == ("epochs", 2, 6)
    assert result.last_checkpoint is not None
    assert result.last_checkpoint.name == "basicunet_2.pth"
    assert result.preflight.step_s is not None
    assert [row.name for row in result.preflight.classes] == ["mito", "nuc"]
    assert {"loss", "lr", "grad_norm", "val/dice", "val/dice/mito"} <= heard.metrics.keys()
    assert from_json(to_json(result), TrainResult, source="result") == result
    assert tree_hash(place / "data" / "own" / "own.zarr") == before
    run = place / "run"
    assert list(run.glob("tensorboard/basicunet/events.out.tfevents.*"))
    assert any(isinstance(row, Reading) for row in read_telemetry(run / "telemetry.jsonl"))
    kept = read_config(run / "config.toml", run_python=None)
    assert kept.checked().datasplit_path == run / "datasplit.csv"
    assert {path.name for path in run.iterdir()} >= {"targets.toml", "model.json", "samples", "checkpoints"}


def test_the_last_step_of_an_epoch_is_told_before_its_validation_begins(place):
    class Ordered(Heard):
        def metric(self, step, values, epoch=None) -> None:
            self.said += [f"step {step}"] if "loss" in values else []

        def progress(self, done, total, unit) -> None:
            self.said.append(unit)

    heard = Ordered()
    train(asked(place), heard)
    assert heard.said.index("step 3") < heard.said.index("validation tiles") < heard.said.index("step 4")


def test_going_on_with_more_epochs_ends_with_the_weights_of_an_uninterrupted_run(place):
    whole = train(asked(place, "epochs=3", "scheduler=none", "warmup_epochs=0", folder=place / "whole"), Heard())
    train(asked(place, "epochs=2", "scheduler=none", "warmup_epochs=0"), Heard())
    heard = Heard()
    # The file is another one by now; the run goes on with what it keeps.
    (place / "config.toml").write_text(CONFIG.replace("batch_size = 2", "batch_size = 1"), encoding="utf-8")
    resumed = train(asked(place, "epochs=3"), heard)
    assert any("epochs from 2 to 3" in said for said in heard.said)
    assert resumed.steps == 9
    assert resumed.last_checkpoint is not None
    assert whole.last_checkpoint is not None
    assert weights(resumed.last_checkpoint) == weights(whole.last_checkpoint)


def test_a_run_cannot_go_on_as_another_network(place):
    train(asked(place, "epochs=1"), Heard())
    with pytest.raises(RequestError, match="classes cannot change within a run"):
        train(asked(place, "classes=mito"), Heard())


def test_other_classes_begin_with_the_weights_of_a_run(place):
    train(asked(place, "epochs=1"), Heard())
    heard = Heard()
    train(asked(place, "epochs=1", "classes=nuc", init_from=place / "run", folder=place / "next"), heard)
    assert any("1 of 1 output channels taken over" in said for said in heard.said)


def test_a_look_alone_trains_and_writes_nothing(place):
    result = train(asked(place, dry_run=True), Heard())
    assert result.ended == "dry_run"
    assert result.preflight.eta_s is not None
    assert not (place / "split.csv").exists()
    assert not (place / "run" / "checkpoints").exists()
    assert not (place / "run" / "config.toml").exists()


def test_a_disk_too_small_for_the_checkpoints_is_refused_unless_forced(place, monkeypatch):
    little = SimpleNamespace(disk_usage=lambda _path: SimpleNamespace(free=1000))
    monkeypatch.setattr(train_preflight, "shutil", little)
    with pytest.raises(RefusedError, match="disk"):
        train(asked(place), Heard())
    assert train(asked(place, dry_run=True), Heard()).exit_code == 1


def test_a_typo_names_the_nearest_key_and_a_missing_split_what_makes_one(place):
    with pytest.raises(RequestError) as wrong:
        train(asked(place, "epoch=3"), Heard())
    assert "'epochs'" in wrong.value.remedy
    with pytest.raises(MissingDataError, match="no split"):
        train(asked(place, data_root=None), Heard())


def test_a_patch_that_the_network_cannot_learn_from_is_told_before_training(place):
    with pytest.raises(RequestError, match="cannot learn from a batch of 16×16 voxels"):
        train(asked(place, "input_array_info={shape=[1,16,16],scale=[8,8,8]}"), Heard())


def test_paths_of_the_command_line_mean_the_same_from_anywhere(tmp_path):
    sets = absolute_sets(("datasplit_path=my split.csv", "epochs=3", "targets_path=none"), tmp_path)
    assert sets == (f'datasplit_path="{tmp_path}/my split.csv"', "epochs=3", "targets_path=none")


@pytest.mark.slow
def test_two_processes_train_together_and_report_as_one(place):
    heard = Heard()
    result = train(asked(place, "epochs=1", "device=auto", devices=2), heard)
    assert (result.epochs, result.steps) == (1, 3)
    assert "val/dice" in heard.metrics
    assert any("as many processes share the processors" in said for said in heard.said)


def test_how_far_a_score_is_is_told_as_what_is_left_of_a_validation():
    told = []

    class Hears(SilentReporter):
        def progress(self, done, total, unit):
            told.append((done, total, unit))

    _Alive(Hears()).progress(1, 4, "pairs")
    assert told == [(1, 4, "pairs to score")]
