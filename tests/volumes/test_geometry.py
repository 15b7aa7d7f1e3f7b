import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.volumes.geometry import (
    Box,
    covering_box,
    covering_range,
    is_aligned,
    level_grid,
    overlap,
    sub_grid,
    to_voxel,
    to_world,
    voxel_at,
    whole,
)

from .builders import grids, positions

indices = st.tuples(*[st.integers(-200, 200)] * 3)
boxes = st.builds(
    lambda start, shape: Box(start, tuple(a + n for a, n in zip(start, shape, strict=True))),
    indices,
    st.tuples(*[st.integers(0, 40)] * 3),
)
world_boxes = st.tuples(st.tuples(*[positions] * 3), st.tuples(*[st.integers(1, 50_000).map(lambda n: n / 100)] * 3))


@given(grids, indices)
def test_a_voxel_index_survives_the_way_to_the_world_and_back(grid, index):
    assert to_voxel(grid, to_world(grid, index)) == pytest.approx(index, abs=1e-6)
    assert voxel_at(grid, to_world(grid, index)) == index


@given(grids)
def test_the_translation_is_the_centre_of_the_first_voxel(grid):
    assert to_world(grid, (0, 0, 0)) == grid.translation_nm
    assert to_voxel(grid, grid.lower_nm) == pytest.approx((-0.5,) * 3, abs=1e-6)
    assert to_voxel(grid, grid.upper_nm) == pytest.approx([n - 0.5 for n in grid.shape], abs=1e-6)


@given(grids, world_boxes)
def test_a_covering_box_covers_and_is_the_smallest_that_does(grid, world):
    lower, size = world
    upper = tuple(a + n for a, n in zip(lower, size, strict=True))
    box = covering_box(grid, lower, upper)
    found = sub_grid(grid, box)
    for axis in range(3):
        slack = 3e-6 * grid.voxel_size_nm[axis]
        assert found.lower_nm[axis] <= lower[axis] + slack
        assert found.upper_nm[axis] >= upper[axis] - slack
        assert found.lower_nm[axis] + grid.voxel_size_nm[axis] > lower[axis]
        assert found.upper_nm[axis] - grid.voxel_size_nm[axis] < upper[axis]


@given(grids)
def test_a_grid_is_covered_by_its_own_voxels_and_no_more(grid):
    assert covering_box(grid, grid.lower_nm, grid.upper_nm) == whole(grid)


@given(grids, boxes.filter(lambda box: not box.is_empty))
def test_the_grid_of_a_box_is_covered_by_that_box(grid, box):
    part = sub_grid(grid, box)
    assert covering_box(grid, part.lower_nm, part.upper_nm) == box
    assert is_aligned(grid, part)


@given(grids, world_boxes, st.integers(0, 20))
def test_padding_widens_before_clipping(grid, world, padding):
    lower, size = world
    upper = tuple(a + n for a, n in zip(lower, size, strict=True))
    padded = covering_range(grid, lower, upper, padding)
    assert padded == covering_box(grid, lower, upper).padded(padding).clipped(grid.shape)
    assert whole(grid).contains(padded)


def test_the_range_of_a_level_follows_the_published_formula():
    # 2 nm labels in 4 nm EM start at 4k - 1 nm: their edges lie on EM edges.
    crop = Grid((2.0,) * 3, (399.0,) * 3, (400,) * 3)
    em = Grid((4.0,) * 3, (0.0,) * 3, (1000,) * 3)
    expected = Box((100,) * 3, (300,) * 3)
    assert covering_range(em, crop.lower_nm, crop.upper_nm) == expected
    start = math.floor((399 - 1 - 0) / 4 + 0.5)
    stop = math.ceil((399 + 399.5 * 2) / 4 + 0.5)
    assert (start, stop) == (100, 300)


def test_an_edge_that_floats_miss_by_a_hair_lies_on_the_edge():
    em = Grid((5.24,) * 3, (0.0,) * 3, (1000,) * 3)
    crop = sub_grid(em, Box((17, 333, 721), (117, 433, 821)))
    assert covering_range(em, crop.lower_nm, crop.upper_nm).shape == (100, 100, 100)


@given(grids, st.integers(0, 6))
def test_levels_start_at_the_same_corner_and_lose_no_voxel(grid, level):
    found = level_grid(grid, level)
    for axis in range(3):
        tolerance = 1e-6 * found.voxel_size_nm[axis]
        assert found.lower_nm[axis] == pytest.approx(grid.lower_nm[axis], abs=tolerance)
        assert found.upper_nm[axis] >= grid.upper_nm[axis] - tolerance
        assert found.upper_nm[axis] - found.voxel_size_nm[axis] < grid.upper_nm[axis]


@given(grids, st.integers(0, 3), st.integers(0, 3))
def test_a_level_of_a_level_is_the_sum_of_both(grid, first, second):
    twice = level_grid(level_grid(grid, first), second)
    once = level_grid(grid, first + second)
    assert twice.shape == once.shape
    assert twice.voxel_size_nm == pytest.approx(once.voxel_size_nm)
    assert twice.translation_nm == pytest.approx(once.translation_nm, abs=1e-6)


def test_level_k_is_shifted_by_half_the_difference_of_the_voxel_sizes():
    found = level_grid(Grid((8.0, 4.0, 4.0), (100.0, 2.0, 0.0), (100, 301, 257)), 2)
    assert found == Grid((32.0, 16.0, 16.0), (112.0, 8.0, 6.0), (25, 76, 65))


@given(grids, grids)
def test_overlap_is_the_same_from_both_sides_and_inside_both(first, second):
    found = overlap(first, second)
    assert found == overlap(second, first)
    if found is not None:
        for grid in (first, second):
            assert all(a <= b for a, b in zip(grid.lower_nm, found[0], strict=True))
            assert all(a >= b for a, b in zip(grid.upper_nm, found[1], strict=True))


def test_grids_that_only_touch_do_not_overlap():
    first = Grid((4.0,) * 3, (0.0,) * 3, (10,) * 3)
    assert overlap(first, Grid((4.0,) * 3, (40.0, 0.0, 0.0), (10,) * 3)) is None
    assert overlap(first, Grid((4.0,) * 3, (36.0, 0.0, 0.0), (10,) * 3)) == ((34.0, -2.0, -2.0), (38.0, 38.0, 38.0))


@given(boxes, st.tuples(*[st.integers(1, 100)] * 3), st.integers(0, 10))
def test_clipping_and_padding_agree(box, shape, width):
    inside = box.clipped(shape)
    assert inside.clipped(shape) == inside
    assert box.contains(inside)
    assert box.padded(width).contains(box)
    assert box.padded(width).padded(-width) == box
    assert box.shifted((1, 2, 3)).shifted((-1, -2, -3)) == box


def test_half_voxel_offsets_are_not_aligned():
    grid = Grid((4.0,) * 3, (0.0,) * 3, (4,) * 3)
    assert is_aligned(grid, Grid((4.0,) * 3, (-40.0, 8.0, 4.0), (2,) * 3))
    assert not is_aligned(grid, Grid((4.0,) * 3, (2.0, 0.0, 0.0), (4,) * 3))
    assert not is_aligned(grid, Grid((8.0,) * 3, (0.0,) * 3, (4,) * 3))
