from __future__ import annotations

import numpy as np
import pytest
import torch
import zarr

import cellmap_tui as cm
from cellmap_tui.errors import DataError, RefusedError, RequestError, UnknownNameError
from tests.services import packing as p
from tests.services import submissions as s


@pytest.fixture
def save(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLMAP_TUI_STATE_DIR", str(tmp_path / "state"))
    manifest = s.write_manifest(tmp_path / "test.csv", p.PAIRS)

    def call(array, crop=557, label="mito", **options):
        return cm.save_volume(array, crop, label, data_root=tmp_path, test_manifest=str(manifest), **options)

    return call


def test_a_saved_volume_is_packed_unchanged(save, tmp_path):
    save(s.blobs(5))
    save(torch.from_numpy(s.mask()), "crop557", "er")
    save(zarr.array(p.volumes()["crop558", "pm"]), "558", "pm")
    result = p.pack(tmp_path)
    assert result.present == 3
    np.testing.assert_array_equal(p.unpacked(result.zip, "crop557/mito"), s.blobs(5))
    np.testing.assert_array_equal(p.unpacked(result.zip, "crop557/er"), s.mask())
    assert not [words for v in result.volumes for words in v.warnings]


def test_another_voxel_size_lies_on_the_crop_when_it_is_packed(save, tmp_path):
    coarse = s.mask()[::2, ::2, ::2]
    save(coarse, label="er", voxel_size_nm=16)
    result = p.pack(tmp_path)
    packed = p.unpacked(result.zip, "crop557/er")
    inside = np.argwhere(packed)
    assert np.abs(inside.mean(0) - np.argwhere(s.mask()).mean(0)).max() <= 1
    assert next(v for v in result.volumes if v.label == "er" and v.crop == "crop557").state == "resampled"


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (s.blobs(3)[:10], "10×28×32 voxels, the crop has 24×28×32"),
        (s.blobs(3)[0], "three axes"),
        (np.where(s.blobs(3) > 2, np.nan, 0), "NaN"),
        (s.blobs(3) / 2, "whole numbers"),
        (s.blobs(3).astype("i4") - 5, "negative"),
        (s.blobs(3).astype("c8"), "no labels"),
        (np.full(s.SHAPE, "a"), "no labels"),
        ([1, 2], "three axes"),
    ],
)
def test_an_array_that_is_no_prediction_is_refused_and_leaves_nothing(save, tmp_path, array, words):
    with pytest.raises(DataError, match=words):
        save(array)
    assert not list((tmp_path).glob("processed/*/crop557/*mito*"))


def test_a_volume_is_replaced_only_when_asked(save):
    path = save(s.blobs(3))
    with pytest.raises(RefusedError, match="overwrite"):
        save(s.blobs(5))
    assert save(s.blobs(5), overwrite=True) == path
    assert zarr.open_array(str(path), mode="r")[:].max() == 5


def test_names_that_do_not_exist_are_told(save):
    with pytest.raises(UnknownNameError):
        save(s.blobs(3), crop=999999)
    with pytest.raises(UnknownNameError):
        save(s.blobs(3), label="mtio")
    with pytest.raises(UnknownNameError, match="not scored in"):
        save(s.mask(), label="pm")
    with pytest.raises(RequestError, match="no field"):
        save(s.blobs(3), folder="{nonsense}")
    with pytest.raises(RequestError, match="voxel size"):
        save(s.blobs(3), voxel_size_nm=0)
