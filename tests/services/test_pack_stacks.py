from __future__ import annotations

import json

import h5py
import nibabel
import numpy as np
import pytest
import tifffile

from cellmap_tui.errors import DataError, RequestError
from tests.services import packing as p
from tests.services import submissions as s


def label_map():
    """A label map as nnU-Net writes it: 1 er_mem, 2 er_lum, 3 mito."""
    array = np.zeros(s.SHAPE, np.uint8)
    array[5:15, 6:20, 7:22] = 1
    array[7:13, 8:18, 9:20] = 2
    array[16:22, 2:9, 3:12] = 3
    return array


def save_nifti(path, array):
    nibabel.save(nibabel.Nifti1Image(array.T, np.diag([8, 8, 8, 1])), path)


def save_hdf5(path, array):
    with h5py.File(path, "w") as file:
        file["labels"] = array


@pytest.mark.parametrize(
    ("suffix", "save"),
    [
        (".tif", lambda path, array: tifffile.imwrite(path, array)),
        (".npy", np.save),
        (".nii.gz", save_nifti),
        (".nii", save_nifti),
        (".h5:/labels", lambda path, array: save_hdf5(str(path).partition(":")[0], array)),
    ],
)
def test_a_file_per_crop_and_class_is_packed_whatever_its_format(tmp_path, suffix, save):
    for (crop, label), array in p.volumes().items():
        (tmp_path / "out" / crop).mkdir(parents=True, exist_ok=True)
        save(tmp_path / "out" / crop / f"{label}{suffix}", array)
    result = p.pack(tmp_path, input=str(tmp_path / "out" / "{crop}" / f"{{label}}{suffix}"))
    assert result.present == 4
    for (crop, label), array in p.volumes().items():
        np.testing.assert_array_equal(p.unpacked(result.zip, f"{crop}/{label}"), array)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_large_nifti_is_read_forward_and_gives_the_same(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("cellmap_tui.volumes.stack_nifti.WHOLE_BYTES", 1)
    array = p.volumes()["crop558", "mito"]
    save_nifti(tmp_path / f"crop558_mito{suffix}", array)
    result = p.pack(tmp_path, input=str(tmp_path / f"{{crop}}_{{label}}{suffix}"))
    np.testing.assert_array_equal(p.unpacked(result.zip, "crop558/mito"), array)


def test_datasets_that_a_file_lacks_are_missing_not_wrong(tmp_path):
    with h5py.File(tmp_path / "crop557.h5", "w") as file:
        file["er"] = s.mask()
    result = p.pack(tmp_path, input=str(tmp_path / "{crop}.h5:/{label}"))
    assert (result.present, result.missing, result.failed) == (1, 3, 0)


def test_label_maps_of_nnunet_are_taken_apart_by_its_own_labels(tmp_path):
    folder = tmp_path / "nnunet"
    folder.mkdir()
    save_nifti(folder / "case_crop557.nii.gz", label_map())
    labels = {"background": 0, "er": [1, 2], "mito": 3, "ignore": 4}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    result = p.pack(tmp_path, input=str(folder))
    np.testing.assert_array_equal(p.unpacked(result.zip, "crop557/er"), np.isin(label_map(), (1, 2)))
    np.testing.assert_array_equal(p.unpacked(result.zip, "crop557/mito"), label_map() == 3)
    assert (result.present, result.missing) == (2, 2)


def test_a_mapping_file_says_which_case_is_which_crop(tmp_path):
    folder = tmp_path / "cases"
    folder.mkdir()
    np.save(folder / "first.npy", label_map())
    mapping = tmp_path / "mapping.json"
    mapping.write_text(json.dumps({"labels": {"er": [1, 2]}, "cases": {"first": "557"}}))
    result = p.pack(tmp_path, input=str(folder), mapping=mapping, labels={"mito": 3}, voxel_size_nm=(8, 8, 8))
    assert p.unpacked(result.zip, "crop557/er").sum() == np.isin(label_map(), (1, 2)).sum()
    assert result.present == 2


def test_values_given_on_the_command_line_go_over_the_file(tmp_path):
    np.save(tmp_path / "crop557.npy", label_map())
    result = p.pack(tmp_path, input=str(tmp_path / "{crop}.npy"), labels={"er": 2})
    np.testing.assert_array_equal(p.unpacked(result.zip, "crop557/er"), label_map() == 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ("[]", "no JSON object"),
        ('{"labels": 3}', "no JSON object"),
        ('{"labels": {"mito": "one"}}', "not a whole number"),
        ('{"labels": {"mito": true}}', "not a whole number"),
        ('{"labels": {"mito": []}}', "not a whole number"),
        ('{"cases": []}', "no JSON object"),
    ],
)
def test_a_wrong_mapping_is_told_in_words(tmp_path, content, words):
    (tmp_path / "mapping.json").write_text(content)
    np.save(tmp_path / "crop557.npy", label_map())
    with pytest.raises(DataError, match=words):
        p.pack(tmp_path, input=str(tmp_path / "{crop}.npy"), mapping=tmp_path / "mapping.json")


def test_a_stack_of_an_unknown_class_is_asked_about(tmp_path):
    np.save(tmp_path / "crop557.npy", label_map())
    with pytest.raises(RequestError):
        p.pack(tmp_path, input=str(tmp_path / "crop557.npy"))


def test_a_damaged_stack_is_named_and_the_others_are_kept(tmp_path):
    for crop in ("crop557", "crop558"):
        np.save(tmp_path / f"{crop}_mito.npy", p.volumes()[crop, "mito"])
    (tmp_path / "crop557_mito.npy").write_bytes(b"\x93NUMPY garbage")
    result = p.pack(tmp_path, input=str(tmp_path / "{crop}_{label}.npy"))
    assert (result.zip, result.failed) == (None, 1)
    assert "crop557_mito.npy" in next(v.problem for v in result.volumes if v.problem)
