"""Parts of masks, also of those that leave no room between them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from cellmap_tui.volumes.parts import connected_parts

MASKS = arrays.arrays(np.bool_, st.tuples(*[st.integers(1, 9)] * 3), elements=st.booleans())
NEIGHBOURS = {
    connectivity: ndimage.generate_binary_structure(3, rank) for rank, connectivity in enumerate((6, 18, 26), 1)
}


@pytest.mark.parametrize("shape", itertools.product((1, 2, 3, 5, 8), repeat=3))
def test_as_many_parts_as_fit_are_numbered(shape):
    mask = np.zeros(shape, np.bool_)
    mask[::2, ::2, ::2] = True
    labels, count = connected_parts(mask)
    assert count == mask.sum()
    assert labels[mask].tolist() == list(range(1, count + 1))


@given(MASKS, st.sampled_from(sorted(NEIGHBOURS)))
def test_parts_are_those_of_scipy(mask, connectivity):
    labels, count = connected_parts(mask, connectivity, np.uint32)
    expected, expected_count = ndimage.label(mask, NEIGHBOURS[connectivity])
    assert count == expected_count
    assert (labels == expected).all()
    assert labels.dtype == np.uint32
