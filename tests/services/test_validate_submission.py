"""Checking a submission: coverage, and every failure with its fix."""

from __future__ import annotations

import json
import os
import zipfile

import numpy as np
import pytest
import zarr

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError, MissingDataError, Stopped
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.validate_submission import ValidateRequest, cost_words, validate_submission
from cellmap_tui.volumes.write import write_array
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

PAIRS = [("crop562", "mito"), ("crop562", "er"), ("crop983", "er")]


@pytest.fixture
def good(tmp_path):
    return write_store(
        tmp_path / "submission.zarr",
        {("crop562", "mito"): blobs(), ("crop562", "er"): mask(), ("crop983", "er"): mask()},
    )


@pytest.fixture
def validate(tmp_path):
    manifest = write_manifest(tmp_path / "test.csv", PAIRS)

    def run(path, **options):
        return validate_submission(ValidateRequest(path, test_manifest=str(manifest), **options), SilentReporter())

    return run


def state(result, crop, label):
    return next(row.state for row in result.coverage if (row.crop, row.label) == (crop, label))


def found(result, kind):
    return [finding for finding in result.findings if finding.kind == kind]


def rewrite(store, label, array, crop="crop562", **attributes):
    path = store / crop / label
    write_array(path, array, Grid(VOXEL_NM, ORIGIN_NM, array.shape), overwrite=True)
    values = json.loads((path / ".zattrs").read_text())
    values.update(attributes)
    (path / ".zattrs").write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


def test_a_right_submission_has_nothing_to_say_zipped_or_not(good, validate, tmp_path):
    for path in (good, zip_folder(good, tmp_path / "upload.zip")):
        result = validate(path)
        assert result.findings == ()
        assert (result.present, result.required, result.exit_code) == (3, 3, 0)
        assert result.size_bytes > 0


def test_the_whole_challenge_has_413_volumes_in_16_crops(tmp_path):
    (tmp_path / "empty.zarr" / "crop557").mkdir(parents=True)
    result = validate_submission(ValidateRequest(tmp_path / "empty.zarr"), SilentReporter())
    assert (result.required, result.present) == (413, 0)
    assert len({row.crop for row in result.coverage}) == 16
    assert len({row.label for row in result.coverage}) == 48


def test_a_missing_volume_is_named_with_its_cost(good, validate):
    import shutil

    shutil.rmtree(good / "crop983")
    result = validate(good)
    assert state(result, "crop983", "er") == "missing"
    (finding,) = found(result, "missing")
    assert finding.where == "crop983/er"
    assert "21 504 voxels count as missed" in finding.problem
    assert "IoU of er can be 0.5 at most" in finding.problem
    assert "--fill-missing" in finding.fix
    assert result.exit_code == 1


def test_the_cost_of_a_missing_instance_volume_is_told_in_objects():
    assert "every object of the truth counts as missed" in cost_words("mito", 1000, 0.25)


def test_zarr_v3_is_found_although_the_official_scorer_says_nothing(good, validate):
    import shutil

    shutil.rmtree(good / "crop562" / "mito")
    array = zarr.create_array(good / "crop562" / "mito", shape=SHAPE, dtype="u2", zarr_format=3)
    array[...] = blobs()
    result = validate(good)
    assert state(result, "crop562", "mito") == "wrong"
    assert found(result, "format")[0].severity == "error"


def test_a_group_is_told_to_be_written_as_an_array(good, validate):
    import shutil

    shutil.rmtree(good / "crop562" / "mito")
    write_group(good / "crop562" / "mito", blobs())
    result = validate(good)
    assert state(result, "crop562", "mito") == "wrong"
    assert "group" in found(result, "group")[0].problem


@pytest.mark.parametrize(
    ("kind", "array", "attributes"),
    [
        ("shape", np.zeros((24, 28, 30), np.uint16), {}),
        ("offset", blobs(), {"translation": [0.0, 0.0, 0.0]}),
        ("offset", blobs(), {"translation": None}),
        ("voxel_size", blobs(), {"voxel_size": [4.0, 4.0, 4.0]}),
        ("voxel_size", blobs(), {"voxel_size": None}),
        ("dtype", blobs(dtype=np.float32), {}),
        ("ids", blobs(dtype=np.float32) * 20_000_000, {}),
        ("ids", blobs(dtype=np.float32) * 0.5, {}),
        ("ids", np.where(blobs() == 3, 255, blobs()).astype(np.uint8), {}),
        ("ids", blobs(dtype=np.int16) * -1, {}),
        ("nan", np.where(blobs() == 3, np.nan, blobs()).astype(np.float32), {}),
    ],
)
def test_each_failure_is_found_with_a_fix(good, validate, kind, array, attributes):
    rewrite(good, "mito", array, **attributes)
    result = validate(good)
    (finding, *_) = found(result, kind)
    assert finding.where == "crop562/mito"
    assert finding.fix
    assert result.exit_code == 1


def test_probabilities_are_found_before_they_all_become_foreground(good, validate):
    rewrite(good, "er", np.full(SHAPE, 0.2, np.float32))
    (finding,) = found(validate(good), "dtype")
    assert "everything above 0 is foreground" in finding.problem


def test_an_empty_volume_is_present_and_counted(good, validate):
    rewrite(good, "er", np.zeros(SHAPE, np.uint8))
    result = validate(good)
    assert state(result, "crop562", "er") == "empty"
    assert (result.present, result.empty, result.exit_code) == (3, 1, 0)


def test_a_corner_in_place_of_a_centre_is_no_failure(good, validate):
    rewrite(good, "mito", blobs(), translation=[value - 4 for value in ORIGIN_NM])
    assert validate(good).findings == ()


def test_a_quick_look_reads_no_voxels(good, validate):
    for chunk in (good / "crop562" / "mito").rglob("[0-9]*"):
        if chunk.is_file():
            chunk.write_bytes(b"broken")
    assert validate(good, quick=True).exit_code == 0
    (finding,) = found(validate(good), "broken")
    assert finding.where == "crop562/mito"


def test_folders_that_the_official_scorer_does_not_look_into_are_told(good, validate, tmp_path):
    wrapped = zip_folder(good, tmp_path / "plain.zip", "upload/")
    result = validate(wrapped)
    assert result.present == 0
    assert "does not look" in found(result, "nested")[0].problem
    inside_zarr = validate(zip_folder(good, tmp_path / "zarr.zip", "outer/submission.zarr/"))
    assert (inside_zarr.present, inside_zarr.exit_code) == (3, 0)


def test_a_folder_beside_the_zip_is_told_because_it_would_be_scored(good, validate):
    result = validate(zip_folder(good, good.with_suffix(".zip")))
    assert result.exit_code == 0  # submission.zarr beside submission.zip is another name
    (good.parent / "submission").mkdir()
    assert "would score that" in found(validate(good.with_suffix(".zip")), "nested")[0].problem


def test_odd_names_are_told_with_the_right_one(good, validate):
    (good / "crop983").rename(good / "Crop_983")
    result = validate(good)
    assert state(result, "crop983", "er") == "wrong"
    assert found(result, "name")[0].fix == "call the folder crop983"


def test_crops_without_their_prefix_are_taken_when_all_are_so(good, validate):
    for name in ("crop562", "crop983"):
        (good / name).rename(good / name.removeprefix("crop"))
    result = validate(good)
    assert (result.present, result.exit_code) == (3, 0)


def test_what_is_not_scored_is_a_note(good, validate):
    write_store(good, {("crop562", "nuc"): blobs(), ("crop1", "er"): mask()})
    result = validate(good)
    assert {finding.where for finding in found(result, "name")} == {"crop562/nuc", "crop1"}
    assert result.exit_code == 0


def test_links_and_names_that_lead_out_are_told_and_not_followed(good, validate, tmp_path):
    (good / "crop562" / "link").symlink_to("/etc")
    assert found(validate(good), "unsafe")
    path = zip_folder(good, tmp_path / "slip.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../outside.txt", "x")
    assert found(validate(path), "unsafe")


def test_the_size_limit_is_that_of_the_challenge_and_can_be_moved(good, validate, monkeypatch):
    assert validate(good).limit_bytes == 50 * 2**30
    monkeypatch.setenv("MAX_UNCOMPRESSED_SIZE", "1000")
    assert found(validate(good), "size")[0].severity == "error"


def test_what_is_no_submission_at_all_is_an_error(validate, tmp_path):
    with pytest.raises(MissingDataError):
        validate(tmp_path / "nothing.zip")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(DataError, match="neither a folder nor a zip"):
        validate(tmp_path / "text.zip")
    (tmp_path / "empty").mkdir()
    assert found(validate(tmp_path / "empty"), "nested")


def test_hostile_metadata_are_answered_in_words(good, validate):
    (good / "crop562" / "mito" / ".zarray").write_text("[" * 100_000)
    (good / "crop562" / "er" / ".zarray").write_text(
        '{"shape": [1e18, 1, 1], "dtype": "|u1", "chunks": [1e18, 1, 1]}'
    )
    result = validate(good)
    assert state(result, "crop562", "mito") == state(result, "crop562", "er") == "wrong"


def test_it_stops_when_asked(good, tmp_path):
    class Stopper(SilentReporter):
        def checkpoint(self):
            raise Stopped("stopped")

    with pytest.raises(Stopped):
        validate_submission(
            ValidateRequest(good, test_manifest=str(write_manifest(tmp_path / "m.csv", PAIRS))), Stopper()
        )


def test_a_folder_that_cannot_be_read_is_no_traceback(good, validate):
    (good / "crop562" / "mito" / ".zattrs").unlink()
    os.mkfifo(good / "crop562" / "mito" / "pipe")
    assert validate(good, quick=True).present == 3


def test_the_grid_of_the_tests_is_the_manifests():
    assert GRID.shape == SHAPE
