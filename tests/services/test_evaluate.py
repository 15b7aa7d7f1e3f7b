"""Scoring as a service: submissions and predictions, resumed, explained, within memory."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import label_path
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.errors import DataError, MissingDataError, RefusedError, RequestError, Stopped, UnknownNameError
from cellmap_tui.services.batch_eval import BatchEvalRequest, batch_eval
from cellmap_tui.services.compare_runs import compare, read_evaluation
from cellmap_tui.services.evaluate import EvaluateRequest, evaluate, plan_evaluate
from cellmap_tui.services.explain import explain
from cellmap_tui.services.models import from_json, to_json
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes.write import write_array, write_multiscale
from tests.services.submissions import (
    GRID,
    ORIGIN_NM,
    SHAPE,
    VOXEL_NM,
    blobs,
    mask,
    write_group,
    write_manifest,
    write_store,
    zip_folder,
)

PUBLIC = {
    "label_scores",
    "overall_instance_score",
    "overall_semantic_score",
    "overall_score",
    "total_evals",
    "num_evals_done",
}
PAIRS = [("crop562", "mito"), ("crop562", "er"), ("crop983", "er")]


class Listener(SilentReporter):
    """Keeps what it is told."""

    def __init__(self):
        self.metrics, self.warnings, self.progressed, self.files = [], [], [], []

    def metric(self, step, values, epoch=None):
        self.metrics.append((step, dict(values)))

    def warning(self, message):
        self.warnings.append(message)

    def progress(self, done, total, unit):
        self.progressed.append((done, total, unit))

    def artefact(self, path, kind):
        self.files.append(path)


def truth_volumes():
    return {("crop562", "mito"): blobs(4), ("crop562", "er"): mask(), ("crop983", "er"): mask()}


@pytest.fixture
def submission(tmp_path):
    """A truth, a submission with one object less and one voxel row shifted, and a request for both."""
    write_store(tmp_path / "truth.zarr", truth_volumes())
    predicted = {key: array.copy() for key, array in truth_volumes().items()}
    predicted["crop562", "mito"][predicted["crop562", "mito"] == 4] = 0
    predicted["crop562", "er"] = np.roll(predicted["crop562", "er"], 1, axis=0)
    write_store(tmp_path / "submission.zarr", predicted)
    manifest = write_manifest(tmp_path / "test.csv", PAIRS)
    return EvaluateRequest(
        submission=tmp_path / "submission.zarr",
        truth=tmp_path / "truth.zarr",
        test_manifest=str(manifest),
        result_file=tmp_path / "R.json",
        store=tmp_path / "store",
    )


def changed(request, **values):
    from dataclasses import replace

    return replace(request, **values)


def rows(result):
    return {(row.crop, row.label): row for row in result.pairs}


# -- a submission -----------------------------------------------------------------------------


def test_a_submission_is_scored_into_the_official_keys_and_one_of_our_own(submission):
    result = evaluate(submission, SilentReporter())
    public = json.loads(submission.result_file.read_text())
    extended = json.loads(result.extended_file.read_text())
    assert set(public) == PUBLIC | {"cellmap_tui"}
    assert set(extended) == PUBLIC | {"cellmap_tui", "crop562", "crop983"}
    assert public["overall_score"] == result.overall_score
    assert public["label_scores"]["mito"]["f1"] == pytest.approx(6 / 7)
    assert public["cellmap_tui"]["profile"] == "2026-06"
    assert extended["crop562"]["mito"]["fn"] == 1
    assert rows(result)["crop562", "mito"].mean_matched_iou == 1.0
    assert (result.exit_code, result.missing, result.errors) == (0, (), ())


def test_the_worst_pair_stands_first(submission):
    scores = [row.score for row in evaluate(submission, SilentReporter()).pairs]
    assert scores == sorted(scores)


def test_requests_and_results_survive_json(submission):
    result = evaluate(submission, SilentReporter())
    assert from_json(to_json(submission), EvaluateRequest, source="request") == submission
    assert json.loads(to_json(result))["pairs"][0]["crop"]


def test_each_finished_pair_is_a_metric_and_progress_is_in_voxels(submission):
    listener = Listener()
    evaluate(submission, listener)
    assert [step for step, _ in listener.metrics] == [1, 2, 3]
    values = {name: value for _, found in listener.metrics for name, value in found.items()}
    assert values["crop562/mito:fn"] == 1
    assert values["crop562/mito:instance"] == 1
    assert values["crop983/er:score"] == 1.0
    voxels = 3 * GRID.voxels
    assert listener.progressed[-1] == (voxels, voxels, "voxels")
    assert submission.result_file in listener.files


def test_a_missing_volume_is_scored_with_a_warning_and_exit_code_0(submission):
    shutil.rmtree(submission.submission / "crop983")
    listener = Listener()
    result = evaluate(submission, listener)
    assert result.missing == ("crop983/er",)
    assert result.exit_code == 0
    assert rows(result)["crop983", "er"].fn == GRID.voxels
    assert any("1 volume is missing" in words for words in listener.warnings)
    assert json.loads(submission.result_file.read_text())["cellmap_tui"]["missing"] == ["crop983/er"]


def test_one_broken_label_does_not_end_the_others_but_the_official_keys_are_left_out(submission):
    chunk = next(p for p in (submission.submission / "crop562" / "er").rglob("0") if p.is_file())
    chunk.write_bytes(b"broken")
    submission.result_file.write_text('{"overall_score": 1}')
    listener = Listener()
    result = evaluate(submission, listener)
    assert result.exit_code == 1
    assert result.overall_score is None
    assert "crop562/er" in result.errors[0]
    assert rows(result)["crop562", "er"].status == "error"
    assert rows(result)["crop562", "mito"].tp == 3
    assert set(json.loads(submission.result_file.read_text())) == {"cellmap_tui"}
    assert any("crop562/er is not scored" in words for words in listener.warnings)


def test_a_label_that_is_not_in_the_manifest_is_an_error_as_officially(submission, tmp_path):
    write_manifest(tmp_path / "test.csv", PAIRS[:2])
    result = evaluate(submission, SilentReporter())
    assert result.overall_score is None
    assert "test manifest" in result.errors[0]


def test_a_group_counts_as_missing_and_its_score_stands_beside_with_a_loud_warning(submission):
    shutil.rmtree(submission.submission / "crop983" / "er")
    write_group(submission.submission / "crop983" / "er", mask())
    listener = Listener()
    result = evaluate(submission, listener)
    assert result.missing == ("crop983/er",)
    document = json.loads(submission.result_file.read_text())
    assert document["cellmap_tui"]["readable"]["labels"] == ["crop983/er"]
    assert document["cellmap_tui"]["readable"]["overall_score"] > document["overall_score"]
    assert any("WOULD NOT SEE" in words for words in listener.warnings)
    assert result.num_evals_done == 3


def test_a_zip_is_scored_in_place_like_the_folder(submission, tmp_path):
    zipped = zip_folder(submission.submission, tmp_path / "upload.zip")
    before = sorted(tmp_path.iterdir())
    folder = evaluate(submission, SilentReporter())
    again = evaluate(changed(submission, submission=zipped, rescore=True), SilentReporter())
    assert again.overall_score == folder.overall_score
    assert set(tmp_path.iterdir()) - set(before) <= {tmp_path / n for n in ("store", "R.json", "R_extended.json")}


def test_profiles_are_named_in_the_result_and_a_wrong_one_is_answered_with_the_nearest(submission):
    result = evaluate(changed(submission, profile="2026-07"), SilentReporter())
    assert (result.profile, result.provisional) == ("2026-07", True)
    with pytest.raises(UnknownNameError, match="did you mean 'panoptic'"):
        evaluate(changed(submission, profile="panoptc"), SilentReporter())


def test_only_some_classes_can_be_scored(submission):
    result = evaluate(changed(submission, classes=("mito",)), SilentReporter())
    assert set(rows(result)) == {("crop562", "mito")}
    assert result.total_evals == 1


def test_csv_and_markdown_hold_every_pair(submission, tmp_path):
    evaluate(changed(submission, csv=tmp_path / "p.csv", markdown=tmp_path / "p.md"), SilentReporter())
    with (tmp_path / "p.csv").open() as file:
        found = list(csv.DictReader(file))
    assert {(row["crop"], row["label"]) for row in found} == set(PAIRS)
    text = (tmp_path / "p.md").read_text()
    assert "| crop562 | er |" in text
    assert "# Score 0." in text


def test_instance_classes_can_be_chosen(submission):
    result = evaluate(changed(submission, instance_classes=("er",)), SilentReporter())
    assert rows(result)["crop562", "er"].kind == "instance"
    assert rows(result)["crop562", "mito"].kind == "semantic"


def test_nothing_in_common_is_an_error_in_words(submission, tmp_path):
    write_store(tmp_path / "other.zarr", {("crop1", "er"): mask()})
    with pytest.raises(DataError, match="none of the"):
        evaluate(changed(submission, submission=tmp_path / "other.zarr"), SilentReporter())
    with pytest.raises(MissingDataError):
        evaluate(changed(submission, submission=tmp_path / "nothing"), SilentReporter())
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingDataError, match="no ground truth"):
        evaluate(changed(submission, truth=tmp_path / "empty"), SilentReporter())


def test_a_request_that_does_not_fit_together_is_refused(tmp_path):
    for values in (
        {},
        {"submission": tmp_path},
        {"predictions": "x"},
        {"predictions": "x", "submission": tmp_path, "truth": tmp_path},
        {"predictions": "x", "crops": "1", "datasplit": tmp_path},
        {"submission": tmp_path, "truth": tmp_path, "workers": -1},
    ):
        with pytest.raises(RequestError):
            EvaluateRequest(**values)


# -- going on ---------------------------------------------------------------------------------


def test_finished_pairs_are_kept_and_only_what_changed_is_scored_again(submission):
    first = evaluate(submission, SilentReporter())
    again = evaluate(submission, SilentReporter())
    assert (first.kept, again.kept) == (0, 3)
    assert again.overall_score == first.overall_score
    place = Grid(VOXEL_NM, ORIGIN_NM, SHAPE)
    write_array(submission.submission / "crop983" / "er", np.roll(mask(), 2, axis=1), place, overwrite=True)
    third = evaluate(submission, SilentReporter())
    assert third.kept == 2
    assert rows(third)["crop983", "er"].score < 1
    assert evaluate(changed(submission, profile="panoptic"), SilentReporter()).kept == 0
    assert evaluate(changed(submission, rescore=True), SilentReporter()).kept == 0


def test_in_a_new_zip_only_what_changed_is_scored_again(submission, tmp_path):
    evaluate(
        changed(submission, submission=zip_folder(submission.submission, tmp_path / "one.zip")), SilentReporter()
    )
    place = Grid(VOXEL_NM, ORIGIN_NM, SHAPE)
    write_array(submission.submission / "crop983" / "er", np.roll(mask(), 2, axis=1), place, overwrite=True)
    second = zip_folder(submission.submission, tmp_path / "two.zip")
    result = evaluate(changed(submission, submission=second), SilentReporter())
    assert result.kept == 2
    assert not rows(result)["crop983", "er"].kept


def test_a_limit_in_the_environment_makes_another_score(submission, monkeypatch):
    evaluate(submission, SilentReporter())
    monkeypatch.setenv("MAX_OVERLAP_EDGES", "7")
    assert evaluate(submission, SilentReporter()).kept == 0


def test_a_stopped_evaluation_goes_on(submission):
    class Stopper(Listener):
        def metric(self, step, values, epoch=None):
            self.stops = True

        def checkpoint(self):
            if getattr(self, "stops", False):
                raise Stopped("stopped")

    with pytest.raises(Stopped):
        evaluate(changed(submission, workers=0), Stopper())
    assert 1 <= evaluate(submission, SilentReporter()).kept < 3


KILLED = """
import os, signal, sys
from cellmap_tui.services.evaluate import EvaluateRequest, evaluate
from cellmap_tui.services.models import from_json
from cellmap_tui.services.report import SilentReporter

class Dier(SilentReporter):
    def metric(self, step, values, epoch=None):
        os.kill(os.getpid(), signal.SIGKILL)

evaluate(from_json(sys.argv[1].encode(), EvaluateRequest, source="request"), Dier())
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_evaluation_goes_on_with_the_same_result(submission, workers):
    request = changed(submission, workers=workers)
    done = subprocess.run([sys.executable, "-c", KILLED, to_json(request).decode()], check=False, timeout=600)
    assert done.returncode == -signal.SIGKILL
    again = evaluate(request, SilentReporter())
    assert again.kept >= 1
    assert again.overall_score == evaluate(changed(request, rescore=True), SilentReporter()).overall_score


def test_workers_end_with_a_killed_evaluation(submission, tmp_path):
    code = KILLED.replace(
        "os.kill(", "print(*[c.pid for c in __import__('psutil').Process().children()], flush=True); os.kill("
    )
    request = changed(submission, workers=2)
    done = subprocess.run(
        [sys.executable, "-c", code, to_json(request).decode()], check=False, timeout=600, capture_output=True
    )
    pids = [int(word) for word in done.stdout.split()]
    assert pids
    deadline_s = time.monotonic() + 300
    while any(_lives(pid) for pid in pids):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_workers_and_this_process_give_the_same(submission):
    here = evaluate(changed(submission, workers=0), SilentReporter())
    there = evaluate(changed(submission, workers=2, rescore=True), SilentReporter())
    assert there.overall_score == here.overall_score
    assert [(row.crop, row.label, row.score) for row in there.pairs] == [
        (row.crop, row.label, row.score) for row in here.pairs
    ]


# -- plan and explanation ---------------------------------------------------------------------


def test_a_plan_names_pairs_objects_memory_and_time_and_scores_nothing(submission):
    shutil.rmtree(submission.submission / "crop983")
    plan = plan_evaluate(submission, SilentReporter(), count_objects=True)
    found = {(row.crop, row.label): row for row in plan.pairs}
    mito = found["crop562", "mito"]
    assert (mito.state, mito.true_objects, mito.predicted_objects) == ("score", 4, 3)
    assert mito.most_objects == int((10 + 50 * np.exp(-4 / 5)) * 4)
    assert found["crop983", "er"].state == "missing"
    assert plan.voxels == 3 * GRID.voxels
    assert plan.peak_bytes > 0
    assert plan.eta_s > 0
    assert not submission.result_file.exists()
    evaluate(submission, SilentReporter())
    assert {row.state for row in plan_evaluate(submission, SilentReporter()).pairs} == {"kept"}


def test_too_little_memory_is_refused_with_the_flag_and_less_is_made_do_with(submission):
    with pytest.raises(RefusedError, match="--memory"):
        evaluate(changed(submission, memory_bytes=1_000_000), SilentReporter())
    small = evaluate(changed(submission, memory_bytes=310_000_000, workers=2), SilentReporter())
    assert small.overall_score == evaluate(changed(submission, rescore=True), SilentReporter()).overall_score


def test_max_workers_of_the_environment_is_honoured(submission, monkeypatch):
    monkeypatch.setattr("cellmap_tui.services.evaluate_plan.SMALL_VOXELS", 0)
    monkeypatch.setenv("MAX_WORKERS", "1")
    assert plan_evaluate(submission, SilentReporter()).workers == 1
    monkeypatch.setenv("MAX_WORKERS", "many")
    with pytest.raises(RequestError, match="MAX_WORKERS"):
        plan_evaluate(submission, SilentReporter())


def test_the_objects_behind_a_number_add_up_to_it(submission):
    result = evaluate(submission, SilentReporter())
    found = explain(submission, "crop562/mito", SilentReporter())
    row = rows(result)["crop562", "mito"]
    kinds = [one.what for one in found.objects]
    assert (kinds.count("matched"), kinds.count("hallucinated"), kinds.count("missed")) == (row.tp, row.fp, row.fn)
    assert sum(one.boundary_score for one in found.objects) == pytest.approx(row.hausdorff_norm_sum, rel=1e-12)
    assert found.pair.tp == row.tp
    missed = next(one for one in found.objects if one.what == "missed")
    lower, upper = np.array(ORIGIN_NM), np.array(ORIGIN_NM) + np.array(SHAPE) * 8
    assert (lower <= missed.position_nm).all()
    assert (missed.position_nm <= upper).all()
    assert any("3 of 4 objects matched" in words for words in found.words)


def test_an_unknown_pair_is_answered_with_the_nearest(submission):
    with pytest.raises(UnknownNameError):
        explain(submission, "crop999/mito", SilentReporter())
    with pytest.raises(RequestError, match="crop557/mito"):
        explain(submission, "mito", SilentReporter())
    assert explain(submission, "562/er", SilentReporter()).objects == ()


# -- predictions ------------------------------------------------------------------------------


@pytest.fixture
def local(tmp_path):
    """A data root with a crop of two classes, and a request for its predictions."""
    root = tmp_path / "data"
    crop = Crop(7, "mine", "train", GRID, ("er", "mito"), source="import")
    write_multiscale(root / label_path(crop, "er"), mask(), GRID, kind="label")
    write_multiscale(root / label_path(crop, "mito"), blobs(4), GRID, kind="label")
    add_local_crops(root, [crop])
    return EvaluateRequest(
        predictions=str(tmp_path / "out"), crops="mine/7", data_root=root, store=tmp_path / "store"
    )


def predict(path, array, grid=GRID):
    write_array(path, array, grid)


@pytest.mark.parametrize(
    ("place", "predictions"),
    [
        ("mine.zarr/crop7", "out"),
        ("mine/mine.zarr/crop7", "out"),
        ("crop7", "out"),
        ("", "out"),
        ("a/mine-crop7.zarr", "out/a/{dataset}-{crop}.zarr"),
    ],
)
def test_predictions_are_found_in_the_usual_layouts_and_by_a_template(local, tmp_path, place, predictions):
    predict(tmp_path / "out" / place / "mito", blobs(4))
    result = evaluate(changed(local, predictions=str(tmp_path / predictions)), SilentReporter())
    assert set(rows(result)) == {("crop7", "mito")}
    assert result.overall_instance_score == 1.0


def test_named_classes_count_as_missing_where_nothing_is_predicted(local, tmp_path):
    predict(tmp_path / "out" / "crop7" / "mito", blobs(4))
    result = evaluate(changed(local, classes=("er", "mito")), SilentReporter())
    assert result.missing == ("crop7/er",)


def test_predictions_as_multiscale_groups_are_scored(local, tmp_path):
    write_multiscale(tmp_path / "out" / "crop7" / "er", mask(), GRID, kind="label")
    assert evaluate(local, SilentReporter()).overall_semantic_score == 1.0


def test_predictions_in_a_zip_are_scored_in_place(local, tmp_path):
    predict(tmp_path / "out" / "crop7" / "mito", blobs(4))
    path = zip_folder(tmp_path / "out", tmp_path / "out.zip")
    shutil.rmtree(tmp_path / "out")
    assert evaluate(changed(local, predictions=str(path)), SilentReporter()).overall_instance_score == 1.0


def test_nothing_predicted_is_told_with_the_layout(local, tmp_path):
    with pytest.raises(MissingDataError, match="does not exist"):
        evaluate(local, SilentReporter())
    (tmp_path / "out").mkdir()
    with pytest.raises(MissingDataError, match=r"mine\.zarr/crop7"):
        evaluate(local, SilentReporter())


def test_voxels_that_were_not_annotated_do_not_count(local, tmp_path):
    crop = Crop(8, "mine", "train", GRID, ("er",), source="import")
    truth = mask()
    truth[:, :, 20:] = 255
    attributes = {"cellmap_tui": {"kind": "binary", "unknown_value": 255}}
    write_multiscale(
        local.data_root / label_path(crop, "er"), truth, GRID, kind="label", attributes=attributes, levels=1
    )
    add_local_crops(local.data_root, [crop])
    guess = mask()
    guess[:, :, 20:] = 1
    predict(tmp_path / "out" / "crop8" / "er", guess)
    assert evaluate(changed(local, crops="mine/8"), SilentReporter()).overall_semantic_score == 1.0


@pytest.mark.parametrize("kind", ["tif", "npy", "h5", "nii.gz"])
def test_stacks_of_other_tools_are_scored(local, tmp_path, kind):
    path = tmp_path / f"out.{kind}"
    _write_stack(path, blobs(4))
    request = changed(local, predictions=str(path), classes=("mito",), voxel_size_nm=VOXEL_NM)
    result = evaluate(changed(request, translation_nm=ORIGIN_NM), SilentReporter())
    assert result.overall_instance_score == 1.0
    shifted = tuple(value + 16 for value in ORIGIN_NM)
    assert evaluate(changed(request, translation_nm=shifted), SilentReporter()).overall_instance_score < 1.0
    assert evaluate(changed(request, voxel_size_nm=None), SilentReporter()).overall_instance_score == 1.0


def _write_stack(path, array):
    import h5py

    if path.suffix == ".tif":
        tifffile.imwrite(path, array)
    elif path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["x"] = array
    else:
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(array.T), np.eye(4)), path)


def test_ids_beyond_16_bits_stay_apart(local, tmp_path):
    ids = np.where(blobs(4) > 0, blobs(4).astype(np.uint32) + 2**20, 0).astype(np.uint32)
    np.save(tmp_path / "ids.npy", ids)
    request = changed(local, predictions=str(tmp_path / "ids.npy"), classes=("mito",))
    assert rows(evaluate(request, SilentReporter()))["crop7", "mito"].tp == 4


def test_a_folder_as_nnunet_writes_it_is_scored_by_its_labels(local, tmp_path):
    folder = tmp_path / "nnunet"
    folder.mkdir()
    together = np.where(blobs(4) > 0, 1, 0).astype(np.uint8)
    together[(mask() > 0) & (together == 0)] = 2
    _write_stack(folder / "cell_crop7.nii.gz", together)
    (folder / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "mito": 1, "er": 2}}))
    result = evaluate(changed(local, predictions=str(folder)), SilentReporter())
    assert set(rows(result)) == {("crop7", "mito"), ("crop7", "er")}
    assert result.overall_instance_score == 1.0
    (folder / "cell_crop7.nii.gz").rename(folder / "case_a.nii.gz")
    with pytest.raises(RequestError, match="--mapping"):
        evaluate(changed(local, predictions=str(folder)), SilentReporter())
    (tmp_path / "map.json").write_text(json.dumps({"cases": {"case_a": "mine/crop7"}}))
    mapped = changed(local, predictions=str(folder), mapping=tmp_path / "map.json")
    assert evaluate(mapped, SilentReporter()).overall_instance_score == 1.0


def test_the_regions_of_nnunet_are_scored_as_the_classes_they_are(local, tmp_path):
    folder = tmp_path / "nnunet"
    folder.mkdir()
    codes = (blobs(4) > 0) + 2 * (mask() > 0)
    _write_stack(folder / "cell_crop7.nii.gz", codes.astype(np.uint8))
    labels = {"background": 0, "mito": [1, 3], "er": [2, 3], "ignore": 4}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    result = evaluate(changed(local, predictions=str(folder)), SilentReporter())
    assert (result.overall_instance_score, result.overall_semantic_score) == (1.0, 1.0)
    (folder / "dataset.json").write_text(json.dumps({"labels": {"mito": ["1"]}}))
    with pytest.raises(DataError, match="mito is not a whole number"):
        evaluate(changed(local, predictions=str(folder)), SilentReporter())


def test_a_stack_needs_one_crop_and_a_class(local, tmp_path):
    np.save(tmp_path / "x.npy", blobs(4))
    with pytest.raises(RequestError, match="--classes"):
        evaluate(changed(local, predictions=str(tmp_path / "x.npy")), SilentReporter())


def test_the_crops_of_a_datasplit_are_scored_against_its_own_truth(local, tmp_path):
    predict(tmp_path / "out" / "crop7" / "mito", blobs(4))
    predict(tmp_path / "out" / "crop7" / "er", mask())
    store = local.data_root / "mine" / "mine.zarr"
    row = f'"validate","{store}","recon-1/em/fibsem-uint8","{store}","recon-1/labels/groundtruth/crop7/[mito]"\n'
    (tmp_path / "split.csv").write_text(row)
    request = changed(local, crops=None, datasplit=tmp_path / "split.csv")
    assert set(rows(evaluate(request, SilentReporter()))) == {("crop7", "mito")}
    with pytest.raises(RequestError, match="'train'"):
        evaluate(changed(request, split="train"), SilentReporter())


# -- many -------------------------------------------------------------------------------------


def test_many_submissions_make_one_table_the_best_first(submission, tmp_path):
    write_store(tmp_path / "best.zarr", truth_volumes())
    (tmp_path / "list.csv").write_text("path,name\nsubmission.zarr,first\nbest.zarr,best\nnothing.zip,gone\n")
    request = BatchEvalRequest(
        csv_path=tmp_path / "list.csv",
        results_dir=tmp_path / "scores",
        truth=submission.truth,
        store=submission.store,
        test_manifest=submission.test_manifest,
    )
    result = batch_eval(request, SilentReporter())
    assert [row.name for row in result.rows] == ["best", "first", "gone"]
    assert result.rows[0].overall_score == 1.0
    assert "does not exist" in result.rows[2].problem
    assert result.exit_code == 1
    assert (tmp_path / "scores" / "batch.csv").read_text().count("\n") == 4
    found = compare([read_evaluation(tmp_path / "scores" / f"{name}.json") for name in ("first", "best")])
    assert found.overall[0].deltas[0] > 0


@pytest.mark.parametrize(
    ("text", "error"), [("name\nx\n", DataError), ("path,name\na,x\nb,x\n", RequestError), ("path\n\n,\n", DataError)]
)
def test_a_list_that_is_wrong_is_told(tmp_path, text, error):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(error):
        batch_eval(BatchEvalRequest(tmp_path / "list.csv", tmp_path, truth=tmp_path), SilentReporter())
