"""Exporting labelled regions."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.datasplit import Split, SplitRow, write_split
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.errors import DataError, MissingDataError, RefusedError, RequestError, Stopped, UnknownNameError
from cellmap_tui.services import export_plan
from cellmap_tui.services.export import ExportRequest, export, plan_export
from cellmap_tui.services.export_model import FORMATS
from cellmap_tui.services.models import from_json, to_json
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes.write import write_multiscale

EM = Grid((8.0, 8.0, 8.0), (4.0, 4.0, 4.0), (48, 56, 64))
BOX = (slice(10, 30), slice(12, 36), slice(16, 44))
CROP = Grid((8.0, 8.0, 8.0), (84.0, 100.0, 132.0), (20, 24, 28))
EDGE = Grid((8.0, 8.0, 8.0), (4.0, 4.0, 4.0), (8, 8, 8))


def kind(name, unknown=None):
    return {"cellmap_tui": {"kind": name, **({} if unknown is None else {"unknown_value": unknown})}}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A dataset with three crops: two annotated ones, and a test crop without labels."""
    root = tmp_path_factory.mktemp("data")
    recon = root / "mine" / "mine.zarr" / "recon-1"
    em = np.random.default_rng(0).integers(1, 255, EM.shape, dtype=np.uint8)
    write_multiscale(recon / "em" / "fibsem-uint8", em, EM, chunks=(16, 16, 16))
    mito, lum, er = (np.zeros(CROP.shape, np.uint16) for _ in range(3))
    mito[2:6, 2:6, 2:6], mito[2:6, 2:6, 10:14], lum[3:5, 3:5, 3:5] = 7, 300, 1
    er[12:18], er[0, 0, :5] = 1, 255
    crops = recon / "labels" / "groundtruth"
    write_multiscale(crops / "crop1" / "mito", mito, CROP, kind="label", attributes=kind("instance"))
    write_multiscale(
        crops / "crop1" / "mito_lum", lum.astype(np.uint8), CROP, kind="label", attributes=kind("binary")
    )
    write_multiscale(crops / "crop1" / "er", er.astype(np.uint8), CROP, kind="label", attributes=kind("binary", 255))
    edge = np.zeros(EDGE.shape, np.uint8)
    edge[4:] = 1
    write_multiscale(crops / "crop2" / "er", edge, EDGE, kind="label", attributes=kind("binary"))
    add_local_crops(
        root,
        [
            Crop(1, "mine", "train", CROP, ("mito_lum", "mito", "er"), source="import"),
            Crop(2, "mine", "train", EDGE, ("er",), source="import"),
            Crop(3, "mine", "test", EDGE, ("er", "mito"), source="import"),
        ],
    )
    return root, em, {"mito": mito, "mito_lum": lum, "er": er}


@pytest.fixture
def data(original):
    return original[0]


def request(data, tmp_path, **options):
    return ExportRequest(data, tmp_path / "out", **{"format": "zarr", "crops": "mine/1", **options})


def run(data, tmp_path, **options):
    return export(request(data, tmp_path, **options), SilentReporter())


def opened(result, path="mine/crop1.zarr"):
    return zarr.open_group(result.output / path, mode="r")


def rows(result):
    with result.manifest.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_region_has_em_and_labels_on_the_same_voxels(original, tmp_path):
    data, em, truth = original
    group = opened(run(data, tmp_path))
    assert (group["raw"][:] == em[BOX]).all()
    assert (group["er"][:] == truth["er"]).all()
    assert (group["mito"][:] == truth["mito"]).all()
    assert group["mito"].dtype == np.uint16
    assert {array.shape for _, array in group.arrays()} == {CROP.shape}
    assert group["raw"].attrs["translation"] == list(CROP.translation_nm)


def test_a_margin_has_em_and_unknown_labels(original, tmp_path):
    data, em, truth = original
    group = opened(run(data, tmp_path, margin=(2, 3, 4), classes=("er",)))
    assert (group["raw"][:] == em[8:32, 9:39, 12:48]).all()
    found = group["er"][:]
    assert (found[2:-2, 3:-3, 4:-4] == truth["er"]).all()
    assert (found[:2] == 255).all()
    assert (found[..., -4:] == 255).all()
    assert group["er"].attrs["translation"] == [84.0 - 16, 100.0 - 24, 132.0 - 32]


def test_a_margin_in_nm_is_rounded_up_to_voxels(data, tmp_path):
    group = opened(run(data, tmp_path, margin_nm=(9.0, 0.0, 16.0), classes=("er",)))
    assert group["raw"].shape == (24, 24, 32)


def test_a_margin_ends_where_the_em_ends(original, tmp_path):
    data, em, _ = original
    group = opened(run(data, tmp_path, crops="mine/2", margin=(100, 5, 2)), "mine/crop2.zarr")
    assert (group["raw"][:] == em[:, :13, :10]).all()
    assert group["raw"].attrs["translation"] == [4.0, 4.0, 4.0]


def test_another_voxel_size_resamples_em_and_labels_alike(original, tmp_path):
    data, em, truth = original
    group = opened(run(data, tmp_path, scale=(16.0, 16.0, 16.0), classes=("er",)))
    mean = em[BOX].reshape(10, 2, 12, 2, 14, 2).mean(axis=(1, 3, 5))
    assert np.abs(group["raw"][:].astype(float) - mean).max() <= 1
    assert (group["er"][1:] == truth["er"][2::2, ::2, ::2]).all()
    assert group["er"].attrs["translation"] == [88.0, 104.0, 136.0]


def test_native_em_stays_on_its_own_voxels(original, tmp_path):
    data, em, _ = original
    group = opened(run(data, tmp_path, scale=(16.0, 16.0, 16.0), classes=("er",), raw="native"))
    assert (group["raw"][:] == em[BOX]).all()
    assert group["er"].shape == (10, 12, 14)


def test_without_em_labels_go_alone(data, tmp_path):
    assert sorted(opened(run(data, tmp_path, raw="none"))) == ["er", "mito", "mito_lum"]


def test_targets_join_classes_and_ignore_others(original, tmp_path):
    data, _, truth = original
    file = tmp_path / "targets.toml"
    file.write_text('ignore = ["mito_lum"]\n[targets]\norganelle = ["mito", "er"]\n')
    result = run(data, tmp_path, targets=file)
    found = opened(result)["organelle"][:]
    expected = ((truth["mito"] > 0) | (truth["er"] == 1)).astype(np.uint8)
    expected[truth["er"] == 255] = 255
    expected[truth["mito_lum"] == 1] = 255
    assert (found == expected).all()
    assert rows(result)[1]["classes"] == "mito;er"


def test_combined_targets_have_a_value_each(original, tmp_path):
    data, _, truth = original
    result = run(data, tmp_path, classes=("er", "mito"), combined=True)
    labels = opened(result)["labels"]
    assert (labels[:][truth["mito"] > 0] == 2).all()
    assert (labels[:][truth["er"] == 1] == 1).all()
    assert (labels[:] == 255).sum() == 5
    assert labels.attrs["ids"] == {"er": 1, "mito": 2}
    assert rows(result)[1]["ids"] == "er=1;mito=2"


def test_targets_that_overlap_are_not_combined(data, tmp_path):
    with pytest.raises(RequestError, match="'mito' and 'mito_lum' overlap"):
        run(data, tmp_path, classes=("mito", "mito_lum"), combined=True)
    assert not list((tmp_path / "out").rglob("*.zarr"))


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_holds_em_and_labels(original, tmp_path, format_):
    data, em, truth = original
    result = run(data, tmp_path, format=format_, classes=("er",))
    assert result.manifest is not None
    for row in rows(result):
        found = read_back(result.output / row["path"], row["inside"])
        assert found.shape == CROP.shape
        if row["kind"] == "raw":
            assert (found == em[BOX]).all()
        elif format_ == "nnunet":
            assert (found == np.where(truth["er"] == 255, 2, truth["er"])).all()
        else:
            assert (found == truth["er"]).all()


def read_back(path, inside):
    name = path.name
    if name.endswith(".ome.zarr"):
        return zarr.open_array(path / inside / "s0", mode="r")[:]
    if name.endswith(".zarr"):
        return zarr.open_array(path / inside, mode="r")[:]
    if name.endswith(".tif"):
        return tifffile.imread(path)
    if name.endswith(".nii.gz"):
        return np.asanyarray(nibabel.load(path).dataobj).T
    if name.endswith(".h5"):
        with h5py.File(path) as file:
            return file[inside][:]
    with np.load(path) as file:
        return file[inside]


def test_the_manifest_says_what_and_where_in_both_forms(original, tmp_path):
    data, _, truth = original
    result = run(data, tmp_path, margin=(1, 0, 0), classes=("mito", "er"), format="tiff")
    found = {row["name"]: row for row in rows(result)}
    assert list(found) == ["raw", "mito", "er"]
    assert found["raw"]["level"].startswith("s0 at 8 nm")
    assert found["mito"]["kind"] == "instance"
    assert found["mito"]["translation_nm"] == "76.0;100.0;132.0"
    assert int(found["mito"]["foreground_voxels"]) == np.count_nonzero(truth["mito"])
    assert int(found["er"]["unknown_voxels"]) == 5 + 2 * 24 * 28
    same = json.loads((result.output / "manifest.json").read_text())
    assert [row["name"] for row in same["volumes"]] == ["raw", "mito", "er"]
    assert same["volumes"][1]["voxel_size_nm"] == [8.0, 8.0, 8.0]


def test_a_test_crop_is_em_alone(data, tmp_path):
    result = run(data, tmp_path, crops="mine/3")
    assert [volume.name for volume in result.files[0].volumes] == ["raw"]


def test_by_default_everything_on_disk_goes_out(data, tmp_path):
    assert {file.path for file in run(data, tmp_path, crops="").files} == {
        "mine/crop1.zarr",
        "mine/crop2.zarr",
        "mine/crop3.zarr",
    }


def test_what_is_not_annotated_is_told(data, tmp_path):
    result = run(data, tmp_path, crops="mine/1,mine/2", classes=("mito", "er"))
    assert "mito is not annotated in mine/crop2" in result.notes
    assert sorted(opened(result, "mine/crop2.zarr")) == ["er", "raw"]


def test_a_crop_without_any_target_is_left_out(data, tmp_path):
    result = run(data, tmp_path, crops="mine/1,mine/2", classes=("mito",))
    assert result.crops == 1
    assert any("mine/crop2 is left out" in note for note in result.notes)
    assert result.exit_code == 0


def test_a_dry_run_says_everything_and_writes_nothing(data, tmp_path):
    result = run(data, tmp_path, dry_run=True, format="hdf5")
    assert [file.state for file in result.files] == ["planned"]
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_kept(data, tmp_path):
    first = run(data, tmp_path, format="tiff")
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*.tif")}
    again = run(data, tmp_path, format="tiff")
    assert {file.state for file in again.files} == {"kept"}
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*.tif")} == times
    assert rows(again) == rows(first)
    assert plan_export(request(data, tmp_path, format="tiff")).voxels == 0


def test_rows_of_earlier_crops_stay_in_the_manifest(data, tmp_path):
    run(data, tmp_path, classes=("er",))
    result = run(data, tmp_path, classes=("er",), crops="mine/2")
    assert [row["crop"] for row in rows(result)] == ["mine/crop2", "mine/crop2", "mine/crop1", "mine/crop1"]


def test_files_of_something_else_are_not_touched_unasked(data, tmp_path):
    run(data, tmp_path, format="npz")
    before = (tmp_path / "out" / "mine" / "crop1.npz").read_bytes()
    with pytest.raises(RefusedError, match="made from something else") as caught:
        run(data, tmp_path, format="npz", margin=(1, 1, 1))
    assert "--overwrite" in caught.value.remedy
    assert (tmp_path / "out" / "mine" / "crop1.npz").read_bytes() == before
    result = run(data, tmp_path, format="npz", margin=(1, 1, 1), overwrite=True)
    assert result.files[0].state == "written"


def test_changed_labels_are_exported_again(original, tmp_path):
    import shutil

    data = tmp_path / "copy"
    shutil.copytree(original[0], data)
    run(data, tmp_path, classes=("er",))
    path = data / "mine/mine.zarr/recon-1/labels/groundtruth/crop1/er"
    write_multiscale(path, np.ones(CROP.shape, np.uint8), CROP, kind="label", overwrite=True)
    with pytest.raises(RefusedError):
        run(data, tmp_path, classes=("er",))
    assert (opened(run(data, tmp_path, classes=("er",), overwrite=True))["er"][:] == 1).all()


def without_chunks(original, tmp_path, *patterns):
    import shutil

    data = tmp_path / "copy"
    shutil.copytree(original[0], data)
    for pattern in patterns:
        for chunk in (data / "mine/mine.zarr/recon-1/em/fibsem-uint8").glob(pattern):
            chunk.unlink()
    return data


def test_gaps_in_the_em_are_told_and_coarser_em_does_not_fill_them(original, tmp_path):
    data = without_chunks(original, tmp_path, "s0/1/1/1")
    result = run(data, tmp_path, classes=("er",))
    assert result.warnings == ("mine/crop1: 1 of 12 EM chunks are not on disk: black in the data, or not fetched",)
    found = opened(result)["raw"][:]
    assert (found[6:, 4:20, :16] == 0).sum() >= 14 * 16 * 16
    assert result.files[0].volumes[0].level.startswith("s0")


def test_finer_em_stands_in_for_a_level_with_gaps(original, tmp_path):
    data = without_chunks(original, tmp_path, "s1/0/0/0")
    result = run(data, tmp_path, classes=("er",), scale=(16.0, 16.0, 16.0))
    assert result.files[0].volumes[0].level.startswith("s0")
    assert not result.warnings


def test_coarser_em_serves_where_nothing_finer_is_there(original, tmp_path):
    data = without_chunks(original, tmp_path, "s0/*/*/*")
    result = run(data, tmp_path, classes=("er",), raw="native")
    assert result.files[0].volumes[0].voxel_size_nm == (16.0, 16.0, 16.0)
    result = run(data, tmp_path, classes=("er",), overwrite=True)
    assert "s1 at 16 nm is upsampled" in result.files[0].volumes[0].level
    assert result.notes == ("mine/crop1: no level is as fine as 8 nm on every axis: s1 at 16 nm is upsampled",)


def test_crops_that_are_not_on_disk_are_problems(original, tmp_path):
    import shutil

    data = tmp_path / "copy"
    shutil.copytree(original[0], data)
    shutil.rmtree(data / "mine/mine.zarr/recon-1/labels/groundtruth/crop2/er")
    result = run(data, tmp_path, crops="mine/1,mine/2", classes=("er",))
    assert result.exit_code == 1
    assert result.problems[0].startswith("mine/crop2: er is annotated")
    with pytest.raises(MissingDataError, match="nothing to export"):
        run(data, tmp_path, crops="mine/2", classes=("er",))


def test_a_disk_that_is_too_small_is_refused(data, tmp_path, monkeypatch):
    monkeypatch.setattr(export_plan, "free_bytes", lambda _: 10)
    with pytest.raises(RefusedError, match="10 B free"):
        run(data, tmp_path)
    assert run(data, tmp_path, ignore_disk=True).files


def test_the_data_themselves_are_never_written_into(data):
    inside = data / "mine" / "mine.zarr" / "export"
    for output in (data, data.parent, inside):
        with pytest.raises(RequestError, match="choose a folder of its own"):
            export(ExportRequest(data, output, crops="mine/1"), SilentReporter())
    assert not inside.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": ("mito",), "targets": "t.toml"}, "both classes and a file"),
        ({"scale": (8.0, 0.0, 8.0)}, "voxel size 8 0 8 nm is not three positive"),
        ({"margin": (-1, 0, 0)}, "margin -1 0 0 is not"),
        ({"margin_nm": (0.0, -4.0, 0.0)}, "margin 0 -4 0 nm is not"),
        ({"margin": (1, 0, 0), "margin_nm": (1.0, 1.0, 1.0)}, "in voxels and in nm"),
        ({"format": "nnunet"}, "needs to know its targets"),
        ({"format": "nnunet", "classes": ("er",), "raw": "none"}, "needs EM"),
        ({"format": "nnunet", "classes": ("er",), "dataset_id": 0}, "dataset number 0"),
        ({"format": "nnunet", "classes": ("er",), "dataset_name": "a/b"}, "dataset name"),
    ],
)
def test_contradictions_are_refused_before_anything_is_read(data, tmp_path, options, words):
    with pytest.raises(RequestError, match=words):
        request(data, tmp_path, **options)


def test_an_unknown_class_is_named_with_the_nearest(data, tmp_path):
    with pytest.raises(UnknownNameError, match="nucleuss"):
        run(data, tmp_path, classes=("nucleuss",))


def test_a_request_survives_json(data, tmp_path):
    asked = request(data, tmp_path, classes=("er",), scale=(8.0, 8.0, 8.0), margin=(1, 2, 3))
    assert from_json(to_json(asked), ExportRequest, source="test") == asked


def split(data, tmp_path, **usages):
    recon = data / "mine" / "mine.zarr"
    sides = [
        SplitRow(usage, str(recon), "recon-1/em/fibsem-uint8", str(recon), f"recon-1/labels/groundtruth/{crop}")
        for crop, usage in usages.items()
    ]
    path = tmp_path / "split.csv"
    write_split(path, Split(tuple(sides)))
    return path


def test_a_datasplit_chooses_crops_and_says_their_usage(data, tmp_path):
    chosen = split(data, tmp_path, crop1="train", crop2="validate")
    result = run(data, tmp_path, crops="", datasplit=chosen, classes=("er",))
    assert [(row["crop"], row["usage"]) for row in rows(result) if row["kind"] == "raw"] == [
        ("mine/crop1", "train"),
        ("mine/crop2", "validate"),
    ]


class StopAfter(SilentReporter):
    """Asks to stop once so many files exist."""

    def __init__(self, files):
        self._left = files

    def artefact(self, path, kind):
        self._left -= 1

    def checkpoint(self):
        if self._left <= 0:
            raise Stopped("stopped")


def test_a_stopped_export_goes_on_where_it_was(data, tmp_path):
    asked = request(data, tmp_path, format="tiff")
    with pytest.raises(Stopped):
        export(asked, StopAfter(2))
    result = export(asked, SilentReporter())
    assert sorted(file.state for file in result.files) == ["kept", "kept", "written", "written"]
    assert not list((tmp_path / "out").rglob("*.partial"))


KILLED = """
import os, signal, sys
from pathlib import Path
from cellmap_tui.services.export import export, ExportRequest
from cellmap_tui.services.models import from_json
from cellmap_tui.services.report import SilentReporter
class Kill(SilentReporter):
    def __init__(self, calls): self.calls = calls
    def checkpoint(self):
        self.calls -= 1
        if self.calls < 0: os.kill(os.getpid(), signal.SIGKILL)
export(from_json(Path(sys.argv[1]).read_bytes(), ExportRequest, source="test"), Kill(int(sys.argv[2])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["nifti", "ome-zarr", "nnunet"])
def test_killed_at_any_moment_it_ends_with_the_same_bytes(data, tmp_path, format_):
    asked = request(data, tmp_path, format=format_, crops="mine/1,mine/3", classes=("er", "mito"))
    whole = export(
        ExportRequest(data, tmp_path / "whole", format_, crops="mine/1,mine/3", classes=("er", "mito")),
        SilentReporter(),
    )
    file = tmp_path / "request.json"
    file.write_bytes(to_json(asked))
    killed = 0
    for calls in range(2, 40):
        done = subprocess.run([sys.executable, "-c", KILLED, str(file), str(calls)], env={**os.environ}, check=False)
        killed += done.returncode == -signal.SIGKILL
        if done.returncode == 0:
            break
    export(asked, SilentReporter())
    assert killed >= 2
    assert contents(tmp_path / "out") == contents(whole.output)


def contents(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and ".cellmap-tui" not in file.parts
    }


def nnunet(data, tmp_path, **options):
    result = run(data, tmp_path, format="nnunet", **options)
    folder = next((result.output / "nnUNet_raw").iterdir())
    return result, folder, json.loads((folder / "dataset.json").read_text())


def test_nnunet_finds_its_layout(original, tmp_path):
    data, _, truth = original
    _, folder, described = nnunet(data, tmp_path, crops="mine/1,mine/3", classes=("er", "mito"))
    assert folder.name == "Dataset501_CellMap"
    assert [f.name for f in (folder / "imagesTr").iterdir()] == ["mine_crop1_0000.nii.gz"]
    assert [f.name for f in (folder / "imagesTs").iterdir()] == ["mine_crop3_0000.nii.gz"]
    label = nibabel.load(folder / "labelsTr" / "mine_crop1.nii.gz")
    image = nibabel.load(folder / "imagesTr" / "mine_crop1_0000.nii.gz")
    assert image.shape == label.shape
    assert np.array_equal(image.affine, label.affine)
    found = np.asanyarray(label.dataobj).T
    assert found.dtype == np.uint8
    assert (found[truth["er"] == 1] == 1).all()
    assert (found[truth["mito"] > 0] == 2).all()
    assert (found[0, 0, :5] == 3).all()
    assert described["labels"] == {"background": 0, "er": 1, "mito": 2, "ignore": 3}
    assert (described["numTraining"], described["file_ending"]) == (1, ".nii.gz")
    assert described["channel_names"] == {"0": "EM"}
    assert "regions_class_order" not in described


def test_targets_that_overlap_become_regions(original, tmp_path):
    data, _, truth = original
    _, folder, described = nnunet(data, tmp_path, classes=("mito_lum", "mito", "er"))
    labels = described["labels"]
    assert list(labels) == ["background", "er", "mito", "mito_lum", "ignore"]
    assert labels["er"] == 3
    assert set(labels["mito"]) & set(labels["mito_lum"]) == {4}
    assert described["regions_class_order"] == [3, 2, 4]
    found = np.asanyarray(nibabel.load(folder / "labelsTr" / "mine_crop1.nii.gz").dataobj).T
    assert (found[truth["mito_lum"] > 0] == 4).all()
    both = (truth["mito"] > 0) & (truth["mito_lum"] == 0)
    assert (found[both] == 2).all()
    meaning = json.loads((folder / "cellmap_tui.json").read_text())
    assert meaning["values"]["4"] == ["mito_lum", "mito"]
    assert meaning["cases"] == {"mine_crop1": "mine/crop1"}


def test_a_voxel_that_is_of_another_class_is_not_ignored(data, tmp_path):
    _, folder, _ = nnunet(data, tmp_path, crops="mine/1,mine/2", classes=("er", "mito"), incomplete="ignore")
    found = np.asanyarray(nibabel.load(folder / "labelsTr" / "mine_crop2.nii.gz").dataobj).T
    assert (found[4:] == 1).all()  # er: cannot be mito
    assert (found[:4] == 3).all()  # no er: may be mito


def test_crops_without_a_target_are_left_out_or_taken_as_asked(data, tmp_path):
    result, _, described = nnunet(data, tmp_path, crops="mine/1,mine/2", classes=("er", "mito"))
    assert described["numTraining"] == 1
    assert any("mine/crop2 (mito)" in words for words in result.warnings)
    with pytest.raises(RequestError, match="no crop annotates all"):
        run(data, tmp_path / "none", format="nnunet", crops="mine/2", classes=("er", "mito"))
    result, folder, described = nnunet(
        data, tmp_path / "all", crops="mine/1,mine/2", classes=("er", "mito"), incomplete="absent"
    )
    assert described["numTraining"] == 2
    found = np.asanyarray(nibabel.load(folder / "labelsTr" / "mine_crop2.nii.gz").dataobj).T
    assert sorted(np.unique(found)) == [0, 1]


def test_the_split_becomes_fold_0(data, tmp_path):
    chosen = split(data, tmp_path, crop1="train", crop2="validate")
    result, _, _ = nnunet(data, tmp_path, crops="", datasplit=chosen, classes=("er",))
    file = result.output / "nnUNet_preprocessed" / "Dataset501_CellMap" / "splits_final.json"
    assert json.loads(file.read_text()) == [{"train": ["mine_crop1"], "val": ["mine_crop2"]}]


def test_a_split_with_an_empty_side_is_refused(data, tmp_path):
    chosen = split(data, tmp_path, crop1="train", crop2="validate")
    with pytest.raises(DataError, match="no crop to validate on"):
        nnunet(data, tmp_path, crops="", datasplit=chosen, classes=("er", "mito"))


def test_tiff_cases_have_their_spacing_beside_them(data, tmp_path):
    _, folder, described = nnunet(data, tmp_path, classes=("er",), file_ending=".tif")
    assert described["overwrite_image_reader_writer"] == "Tiff3DIO"
    for name in ("imagesTr", "labelsTr"):
        assert json.loads((folder / name / "mine_crop1.json").read_text()) == {"spacing": [8.0, 8.0, 8.0]}
    assert tifffile.imread(folder / "imagesTr" / "mine_crop1_0000.tif").shape == CROP.shape


def test_cases_of_another_export_are_not_mixed_in(data, tmp_path):
    nnunet(data, tmp_path, crops="mine/1,mine/2", classes=("er",))
    with pytest.raises(RefusedError, match="made from something else"):
        nnunet(data, tmp_path, crops="mine/2", classes=("er",))
    _, folder, described = nnunet(data, tmp_path, crops="mine/2", classes=("er",), overwrite=True)
    assert described["numTraining"] == 1
    assert [f.name for f in (folder / "labelsTr").iterdir()] == ["mine_crop2.nii.gz"]
    (folder / "imagesTr" / "strange_0000.nii.gz").write_bytes(b"")
    with pytest.raises(RefusedError, match="not of this export"):
        nnunet(data, tmp_path, crops="mine/2", classes=("er",), overwrite=True)
