from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import zarr

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError
from cellmap_tui.scoring import pairs, room
from cellmap_tui.scoring.aggregate import aggregate
from cellmap_tui.scoring.limits import Limits
from cellmap_tui.scoring.pairs import PairRequest, memory_bytes, score_pair
from cellmap_tui.scoring.profiles import get_profile
from cellmap_tui.scoring.submission import VolumeRef
from tests.scoring import brute

SIZE = (8.0, 8.0, 8.0)
SHAPE = (24, 20, 28)


def _write(path, array, **attributes):
    attributes = {"voxel_size": SIZE, "translation": (0.0, 0.0, 0.0)} | attributes
    made = zarr.create_array(
        path, shape=array.shape, dtype=array.dtype, chunks=(7, 8, 9), zarr_format=2, attributes=attributes
    )
    made[:] = array
    return VolumeRef(str(path), "")


@pytest.fixture
def arrays():
    rng = np.random.default_rng(5)
    truth = brute.volume(rng, SHAPE, 6, filled=0.3).astype(np.uint16)
    prediction = np.where(rng.random(SHAPE) < 0.9, truth, brute.volume(rng, SHAPE, 6)).astype(np.uint8)
    return truth, prediction


@pytest.fixture
def request_(tmp_path, arrays):
    truth, prediction = (_write(tmp_path / name, array) for name, array in zip("tp", arrays, strict=True))
    return PairRequest("crop1", "mito", "instance", truth, prediction, Grid(SIZE, (0.0, 0.0, 0.0), SHAPE))


def _same(found, expected):
    return replace(found, elapsed_s=0.0) == replace(expected, elapsed_s=0.0)


@pytest.mark.parametrize("name", ["2026-06", "2026-07", "panoptic"])
@pytest.mark.parametrize("with_objects", [False, True])
def test_a_pair_that_does_not_fit_into_memory_scores_the_same(request_, tmp_path, monkeypatch, name, with_objects):
    asked = replace(request_, profile=name, with_objects=with_objects, limits=Limits(final_instance_ratio_cutoff=1e9))
    expected = score_pair(asked)
    assert expected.status == "scored"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(room, "SLAB_VOXELS", 3 * SHAPE[1] * SHAPE[2])
    used = []
    monkeypatch.setattr(pairs, "label_in_slabs", lambda *args: used.append(1) or labelled(*args))
    found = score_pair(replace(asked, memory_limit_bytes=1, scratch=str(scratch)))
    assert used
    assert _same(found, expected)
    assert not [*scratch.iterdir()]


labelled = pairs.label_in_slabs


def test_a_request_and_its_score_pass_between_processes(request_):
    score = score_pair(pickle.loads(pickle.dumps(request_)))
    assert pickle.loads(pickle.dumps(score)) == score


def test_voxels_that_nobody_annotated_count_on_neither_side(request_, arrays, tmp_path):
    truth, prediction = arrays
    unknown = np.where(np.arange(SHAPE[2]) < 10, 65535, truth).astype(np.uint16)
    known = (unknown != 65535).astype(np.uint8)
    found = score_pair(replace(request_, truth=_write(tmp_path / "u", unknown), unknown_value=65535))
    expected = score_pair(replace(request_, mask=_write(tmp_path / "m", known)))
    assert _same(found, expected)
    mask = VolumeRef(str(tmp_path / "m"), "")
    both = score_pair(replace(request_, truth=VolumeRef(str(tmp_path / "u"), ""), unknown_value=65535, mask=mask))
    assert _same(both, expected)
    semantic = replace(request_, scoring="semantic", label="er")
    masked = score_pair(replace(semantic, mask=mask))
    here, there = (truth > 0) & (known > 0), (prediction > 0) & (known > 0)
    assert (masked.tp, masked.fp, masked.fn) == ((here & there).sum(), (there & ~here).sum(), (here & ~there).sum())


def test_a_missing_volume_is_worse_than_an_empty_one(request_, arrays, tmp_path):
    truth, _ = arrays
    ids = len(np.unique(truth)) - 1
    instance = score_pair(replace(request_, prediction=None))
    assert (instance.status, instance.fn, instance.n_hausdorff, instance.hausdorff_norm_sum) == (
        "missing",
        ids,
        ids,
        0,
    )
    semantic = score_pair(replace(request_, prediction=None, scoring="semantic", grid=None))
    assert (semantic.fn, semantic.iou) == (truth.size, 0.0)
    empty = score_pair(replace(request_, prediction=_write(tmp_path / "e", np.zeros(SHAPE, np.uint8))))
    assert empty.hausdorff_norm_sum > 0
    fair = replace(request_, profile="panoptic", scoring="semantic")
    assert score_pair(replace(fair, prediction=None)).fn == (truth > 0).sum()


def test_a_truth_that_is_not_the_crop_is_refused(request_):
    with pytest.raises(DataError, match="24×20×28 voxels, the crop has 2×2×2"):
        score_pair(replace(request_, grid=Grid(SIZE, (0.0, 0.0, 0.0), (2, 2, 2))))


def test_a_mask_of_another_shape_is_refused(request_, tmp_path):
    mask = _write(tmp_path / "m", np.ones((3, 3, 3), np.uint8))
    with pytest.raises(DataError, match="the mask"):
        score_pair(replace(request_, mask=mask))


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"voxel_size": None}, "has no voxel size"),
        ({"translation": None}, "has no translation"),
        ({"translation": (9e5, 0.0, 0.0)}, "lies outside the crop"),
    ],
)
def test_a_doubtful_place_is_warned_of(request_, arrays, tmp_path, attributes, words):
    path = tmp_path / "x"
    ref = _write(path, arrays[1])
    kept = {"voxel_size": SIZE, "translation": (0.0, 0.0, 0.0)} | attributes
    zarr.open_array(path, mode="a", zarr_format=2).attrs.put({k: v for k, v in kept.items() if v is not None})
    assert any(words in text for text in score_pair(replace(request_, prediction=ref)).warnings)


def test_float_ids_that_would_be_blurred_are_warned_of(request_, arrays, tmp_path):
    ref = _write(tmp_path / "x", arrays[1].astype(np.float32), voxel_size=(4.0, 4.0, 4.0))
    assert any("blurs" in text for text in score_pair(replace(request_, prediction=ref)).warnings)


def test_what_the_request_says_of_the_place_goes_before_the_metadata(request_, arrays, tmp_path):
    ref = _write(tmp_path / "x", arrays[1], voxel_size=(99.0, 99.0, 99.0), translation=(1e6, 0.0, 0.0))
    given = replace(request_, prediction=ref, voxel_size_nm=SIZE, translation_nm=(0.0, 0.0, 0.0))
    assert _same(score_pair(given), score_pair(request_))


def test_memory_is_told_from_metadata_alone(request_, tmp_path):
    for chunk in [*(tmp_path / "t").rglob("*.*.*"), *(tmp_path / "p").rglob("*.*.*")]:
        chunk.unlink()
    assert memory_bytes(request_) == pairs.FIXED_BYTES + (2 + 7) * 24 * 20 * 28
    assert memory_bytes(replace(request_, scoring="semantic")) == pairs.FIXED_BYTES


def test_pairs_that_are_left_out_everywhere_score_as_if_nothing_were_there(request_):
    skipped = replace(score_pair(request_), status="skipped_too_many_instances", tp=0, fp=0, fn=0, n_hausdorff=0)
    skipped = replace(skipped, hausdorff_norm_sum=0.0)
    scores = aggregate([skipped], get_profile("2026-06"))
    assert scores.classes[0].combined_score == 1.0
    assert scores.classes[0].n_skipped == 1
    assert (skipped.f1, skipped.boundary, skipped.value(scores.profile)) == (None, None, None)


def test_a_classes_panoptic_quality_is_pooled_and_semantic_crops_are_one_object_each(request_):
    profile = get_profile("panoptic")
    base = replace(score_pair(request_), pq_tp=3, pq_fp=1, pq_fn=1, pq_iou_sum=2.4)
    er = replace(base, label="er", scoring="semantic", pq_tp=1, pq_fp=0, pq_fn=0, pq_iou_sum=0.8)
    wrong = replace(er, crop="crop2", pq_tp=0, pq_fp=1, pq_fn=1, pq_iou_sum=0.0)
    scores = aggregate([base, er, wrong], profile, 9)
    assert scores.overall_instance_score == pytest.approx(0.6)
    assert scores.overall_semantic_score == pytest.approx(0.4)
    assert scores.public()["label_scores"]["mito"] == pytest.approx({"pq": 0.6, "sq": 0.8, "rq": 0.75})
    assert scores.total_evals == 9
