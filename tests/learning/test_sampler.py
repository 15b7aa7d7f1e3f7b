"""Where samples come from: the same for any way of asking, fair to rare classes, never without a label."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.learning.buffers import BufferPool
from cellmap_tui.learning.config_arrays import ArrayInfo, SpatialTransforms
from cellmap_tui.learning.draws import uniforms
from cellmap_tui.learning.patch_plan import PatchRules, Planner
from cellmap_tui.learning.patch_source import PatchSource
from cellmap_tui.learning.sampler import Draw, Sampler, SamplerRules
from tests.learning.synthetic_bank import BOOK, bank_of, crop_of, random_bank

VOXEL = (8.0, 8.0, 8.0)
TURNS = SpatialTransforms(
    mirror=(("z", 0.5), ("y", 0.5), ("x", 0.5)),
    transpose=("z", "y", "x"),
    rotate=(("z", -180.0, 180.0), ("y", -180.0, 180.0), ("x", -180.0, 180.0)),
    scale=(0.8, 1.25),
)


def rules_for(shape=(16, 16, 16), **options):
    return PatchRules((ArrayInfo("raw", shape, VOXEL),), ArrayInfo("labels", shape, VOXEL), **options)


def source_for(bank, **options) -> PatchSource:
    return PatchSource(bank, rules_for(**options), BufferPool(2**24))


def some_bank():
    """Two crops; nucleus only in the second, one voxel of it."""
    first, second = np.ones((40, 40, 40), np.uint8), np.ones((30, 30, 30), np.uint8)
    first[4:36, 4:36, 4:36] = 2
    second[3, 7, 29] = 3
    grey = np.full((48, 48, 48), 9, np.uint8)
    return bank_of(crop_of(grey, first), crop_of(grey[:38, :38, :38], second, ref="demo/crop2", first_code=len(BOOK)))


def test_numbers_depend_on_nothing_but_seed_epoch_and_sample():
    together = uniforms(7, 3, np.arange(50), 1, 4)
    for number in (0, 17, 49):
        np.testing.assert_array_equal(uniforms(7, 3, [number], 1, 4)[0], together[number])
    for other in (uniforms(8, 3, [5], 1, 4), uniforms(7, 4, [5], 1, 4), uniforms(7, 3, [5], 2, 4)):
        assert not np.isin(other, together).any()


def test_numbers_are_spread_evenly_and_are_not_related():
    draws = uniforms(0, 0, np.arange(20_000), 1, 6)
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.array([np.histogram(column, 20, (0, 1))[0] for column in draws.T])
    assert abs(counts - 1000).max() < 150
    assert abs(np.corrcoef(np.vstack([draws.T, np.roll(draws[:, 0], 1)])) - np.eye(7)).max() < 0.03


def test_rare_classes_are_drawn_as_often_as_common_ones():
    sampler = Sampler(some_bank(), "train", SamplerRules(empty_share=0), 0)
    places = sampler.places(0, np.arange(4000), np.full((4000, 3), 16))
    centred = places.draw == Draw.FOREGROUND
    assert abs(centred.mean() - 0.5) < 0.03
    assert abs((places.column[centred] == 1).mean() - 0.5) < 0.05
    assert (places.crop[centred & (places.column == 1)] == 1).all()


def test_common_classes_are_drawn_more_often_without_balance():
    sampler = Sampler(some_bank(), "train", SamplerRules(class_weights={"nuc": 0.0}), 0)
    assert set(sampler.places(0, np.arange(200), np.full((200, 3), 16)).column) == {0}


def test_a_centred_sample_holds_a_voxel_of_its_class_however_it_is_turned():
    for shape in ((16, 16, 16), (1, 24, 24), (60, 60, 60)):
        source = source_for(some_bank(), shape=shape, spatial=TURNS, sampler=SamplerRules(1.0, 0.0))
        batch = source.read(0, range(60))
        for note, states in zip(batch.notes, batch.states, strict=True):
            assert (states[batch.columns.index(note.drawn_for)] == 1).any()


def test_no_map_empties_a_patch():
    elastic = SpatialTransforms(rotate=TURNS.rotate, elastic=(12.0, 60.0))
    for spatial in (TURNS, elastic):
        for shape in ((16, 16, 16), (1, 24, 24), (50, 50, 50), (16, 64, 4)):
            batch = source_for(random_bank(), shape=shape, spatial=spatial).read(3, range(40))
            assert all(bool((states != 255).any()) for states in batch.states)


def test_empty_samples_hold_no_target():
    source = source_for(some_bank(), shape=(6, 6, 6), sampler=SamplerRules(0.0, 1.0))
    batch = source.read(0, range(60))
    empty = [note.draw == "empty" for note in batch.notes]
    assert sum(empty) > 50
    assert (batch.states[torch.tensor(empty)] != 1).all()


def test_a_crop_smaller_than_the_patch_lies_anywhere_in_it():
    small = np.full((8, 8, 8), 2, np.uint8)
    source = source_for(bank_of(crop_of(np.pad(small, 12), small)), shape=(20, 20, 20))
    starts = []
    for states in source.read(0, range(80)).states:
        found = np.argwhere(states[0].numpy() == 1)
        assert len(found) == 8**3
        starts.append(found.min(axis=0))
    assert (np.min(starts, axis=0) <= 1).all()
    assert (np.max(starts, axis=0) >= 11).all()


def test_slices_are_cut_across_every_axis_that_is_allowed():
    plane = np.broadcast_to(np.arange(30, dtype=np.uint8)[:, None, None], (30, 30, 30)).copy()
    bank = bank_of(crop_of(plane, np.full((30, 30, 30), 2, np.uint8)))
    spread = {}
    for axes in (None, ("z",), ("x",)):
        batch = source_for(bank, shape=(1, 12, 12), slicing_axes=axes).read(0, range(40))
        spread[axes] = {len(np.unique(part)) for part in batch.em["raw"].numpy()}
    assert spread[("z",)] == {1}
    assert spread[("x",)] == {12}
    assert spread[None] == {1, 12}


def test_inputs_of_several_scales_share_their_middle():
    size = 64
    ramp = np.broadcast_to(np.arange(size, dtype=np.uint8)[:, None, None] * 3, (size,) * 3).copy()
    bank = bank_of(crop_of(np.pad(ramp, 8, mode="edge"), np.full((size,) * 3, 2, np.uint8)))
    fine, coarse = ArrayInfo("fine", (16, 16, 16), VOXEL), ArrayInfo("coarse", (8, 8, 8), (16.0, 16.0, 16.0))
    rules = PatchRules((fine, coarse), ArrayInfo("labels", (16, 16, 16), VOXEL), spatial=TURNS)
    batch = PatchSource(bank, rules, BufferPool(2**24)).read(0, range(30))
    whole = batch.raw_valid("fine").flatten(1).all(1) & batch.raw_valid("coarse").flatten(1).all(1)
    fine_mean, coarse_mean = (batch.em[name].float().mean(dim=(1, 2, 3)) for name in ("fine", "coarse"))
    assert whole.sum() > 10
    assert (fine_mean - coarse_mean)[whole].abs().max() < 1.0


def test_shares_that_are_none_are_refused():
    with pytest.raises(RequestError, match="shares"):
        SamplerRules(0.8, 0.4)
    with pytest.raises(RequestError, match="weight"):
        SamplerRules(class_weights={"mito": -1})
    with pytest.raises(RequestError, match="nothing to draw"):
        Sampler(some_bank(), "train", SamplerRules(class_weights={"mito": 0, "nuc": 0}), 0)


def test_a_usage_without_crops_and_targets_nobody_knows_are_named():
    with pytest.raises(MissingDataError, match="validate"):
        Sampler(some_bank(), "validate", SamplerRules(), 0)
    nothing = np.zeros((8, 8, 8), np.uint8)
    with pytest.raises(MissingDataError, match="mito, nuc"):
        Sampler(bank_of(crop_of(nothing, nothing)), "train", SamplerRules(), 0)


def test_a_plan_is_the_same_for_one_sample_and_for_many():
    planner = Planner(random_bank(), rules_for(spatial=TURNS))
    many = planner.plan(2, np.arange(300))
    for number in (0, 5, 255, 256, 299):
        one = planner.plan(2, np.array([number]))
        plan, row = planner.row(2, number)
        for key in many.readings:
            np.testing.assert_array_equal(one.readings[key].base[0], many.readings[key].base[number])
            np.testing.assert_array_equal(plan.readings[key].matrix[row], many.readings[key].matrix[number])


def test_a_batch_says_where_its_samples_come_from():
    batch = source_for(random_bank()).read(1, [4, 9])
    assert [note.index for note in batch.notes] == [4, 9]
    assert {note.crop for note in batch.notes} <= {"demo/crop1", "demo/crop2"}
