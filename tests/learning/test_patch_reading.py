"""Reading patches under maps: EM linear, codes nearest, nothing invented outside."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cellmap_tui.learning.augment_spatial import spatial_maps
from cellmap_tui.learning.config_arrays import SpatialTransforms
from cellmap_tui.learning.elastic import Displacement, bases_of, lattice_shape
from cellmap_tui.learning.gather import read_patch
from tests.learning.synthetic_bank import crop_of

ROTATIONS = SpatialTransforms(
    rotate=(("z", -180.0, 180.0), ("y", -180.0, 180.0), ("x", -180.0, 180.0)), mirror=(("x", 0.5),)
)
SYMMETRIES = [
    np.diag(signs)[:, list(order)].astype(float)
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def random_crop(shape=(20, 24, 28), context=5, seed=0, valid=None):
    random = np.random.default_rng(seed)
    em = random.integers(1, 256, [n + 2 * context for n in shape], dtype=np.uint8)
    return crop_of(em, random.integers(1, 6, shape, dtype=np.uint8), em_valid=valid)


def read(crop, matrix, base, shape, displacement=None):
    em, codes, valid = np.full(shape, 77, np.uint8), np.full(shape, 77, np.uint8), np.zeros(shape, np.bool_)
    complete = read_patch(crop, np.asarray(matrix, float), np.asarray(base, float), em, codes, valid, displacement)
    assert complete == valid.all()
    return em, codes, valid


def expected(crop, matrix, base, shape):
    """The same by a general resampler."""
    at = np.einsum("ij,jzyx->izyx", matrix, np.indices(shape).astype(float)) + np.reshape(base, (3, 1, 1, 1))
    context = np.reshape(crop.context_voxels, (3, 1, 1, 1))
    em = ndimage.map_coordinates(crop.em.astype(float), at + context, order=1, mode="nearest")
    nearest = np.floor(at + 0.5).astype(int)
    inside = np.all([(n >= 0) & (n < size) for n, size in zip(nearest, crop.codes.shape, strict=True)], axis=0)
    clipped = [np.clip(n, 0, size - 1) for n, size in zip(nearest, crop.codes.shape, strict=True)]
    return em, np.where(inside, crop.codes[tuple(clipped)], 0), at + context


@pytest.mark.parametrize("matrix", SYMMETRIES)
def test_a_mirrored_or_transposed_patch_is_a_copy_and_equals_the_general_way(matrix):
    crop = random_crop()
    for base in ((3, 18, 4), (-9, 2, 21)):
        one = read(crop, matrix, base, (9, 11, 6))
        other = read(crop, matrix + 1e-9, base, (9, 11, 6))
        for first, second in zip(one, other, strict=True):
            np.testing.assert_array_equal(first, second)


@given(number=st.integers(0, 10_000), corner=st.tuples(*[st.floats(-15, 20)] * 3))
@settings(max_examples=60, deadline=None)
def test_a_turned_patch_is_what_a_general_resampler_gives(number, corner):
    crop = random_crop()
    matrix = spatial_maps(ROTATIONS, 0, 0, np.array([number]))[0]
    shape = (18, 17, 20)
    base = np.array(corner)
    em, codes, valid = read(crop, matrix, base, shape)
    grey, nearest, at = expected(crop, matrix, base, shape)
    far = [(a > -0.49) & (a < size - 0.51) for a, size in zip(at, crop.em.shape, strict=True)]
    inside = np.all(far, axis=0)
    assert valid[inside].all()
    assert np.abs(em[inside] - grey[inside]).max(initial=0) <= 0.51
    # A position within float32's reach of the border between two voxels may go to either.
    certain = np.all(np.abs(at + 0.5 - np.rint(at + 0.5)) > 1e-3, axis=0)
    np.testing.assert_array_equal(codes[certain], nearest[certain])
    outside = np.any([(a < -0.51) | (a > size - 0.49) for a, size in zip(at, crop.em.shape, strict=True)], axis=0)
    assert not valid[outside].any()
    assert not em[outside].any()


def test_em_that_is_not_there_is_grey_0_and_invalid():
    shape, context = (20, 24, 28), 5
    valid = np.ones([n + 2 * context for n in shape], np.bool_)
    valid[:7] = False
    box = random_crop(valid=valid)
    holed = valid.copy()
    holed[15, 15, 15] = False
    for crop in (box, random_crop(valid=holed)):
        for matrix in (np.eye(3), np.eye(3) + 1e-9):
            em, _, mask = read(crop, matrix, (0, 0, 0), (10, 10, 10))
            assert not mask[:2].any()
            assert not em[:2][~mask[:2]].any() or matrix is not SYMMETRIES[0]
            assert mask[3:9, :9, :9].all()
    assert not read(random_crop(valid=holed), np.eye(3) + 1e-9, (0, 0, 0), (12, 12, 12))[2][10, 10, 10]


def test_a_ramp_is_read_without_a_shift():
    size = 48
    planes = np.arange(size, dtype=float)
    for axis in range(3):
        ramp = np.moveaxis(np.broadcast_to((10 + 4 * planes)[:, None, None], (size,) * 3), 0, axis)
        crop = crop_of(np.ascontiguousarray(ramp.astype(np.uint8)), np.ones((size,) * 3, np.uint8))
        for number in range(8):
            matrix = spatial_maps(ROTATIONS, 5, 0, np.array([number]))[0]
            shape = (20, 20, 20)
            base = np.full(3, size / 2 - 0.37) - matrix @ np.full(3, 9.5)
            em, _, valid = read(crop, matrix, base, shape)
            at = np.einsum("j,jzyx->zyx", matrix[axis], np.indices(shape).astype(float)) + base[axis]
            assert valid.all()
            assert abs((em.astype(float) - (10 + 4 * at)).mean() / 4) < 0.01


def test_a_ball_stays_a_ball():
    size = 72
    grid = np.indices((size,) * 3) - (size - 1) / 2
    ball = (np.sqrt((grid**2).sum(axis=0)) <= 18).astype(np.uint8) + 1
    crop = crop_of(ball * 100, ball)
    for number in range(12):
        matrix = spatial_maps(ROTATIONS, 1, 0, np.array([number]))[0]
        _, codes, _ = read(crop, matrix, (size - 1) / 2 - matrix @ np.full(3, 24.5), (50, 50, 50))
        points = np.argwhere(codes == 2)
        axes = np.sqrt(np.linalg.eigvalsh(np.cov(points.T)))
        assert axes.max() / axes.min() <= 1.02
        assert abs(len(points) / (ball == 2).sum() - 1) < 0.01


def test_a_landmark_of_em_and_of_labels_go_to_the_same_place():
    size = 60
    mark = np.zeros((size,) * 3, np.uint8)
    mark[20:25, 31:36, 40:45] = 1
    crop = crop_of(np.pad(mark * 200, 4), mark + 1)
    for number in range(12):
        matrix = spatial_maps(ROTATIONS, 2, 0, np.array([number]))[0]
        base = np.array([22, 33, 42]) - matrix @ np.full(3, 14.5)
        em, codes, _ = read(crop, matrix, base, (30, 30, 30))
        weights = em.astype(float)
        where = np.array([(np.indices(em.shape)[axis] * weights).sum() / weights.sum() for axis in range(3)])
        np.testing.assert_allclose(where, 14.5, atol=0.05)
        np.testing.assert_allclose(np.argwhere(codes == 2).mean(axis=0), 14.5, atol=0.2)


def test_anisotropic_voxels_are_turned_in_nanometres():
    voxel = np.array([32.0, 8.0, 8.0])
    grid = (np.indices((24, 96, 96)) - np.reshape([11.5, 47.5, 47.5], (3, 1, 1, 1))) * voxel.reshape(3, 1, 1, 1)
    ball = (np.sqrt((grid**2).sum(axis=0)) <= 220).astype(np.uint8) + 1
    crop = crop_of(ball, ball, voxel_size_nm=tuple(voxel))
    turn = spatial_maps(ROTATIONS, 3, 0, np.array([4]))[0]
    matrix = turn * 8 / voxel[:, None]
    _, codes, _ = read(crop, matrix, np.array([11.5, 47.5, 47.5]) - matrix @ np.full(3, 39.5), (80, 80, 80))
    axes = np.sqrt(np.linalg.eigvalsh(np.cov(np.argwhere(codes == 2).T)))
    assert axes.max() / axes.min() <= 1.05


def test_a_displacement_moves_voxels_by_what_it_says():
    crop = random_crop(shape=(40, 40, 40))
    shape, voxel, spacing = (16, 18, 20), (8.0, 8.0, 8.0), 60.0
    knots = lattice_shape(tuple((n - 1) * 8.0 for n in shape), spacing)
    random = np.random.default_rng(0)
    moved = Displacement(random.normal(0, 2, (3, *knots)).astype(np.float32), bases_of(shape, voxel, knots, spacing))
    em, _, _ = read(crop, np.eye(3), (10, 10, 10), shape, moved)
    at = np.indices(shape) + moved.dense() + 15
    grey = ndimage.map_coordinates(crop.em.astype(float), at, order=1, mode="nearest")
    assert np.abs(em - grey).max() <= 0.52


def test_knots_add_up_to_the_whole_everywhere():
    for basis in bases_of((1, 33, 128), (8.0, 8.0, 4.0), lattice_shape((0.0, 256.0, 508.0), 70.0), 70.0):
        np.testing.assert_allclose(basis.sum(axis=1), 1, atol=1e-6)
