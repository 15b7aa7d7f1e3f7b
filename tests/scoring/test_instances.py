from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from cellmap_tui.errors import DataError
from cellmap_tui.scoring import distances, matching, overlaps
from cellmap_tui.scoring.components import label_components, label_in_slabs
from cellmap_tui.scoring.distances import VoxelSet, hausdorff
from cellmap_tui.scoring.instances import score_instance
from cellmap_tui.scoring.limits import COST_SCALE, Limits
from cellmap_tui.scoring.overlaps import count_overlaps
from cellmap_tui.scoring.profiles import get_profile
from cellmap_tui.scoring.sources import InMemory
from tests.scoring import brute

SIZES = ((8.0, 8.0, 8.0), (5.24, 4.0, 4.0), (30.0, 4.0, 4.0), (1.74, 2.0, 2.0))
LENIENT = Limits(final_instance_ratio_cutoff=1e9)

seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(*[st.integers(1, 9)] * 3)


def _pair(seed, shape):
    rng = np.random.default_rng(seed)
    ids = int(rng.integers(1, 6))
    truth = brute.volume(rng, shape, ids, filled=rng.random()) * int(rng.choice([1, 3]))
    prediction = np.where(rng.random(shape) < rng.random(), truth, brute.volume(rng, shape, ids))
    return truth.astype(np.uint16), prediction.astype(rng.choice(["u1", "i4", "u8", "f4"]))


def _voxels(mask):
    return VoxelSet(mask.view(np.uint8), (1,), tuple(ndimage.find_objects(mask.view(np.uint8))))


@settings(deadline=None)
@given(seeds, shapes)
def test_components_are_numbered_by_their_first_voxel(seed, shape):
    prediction = _pair(seed, shape)[1]
    labels, count = label_components(prediction)
    expected, expected_count = brute.components(prediction)
    assert count == expected_count
    assert np.array_equal(labels, expected)


@settings(deadline=None)
@given(seeds, shapes, st.integers(1, 4))
def test_components_found_slab_by_slab_are_those_of_the_whole(seed, shape, planes):
    prediction = _pair(seed, shape)[1]
    labels = np.zeros(shape, np.uint32)
    count = label_in_slabs(InMemory(prediction), labels, planes)
    whole, whole_count = label_components(prediction)
    assert count == whole_count
    assert np.array_equal(labels, whole)


@settings(deadline=None)
@given(seeds, shapes)
def test_overlaps_are_counted_over_runs_and_slabs(seed, shape):
    truth, prediction = _pair(seed, shape)
    labels, count = label_components(prediction)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlaps, "SLAB_VOXELS", shape[1] * shape[2] * 2)
        patch.setattr(overlaps, "MAX_DIRECT_ID", seed % 4)
        found = count_overlaps(truth, labels, count)
    expected = {
        (int(i), int(j)): int(((truth == i) & (labels == j)).sum())
        for i, j in {*zip(truth.ravel(), labels.ravel(), strict=True)}
        if i and j
    }
    pairs = zip(found.rows.tolist(), found.columns.tolist(), strict=True)
    assert dict(zip(pairs, found.shared.tolist(), strict=True)) == expected
    assert found.truth_sizes.tolist() == [int((truth == i).sum()) for i in found.truth_ids]
    assert found.component_sizes.tolist() == [int((labels == j).sum()) for j in range(1, count + 1)]


@settings(deadline=None)
@given(seeds, shapes, st.booleans())
def test_the_matching_costs_as_little_as_any(seed, shape, is_compact):
    truth, prediction = _pair(seed, shape)
    labels, count = label_components(prediction)
    found = count_overlaps(truth, labels, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "MAX_NODES", 0 if is_compact else matching.MAX_NODES)
        rows, columns = matching.match_by_cost(found)
    assert len(set(rows.tolist())) == len(rows) == len(set(columns.tolist()))
    cost = np.full((len(found.truth_ids), count), COST_SCALE + 1, np.int64)
    place = np.searchsorted(found.truth_ids, found.rows)
    cost[place, found.columns - 1] = ((1 - found.iou().astype(np.float32).astype(float)) * COST_SCALE).astype(int)
    best = cost[linear_sum_assignment(cost)].sum() + (COST_SCALE + 1) * max(0, len(found.truth_ids) - count)
    mine = cost[np.searchsorted(found.truth_ids, rows), columns - 1].sum()
    assert mine + (COST_SCALE + 1) * (len(found.truth_ids) - len(rows)) == best


@settings(deadline=None, max_examples=200)
@given(seeds, shapes, st.sampled_from(SIZES), st.sampled_from([1, 16, 256]))
def test_hausdorff_distances_are_exact(seed, shape, size, few):
    rng = np.random.default_rng(seed)
    masks = [rng.random(shape) < rng.random() for _ in range(2)]
    for mask in masks:
        mask[tuple(rng.integers(0, n) for n in shape)] = True
    sets = [
        VoxelSet(mask.astype(np.uint8), (1,), tuple(ndimage.find_objects(mask.astype(np.uint8)))) for mask in masks
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "FEW_POINTS", few)
        patch.setattr(distances, "TILE_VOXELS", int(rng.integers(1, 200)))
        found = hausdorff(*sets, size, math.inf)
    assert found == pytest.approx(brute.hausdorff(*masks, size), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(4))
def test_hausdorff_distances_of_larger_objects_are_those_of_a_distance_transform(seed, size):
    rng = np.random.default_rng(seed)
    noise = [ndimage.gaussian_filter(rng.random((40, 50, 60)), 4) for _ in range(2)]
    masks = [noise[0] > np.quantile(noise[0], 0.6), 0.6 * noise[0] + 0.4 * noise[1] > np.quantile(noise[0], 0.65)]
    sets = [_voxels(mask) for mask in masks]
    here, there = (ndimage.distance_transform_edt(~mask, sampling=size) for mask in masks)
    expected = max(here[masks[1]].max(), there[masks[0]].max())
    assert expected > 0
    assert hausdorff(*sets, size, math.inf) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None)
@given(seeds, shapes, st.sampled_from(SIZES), st.sampled_from(["2026-06", "2026-07"]))
def test_a_score_follows_the_definitions(seed, shape, size, name):
    truth, prediction = _pair(seed, shape)
    profile = get_profile(name)
    score = score_instance(truth, prediction, size, profile, limits=LENIENT, with_objects=True)
    labels, count = brute.components(prediction)
    ids = [i for i in np.unique(truth) if i]
    matches = {row.component: row.truth_id for row in score.objects if row.kind == "matched"}
    assert (score.tp, score.fp, score.fn) == (len(matches), count - len(matches), len(ids) - len(matches))
    final = brute.renamed(labels, matches, keeps_unmatched=profile.keeps_unmatched)
    limit, norm = brute.cap(shape, size), np.linalg.norm(size)

    def worth(distance):
        raw, worst = 1.01 ** (-distance / norm), 1.01 ** (-limit / norm)
        return raw if name == "2026-06" else 0.1 + 0.9 * (raw - worst) / (1 - worst)

    total = 0.0
    for truth_id in ids:
        distance = brute.hausdorff(truth == truth_id, final == truth_id, size)
        is_matched = truth_id in matches.values()
        capped = limit if distance is None else min(distance, limit)
        total += worth(capped) if is_matched or name == "2026-06" else 0.0
    total += score.fp * (worth(limit) if name == "2026-06" else 0.0)
    assert score.n_hausdorff == len(ids) + score.fp
    assert score.hausdorff_norm_sum == pytest.approx(total, rel=1e-6)
    ious = [brute.iou(truth, labels, truth_id, component) for component, truth_id in matches.items()]
    assert score.matched_iou_sum == pytest.approx(sum(ious))
    assert sum(row.boundary_score for row in score.objects) == pytest.approx(score.hausdorff_norm_sum)


@settings(deadline=None)
@given(seeds, shapes)
def test_panoptic_quality_follows_its_definition(seed, shape):
    truth, prediction = _pair(seed, shape)
    score = score_instance(truth, prediction, SIZES[0], get_profile("panoptic"), with_objects=True)
    labels, count = brute.components(prediction)
    ids = [i for i in np.unique(truth) if i]
    ious = [brute.iou(truth, labels, i, j) for i in ids for j in range(1, count + 1)]
    matched = [value for value in ious if value > 0.5]
    whole = (len(ids) + count) / 2
    assert score.pq == pytest.approx(sum(matched) / whole if whole else 1.0)
    assert (score.tp, score.fp, score.fn) == (len(matched), count - len(matched), len(ids) - len(matched))
    assert score.rq * (score.sq or 0.0) == pytest.approx(score.pq if whole else 0.0)


@settings(deadline=None)
@given(seeds, shapes)
def test_a_mask_cuts_both_sides_before_components_are_found(seed, shape):
    truth, prediction = _pair(seed, shape)
    mask = (np.random.default_rng(seed).random(shape) < 0.5).astype(np.uint8)
    profile = get_profile("2026-06")
    found = score_instance(truth, prediction, SIZES[0], profile, mask=mask, limits=LENIENT)
    assert found == score_instance(truth * mask, (prediction * mask), SIZES[0], profile, limits=LENIENT)


def test_objects_carry_ids_sizes_and_a_voxel_of_their_own():
    truth = np.zeros((12, 12, 12), np.uint32)
    prediction = np.zeros((12, 12, 12), np.uint64)
    truth[1:4, 1:4, 1:4] = 70_000_001
    truth[8:10, 8:10, 8:10] = 5
    prediction[1:4, 1:4, 2:5] = 2**63 + 7
    prediction[6, 0, 0] = 9
    score = score_instance(truth, prediction, SIZES[0], get_profile("2026-06"), with_objects=True)
    missed, matched, false = score.objects
    assert (missed.kind, missed.truth_id, missed.voxels, missed.component) == ("missed", 5, 8, None)
    assert (matched.kind, matched.truth_id, matched.predicted_id) == ("matched", 70_000_001, 2**63 + 7)
    assert matched.iou == pytest.approx(0.5)
    assert matched.distance_nm == pytest.approx(8.0)
    assert (false.kind, false.predicted_id, false.centre_voxel, false.voxels) == ("hallucinated", 9, (6, 0, 0), 1)
    for row in (missed, matched):
        assert truth[row.centre_voxel] == row.truth_id


def test_ids_that_only_differ_above_32_bits_stay_apart():
    prediction = np.zeros((1, 1, 6), np.uint64)
    prediction[0, 0, :2], prediction[0, 0, 2:4] = 1, 2**40 + 1
    truth = np.array([[[3, 3, 4, 4, 0, 0]]], np.uint16)
    score = score_instance(truth, prediction, SIZES[0], get_profile("2026-06"))
    assert (score.tp, score.fp, score.fn) == (2, 0, 0)
    assert score.hausdorff_norm_sum == 2.0


def test_too_many_objects_leave_the_crop_out_and_say_so():
    truth = np.zeros((20, 20, 20), np.uint8)
    truth[0, 0, :5] = 1
    prediction = np.zeros_like(truth)
    prediction[::2, ::2, ::2] = 1
    score = score_instance(truth, prediction, SIZES[0], get_profile("2026-06"))
    assert (score.status, score.tp, score.fp, score.fn, score.n_hausdorff) == (
        "skipped_too_many_instances",
        0,
        0,
        0,
        0,
    )
    assert (score.n_true, score.n_predicted) == (1, 1000)
    assert "above the cut-off" in score.warnings[0]
    assert score_instance(truth, prediction, SIZES[0], get_profile("panoptic")).status == "scored"


def test_the_largest_truth_id_enters_the_cut_off():
    truth = np.zeros((20, 20, 20), np.uint8)
    truth[0, 0, :5] = 200
    prediction = np.zeros_like(truth)
    prediction[::2, ::2, ::2] = 1
    assert score_instance(truth, prediction, SIZES[0], get_profile("2026-06")).status == "scored"


def test_too_many_overlapping_pairs_leave_the_crop_out():
    truth = np.arange(1, 28, dtype=np.uint8).reshape(3, 3, 3)
    score = score_instance(truth, truth, SIZES[0], get_profile("2026-06"), limits=Limits(max_overlap_edges=26))
    assert score.status == "skipped_too_many_instances"
    assert "27 pairs" in score.warnings[0]


@pytest.mark.parametrize(("value", "dtype"), [(-3, "i4"), (1.5, "f4"), (2**63 + 1, "u8")])
def test_truth_ids_that_are_no_ids_are_refused(value, dtype):
    truth = np.zeros((3, 3, 3), dtype)
    truth[1, 1, 1] = value
    with pytest.raises(DataError, match="the truth holds ids"):
        score_instance(truth, np.ones((3, 3, 3), np.uint8), SIZES[0], get_profile("2026-06"))
