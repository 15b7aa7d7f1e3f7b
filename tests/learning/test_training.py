"""What the loop does on its way: learn, accumulate, obey, validate, end, and give a reason when it cannot go on."""

from __future__ import annotations

import copy

import pytest
import torch

from cellmap_tui.errors import CellmapError, RequestError, Stopped
from cellmap_tui.learning import checkpoints, history, train_asks, train_step
from cellmap_tui.learning.checkpoints import CheckpointNotWrittenError
from cellmap_tui.learning.loss_watch import NotANumberError
from cellmap_tui.learning.train_step import OutOfMemoryError
from cellmap_tui.learning.weights import load_file
from tests.learning.training_parts import Heard, Small, asks, bright_bank, run


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(train_asks, "POLL_S", 0.0)


def test_a_small_network_learns_what_is_bright_and_what_is_dark(tmp_path):
    heard = Heard()
    outcome = run(tmp_path, heard, epochs="4", iterations_per_epoch="20", gradient_accumulation_steps="1")
    assert heard.validations[-1][2]["val/dice"] > 0.95
    assert outcome.best_score == max(values["val/dice"] for *_, values, _ in heard.validations)
    assert (outcome.ending, outcome.epoch, outcome.step) == ("finished", 4, 80)
    assert outcome.best.is_file()
    assert (tmp_path / "model.json").is_file()


def test_each_batch_is_told_with_what_it_took(tmp_path):
    heard = Heard()
    run(tmp_path, heard)
    assert [record.step for record in heard.records] == list(range(1, 19))
    assert [record.epoch for record in heard.records] == [1] * 6 + [2] * 6 + [3] * 6
    assert all(0 <= record.data_s <= record.step_s for record in heard.records)
    assert [record.grad_norm is None for record in heard.records] == [True, False] * 9
    assert all(record.by_column.shape == (2,) for record in heard.records)
    assert heard.epochs == [1, 2, 3]


def test_accumulated_batches_have_the_gradient_of_their_mean(tmp_path, monkeypatch):
    gradients = []
    plain = train_step.Learner._update

    def kept(self):
        gradients.append([part.grad.clone() for part in self._weights])
        return plain(self)

    monkeypatch.setattr(train_step.Learner, "_update", kept)
    options = {"epochs": "1", "warmup_epochs": "0", "iterations_per_epoch": "3", "max_grad_norm": "none"}
    still = {**options, "optimizer": "SGD", "optimizer_kwargs": "{}", "learning_rate": "1e-12"}
    torch.manual_seed(1)
    network = Small(drop=0.0, norm=False)
    run(tmp_path / "one", network=copy.deepcopy(network), **{**still, "gradient_accumulation_steps": "1"})
    single = gradients[:]
    gradients.clear()
    run(tmp_path / "two", network=copy.deepcopy(network), **{**still, "gradient_accumulation_steps": "2"})
    assert len(gradients) == 2
    for part, one, other in zip(gradients[0], single[0], single[1], strict=True):
        torch.testing.assert_close(part, (one + other) / 2, rtol=1e-4, atol=1e-7)
    for part, last in zip(gradients[1], single[2], strict=True):
        torch.testing.assert_close(part, last, rtol=1e-4, atol=1e-7)


def test_a_gradient_is_clipped_once_an_update_after_accumulation(tmp_path, monkeypatch):
    norms = []
    plain = torch.optim.SGD.step

    def kept(self, *arguments):
        parts = [part.grad for group in self.param_groups for part in group["params"]]
        norms.append(float(torch.nn.utils.get_total_norm(parts)))
        return plain(self, *arguments)

    monkeypatch.setattr(torch.optim.SGD, "step", kept)
    heard = Heard()
    run(tmp_path, heard, optimizer="SGD", optimizer_kwargs="{}", max_grad_norm="0.01", epochs="1", warmup_epochs="0")
    told = [float(record.grad_norm) for record in heard.records if record.grad_norm is not None]
    assert len(norms) == len(told) == 3
    assert all(norm == pytest.approx(min(0.01, before), rel=1e-3) for norm, before in zip(norms, told, strict=True))


class Narrow(Small):
    """Has memory for so many samples."""

    most = 1

    def forward(self, values):
        if len(values) > self.most and self.training:
            raise torch.OutOfMemoryError("out of memory")
        return super().forward(values)


def test_out_of_memory_halves_what_is_computed_at_a_time_and_learns_the_same(tmp_path):
    torch.manual_seed(1)
    network = Small(drop=0.0, norm=False)
    narrow = Narrow(drop=0.0, norm=False)
    narrow.load_state_dict(network.state_dict())
    plain, heard = Heard(), Heard()
    changes = {"epochs": "1", "warmup_epochs": "0", "loss": "bce"}
    run(tmp_path / "plain", plain, network=network, **changes)
    outcome = run(tmp_path / "narrow", heard, network=narrow, **changes)
    assert outcome.batch_parts == 4
    assert [warning.split(":")[0] for warning in heard.warnings] == [
        "out of memory on cpu with 4 patches at a time",
        "out of memory on cpu with 2 patches at a time",
    ]
    for one, other in zip(plain.records, heard.records, strict=True):
        assert float(one.loss) == pytest.approx(float(other.loss), rel=0.05)


def test_a_sample_that_does_not_fit_ends_training_and_says_so(tmp_path):
    narrow = Narrow()
    narrow.most = 0
    with pytest.raises(OutOfMemoryError, match="a single patch does not fit cpu"):
        run(tmp_path, network=narrow)


class Breaks(Small):
    """Answers no numbers after some calls."""

    def __init__(self, calls: int, value: float = float("nan")) -> None:
        super().__init__()
        self._calls, self._value = calls, value

    def forward(self, values):
        if self.training:
            self._calls -= 1
        answer = super().forward(values)
        return answer * self._value if self._calls < 0 else answer


def test_a_loss_that_is_no_number_ends_training_at_the_last_good_checkpoint(tmp_path):
    heard = Heard()
    with pytest.raises(NotANumberError, match=r"loss is nan at step 9 \(epoch 2\), on patches of demo/crop") as error:
        run(tmp_path, heard, network=Breaks(8))
    assert "small_1.pth" in error.value.message
    # Its gradients are clipped at 1 already.
    ways = "lower learning_rate, raise warmup_epochs (1) or set precision = fp32"
    assert error.value.remedy == f"{ways}; then resume"
    with pytest.raises(NotANumberError) as error:
        run(tmp_path / "free", network=Breaks(0), max_grad_norm="none", precision="fp32")
    assert error.value.remedy == "lower learning_rate or set max_grad_norm = 1; then resume"
    assert [path.name for path in sorted((tmp_path / "checkpoints").glob("small*"))] == [
        "small_1.pth",
        "small_1.state",
    ]
    assert all(part.isfinite().all() for part in load_file(tmp_path / "checkpoints" / "small_1.pth").values())


def test_weights_that_are_no_numbers_are_never_saved(tmp_path):
    class Poisons(Heard):
        def step(self, record):
            super().step(record)
            if record.step == 11:
                with torch.no_grad():
                    network.head.bias.fill_(float("nan"))

    network = Small()
    with pytest.raises(NotANumberError):
        run(tmp_path, Poisons(), network=network)
    assert not (tmp_path / "checkpoints" / "small_2.pth").exists()


def test_what_is_asked_is_done_and_answered(tmp_path):
    heard = Heard(asks={2: asks("checkpoint"), 4: asks("validate"), 8: asks("stop_after_epoch"), 10: asks("dance")})
    outcome = run(tmp_path, heard, scheduler="constant")
    assert (outcome.ending, outcome.epoch) == ("stop after epoch", 2)
    assert heard.files[0] == "small_now.pth"
    assert [(epoch, step) for epoch, step, *_ in heard.validations] == [(1, 4), (1, 6), (2, 12)]
    told = " ".join(heard.notes)
    assert "ann asked for a checkpoint" in told
    assert "ann asked for a validation" in told
    assert "ann asked to stop after this epoch" in told
    assert any("dance" in warning for warning in heard.warnings)
    assert len(history.read_history(tmp_path / "checkpoints" / "history.jsonl")) == 2


def test_a_step_size_that_is_asked_for_holds_from_the_next_update(tmp_path):
    heard = Heard(asks={8: asks("lr", 0.005)})
    run(tmp_path, heard, scheduler="constant")
    assert [record.lr for record in heard.records][6:10] == [0.02, 0.02, pytest.approx(0.005), pytest.approx(0.005)]


def test_hours_that_are_over_end_training_with_a_checkpoint(tmp_path, monkeypatch):
    outcome = run(tmp_path, max_hours="1e-9")
    assert (outcome.ending, outcome.step) == ("max hours", 0)
    clock = iter(range(0, 100_000, 500))
    monkeypatch.setattr(train_asks.time, "monotonic", lambda: float(next(clock)))
    outcome = run(tmp_path, max_hours="1.5", resume=True)
    assert outcome.ending == "max hours"
    assert 0 < outcome.step < 18
    monkeypatch.undo()
    assert run(tmp_path, resume=True).ending == "finished"


def test_training_ends_early_once_nothing_gets_better(tmp_path):
    heard = Heard()
    outcome = run(
        tmp_path,
        heard,
        epochs="9",
        early_stop="2",
        validate=lambda call: {"val/dice": 0.9 if call.epoch == 2 else 0.1},
    )
    assert (outcome.ending, outcome.epoch, outcome.best_epoch) == ("early stop", 4, 2)
    assert [is_best for *_, is_best in heard.validations] == [True, True, False, False]


def test_the_best_by_a_loss_is_the_lowest_and_is_kept(tmp_path):
    losses = {1: 0.5, 2: 0.2, 3: 0.4, 4: 0.6, 5: 0.3}
    outcome = run(
        tmp_path, epochs="5", best_metric="loss", validate=lambda call: {"val/loss": losses[call.epoch]},
        keep_checkpoints="{last=1,best=1,every=4}",
    )  # fmt: skip
    assert outcome.best_epoch == 2
    names = checkpoints.CheckpointNames(tmp_path / "checkpoints", "small_")
    assert names.epochs() == (2, 4, 5)
    assert checkpoints.find_checkpoint(tmp_path).epoch == 2
    assert checkpoints.find_checkpoint(tmp_path, "latest").epoch == 5


def test_validations_come_as_often_as_asked_and_after_the_last_epoch(tmp_path):
    heard = Heard()
    run(tmp_path, heard, epochs="5", val_every="3")
    assert [epoch for epoch, *_ in heard.validations] == [3, 5]


def test_crops_without_any_for_validation_train_all_the_same(tmp_path):
    bank = bright_bank()
    plain = type(bank)(bank.crops[:2], bank.columns, bank.book, bank.voxel_size_nm, bank.targets)
    outcome = run(tmp_path, bank=plain)
    assert (outcome.best, outcome.step) == (None, 18)


def test_validation_has_the_averaged_weights_in_evaluation_and_leaves_random_numbers_alone(tmp_path):
    seen = []

    def validate(call):
        torch.rand(7)
        seen.append((call.network.training, {n: p.clone() for n, p in call.network.state_dict().items()}))
        return {"val/dice": 0.1}

    run(tmp_path / "a", validate=validate, epochs="2")
    assert [training for training, _ in seen] == [False, False]
    saved = load_file(tmp_path / "a" / "checkpoints" / "small_2.pth")
    assert all(torch.equal(seen[1][1][name], part) for name, part in saved.items())
    run(tmp_path / "b", validate=lambda _call: {}, epochs="2")
    other = load_file(tmp_path / "b" / "checkpoints" / "small_2.pth")
    assert all(torch.equal(other[name], part) for name, part in saved.items())


def test_a_stop_in_a_validation_stops_and_the_epoch_is_kept(tmp_path):
    def validate(call):
        raise Stopped("stop")

    with pytest.raises(Stopped):
        run(tmp_path, validate=validate)
    assert run(tmp_path, resume=True).step == 18


def test_a_validation_tells_how_far_it_is_and_then_how_far_training_is(tmp_path):
    heard = Heard()
    run(tmp_path, heard, epochs="1", warmup_epochs="0")
    units = [unit for _, _, unit in heard.told]
    assert "validation tiles" in units
    assert heard.told[-1] == (1.0, 1, "epochs")


def test_a_stop_in_a_validation_leaves_how_far_training_is_as_the_last_word(tmp_path):
    def stops(call):
        call.progress(1, 7, "validation tiles")
        raise Stopped("stop")

    heard = Heard()
    with pytest.raises(Stopped):
        run(tmp_path, heard, validate=stops)
    assert heard.told[-2:] == [(1, 7, "validation tiles"), (1.0, 3, "epochs")]


def test_a_full_disk_is_told_once_and_ends_training_the_second_time(tmp_path, monkeypatch):
    heard = Heard()
    plain = checkpoints._write
    written = []

    def full(path, content):
        if "small_2" in path.name or "small_3" in path.name:
            raise OSError(28, "No space left on device")
        written.append(path.name)
        plain(path, content)

    monkeypatch.setattr(checkpoints, "_write", full)
    with pytest.raises(CheckpointNotWrittenError, match="No space left"):
        run(tmp_path, heard)
    assert any("training goes on" in warning for warning in heard.warnings)
    assert written == ["small_1.state", "small_1.pth"]
    monkeypatch.undo()
    assert run(tmp_path, resume=True).step == 18


def test_weights_of_another_run_can_be_started_from(tmp_path):
    run(tmp_path / "first", epochs="1", warmup_epochs="0")
    heard = Heard()
    run(tmp_path / "second", heard, init_from=tmp_path / "first", epochs="1", warmup_epochs="0")
    assert any("100.0% of the weights" in note for note in heard.notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer_kwargs": "{weight_decy=0.1}"}, "weight_decay"),
        ({"optimizer_kwargs": "{lr=0.1}"}, "learning_rate"),
        ({"optimizer_kwargs": "{weight_decay=-1}"}, "optimizer_kwargs"),
        ({"scheduler": "poly", "scheduler_kwargs": "{powr=1}"}, "power"),
        ({"scheduler": "StepLR", "scheduler_kwargs": "{steps=1}"}, "step_size"),
        ({"device": "cuda:7"}, "CUDA devices"),
        ({"precision": "fp16"}, "CPU"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_learned(tmp_path, changes, words):
    with pytest.raises(RequestError) as error:
        run(tmp_path, **changes)
    assert words in str(error.value)


def test_bfloat16_learns_on_a_cpu(tmp_path):
    heard = Heard()
    run(tmp_path, heard, precision="bf16", epochs="4", iterations_per_epoch="20", gradient_accumulation_steps="1")
    assert heard.validations[-1][2]["val/dice"] > 0.9


def test_a_device_that_vanishes_is_told_with_the_last_good_checkpoint(tmp_path):
    class Vanishes(Heard):
        def step(self, record):
            super().step(record)
            if record.step == 9:
                raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    with pytest.raises(CellmapError, match=r"stopped working at step 10 \(epoch 2\).*small_1.pth"):
        run(tmp_path, Vanishes())


@pytest.mark.parametrize("loss", ["bce", "dice", "focal", "tversky"])
def test_every_loss_trains(tmp_path, loss):
    heard = Heard()
    run(tmp_path, heard, loss=loss, epochs="1", warmup_epochs="0", weight_loss="true")
    assert all(record.loss.isfinite() for record in heard.records)


@pytest.mark.parametrize("backend_fails", [False, True])
def test_a_network_is_compiled_where_it_can_be_and_goes_on_where_not(tmp_path, monkeypatch, backend_fails):
    from torch._dynamo.exc import TorchDynamoException

    called = []

    def compiled(network):
        def call(values):
            called.append(len(values))
            if backend_fails:
                raise TorchDynamoException("no compiler")
            return network(values)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    heard = Heard()
    outcome = run(tmp_path, heard, compile="true")
    assert outcome.step == 18
    assert len(called) == (1 if backend_fails else 18)
    assert bool(heard.warnings) == backend_fails
