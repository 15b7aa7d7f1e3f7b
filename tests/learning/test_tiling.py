"""Tiles cover every voxel and weigh 1 in sum, whatever the volume, tile, overlap and margin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.tiling import plan_tiles, tile_starts
from cellmap_tui.volumes.geometry import Box

edges = st.tuples(*[st.integers(1, 30)] * 3)


@settings(max_examples=150, deadline=None)
@given(
    shape=edges,
    patch=st.tuples(*[st.integers(1, 17)] * 3),
    overlap=st.floats(0, 0.9),
    blending=st.sampled_from(["gaussian", "constant"]),
    margin=st.tuples(*[st.integers(0, 9)] * 3),
)
def test_the_weights_of_the_tiles_of_each_voxel_add_up_to_one(shape, patch, overlap, blending, margin):
    plan = plan_tiles(shape, patch, overlap, blending=blending, margin=margin)
    sums = [np.zeros(count) for count in shape]
    for axis, (starts, weights) in enumerate(zip(plan.starts, plan.weights, strict=True)):
        for start, weight in zip(starts, weights, strict=True):
            for voxel, value in enumerate(weight, start=start):
                if 0 <= voxel < shape[axis]:
                    assert value > 0
                    sums[axis][voxel] += value
                else:
                    assert value == 0
    for values in sums:
        np.testing.assert_allclose(values, 1, atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 500), edge=st.integers(1, 140), overlap=st.floats(0, 0.95), margin=st.integers(0, 40))
def test_every_voxel_of_an_axis_is_in_a_tile_and_every_tile_touches_the_volume(count, edge, overlap, margin):
    starts = tile_starts(count, edge, overlap, margin)
    assert list(starts) == sorted(set(starts))
    covered = {voxel for start in starts for voxel in range(start, start + edge)}
    assert set(range(count)) <= covered
    assert all(start < count and start + edge > 0 for start in starts)


def test_the_last_tile_is_moved_back_to_the_edge():
    assert tile_starts(100, 64, 0.25) == (0, 36)
    assert tile_starts(160, 64, 0.25) == (0, 48, 96)


def test_a_volume_thinner_than_a_tile_lies_in_its_middle():
    assert tile_starts(10, 64) == (-27,)


def test_the_tiles_that_touch_a_box_are_found():
    plan = plan_tiles((100, 100, 100), (32, 32, 32), 0.25)
    box = Box((40, 0, 90), (41, 10, 100))
    found = set(plan.tiles(box))
    touching = {tile for tile in plan.tiles() if not plan.box(tile).intersected(box).is_empty}
    assert found == touching
    assert plan.count(box) == len(found)
    assert plan.count() == len(plan) == len(list(plan.tiles()))


@pytest.mark.parametrize(("shape", "patch", "overlap"), [((0, 4, 4), (4, 4, 4), 0), ((4, 4, 4), (4, 4, 4), 1.0)])
def test_impossible_tiles_are_refused(shape, patch, overlap):
    with pytest.raises(RequestError):
        plan_tiles(shape, patch, overlap)
