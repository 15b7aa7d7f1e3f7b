from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import zipfile

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError, MissingDataError, RefusedError, RequestError, Stopped
from cellmap_tui.services.evaluate import EvaluateRequest, evaluate
from cellmap_tui.services.pack import coverage, pack_results, plan_pack
from cellmap_tui.services.pack_parts import Parts, folder_of
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.submission_log import SubmissionLog
from cellmap_tui.services.validate_submission import ValidateRequest, validate_submission
from tests.services import packing as p
from tests.services import submissions as s


def problem_of(result, name):
    return next(v for v in result.volumes if f"{v.crop}/{v.label}" == name)


def test_every_prediction_is_in_the_zip_as_it_was(tmp_path):
    result = p.pack(p.predictions(tmp_path))
    assert (result.required, result.present, result.missing, result.failed, result.exit_code) == (4, 4, 0, 0, 0)
    for (crop, label), array in p.volumes().items():
        np.testing.assert_array_equal(p.unpacked(result.zip, f"{crop}/{label}"), array)
    assert result.sha256 == p.digest(result.zip)
    assert not folder_of(result.zip).exists()


def test_the_zip_has_the_official_layout_and_passes_validation(tmp_path):
    result = p.pack(p.predictions(tmp_path))
    names = p.names(result.zip)
    assert names[:3] == [".zgroup", ".zattrs", "crop557/.zgroup"]
    assert {"crop557/er/.zarray", "crop557/er/.zattrs", "crop557/er/0.0.0", "crop558/.zgroup"} <= set(names)
    with zipfile.ZipFile(result.zip) as archive:
        attributes = json.loads(archive.read("crop557/er/.zattrs"))
        array = json.loads(archive.read("crop557/er/.zarray"))
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
    assert attributes == {"voxel_size": list(s.VOXEL_NM), "translation": list(s.ORIGIN_NM)}
    assert (array["zarr_format"], array["dtype"], array["fill_value"]) == (2, "|u1", 0)
    found = validate_submission(
        ValidateRequest(result.zip, state_dir=tmp_path, test_manifest=str(tmp_path / "test.csv")), SilentReporter()
    )
    assert (found.present, found.findings) == (4, ())


def test_the_same_input_gives_the_same_bytes_with_any_number_of_workers(tmp_path):
    p.predictions(tmp_path)
    first = p.pack(tmp_path, output=tmp_path / "a.zip", workers=1)
    second = p.pack(tmp_path, output=tmp_path / "b.zip", workers=4, memory_bytes=10_000_000)
    assert first.sha256 == second.sha256 == p.digest(second.zip)


def test_scores_of_the_zip_are_those_of_the_folder(tmp_path):
    truth = s.write_store(tmp_path / "truth.zarr", p.volumes())
    given = {key: np.roll(array, (1, 1), (1, 2)) for key, array in p.volumes().items()}
    given["crop557", "er"] = given["crop557", "er"][:, :20, :] * 3
    given["crop558", "mito"] = given["crop558", "mito"].astype(np.uint64) + (given["crop558", "mito"] > 0) * 2**33
    folder = tmp_path / "in"
    for (crop, label), array in given.items():
        p.write(folder / crop / label, array)
    # One at half the voxel size, one at twice, beside the grid.
    fine = np.repeat(np.repeat(np.repeat(s.mask(), 2, 0), 2, 1), 2, 2)
    p.write(folder / "crop558" / "pm", fine, voxel=(4, 4, 4), translation=[t + 13 for t in s.ORIGIN_NM])
    p.write(folder / "crop557" / "mito", s.blobs(5)[::2, ::2, ::2], voxel=(16, 16, 16))
    result = p.pack(tmp_path, input=str(folder))

    def scored(path):
        asked = EvaluateRequest(
            submission=path, truth=truth, test_manifest=str(tmp_path / "test.csv"), state_dir=tmp_path, workers=0
        )
        found = evaluate(asked, SilentReporter())
        return found.overall_score, {(x.crop, x.label): (x.tp, x.fp, x.fn, x.hausdorff_norm_sum) for x in found.pairs}

    assert scored(result.zip) == scored(folder)
    assert p.unpacked(result.zip, "crop558/mito").dtype == np.uint64
    assert {v.state for v in result.volumes} == {"wrong-shape", "resampled", "present"} - {None}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8", "?"]),
    shift=st.tuples(*[st.integers(-5, 5)] * 3),
    data=st.data(),
)
def test_ids_survive_at_every_width_and_place(tmp_path, dtype, shift, data):
    kind = np.dtype(dtype)
    most = {"f4": 2**24, "f8": 2**53, "?": 1}.get(dtype) or int(np.iinfo(kind).max)
    ids = data.draw(st.lists(st.integers(0, most), min_size=6, max_size=6))
    array = np.random.default_rng(0).choice(np.array(ids, object), s.SHAPE).astype(kind)
    translation = [t + n * v for t, n, v in zip(s.ORIGIN_NM, shift, s.VOXEL_NM, strict=True)]
    p.write(tmp_path / "in" / "crop557" / "mito", array, translation=translation, chunks=(7, 28, 9))
    result = p.pack(tmp_path, input=str(tmp_path / "in"), overwrite=True)
    expected = np.zeros(s.SHAPE, np.uint64)
    there = tuple(slice(max(0, n), min(m, m + n)) for n, m in zip(shift, s.SHAPE, strict=True))
    here = tuple(slice(max(0, -n), min(m, m - n)) for n, m in zip(shift, s.SHAPE, strict=True))
    expected[there] = array[here].astype(np.uint64)
    packed = p.unpacked(result.zip, "crop557/mito")
    np.testing.assert_array_equal(packed.astype(np.uint64), expected)
    assert packed.dtype.kind == "u"


def test_missing_volumes_are_left_out_or_filled_with_zeros(tmp_path):
    p.predictions(tmp_path, {("crop557", "mito"): s.blobs(3)})
    bare = p.pack(tmp_path, output=tmp_path / "bare.zip")
    assert (bare.missing, bare.filled, bare.exit_code) == (3, 0, 0)
    assert "--fill-missing zeros" in bare.warnings[0]
    filled = p.pack(tmp_path, output=tmp_path / "filled.zip", fill_missing="zeros")
    assert (filled.missing, filled.filled, filled.empty, filled.present) == (0, 3, 3, 1)
    assert not p.unpacked(filled.zip, "crop558/pm").any()
    with zipfile.ZipFile(filled.zip) as archive:
        assert json.loads(archive.read(".zattrs"))["cellmap_tui"]["filled"] == [
            "crop557/er", "crop558/mito", "crop558/pm",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("crop557/mito", s.blobs(3).astype("f4") + 0.5, "fractions"),
        ("crop557/mito", s.blobs(3).astype("f4") / 4, "probabilities"),
        ("crop557/mito", s.blobs(3).astype("i4") - 1, "negative ids"),
        ("crop557/mito", np.where(s.blobs(3) > 2, np.nan, 1).astype("f4"), "NaN"),
        ("crop557/er", np.where(s.mask() > 0, np.inf, 0).astype("f4"), "NaN or infinity"),
        ("crop557/er", s.mask().astype("f4") * 0.7, "probabilities"),
        ("crop557/er", s.mask().astype("c8"), "dtype"),
        ("crop557/er", s.mask()[0], "3 values"),
    ],
)
def test_what_cannot_be_packed_is_named_and_no_zip_is_written(tmp_path, name, array, words):
    p.predictions(tmp_path)
    store = tmp_path / "processed" / f"{p.DATASET}.zarr" / name
    p.write(store, array, chunks=array.shape)
    result = p.pack(tmp_path)
    assert (result.zip, result.exit_code, result.failed) == (None, 1, 1)
    assert words in problem_of(result, name).problem
    assert problem_of(result, name).fix
    assert not (tmp_path / "out.zip").exists()
    again = p.pack(tmp_path, skip_wrong=True)
    assert (again.missing, again.kept, again.exit_code) == (1, 3, 1)
    zeros = p.pack(tmp_path, skip_wrong=True, fill_missing="zeros", overwrite=True)
    assert (zeros.missing, zeros.filled) == (0, 1)
    assert not p.unpacked(zeros.zip, name).any()


def test_once_mended_only_what_was_wrong_is_packed_again(tmp_path):
    p.predictions(tmp_path)
    store = tmp_path / "processed" / f"{p.DATASET}.zarr" / "crop557" / "er"
    (chunk := next(f for f in sorted(store.iterdir()) if f.name[0] != ".")).write_bytes(b"broken")
    assert "broken chunk" in problem_of(p.pack(tmp_path), "crop557/er").problem
    chunk.unlink()
    p.write(store, s.mask())
    assert p.pack(tmp_path).kept == 3
    whole = p.predictions(tmp_path / "other")
    assert p.pack(whole).sha256 == p.digest(tmp_path / "out.zip")


def test_probabilities_are_cut_at_a_threshold(tmp_path):
    p.predictions(tmp_path)
    store = tmp_path / "processed" / f"{p.DATASET}.zarr" / "crop557" / "er"
    chance = np.random.default_rng(0).random(s.SHAPE).astype("f4")
    p.write(store, chance)
    result = p.pack(tmp_path, threshold=0.5)
    np.testing.assert_array_equal(p.unpacked(result.zip, "crop557/er"), chance > 0.5)


def test_several_values_of_a_semantic_class_are_told(tmp_path):
    p.predictions(tmp_path)
    p.write(tmp_path / "processed" / f"{p.DATASET}.zarr" / "crop557" / "er", s.blobs(4).astype("u1"))
    assert "give --threshold" in problem_of(p.pack(tmp_path), "crop557/er").warnings[0]


def test_a_prediction_that_does_not_fit_is_placed_as_it_is_scored_and_told(tmp_path):
    p.predictions(tmp_path)
    folder = tmp_path / "processed" / f"{p.DATASET}.zarr"
    p.write(folder / "crop557" / "er", s.mask()[:10])
    result = p.pack(tmp_path)
    cut = problem_of(result, "crop557/er")
    assert (cut.state, result.exit_code) == ("wrong-shape", 0)
    assert "10×28×32 voxels, the crop has 24×28×32" in cut.warnings[0]
    assert p.unpacked(result.zip, "crop557/er")[:10].any()


def test_a_prediction_that_lies_wholly_outside_its_crop_keeps_the_zip_from_being_written(tmp_path):
    p.predictions(tmp_path)
    folder = tmp_path / "processed" / f"{p.DATASET}.zarr"
    p.write(folder / "crop558" / "pm", s.mask(), translation=(90_000, 0, 0))
    result = p.pack(tmp_path, fill_missing="zeros")
    wrong = problem_of(result, "crop558/pm")
    assert (result.zip, result.failed, result.exit_code, wrong.state) == (None, 1, 1, "outside")
    assert wrong.problem == "lies outside the crop, at 90000 0 0 nm"
    assert "the centre of voxel 0 of crop558 is at" in wrong.fix


def test_what_lies_outside_its_crop_is_left_out_or_filled_with_zeros_where_that_is_asked_for(tmp_path):
    p.predictions(tmp_path)
    folder = tmp_path / "processed" / f"{p.DATASET}.zarr"
    p.write(folder / "crop558" / "pm", s.mask(), translation=(90_000, 0, 0))
    left_out = p.pack(tmp_path, skip_wrong=True)
    assert "crop558/pm/.zarray" not in p.names(left_out.zip)
    filled = p.pack(tmp_path, skip_wrong=True, fill_missing="zeros", overwrite=True)
    assert not p.unpacked(filled.zip, "crop558/pm").any()
    assert (filled.filled, filled.failed, filled.exit_code) == (1, 1, 1)


def test_a_class_that_is_not_scored_is_named_with_the_nearest(tmp_path):
    p.predictions(tmp_path)
    with pytest.raises(RequestError, match=r"no class 'mitoo' is scored.*did you mean 'mito'"):
        p.pack(tmp_path, classes=("er", "mitoo"))


def test_a_threshold_that_is_no_number_is_refused():
    with pytest.raises(RequestError, match="a threshold of nan"):
        p.PackRequest(threshold=float("nan"))


def test_an_existing_zip_is_kept_unless_it_may_be_replaced(tmp_path):
    p.predictions(tmp_path)
    (tmp_path / "out.zip").write_bytes(b"precious")
    with pytest.raises(RefusedError, match="--overwrite"):
        p.pack(tmp_path)
    assert (tmp_path / "out.zip").read_bytes() == b"precious"
    assert p.pack(tmp_path, overwrite=True).sha256 == p.digest(tmp_path / "out.zip")


@pytest.mark.parametrize("given", ["nothing", "empty", "file", "folder"])
def test_what_is_no_submission_is_refused_in_words(tmp_path, given):
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder" / "somewhere").mkdir(parents=True)
    (tmp_path / "file").write_text("no zip")
    with pytest.raises((MissingDataError, DataError)) as told:
        p.pack(tmp_path, input=str(tmp_path / given))
    assert told.value.remedy
    assert not (tmp_path / "out.zip").exists()


def test_a_submission_is_packed_again_to_the_same_volumes(tmp_path):
    first = p.pack(p.predictions(tmp_path))
    again = p.pack(tmp_path, input=str(first.zip), output=tmp_path / "again.zip")
    assert [(v.stored_bytes, v.dtype) for v in again.volumes] == [(v.stored_bytes, v.dtype) for v in first.volumes]
    assert again.sha256 == first.sha256


def test_names_of_the_official_toolbox_end_as_a_zip(tmp_path):
    assert p.pack(p.predictions(tmp_path), output=tmp_path / "submission.zarr").zip == tmp_path / "submission.zip"
    (tmp_path / "to").mkdir()
    assert p.pack(tmp_path, output=tmp_path / "to").zip == tmp_path / "to" / "submission.zip"


def test_a_folder_that_would_be_scored_in_place_of_the_zip_is_told(tmp_path):
    p.predictions(tmp_path)
    (tmp_path / "out.zarr").mkdir()
    assert "in place of out.zip" in p.pack(tmp_path).warnings[-1]


@pytest.mark.slow
def test_a_killed_packing_goes_on_and_ends_with_the_same_bytes(tmp_path):
    big = {pair: np.tile(array, (8, 8, 8)) for pair, array in p.volumes().items()}
    grid = Grid(s.VOXEL_NM, s.ORIGIN_NM, next(iter(big.values())).shape)
    s.write_manifest(tmp_path / "test.csv", p.PAIRS, grid)
    p.predictions(tmp_path, big)
    expected = p.pack(tmp_path, output=tmp_path / "whole.zip").sha256
    for _ in range(3):
        with subprocess.Popen(p.packer(tmp_path, workers=1), stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        assert not (tmp_path / "out.zip").exists() or p.digest(tmp_path / "out.zip") == expected
    assert p.pack(tmp_path).sha256 == p.digest(tmp_path / "out.zip") == expected


def test_a_packing_killed_after_its_zip_was_in_place_is_no_existing_zip(tmp_path, monkeypatch):
    monkeypatch.setattr(Parts, "remove", lambda _: None)
    first = p.pack(p.predictions(tmp_path))
    monkeypatch.undo()
    assert p.pack(tmp_path).sha256 == first.sha256
    with pytest.raises(RefusedError, match="--overwrite"):
        p.pack(tmp_path)


def test_a_stopped_packing_keeps_what_is_done(tmp_path):
    class Impatient(SilentReporter):
        calls = 0

        def artefact(self, path, kind):
            raise AssertionError("the zip was put in place")

        def note(self, message):
            raise Stopped("enough")

    p.predictions(tmp_path)
    with pytest.raises(Stopped):
        pack_results(p.request(tmp_path), Impatient())
    assert p.pack(tmp_path).kept == 4


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path):
    noise = np.random.default_rng(0).integers(0, 2**31, (96, 112, 128), dtype=np.uint32)
    s.write_manifest(tmp_path / "test.csv", p.PAIRS, Grid(s.VOXEL_NM, s.ORIGIN_NM, noise.shape))
    p.predictions(tmp_path, {("crop557", "mito"): noise, ("crop557", "er"): noise % 2})
    (tmp_path / "out.zip").write_bytes(b"precious")
    limit = 2_000_000
    done = subprocess.run(
        p.packer(tmp_path, overwrite=True, workers=1),
        preexec_fn=lambda: (
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "RefusedError" in done.stderr or "DiskFullError" in done.stderr
    assert "cannot be written" in done.stderr
    assert (tmp_path / "out.zip").read_bytes() == b"precious"
    assert p.pack(tmp_path, overwrite=True).kept == 1


def test_two_packings_of_one_zip_are_refused(tmp_path):
    p.predictions(tmp_path)
    p.request(tmp_path)
    code = f"import fcntl, sys, pathlib; f = open({str(folder_of(tmp_path / 'out.zip') / 'lock')!r}, 'ab'); "
    code += "fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    with Parts(tmp_path / "out.zip"):
        pass
    with subprocess.Popen(
        ["python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]}
    ) as other:
        other.stdout.readline()
        with pytest.raises(RefusedError, match="another process"):
            p.pack(tmp_path)
        other.stdin.close()
    assert p.pack(tmp_path).zip


def test_hashes_of_checkpoints_and_what_predictions_say_stand_in_the_zip(tmp_path):
    p.predictions(tmp_path)
    p.write(
        tmp_path / "processed" / f"{p.DATASET}.zarr" / "crop557" / "er", s.mask(), cellmap_tui={"checkpoint": "abc"}
    )
    (tmp_path / "best.pt").write_bytes(b"weights")
    result = p.pack(tmp_path, checkpoints=(tmp_path / "best.pt",))
    with zipfile.ZipFile(result.zip) as archive:
        own = json.loads(archive.read(".zattrs"))["cellmap_tui"]
    assert own["checkpoints"] == [{"name": "best.pt", "sha256": p.digest(tmp_path / "best.pt")}]
    assert own["predictions"] == [{"volumes": ["crop557/er"], "cellmap_tui": {"checkpoint": "abc"}}]
    with pytest.raises(MissingDataError, match="cannot be read"):
        p.pack(tmp_path, checkpoints=(tmp_path / "no.pt",), overwrite=True)
    assert not folder_of(tmp_path / "out.zip").exists()


def test_a_finished_zip_is_in_the_log_with_the_hash_of_each_volume(tmp_path):
    result = p.pack(p.predictions(tmp_path))
    log = SubmissionLog(tmp_path / "state")
    entry = log.find(result.log_id)
    assert (entry.sha256, entry.path, entry.present, entry.missing) == (result.sha256, result.zip, 4, 0)
    assert set(log.volumes(entry)) == {f"{crop}/{label}" for crop, label in p.PAIRS}


def test_the_coverage_names_state_cost_and_next_step(tmp_path):
    p.predictions(tmp_path, {("crop557", "mito"): s.blobs(3)})
    folder = tmp_path / "processed" / f"{p.DATASET}.zarr"
    p.write(folder / "crop557" / "er", np.zeros(s.SHAPE, "u1"))
    p.write(tmp_path / "predictions" / f"{p.DATASET}.zarr" / "crop558" / "pm", s.mask())
    found = coverage(p.request(tmp_path)).by_pair()
    assert {pair: cell.state for pair, cell in found.items()} == {
        ("crop557", "mito"): "present",
        ("crop557", "er"): "empty",
        ("crop558", "mito"): "missing",
        ("crop558", "pm"): "missing",
    }
    assert found["crop558", "pm"].fix.command == "process --crops 558"
    assert found["crop558", "mito"].fix.step == "fetch-data"
    (tmp_path / p.DATASET / f"{p.DATASET}.zarr" / "recon-1" / "em" / "fibsem-uint8").mkdir(parents=True)
    assert coverage(p.request(tmp_path)).by_pair()["crop558", "mito"].fix.step == "predict"
    assert "boundary score 0" in found["crop558", "mito"].cost
    assert found["crop558", "mito"].loss == pytest.approx(0.5)


def test_the_coverage_of_nothing_says_where_it_was_looked_for(tmp_path):
    found = coverage(p.request(tmp_path))
    assert (found.required, found.count("missing")) == (4, 4)
    assert f"{p.DATASET}.zarr/crop557/er" in found.notes[0]


def test_the_plan_counts_what_is_kept_and_left_out(tmp_path):
    p.predictions(tmp_path, {("crop557", "mito"): s.blobs(3)})
    plan = plan_pack(p.request(tmp_path))
    assert (plan.to_pack, plan.kept, plan.left_out, plan.filled) == (1, 0, 3, 0)
    assert plan_pack(p.request(tmp_path, fill_missing="zeros")).filled == 3


def test_a_request_that_makes_no_sense_is_refused(tmp_path):
    with pytest.raises(RequestError, match="0 workers"):
        p.request(tmp_path, workers=0)
    with pytest.raises(RequestError, match="no field"):
        p.pack(tmp_path, input=str(tmp_path / "{nonsense}"))


def test_groups_and_multiscale_predictions_become_arrays(tmp_path):
    p.predictions(tmp_path)
    place = tmp_path / "processed" / f"{p.DATASET}.zarr" / "crop557" / "er"
    shutil.rmtree(place)
    s.write_group(place, s.mask())
    result = p.pack(tmp_path)
    np.testing.assert_array_equal(p.unpacked(result.zip, "crop557/er"), s.mask())
    assert zarr.open_group(str(place), mode="r")
