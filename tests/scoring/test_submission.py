from __future__ import annotations

import stat
import zipfile

import numpy as np
import pytest
import zarr

from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.scoring.limits import Limits
from cellmap_tui.scoring.sources import open_source
from cellmap_tui.scoring.stores import FolderStore, ZipStore
from cellmap_tui.scoring.submission import open_submission

SIZE = (8.0, 8.0, 8.0)


def _array(path, *, voxel_size=None, translation=None, zarr_format=2, shape=(2, 2, 2), **attributes):
    if voxel_size is not None:
        attributes["voxel_size"] = voxel_size
    if translation is not None:
        attributes["translation"] = translation
    made = zarr.create_array(path, shape=shape, dtype="u1", zarr_format=zarr_format, attributes=attributes)
    made[:] = np.ones(shape, "u1")


def _zip(file, members):
    with zipfile.ZipFile(file, "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    return file


def test_a_zip_is_read_in_place(tmp_path):
    _array(tmp_path / "in" / "crop1" / "mito")
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as target:
        for part in (tmp_path / "in").rglob("*"):
            target.write(part, part.relative_to(tmp_path / "in"))
    before = sorted(tmp_path.rglob("*"))
    submission = open_submission(tmp_path / "s.zip")
    assert [*submission.volumes({"crop1"})] == [("crop1", "mito")]
    assert sorted(tmp_path.rglob("*")) == before


def test_every_form_of_a_volume_is_told(tmp_path):
    crop = tmp_path / "crop1"
    _array(crop / "a")
    _array(crop / "b" / "s0")
    _array(crop / "c", zarr_format=3)
    zarr.open_group(crop / "d", mode="w", zarr_format=2, attributes={"multiscales": []})
    (crop / "e").mkdir()
    forms = {label: volume.form for (_, label), volume in open_submission(tmp_path).volumes().items()}
    assert forms == {"a": "array", "b": "group", "c": "v3", "d": "multiscale", "e": "unknown"}


def test_names_without_crop_count_only_where_none_has_it(tmp_path):
    for name in ("1", "crop2"):
        _array(tmp_path / name / "mito")
    submission = open_submission(tmp_path)
    assert submission.found_crops({"crop1"}) == {"crop1": "1"}
    assert submission.found_crops({"crop1", "crop2"}) == {"crop2": "crop2"}
    assert {crop for crop, _ in submission.volumes()} == {"crop1", "crop2"}


def test_a_submission_without_any_wanted_crop_says_what_it_has(tmp_path):
    _array(tmp_path / "volume_1" / "mito")
    with pytest.raises(DataError, match=r"none of the 1 crops; it has volume_1"):
        open_submission(tmp_path).volumes({"crop1"})


def test_several_zarr_folders_are_refused_and_one_is_entered(tmp_path):
    _array(tmp_path / "a" / "b" / "one.zarr" / "crop1" / "mito")
    submission = open_submission(tmp_path)
    assert [*submission.volumes({"crop1"})] == [("crop1", "mito")]
    assert "a/b/one.zarr" in submission.warnings[0]
    _array(tmp_path / "two.zarr" / "crop1" / "mito")
    with pytest.raises(DataError, match="several"):
        open_submission(tmp_path)


def test_an_old_folder_beside_the_zip_is_warned_of_and_not_scored(tmp_path):
    _array(tmp_path / "s.zarr" / "crop9" / "mito")
    submission = open_submission(_zip(tmp_path / "s.zip", {"crop1/mito/.zarray": "{}"}))
    assert [*submission.crops] == ["crop1"]
    assert "would score the folder" in submission.warnings[0]


def test_a_folder_with_two_zips_is_refused(tmp_path):
    for name in ("a.zip", "b.zip"):
        _zip(tmp_path / name, {"crop1/mito/.zarray": "{}"})
    with pytest.raises(DataError, match="holds 2 zips"):
        open_submission(tmp_path)


def test_nothing_and_no_zip_are_told_apart(tmp_path):
    with pytest.raises(MissingDataError, match="does not exist"):
        open_submission(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(DataError, match="neither a folder nor a zip"):
        open_submission(tmp_path / "text.zip")


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../out", "C:/x", "\\\\host\\x"])
def test_members_that_lead_outside_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="leads out of the archive"):
        open_submission(_zip(tmp_path / "s.zip", {"crop1/mito/.zarray": "{}", name: "x"}))


def test_members_that_are_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("crop1/mito/0.0.0")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as target:
        target.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        open_submission(tmp_path / "s.zip")


def test_members_that_stand_twice_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as target:
        target.writestr("a/b", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            target.writestr("a/b", "2")
    with pytest.raises(DataError, match="stands twice"):
        open_submission(tmp_path / "s.zip")


def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused_unread(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("crop1/mito/0.0.0", bytes(10_000_000))
    with pytest.raises(DataError, match="more than the limit"):
        ZipStore(tmp_path / "s.zip", Limits(max_uncompressed_bytes=1_000_000))
    monkeypatch.setenv("MAX_UNCOMPRESSED_SIZE", "1000000")
    with pytest.raises(DataError, match="more than the limit"):
        open_submission(tmp_path / "s.zip")


def test_a_broken_member_is_named(tmp_path):
    file = _zip(tmp_path / "s.zip", {"crop1/mito/.zarray": "{}" * 50})
    content = bytearray(file.read_bytes())
    content[60] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"member 'crop1/mito/\.zarray' is broken"):
        ZipStore(file).read("crop1/mito/.zarray")


@pytest.mark.parametrize(
    ("scales", "target", "chosen"),
    [
        ([2, 4, 8], 4.0, "s1"),
        ([2, 4, 8], 5.0, "s1"),
        ([2, 4, 8], 1.0, "s0"),
        ([2, 4, 8], 99.0, "s2"),
        ([8, 4, 2], 4.0, "s0"),
    ],
)
def test_the_level_of_a_multiscale_group_is_the_official_choice(tmp_path, scales, target, chosen):
    datasets = []
    for level, scale in enumerate(scales):
        _array(tmp_path / f"s{level}", shape=(level + 1,) * 3)
        transforms = [
            {"type": "scale", "scale": [float(scale)] * 3},
            {"type": "translation", "translation": [1, 2, 3]},
        ]
        datasets.append({"path": f"s{level}", "coordinateTransformations": transforms})
    zarr.open_group(tmp_path, mode="a", zarr_format=2).attrs["multiscales"] = [{"datasets": datasets}]
    source = open_source(FolderStore(tmp_path), "", (target,) * 3)
    assert source.volume.shape == (int(chosen[1]) + 1,) * 3
    assert source.translation_nm == (1.0, 2.0, 3.0)
    assert source.form == "multiscale"


def test_the_array_of_a_plain_group_is_the_nearest_not_coarser_one(tmp_path):
    for name, size in (("a", 2.0), ("b", 6.0), ("c", 9.0), ("d", None)):
        _array(tmp_path / name, voxel_size=None if size is None else [size] * 3)
    assert open_source(FolderStore(tmp_path), "", SIZE).voxel_size_nm == (6.0, 6.0, 6.0)
    assert open_source(FolderStore(tmp_path), "", (1.0, 1.0, 1.0)).voxel_size_nm == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("attributes", "size", "translation"),
    [
        ({"voxel_size": [1, 2, 3], "scale": [9, 9, 9]}, (1.0, 2.0, 3.0), None),
        ({"resolution": [1, 2, 3], "offset": [4, 5, 6]}, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
        ({"scale": [1, 1, 2, 3], "translation": [0, 4, 5, 6]}, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
        ({"pixelResolution": [1, 2, 3]}, None, None),
    ],
)
def test_attributes_go_by_several_names(tmp_path, attributes, size, translation):
    _array(tmp_path, **attributes)
    source = open_source(FolderStore(tmp_path), "", SIZE)
    assert (source.voxel_size_nm, source.translation_nm) == (size, translation)


@pytest.mark.parametrize(
    "attributes",
    [{"voxel_size": 8}, {"voxel_size": [0, 8, 8]}, {"voxel_size": [8, 8]}, {"translation": ["a", 1, 2]}],
)
def test_attributes_that_make_no_sense_are_named(tmp_path, attributes):
    _array(tmp_path, **attributes)
    with pytest.raises(DataError, match=next(iter(attributes))):
        open_source(FolderStore(tmp_path), "", SIZE)


@pytest.mark.parametrize("path", ["../other", "/etc", "", "a/../../b", "."])
def test_a_level_that_leads_out_of_its_group_is_refused(tmp_path, path):
    transforms = [{"type": "scale", "scale": [8, 8, 8]}]
    multiscales = [{"datasets": [{"path": path, "coordinateTransformations": transforms}]}]
    zarr.open_group(tmp_path, mode="w", zarr_format=2, attributes={"multiscales": multiscales})
    with pytest.raises(DataError, match="plain path below the group"):
        open_source(FolderStore(tmp_path), "", SIZE)
