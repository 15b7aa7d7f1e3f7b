"""Which levels and chunks of the EM a crop needs."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import RequestError
from cellmap_tui.services.fetch_levels import (
    EmLevel,
    LevelPlace,
    Padding,
    WorldBox,
    choose_levels,
    holds,
    indices,
    needed_voxels,
    touched_chunks,
    world_box,
)
from cellmap_tui.services.fetch_listing import below, stretches
from cellmap_tui.storage.objects import RemoteObject
from cellmap_tui.volumes.geometry import Box, level_grid

SIZES = st.sampled_from([(8.0, 8.0, 8.0), (4.0, 4.0, 4.0), (5.24, 4.0, 4.0), (2.62, 2.0, 2.0), (3.36, 3.36, 3.36)])
TRIPLES = st.tuples(*[st.integers(1, 90)] * 3)


def level_of(grid, chunks=(64, 64, 64), name="s0", separator="/"):
    return EmLevel(name, grid, chunks, separator)


def places(*sizes):
    return [LevelPlace(f"s{k}", size, (0.0, 0.0, 0.0)) for k, size in enumerate(sizes)]


def by_the_rule(sizes, labels, **options):
    return [choice.is_wanted for choice in choose_levels(places(*sizes), labels, **options)]


@st.composite
def crops_in_em(draw):
    """A pyramid level, and a crop at another voxel size somewhere in the EM, edges on EM edges or not."""
    size = draw(SIZES)
    origin = draw(st.tuples(*[st.sampled_from([0.0, 12.0, -340.5, 10_000.12])] * 3))
    em = Grid(size, origin, draw(st.tuples(*[st.integers(1, 300)] * 3)))
    level = level_grid(em, draw(st.integers(0, 5)))
    shrink = draw(st.sampled_from([0.5, 1.0, 1.5, 2.0, 4.0]))
    label_size = tuple(s * shrink for s in size)
    start = draw(st.tuples(*[st.integers(0, 200)] * 3))
    corner = [em.lower_nm[a] + start[a] * label_size[a] for a in range(3)]
    crop = Grid(label_size, tuple(c + s / 2 for c, s in zip(corner, label_size, strict=True)), draw(TRIPLES))
    return level_of(level, draw(TRIPLES)), crop


@given(crops_in_em(), st.integers(0, 3))
def test_every_voxel_that_overlaps_the_crop_lies_in_a_chosen_chunk_at_every_level(pair, padding):
    level, crop = pair
    box = WorldBox(crop.lower_nm, crop.upper_nm, crop.voxel_size_nm)
    chunks = touched_chunks(level, needed_voxels(level, box, Padding(padding)))
    for axis in range(3):
        size, first = level.grid.voxel_size_nm[axis], level.grid.lower_nm[axis]
        for i in range(level.grid.shape[axis]):
            low, high = first + i * size, first + (i + 1) * size
            sliver = 1e-5 * size
            if low < crop.upper_nm[axis] - sliver and high > crop.lower_nm[axis] + sliver:
                for j in range(max(0, i - padding), min(level.grid.shape[axis], i + padding + 1)):
                    assert chunks.start[axis] <= j // level.chunks[axis] < chunks.stop[axis] or chunks.is_empty
    if not chunks.is_empty:
        assert all(0 <= a < b <= n for a, b, n in zip(chunks.start, chunks.stop, level.chunk_grid, strict=True))


@given(crops_in_em())
def test_no_chunk_is_chosen_that_the_crop_does_not_touch(pair):
    level, crop = pair
    box = WorldBox(crop.lower_nm, crop.upper_nm, crop.voxel_size_nm)
    chunks = touched_chunks(level, needed_voxels(level, box, Padding()))
    for index in indices(chunks):
        for axis, i in enumerate(index):
            low = level.grid.lower_nm[axis] + i * level.chunks[axis] * level.grid.voxel_size_nm[axis]
            high = low + level.chunks[axis] * level.grid.voxel_size_nm[axis]
            assert low < crop.upper_nm[axis]
            assert high > crop.lower_nm[axis]


@given(crops_in_em())
def test_a_crop_within_the_em_gets_at_least_a_chunk_of_every_level(pair):
    level, crop = pair
    inside = all(
        a >= lo and b <= hi
        for a, b, lo, hi in zip(crop.lower_nm, crop.upper_nm, level.grid.lower_nm, level.grid.upper_nm, strict=True)
    )
    box = WorldBox(crop.lower_nm, crop.upper_nm, crop.voxel_size_nm)
    if inside:
        assert not touched_chunks(level, needed_voxels(level, box, Padding())).is_empty


def test_the_last_voxel_is_covered_where_it_alone_opens_a_chunk():
    level = level_of(Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), (256, 256, 256)))
    crop = Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), (65, 64, 64))
    box = WorldBox(crop.lower_nm, crop.upper_nm, crop.voxel_size_nm)
    assert touched_chunks(level, needed_voxels(level, box, Padding())).stop == (2, 1, 1)


def test_labels_of_2_nm_whose_edges_lie_on_em_edges_take_no_voxel_too_many():
    level = level_of(Grid((4.0, 4.0, 4.0), (0.0, 0.0, 0.0), (512, 512, 512)))
    crop = Grid((2.0, 2.0, 2.0), (4.0 * 64 - 1,) * 3, (128, 128, 128))
    box = WorldBox(crop.lower_nm, crop.upper_nm, crop.voxel_size_nm)
    assert needed_voxels(level, box, Padding()) == Box((64,) * 3, (128,) * 3)


def test_a_level_of_one_voxel_is_fetched():
    level = level_of(Grid((512.0,) * 3, (252.0,) * 3, (1, 1, 1)), (64, 64, 64))
    box = WorldBox((0.0,) * 3, (80.0,) * 3, (8.0,) * 3)
    assert list(indices(touched_chunks(level, needed_voxels(level, box, Padding())))) == [(0, 0, 0)]


def test_padding_is_counted_in_voxels_of_each_level_and_nm_are_rounded_up():
    assert Padding(16).of((8.0, 4.0, 4.0)) == (16, 16, 16)
    assert Padding(nm=100).of((8.0, 5.24, 4.0)) == (13, 20, 25)
    assert Padding(20, 100).of((8.0, 4.0, 4.0)) == (20, 25, 25)


def test_padding_stops_at_the_edge_of_the_em():
    level = level_of(Grid((8.0,) * 3, (0.0,) * 3, (100, 100, 100)))
    box = WorldBox((-4.0,) * 3, (796.0,) * 3, (8.0,) * 3)
    assert needed_voxels(level, box, Padding(50)) == Box((0, 0, 0), (100, 100, 100))


def test_a_level_is_fetched_above_0_8_times_the_labels_on_every_axis():
    sizes = [(5.24, 4.0, 4.0), (10.48, 8.0, 8.0), (20.96, 16.0, 16.0)]
    assert by_the_rule(sizes, (8.0, 8.0, 8.0)) == [False, True, True]
    assert by_the_rule([(6.4, 8.0, 8.0), (6.5, 8.0, 8.0)], (8.0, 8.0, 8.0)) == [False, True]


def test_every_level_is_fetched_when_all_resolutions_are_asked_for():
    assert by_the_rule([(4.0,) * 3, (8.0,) * 3], (32.0,) * 3, everything=True) == [True, True]


def test_levels_asked_for_by_name_replace_the_rule():
    assert by_the_rule([(4.0,) * 3, (8.0,) * 3, (16.0,) * 3], (8.0,) * 3, names=("s0",)) == [True, False, False]


def test_levels_that_the_em_does_not_have_are_refused_with_those_it_has():
    with pytest.raises(RequestError, match="s0, s1"):
        by_the_rule([(4.0,) * 3, (8.0,) * 3], (8.0,) * 3, names=("s7",))


def test_labels_coarser_than_every_level_still_get_the_coarsest():
    assert by_the_rule([(4.0,) * 3, (8.0,) * 3], (64.0,) * 3) == [False, True]


def test_a_skipped_level_says_why_with_both_voxel_sizes():
    choice = choose_levels(places((5.24, 4.0, 4.0), (8.0,) * 3), (8.0,) * 3)[0]
    assert "5.24×4×4 nm" in choice.reason
    assert "labels 8 nm" in choice.reason
    assert "0.5 ×" in choice.reason


def test_the_rows_of_a_test_crop_are_merged_into_a_box_that_holds_each_of_them():
    fine = Grid((2.0, 2.0, 2.0), (101.0, 101.0, 101.0), (50, 50, 50))
    coarse = Grid((8.0, 8.0, 8.0), (100.0, 200.0, 104.0), (40, 12, 12))
    crop = Crop(1, "d", "test", coarse, ("mito", "er"), class_grids=(("er", fine),))
    box = world_box(crop)
    assert box.voxel_size_nm == (2.0, 2.0, 2.0)
    for grid in (fine, coarse):
        assert all(a <= b for a, b in zip(box.lower_nm, grid.lower_nm, strict=True))
        assert all(a >= b for a, b in zip(box.upper_nm, grid.upper_nm, strict=True))


class Keys:
    """A bucket of keys alone, which counts what it is asked."""

    def __init__(self, keys):
        self.keys = sorted(keys)
        self.requests = 0

    async def page(self, prefix, after=""):
        self.requests += 1
        found = [key for key in self.keys if key.startswith(prefix) and key > after]
        return [RemoteObject(key, 1, None) for key in found[:1000]]


@pytest.mark.parametrize("separator", ["/", "."])
@pytest.mark.parametrize("shape", [(4, 4, 4), (30, 30, 30), (3, 120, 120), (12, 12, 5)])
async def test_the_listed_stretches_hold_every_chunk_of_a_box_and_take_fewer_requests(separator, shape):
    level = level_of(Grid((8.0,) * 3, (0.0,) * 3, tuple(8 * n for n in shape)), (8, 8, 8), separator=separator)
    everything = [f"em/s0/{level.chunk_name(i)}" for i in itertools.product(*map(range, shape))]
    bucket = Keys([*everything, "em/s0/.zarray", "em/s0/.zattrs", "em/s1/0/0/0", "em/s00/0"])
    chunks = Box((0, 1, 0), (min(4, shape[0]), 4, min(5, shape[2])))
    found = [r.key for stretch in stretches("em/s0/", level, chunks) for r in await below(bucket, stretch)]
    wanted = {f"em/s0/{level.chunk_name(index)}" for index in indices(chunks)}
    assert wanted <= set(found)
    assert len(found) == len(set(found))
    assert bucket.requests <= math.prod(chunks.shape[:2])


@pytest.mark.parametrize("separator", ["/", "."])
def test_of_a_large_level_only_the_rows_under_the_crop_are_listed(separator):
    level = level_of(Grid((8.0,) * 3, (0.0,) * 3, (6400, 6400, 6400)), (64, 64, 64), separator=separator)
    found = stretches("s0/", level, Box((10, 20, 30), (14, 24, 34)))
    rows = {f"s0/{z}{separator}{y}{separator}" for z in range(10, 14) for y in range(20, 24)}
    assert {stretch.begins for stretch in found} == rows


def test_a_box_holds_its_first_index_and_not_its_last():
    box = Box((1, 1, 1), (2, 2, 2))
    assert holds(box, (1, 1, 1))
    assert not holds(box, (1, 1, 2))
