import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cellmap_tui.volumes.downsample import area_mean, halved, majority, reduced

shapes = hnp.array_shapes(min_dims=3, max_dims=3, max_side=7)
factors = st.tuples(*[st.integers(1, 3)] * 3)


def cells(block, factor):
    """The voxels of each cell, one at a time."""
    counts = [-(-n // f) for n, f in zip(block.shape, factor, strict=True)]
    for index in np.ndindex(*counts):
        yield index, block[tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, factor, strict=True))]


@given(hnp.arrays(np.uint8, shapes), factors)
def test_em_is_the_mean_of_the_voxels_that_exist(block, factor):
    found = area_mean(block, factor)
    assert found.dtype == block.dtype
    for index, part in cells(block, factor):
        assert abs(float(found[index]) - part.mean()) <= 0.5001


@given(hnp.arrays(np.float64, shapes, elements=st.floats(-1e6, 1e6)), factors)
def test_floats_are_averaged_without_rounding(block, factor):
    for index, part in cells(block, factor):
        assert np.isclose(area_mean(block, factor)[index], part.mean(), atol=1e-6)


@given(hnp.arrays(np.uint16, shapes, elements=st.integers(0, 4)))
def test_labels_take_the_value_that_most_voxels_have(block):
    found = majority(block, (2, 2, 2))
    for index, part in cells(block, (2, 2, 2)):
        ids, counts = np.unique(part, return_counts=True)
        assert found[index] == ids[counts == counts.max()].max()


@given(hnp.arrays(np.uint8, shapes, elements=st.integers(0, 3)), st.sampled_from(["em", "label"]))
def test_mirroring_before_or_after_is_the_same(block, kind):
    even = block[tuple(slice(n // 2 * 2) for n in block.shape)]
    if even.size:
        assert np.array_equal(halved(even, kind)[::-1, ::-1, ::-1], halved(even[::-1, ::-1, ::-1], kind))


def test_rounding_has_no_bias():
    block = np.random.default_rng(0).integers(0, 256, (64, 64, 64)).astype(np.uint8)
    down = block
    for _ in range(3):
        down = halved(down, "em")
    assert abs(down.mean() - block.mean()) < 0.1


def test_a_tie_goes_to_the_object():
    block = np.zeros((2, 2, 2), np.uint8)
    block[0] = 7
    assert majority(block, (2, 2, 2)).item() == 7


def test_a_factor_of_one_changes_nothing():
    block = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    assert reduced(block, (1, 1, 1), "label") is block
