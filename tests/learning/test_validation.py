"""Validation counts every known voxel of the validation crops once; limits leave a fixed part."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from cellmap_tui.errors import DataError, MissingDataError, Stopped
from cellmap_tui.learning.codebook import decode
from cellmap_tui.learning.loss_build import MaskedLoss
from cellmap_tui.learning.loss_criterion import CriterionLoss
from cellmap_tui.learning.losses import LossSpec, masked_loss
from cellmap_tui.learning.model_card import ModelCard
from cellmap_tui.learning.predictor import Predictor
from cellmap_tui.learning.samples import is_sample_epoch, read_sample
from cellmap_tui.learning.train_listener import ValidationCall
from cellmap_tui.learning.validation import Limit, validate
from cellmap_tui.learning.validator import LIMIT_NAME, Validator, ValidatorRules
from tests.learning.synthetic_bank import bank_of, crop_of, random_bank

torch.set_num_threads(1)


def card_of(bank, dimensions=3, edge=16) -> ModelCard:
    return ModelCard(
        architecture="x", columns=bank.columns, dimensions=dimensions,
        shape=(edge,) * 3 if dimensions == 3 else (1, edge, edge), voxel_size_nm=bank.voxel_size_nm,
    )  # fmt: skip


def validated_bank(**options):
    bank = random_bank(**options)
    return dataclasses.replace(bank, crops=tuple(dataclasses.replace(c, usage="validate") for c in bank.crops))


def pointwise(dimensions=3) -> torch.nn.Module:
    """Return a network whose answer is known at every voxel: no grey value lies on the threshold."""
    net = (torch.nn.Conv3d if dimensions == 3 else torch.nn.Conv2d)(1, 2, 1)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([3.0, -2.0]).view_as(net.weight))
        net.bias.copy_(torch.tensor([-1.001, 1.001]))
    return net


def known(bank):
    """Yield states and probabilities of each crop, both ``[columns, z, y, x]``."""
    for crop in bank.crops:
        z, y, x = (slice(c, n - c) for c, n in zip(crop.context_voxels, crop.em.shape, strict=True))
        grey = crop.em[z, y, x] / 255
        logits = np.stack([3 * grey - 1.001, -2 * grey + 1.001])
        yield decode(crop.codes, bank.book, crop.first_code), logits


def expected_counts(bank) -> np.ndarray:
    rows = []
    for states, logits in known(bank):
        hit, on, k = logits >= 0, states == 1, states != 255
        rows.append([[(hit & on)[c].sum(), (hit & k)[c].sum(), on[c].sum(), k[c].sum()] for c in range(2)])
    return np.array(rows)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("voxels", [(8.0, 8.0, 8.0), (40.0, 8.0, 8.0)])
def test_every_known_voxel_counts_once_and_unknown_ones_never(dimensions, voxels):
    bank = validated_bank(voxel_size_nm=voxels)
    found = validate(Predictor(pointwise(dimensions), card_of(bank, dimensions)), bank)
    np.testing.assert_array_equal(found.counts, expected_counts(bank))
    assert found.crops == ("demo/crop1", "demo/crop2")
    assert found.tiles == found.all_tiles > 0


@pytest.mark.parametrize("kind", ["bce", "dice", "dice_bce", "focal", "tversky"])
def test_the_loss_is_that_of_training_over_all_crops_as_one(kind):
    bank = validated_bank(shapes=((20, 20, 20),))
    loss = MaskedLoss(LossSpec(kind), torch.tensor([2.0, 0.5]))
    found = validate(Predictor(pointwise(), card_of(bank)), bank, loss=loss)
    states, logits = next(known(bank))
    expected = masked_loss(
        torch.from_numpy(logits[None]).float(), torch.from_numpy(states[None].copy()), loss.spec,
        pos_weight=loss.pos_weight,
    )  # fmt: skip
    assert found.loss == pytest.approx(float(expected.loss), rel=1e-5)
    np.testing.assert_allclose(found.loss_by_column, expected.by_column.numpy(), rtol=1e-5)


def test_a_criterion_of_ones_own_is_averaged_over_known_voxels():
    bank = validated_bank()
    criterion = CriterionLoss(torch.nn.BCEWithLogitsLoss(reduction="none"))
    own = validate(Predictor(pointwise(), card_of(bank)), bank, loss=criterion)
    total, voxels = 0.0, 0
    for states, logits in known(bank):
        entropy = np.logaddexp(0, logits) - logits * (states == 1)
        total, voxels = total + entropy[states != 255].sum(), voxels + (states != 255).sum()
    # Its mean over blocks weighs each by its known voxels; per class it is balanced within a block only.
    assert own.loss == pytest.approx(total / voxels, rel=0.02)


def test_metrics_follow_from_the_counts_and_classes_that_are_not_there_have_none():
    codes = np.ones((16, 16, 16), np.uint8)
    codes[:8] = 2
    em = np.full((16, 16, 16), 60, np.uint8)
    em[:12] = 200
    bank = bank_of(crop_of(em, codes, usage="validate"))
    found = validate(Predictor(pointwise(), card_of(bank)), bank)
    values = found.values()
    assert values["val/dice/mito"] == pytest.approx(2 * 8 / (12 + 8))
    assert values["val/iou/mito"] == pytest.approx(8 / 12)
    assert values["val/precision/mito"] == pytest.approx(8 / 12)
    assert values["val/recall/mito"] == 1
    assert math.isnan(values["val/dice/nuc"])
    assert values["val/dice"] == values["val/dice/mito"]
    assert found.not_measured() == ("nuc",)


def test_a_class_that_is_there_and_never_found_counts_as_nothing():
    codes = np.full((16, 16, 16), 3, np.uint8)
    bank = bank_of(crop_of(np.full((16, 16, 16), 255, np.uint8), codes, usage="validate"))
    values = validate(Predictor(pointwise(), card_of(bank)), bank).values()
    assert [values[f"val/{name}/nuc"] for name in ("dice", "iou", "precision", "recall")] == [0, 0, 0, 0]


def test_the_mean_leaves_cores_out():
    bank = validated_bank()
    found = validate(Predictor(pointwise(), card_of(bank)), bank)
    renamed = dataclasses.replace(found, columns=("mito", "mito/core"))
    assert renamed.mean("dice") == pytest.approx(found.metric("dice")[0])


def test_voxels_without_em_count_as_unknown_if_asked():
    bank = validated_bank(shapes=((20, 20, 20),), context=0)
    valid = np.ones((20, 20, 20), bool)
    valid[:, :, :5] = False
    bank = dataclasses.replace(bank, crops=(dataclasses.replace(bank.crops[0], em_valid=valid),))
    predictor = Predictor(pointwise(), card_of(bank))
    kept = validate(predictor, bank).counts[0, :, 3]
    everything = validate(predictor, bank, ignore_padding=False).counts[0, :, 3]
    states = next(known(bank))[0]
    np.testing.assert_array_equal(kept, [(states[c] != 255)[valid].sum() for c in range(2)])
    assert (kept < everything).all()


def test_nothing_to_validate_on_is_said():
    with pytest.raises(MissingDataError, match="validat"):
        validate(Predictor(pointwise(), card_of(random_bank())), random_bank())


def test_a_limit_of_batches_leaves_the_same_tiles_every_time():
    bank = validated_bank()
    limit = Limit(batches=3, seed=5)
    predictor = Predictor(pointwise(), card_of(bank), batch_size=4)
    first, second = (validate(predictor, bank, limit=limit) for _ in range(2))
    np.testing.assert_array_equal(first.counts, second.counts)
    assert first.tiles == 12 < first.all_tiles
    assert 0 < first.counts[..., 3].sum() < expected_counts(bank)[..., 3].sum()
    other = validate(predictor, bank, limit=Limit(batches=3, seed=6))
    assert not np.array_equal(first.counts, other.counts)


def test_tiles_predicted_alone_count_each_voxel_once_in_each_slicing_direction():
    bank = validated_bank()
    predictor = Predictor(pointwise(), card_of(bank), batch_size=4)
    everything = validate(predictor, bank, limit=Limit(tiles=10_000, is_decided=True))
    np.testing.assert_array_equal(everything.counts, expected_counts(bank))


def test_a_limit_above_the_need_changes_nothing():
    bank = validated_bank()
    limit = Limit(batches=1000, seconds=1e6)
    found = validate(Predictor(pointwise(), card_of(bank)), bank, limit=limit)
    assert limit.is_decided
    assert limit.tiles is None
    np.testing.assert_array_equal(found.counts, expected_counts(bank))


def test_a_limit_of_time_is_decided_once():
    bank = validated_bank()
    limit = Limit(seconds=1e-9)
    predictor = Predictor(pointwise(), card_of(bank), batch_size=2)
    found = validate(predictor, bank, limit=limit)
    assert limit.tiles == found.tiles == 2
    limit.seconds = 1e6
    assert validate(predictor, bank, limit=limit).tiles == 2


def call_of(folder, net=None, epoch=1, checkpoint=lambda: None) -> ValidationCall:
    autocast = torch.autocast("cpu", enabled=False)
    return ValidationCall(
        pointwise() if net is None else net, torch.device("cpu"), autocast, epoch, 10 * epoch, folder, checkpoint
    )


def test_a_validator_tells_how_many_tiles_are_done(tmp_path):
    bank, told = validated_bank(), []
    call = dataclasses.replace(call_of(tmp_path), progress=lambda *progress: told.append(progress))
    validator = Validator(bank, card_of(bank), ValidatorRules(batch_size=1))
    tiles = validator(call)["val/tiles"]
    assert {unit for _, _, unit in told} == {"validation tiles"}
    assert [done for done, _, _ in told] == list(range(int(tiles) + 1))
    assert {total for _, total, _ in told} == {tiles}


def test_a_validator_under_a_limit_tells_how_many_slices_are_done_after_its_last_tile(tmp_path):
    bank, told = validated_bank(), []
    call = dataclasses.replace(call_of(tmp_path), progress=lambda *progress: told.append(progress))
    validator = Validator(bank, card_of(bank), ValidatorRules(batch_limit=1))
    validator(call)
    last_tile = max(place for place, (_, _, unit) in enumerate(told) if unit == "validation tiles")
    cut = len(validator.samples)
    assert told[last_tile + 1 :] == [(done, cut, "example slices") for done in range(cut)]


def test_a_validator_tells_values_by_names_of_events_and_keeps_slices(tmp_path):
    bank = validated_bank()
    validator = Validator(bank, card_of(bank), ValidatorRules(epochs=100))
    values = validator(call_of(tmp_path))
    assert {"val/loss", "val/dice", "val/dice/mito", "val/recall/nuc", "val/loss/nuc", "val/seconds"} <= set(values)
    names = sorted(path.name for path in (tmp_path / "samples" / "epoch_00001").iterdir())
    assert names == [f"demo_crop{n}_{axis}.npz" for n in (1, 2) for axis in "xyz"]
    assert sorted(path.name for path in validator.samples) == names
    validator(call_of(tmp_path, epoch=2))
    assert not (tmp_path / "samples" / "epoch_00002").exists()
    assert validator.samples == ()


@pytest.mark.parametrize("batch_limit", [None, 1])
def test_a_slice_holds_raw_truth_and_probability_of_its_voxels(tmp_path, batch_limit):
    bank = validated_bank()
    Validator(bank, card_of(bank), ValidatorRules(batch_limit=batch_limit))(call_of(tmp_path))
    for path in (tmp_path / "samples" / "epoch_00001").iterdir():
        kept = read_sample(path)
        number = int(kept.ref[-1]) - 1
        states, logits = list(known(bank))[number]
        axis = "zyx".index(kept.axis)
        index = kept.position[axis]
        np.testing.assert_array_equal(kept.truth, np.take(states, index, axis + 1))
        probability = 255 / (1 + np.exp(-np.take(logits, index, axis + 1)))
        np.testing.assert_allclose(kept.probability, probability, atol=0.51)
        assert kept.names == bank.columns
        assert (kept.epoch, kept.step, kept.voxel_size_nm) == (1, 10, bank.voxel_size_nm)
        assert (kept.truth == 1).any()


def test_slices_are_the_same_at_every_epoch(tmp_path):
    bank = validated_bank()
    for epoch in (1, 2):
        Validator(bank, card_of(bank), ValidatorRules(epochs=2))(call_of(tmp_path, epoch=epoch))
    first, second = (
        [read_sample(p) for p in sorted((tmp_path / "samples" / f"epoch_0000{e}").iterdir())] for e in (1, 2)
    )
    assert [(s.ref, s.axis, s.position) for s in first] == [(s.ref, s.axis, s.position) for s in second]


def test_a_damaged_slice_is_named(tmp_path):
    bank = validated_bank()
    Validator(bank, card_of(bank), ValidatorRules())(call_of(tmp_path))
    path = next((tmp_path / "samples" / "epoch_00001").iterdir())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=path.name):
        read_sample(path)
    with pytest.raises(DataError):
        read_sample(tmp_path / "none.npz")


def test_few_epochs_of_a_long_training_leave_slices():
    assert [epoch for epoch in range(1, 6) if is_sample_epoch(epoch, 5)] == [1, 2, 3, 4, 5]
    assert sum(is_sample_epoch(epoch, 1000) for epoch in range(1, 1001)) == 21


def test_what_a_limit_of_time_allowed_is_kept_for_a_resumed_run(tmp_path):
    bank = validated_bank()
    rules = ValidatorRules(batch_size=2, time_limit_s=1e-9, sample_count=0)
    first = Validator(bank, card_of(bank), rules)
    first(call_of(tmp_path))
    kept = json.loads((tmp_path / LIMIT_NAME).read_text())
    assert kept["tiles"] == 2
    (tmp_path / LIMIT_NAME).write_text(json.dumps(kept | {"tiles": 6}))
    resumed = Validator(bank, card_of(bank), rules)
    resumed(call_of(tmp_path))
    assert resumed.last.tiles == 6
    changed = Validator(bank, card_of(bank), dataclasses.replace(rules, time_limit_s=1e6))
    changed(call_of(tmp_path))
    assert changed.last.tiles == changed.last.all_tiles


def test_a_scorer_sees_every_voxel_of_every_crop_even_under_a_limit(tmp_path):
    bank = validated_bank()

    class Scorer:
        def __init__(self):
            self.seen, self.ended = {}, []

        def block(self, reader, box, probabilities):
            seen = self.seen.setdefault(reader.crop.ref, np.zeros(reader.shape, int))
            seen[box.slices] += 1
            assert probabilities.shape == (2, *box.shape)

        def crop_ended(self, reader):
            self.ended.append(reader.crop.ref)

        def values(self):
            return {"val/score": 0.25}

    for limit in (None, 1):
        scorer = Scorer()
        rules = ValidatorRules(batch_limit=limit, sample_count=0)
        validator = Validator(bank, card_of(bank), rules, scorer=lambda epoch, s=scorer: s if epoch == 2 else None)
        assert "val/score" not in validator(call_of(tmp_path))
        assert validator(call_of(tmp_path, epoch=2))["val/score"] == 0.25
        assert all((seen == 1).all() for seen in scorer.seen.values())
        assert scorer.ended == ["demo/crop1", "demo/crop2"]


def test_a_stop_ends_a_validation_between_tiles(tmp_path):
    bank = validated_bank()
    calls = []

    def stop():
        calls.append(1)
        if len(calls) == 3:
            raise Stopped("stopped by a test")

    with pytest.raises(Stopped):
        Validator(bank, card_of(bank))(call_of(tmp_path, checkpoint=stop))
    assert len(calls) == 3
