"""Feeding a loop: the same samples for any number of workers, within a budget, decoded exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.augment_values import DEFAULT_VALUES, GreyAugmentation
from cellmap_tui.learning.buffers import BufferPool
from cellmap_tui.learning.codebook import decode
from cellmap_tui.learning.config_arrays import ArrayInfo, SpatialTransforms, ValueTransform
from cellmap_tui.learning.decode import column_states, decode_states, float_targets, look_up_rows, to_unit
from cellmap_tui.learning.loader import PatchLoader
from cellmap_tui.learning.patch_plan import PatchRules
from cellmap_tui.learning.patch_source import PatchSource
from cellmap_tui.learning.peer_batch import to_peer_batch
from tests.learning.synthetic_bank import BOOK, bank_of, crop_of, random_bank

VOXEL = (8.0, 8.0, 8.0)
TURNS = SpatialTransforms(mirror=(("x", 0.5),), rotate=(("z", -180.0, 180.0), ("y", -30.0, 30.0)))


def loader_for(
    bank=None, shape=(12, 14, 16), *, spatial=TURNS, values=DEFAULT_VALUES, batch_size=3, batches=6, **options
):
    rules = PatchRules((ArrayInfo("raw", shape, VOXEL),), ArrayInfo("labels", shape, VOXEL), spatial=spatial)
    source = PatchSource(bank or random_bank(), rules, BufferPool(2**24), GreyAugmentation(values, 1))
    return PatchLoader(source, batch_size, batches, **options)


def everything(loader):
    return [(batch.raw.clone(), batch.states.clone(), [note.index for note in batch.notes]) for batch in loader]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_samples_and_their_order_are_the_same_for_any_number_of_workers(workers):
    for one, other in zip(everything(loader_for(workers=0)), everything(loader_for(workers=workers)), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
        assert one[2] == other[2]


def test_a_sample_is_the_same_in_any_batch_and_on_any_rank():
    alone = {}
    for raw, states, numbers in everything(loader_for(workers=0, batch_size=1, batches=18)):
        alone[numbers[0]] = (raw[0], states[0])
    ranks = [everything(loader_for(workers=2, batch_size=3, batches=3, rank=rank, ranks=2)) for rank in (0, 1)]
    seen = []
    for raws, states, numbers in ranks[0] + ranks[1]:
        for raw, state, number in zip(raws, states, numbers, strict=True):
            assert torch.equal(alone[number][0], raw)
            assert torch.equal(alone[number][1], state)
        seen += numbers
    assert sorted(seen) == list(range(18))


def test_each_iteration_is_another_epoch_and_an_epoch_can_be_had_again():
    loader = loader_for(workers=1)
    first, second = everything(loader), everything(loader)
    assert not torch.equal(first[0][0], second[0][0])
    again = everything(loader_for(workers=1, epoch=1))
    assert torch.equal(again[0][0], second[0][0])


def test_a_loop_that_is_left_early_leaves_no_threads_behind():
    import threading

    before = threading.active_count()
    batches = iter(loader_for(workers=3, batches=100))
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_what_is_read_ahead_stays_within_the_budget():
    one = loader_for(workers=0).source.sample_bytes * 3
    assert loader_for(workers=4, budget_bytes=5 * one).ahead == 5
    assert loader_for(workers=4, budget_bytes=5 * one).ahead_bytes <= 5 * one
    with pytest.raises(RequestError, match="budget"):
        loader_for(workers=4, budget_bytes=one - 1)


def test_memory_is_used_again_only_once_nobody_holds_it():
    pool = BufferPool(1000)
    first = pool.take((100,), np.uint8)
    tensor = torch.from_numpy(first)[10:20]
    address = first.ctypes.data
    del first
    assert pool.take((100,), np.uint8).ctypes.data != address
    del tensor
    assert pool.take((100,), np.uint8).ctypes.data == address
    held = [pool.take((100,), np.uint8) for _ in range(50)]
    assert len(held) == 50
    assert pool.held_bytes <= 1000


def test_batches_that_are_kept_do_not_change():
    kept = list(loader_for(workers=2, batches=8))
    for batch, (raw, states, _) in zip(kept, everything(loader_for(workers=0, batches=8)), strict=True):
        assert torch.equal(batch.raw, raw)
        assert torch.equal(batch.states, states)


@pytest.mark.parametrize(("dtype", "rows"), [(np.uint8, 200), (np.uint16, 900)])
def test_codes_decode_to_the_dense_arrays_of_48_classes(dtype, rows):
    random = np.random.default_rng(0)
    book = random.choice(np.array([0, 1, 255], np.uint8), (rows, 48))
    book[0] = 255
    codes = random.integers(0, rows // 2, (2, 5, 6, 7)).astype(dtype)
    first = np.array([0, rows // 2], np.int64)
    dense = np.stack([decode(part, book, start) for part, start in zip(codes, first, strict=True)])
    wide = codes if dtype == np.uint8 else codes.astype(np.int32)
    arguments = (torch.from_numpy(wide), torch.from_numpy(first), torch.from_numpy(book))
    np.testing.assert_array_equal(decode_states(*arguments).numpy(), dense)
    np.testing.assert_array_equal(column_states(*arguments, 7).numpy(), dense[:, 7])
    floats = np.where(dense == 255, np.nan, dense).astype(np.float32)
    np.testing.assert_array_equal(float_targets(*arguments).numpy(), floats)
    by_torch = torch.empty(dense.shape, dtype=torch.uint8)
    look_up_rows(*arguments, by_torch)
    np.testing.assert_array_equal(by_torch.numpy(), dense)


def test_a_crop_with_many_combinations_is_read_beside_one_with_few():
    book = np.concatenate([BOOK, np.tile(BOOK[1:3], (200, 1))])
    codes = np.random.default_rng(0).integers(0, len(book), (20, 20, 20)).astype(np.uint16)
    few = np.full((20, 20, 20), 2, np.uint8)
    grey = np.full((24, 24, 24), 7, np.uint8)
    crops = (
        crop_of(grey, codes, book=book),
        crop_of(grey, few, book=book, ref="demo/crop2", first_code=len(book)),
    )
    batch = next(iter(loader_for(bank_of(*crops, book=book), workers=0, batch_size=16, spatial=SpatialTransforms())))
    assert batch.codes.dtype == torch.int32
    assert {note.crop for note in batch.notes} == {"demo/crop1", "demo/crop2"}
    for note, states in zip(batch.notes, batch.states, strict=True):
        assert note.crop == "demo/crop1" or set(states[0].unique().tolist()) <= {1, 255}


def test_the_official_shapes_have_nan_where_nothing_is_known():
    for shape, expected in (((12, 14, 16), (12, 14, 16)), ((1, 20, 24), (20, 24))):
        batch = next(iter(loader_for(shape=shape, workers=0, values=())))
        peer = to_peer_batch(batch, BufferPool(2**24))
        plain = to_peer_batch(batch)
        assert peer["input"].shape == (3, 1, *expected)
        assert peer["output"].shape == (3, 2, *expected)
        assert torch.equal(peer["input"], plain["input"])
        assert torch.equal(torch.isnan(peer["output"]), batch.states == 255)
        assert torch.equal(torch.nan_to_num(peer["output"]), batch.target)
        assert torch.equal(batch.known, ~torch.isnan(plain["output"]))
        assert batch.raw.shape == peer["input"].shape == batch.raw_valid().shape
        assert batch.mask.shape == batch.target.shape


def test_grey_values_are_0_to_1_with_and_without_variation():
    every = torch.arange(256, dtype=torch.uint8)
    assert to_unit(every).min() == 0
    assert to_unit(every).max() == 1
    for batch in loader_for(workers=0):
        assert batch.raw.dtype == torch.float32
        assert 0 <= batch.raw.min() <= batch.raw.max() <= 1


STEPS = [
    ("GaussianNoise", {"std": 0.1}),
    ("GaussianBlur", {"sigma": [0.5, 1.5]}),
    ("RandomContrast", {"contrast_range": [0.5, 1.5]}),
    ("RandomGamma", {"gamma_range": [0.5, 2.0]}),
    ("GainOffset", {"probability": 1.0}),
    ("SectionJitter", {"gain": 0.2, "probability": 1.0}),
    ("MissingSections", {"sections": 3, "probability": 1.0}),
    ("ShiftedSections", {"shift": 3, "probability": 1.0}),
    ("LowResolution", {"factor": 2.0, "probability": 1.0}),
]


@pytest.mark.parametrize(("name", "options"), STEPS)
@pytest.mark.parametrize("shape", [(9, 10, 11), (1, 12, 13)])
def test_a_step_varies_each_sample_by_its_own_number_alone(name, options, shape):
    step = ValueTransform(name, tuple(options.items()))
    grey = GreyAugmentation((step,), 3)
    values = torch.rand((4, 1, *shape), generator=torch.Generator().manual_seed(0))
    together = grey.apply(values.clone(), 2, np.array([5, 6, 7, 8]))
    assert together.shape == values.shape
    assert 0 <= together.min() <= together.max() <= 1
    flat_sections = shape[0] == 1 and name in ("MissingSections", "ShiftedSections")
    assert torch.equal(together, values) == flat_sections
    for number in range(4):
        alone = grey.apply(values[number : number + 1].clone(), 2, np.array([5 + number]))
        torch.testing.assert_close(alone[0], together[number], rtol=0, atol=1e-6)


def test_steps_happen_as_often_as_they_should():
    grey = GreyAugmentation((ValueTransform("GainOffset", (("probability", 0.25),)),), 0)
    values = torch.full((1000, 1, 1, 2, 2), 0.3)
    changed = (grey.apply(values.clone(), 0, np.arange(1000)) != 0.3).flatten(1).any(dim=1)
    assert abs(changed.float().mean() - 0.25) < 0.04


def test_the_official_scaling_steps_change_nothing():
    steps = tuple(ValueTransform(name) for name in ("ToDtype", "NaNtoNum", "Binarize", "Normalize"))
    assert not GreyAugmentation(steps, 0)


def test_an_unknown_step_is_named():
    with pytest.raises(RequestError, match="Sharpen"):
        GreyAugmentation((ValueTransform("Sharpen"),), 0)
