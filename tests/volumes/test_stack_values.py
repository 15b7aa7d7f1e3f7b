"""Grey values and label values of foreign stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cellmap_tui.errors import DataError, RequestError
from cellmap_tui.volumes.stack_greys import Greys, choose_greys
from cellmap_tui.volumes.stack_labels import LabelFacts, choose_coding
from cellmap_tui.volumes.stacks import open_stack

if TYPE_CHECKING:
    from pathlib import Path


def greys_of(tmp_path: Path, data, **options):
    np.save(tmp_path / "a.npy", data)
    with open_stack(str(tmp_path / "a.npy"), "zyx") as stack:
        return choose_greys(stack, **options)


def coding_of(data, *, has_instances=False, declared=None, foreground=None, unknown=None):
    facts = LabelFacts("labels.npy", unknown)
    for plane in data:
        facts.add(plane[None])
    return choose_coding(facts, "mito", has_instances=has_instances, declared=declared, foreground=foreground)


def test_eight_bit_values_pass_unchanged(tmp_path: Path):
    data = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    greys = greys_of(tmp_path, data)
    assert greys.how == "unchanged"
    np.testing.assert_array_equal(greys.applied(data), data)


def test_eight_bit_values_in_a_wider_file_pass_unchanged(tmp_path: Path):
    data = np.arange(256, dtype=np.uint16).reshape(4, 8, 8)
    greys = greys_of(tmp_path, data)
    assert greys.how == "unchanged"
    np.testing.assert_array_equal(greys.applied(data), data.astype(np.uint8))


def test_inverting_swaps_dark_and_bright(tmp_path: Path):
    data = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    np.testing.assert_array_equal(greys_of(tmp_path, data, invert=True).applied(data), 255 - data)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_wider_values_are_scaled_from_the_smallest_to_the_largest(tmp_path: Path, dtype):
    data = np.linspace(1000, 30000, 1000).reshape(10, 10, 10).astype(dtype)
    greys = greys_of(tmp_path, data, scaling="full")
    assert (greys.low, greys.high) == (1000, 30000)
    expected = np.rint((data.astype(float) - 1000) / 29000 * 255).astype(np.uint8)
    np.testing.assert_array_equal(greys.applied(data), expected)
    assert "1000 to 30000" in greys.describe()


def test_percentiles_ignore_padding_and_hot_pixels(tmp_path: Path):
    data = np.random.default_rng(1).normal(20000, 1000, (20, 40, 40)).astype(np.uint16)
    data[:, :10] = 0
    data[3, 20, 20] = 65535
    greys = greys_of(tmp_path, data)
    assert greys.how == "percentile"
    assert 15000 < greys.low < 18000
    assert 22000 < greys.high < 25000


def test_negative_values_are_scaled_too(tmp_path: Path):
    data = np.linspace(-30000, 30000, 1000).astype(np.int16).reshape(10, 10, 10)
    result = greys_of(tmp_path, data, scaling="full").applied(data)
    assert result[0, 0, 0] == 0
    assert result[-1, -1, -1] == 255
    assert (np.diff(result.ravel().astype(int)) >= 0).all()


def test_a_given_range_is_used_and_the_rest_is_clipped(tmp_path: Path):
    data = np.array([[[0, 100, 200, 300, 400]]], dtype=np.uint16)
    greys = greys_of(tmp_path, data, value_range=(100, 355))
    np.testing.assert_array_equal(greys.applied(data), [[[0, 0, 100, 200, 255]]])


def test_nan_and_infinity_neither_choose_the_range_nor_break_it(tmp_path: Path):
    data = np.array([[[np.nan, np.inf, -np.inf, 1, 2]]], dtype=np.float32)
    greys = greys_of(tmp_path, data, scaling="full")
    assert (greys.low, greys.high) == (1, 2)
    np.testing.assert_array_equal(greys.applied(data), [[[0, 255, 0, 0, 255]]])


@pytest.mark.parametrize("value", [0, 7, 70000])
def test_a_constant_stack_does_not_divide_by_zero(tmp_path: Path, value):
    data = np.full((3, 4, 5), value, np.uint32)
    assert greys_of(tmp_path, data).applied(data).shape == data.shape


def test_a_mask_is_not_em(tmp_path: Path):
    with pytest.raises(DataError, match="--label"):
        greys_of(tmp_path, np.zeros((3, 4, 5), bool))


@pytest.mark.parametrize("value_range", [(5, 5), (6, 5), (float("nan"), 5)])
def test_an_empty_range_is_refused(tmp_path: Path, value_range):
    with pytest.raises(RequestError, match="is empty"):
        greys_of(tmp_path, np.zeros((3, 4, 5), np.uint8), value_range=value_range)


def test_large_blocks_are_converted_like_small_ones():
    data = np.arange(3 * 2000 * 700, dtype=np.uint16).reshape(3, 2000, 700)
    greys = Greys("given", 0, 65535)
    np.testing.assert_array_equal(greys.applied(data)[1, 1500], greys.applied(data[1:2, 1500:1501])[0, 0])


VOLUMES = hnp.arrays(
    st.sampled_from([np.uint8, np.int16, np.uint32, np.int64, np.uint64, np.float32]),
    st.tuples(*[st.integers(1, 5)] * 3),
    elements=st.integers(0, 100),
)


@settings(max_examples=60, deadline=None)
@given(data=VOLUMES, unknown=st.none() | st.integers(-1, 100))
def test_object_ids_are_kept_and_unknown_stays_apart(data, unknown):
    coding, _ = coding_of(data, declared="instance", unknown=unknown)
    stored = coding.applied(data)
    is_unknown = np.zeros(data.shape, bool) if unknown is None else data == unknown
    np.testing.assert_array_equal(stored[~is_unknown], data[~is_unknown].astype(stored.dtype))
    if unknown is not None:
        np.testing.assert_array_equal(stored == coding.stored_unknown, is_unknown)


@settings(max_examples=60, deadline=None)
@given(data=VOLUMES, unknown=st.none() | st.integers(1, 100))
def test_a_mask_is_stored_as_zero_and_one_and_255_for_unknown(data, unknown):
    coding, _ = coding_of(data, declared="binary", unknown=unknown)
    stored = coding.applied(data)
    assert stored.dtype == np.uint8
    expected = np.where(data == 0, 0, 1) if unknown is None else np.where(data == unknown, 255, data != 0)
    np.testing.assert_array_equal(stored, expected)


@pytest.mark.parametrize(
    ("values", "kind", "has_instances"),
    [([0, 1], "binary", True), ([0, 255], "binary", False), ([255], "binary", True), ([0, 1, 2], "instance", True)],
)
def test_the_values_say_what_labels_are(values, kind, has_instances):
    coding, note = coding_of(np.array([[values]], np.uint8), has_instances=has_instances)
    assert coding.kind == kind
    assert ("255 became 1" in note) == (255 in values)


def test_a_stack_without_foreground_is_annotated_and_absent():
    coding, note = coding_of(np.zeros((2, 3, 4), np.uint8))
    assert coding.is_empty
    assert "annotated and absent" in note


def test_one_of_many_values_can_be_the_foreground():
    data = np.array([[[1, 2, 3]]], np.uint8)
    coding, note = coding_of(data, foreground=2)
    np.testing.assert_array_equal(coding.applied(data), [[[0, 1, 0]]])
    assert "value 2 became 1" in note
    with pytest.raises(RequestError, match="has no value 9"):
        coding_of(data, foreground=9)


@pytest.mark.parametrize("values", [[1, 2], [0, 1, 2], range(300)])
def test_values_that_can_mean_several_things_are_asked_about(values):
    with pytest.raises(RequestError, match="--foreground mito=VALUE"):
        coding_of(np.array([[list(values)]], np.uint16))


def test_an_unknown_value_makes_two_values_a_mask_again():
    coding, _ = coding_of(np.array([[[0, 1, 255]]], np.uint8), unknown=255)
    assert coding.kind == "binary"
    assert coding.stored_unknown == 255


@pytest.mark.parametrize("values", [[0.5, 0], [float("nan"), 0], [float("inf"), 0]])
def test_fractions_are_no_labels(values):
    with pytest.raises(DataError, match="fractions or NaN"):
        coding_of(np.array([[values]], np.float32))


def test_whole_floats_are_labels():
    coding, _ = coding_of(np.array([[[0, 1]]], np.float64))
    assert coding.kind == "binary"


def test_floats_beyond_every_integer_are_no_labels():
    with pytest.raises(DataError, match="too large"):
        coding_of(np.array([[[0, 1e30]]], np.float64))


def test_negative_values_are_refused_unless_they_mean_unknown():
    data = np.array([[[-1, 0, 1]]], np.int8)
    with pytest.raises(DataError, match="--unknown mito=-1"):
        coding_of(data)
    coding, _ = coding_of(data, unknown=-1)
    np.testing.assert_array_equal(coding.applied(data), [[[255, 0, 1]]])


def test_ids_use_the_smallest_type_that_holds_them_and_unknown():
    assert coding_of(np.array([[[0, 1, 255]]]), declared="instance")[0].dtype == "uint8"
    assert coding_of(np.array([[[-1, 1, 255]]]), declared="instance", unknown=-1)[0].dtype == "uint16"
    assert coding_of(np.array([[[0, 2**40]]]), declared="instance")[0].dtype == "uint64"


def test_ids_that_look_like_probabilities_are_pointed_out():
    _, note = coding_of(np.arange(256, dtype=np.uint8).reshape(4, 8, 8), has_instances=True)
    assert "probability map" in note
