from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import rescale

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError
from cellmap_tui.scoring import resampling
from cellmap_tui.scoring.alignment import aligned
from cellmap_tui.scoring.limits import Limits
from cellmap_tui.scoring.sources import InMemory, Source

FACTORS = (0.25, 1 / 3, 0.5, 0.7, 5.24 / 8, 1.0, 1.3, 2.0, 4.0)
DTYPES = ("u1", "?", "u2", "i4", "i8", "f2", "f4", "f8")

seeds = st.integers(0, 2**32 - 1)


def _reference(array, size, translation, target, *, is_instance):
    """The official placement in one piece, from its description."""
    if size is not None and not np.allclose(size, target.voxel_size_nm):
        scale = np.divide(size, target.voxel_size_nm)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if is_instance:
                array = rescale(array, scale, order=0, mode="constant", preserve_range=True).astype(array.dtype)
            else:
                values = array.astype(np.float32) if array.dtype == bool else array
                array = rescale(values, scale, order=1, mode="constant", preserve_range=True) > 0.5
    elif size is None:
        before = [max(0, (want - have) // 2) for have, want in zip(array.shape, target.shape, strict=True)]
        after = [max(0, want - have) - b for have, want, b in zip(array.shape, target.shape, before, strict=True)]
        array = np.pad(array, list(zip(before, after, strict=True)))
        start = [(have - want) // 2 for have, want in zip(array.shape, target.shape, strict=True)]
        array = array[tuple(slice(a, a + n) for a, n in zip(start, target.shape, strict=True))]
    shift = np.zeros(3, int)
    if translation is not None:
        voxel = np.asarray(target.voxel_size_nm)
        moved = np.floor_divide(translation, voxel) * voxel - np.asarray(target.translation_nm)
        shift = (np.floor_divide(np.abs(moved), voxel) * np.sign(moved)).astype(int)
    result = np.zeros(target.shape, array.dtype)
    for voxel in np.ndindex(target.shape):
        there = tuple(a - s for a, s in zip(voxel, shift, strict=True))
        if all(0 <= a < n for a, n in zip(there, array.shape, strict=True)):
            result[voxel] = array[there]
    return result


def _values(rng, shape, dtype, *, is_instance):
    kind = rng.integers(0, 4)
    if kind == 0:  # planes between voxels give exact ties at the threshold
        array = np.zeros(shape)
        array[shape[0] // 2 :] = 1
    else:
        array = (rng.random(shape) < (0.3, 0.7, 1.1)[kind - 1]).astype(float)
    if is_instance:
        array = array * rng.integers(1, 4, shape)
    elif np.dtype(dtype).kind == "f":
        array = array * rng.choice([0.5, 0.6, 1.0]) + rng.choice([0.0, 0.1]) * rng.random(shape)
    array = array.astype(dtype)
    if array.dtype.kind == "f" and rng.random() < 0.2:
        array[tuple(n // 2 for n in shape)] = np.nan
    return array


@settings(deadline=None, max_examples=300)
@given(
    seeds,
    st.tuples(*[st.integers(2, 14)] * 3),
    st.tuples(*[st.integers(1, 12)] * 3),
    st.tuples(*[st.sampled_from(FACTORS)] * 3),
    st.sampled_from(DTYPES),
    st.booleans(),
    st.sampled_from([20, 300, 2**22]),
)
def test_a_prediction_lies_as_the_official_scorer_places_it_bit_for_bit(
    seed, shape, target_shape, factors, dtype, is_instance, piece
):
    rng = np.random.default_rng(seed)
    array = _values(rng, shape, dtype, is_instance=is_instance)
    voxel = (8.0, 4.0, 5.24)
    target = Grid(voxel, tuple(float(v) for v in rng.choice([0, 104.0, 41598.0, -3.5], 3)), target_shape)
    size = None if rng.random() < 0.2 else tuple(f * v for f, v in zip(factors, voxel, strict=True))
    offset = rng.choice([0, 1.0, -2.0, 0.5, -0.5, 3.3, 40.0], 3) * voxel
    translation = None if rng.random() < 0.2 else tuple((np.asarray(target.translation_nm) + offset).tolist())
    expected = _reference(array, size, translation, target, is_instance=is_instance)
    source = Source(InMemory(array), size, translation, "array", "it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "PIECE_VOXELS", piece)
        found = aligned(source, target, "instance" if is_instance else "semantic", Limits(max_volume_size_ratio=1e9))
        assert found.dtype == expected.dtype
        assert np.array_equal(found.read((0, 0, 0), target_shape), expected, equal_nan=expected.dtype.kind == "f")
        start = tuple(int(rng.integers(0, n)) for n in target_shape)
        stop = tuple(int(rng.integers(a, n)) + 1 for a, n in zip(start, target_shape, strict=True))
        box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        part = found.read(start, stop)
        assert np.array_equal(part, expected[box], equal_nan=expected.dtype.kind == "f")


def test_wide_ids_survive_resampling():
    ids = np.array([[[2**53 + 1, 2**63 + 5]]], np.uint64).repeat(4, 0).repeat(4, 1).repeat(4, 2)
    target = Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), (2, 2, 4))
    found = aligned(Source(InMemory(ids), (4.0, 4.0, 4.0), None, "array", "it"), target, "instance")
    assert np.unique(found.read((0, 0, 0), (2, 2, 4))).tolist() == [2**53 + 1, 2**63 + 5]


def test_a_prediction_much_larger_than_the_crop_is_refused_before_it_is_read():
    class Huge:
        shape = (10**6, 10**6, 10**6)
        dtype = np.dtype("u1")

    target = Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), (100, 100, 100))
    with pytest.raises(DataError, match="1000000000000 times as many"):
        aligned(Source(Huge(), (8.0, 8.0, 8.0), None, "array", "it"), target, "semantic")


def test_a_large_array_is_read_only_where_the_crop_lies():
    class Watched:
        shape = (1000, 1000, 1000)
        dtype = np.dtype("u1")

        def read(self, start, stop):
            voxels = [b - a for a, b in zip(start, stop, strict=True)]
            assert np.prod(voxels) <= 100**3
            return np.ones(voxels, np.uint8)

    target = Grid((8.0, 8.0, 8.0), (4000.0, 4000.0, 4000.0), (20, 20, 20))
    for size in ((8.0, 8.0, 8.0), (2.0, 2.0, 2.0)):
        source = Source(Watched(), size, (3200.0, 3200.0, 3200.0), "array", "it")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(resampling.Resampled, "_is_all_above", False)
            placed = aligned(source, target, "semantic", Limits(max_volume_size_ratio=1e9))
            assert placed.is_inside
            assert placed.read((0, 0, 0), (20, 20, 20)).all()
