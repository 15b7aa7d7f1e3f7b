from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge.catalog import builtin_catalog
from cellmap_tui.challenge.layout import (
    checked_name,
    crop_path,
    em_path,
    is_local,
    label_path,
    local_classes,
    local_share,
)
from cellmap_tui.errors import RequestError
from tests.challenge.factories import attempt, make_crop, put_em, put_labels

CROP = make_crop(7)  # 64³ voxels of 8 nm from (100, 200, 300): its centre is in chunk 0/0/1 of 64³ chunks at 8 nm


def test_paths_are_the_challenges_own():
    crop = builtin_catalog().find("234")
    root = PurePosixPath("jrc_cos7-1a/jrc_cos7-1a.zarr/recon-1")
    assert em_path("jrc_cos7-1a") == root / "em/fibsem-uint8"
    assert crop_path(crop) == root / "labels/groundtruth/crop234"
    assert label_path(crop, "mito") == root / "labels/groundtruth/crop234/mito"


@pytest.mark.parametrize("name", ["jrc_hela-2", "a", "A.b+c", "_x", "0", "x" * 100])
def test_a_safe_name_is_returned(name):
    assert checked_name(name) == name


@given(st.text(max_size=20))
def test_a_name_that_passes_stays_one_folder(name):
    _, error = attempt(checked_name, name, "dataset")
    if error is not None:
        assert error.message.startswith("dataset ")
        assert error.message.isprintable()
    else:
        assert PurePosixPath("root", name).parent == PurePosixPath("root")
        assert name.isascii()
        assert name.isprintable()
        assert name not in {"", ".", ".."}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "-x", "a b", "a\n", "ü", "x" * 101, "CON:"])
def test_an_unsafe_name_is_refused(name):
    with pytest.raises(RequestError, match="cannot be a folder name"):
        checked_name(name)


def test_nothing_is_local_below_a_root_that_does_not_exist(tmp_path):
    assert local_share(tmp_path / "missing", CROP) == 0
    assert not is_local(tmp_path / "missing", CROP)


def test_the_share_counts_class_groups_and_em(tmp_path):
    put_labels(tmp_path, CROP, "mito", "all", "unknown")
    assert local_classes(tmp_path, CROP) == {"mito"}
    assert local_share(tmp_path, CROP) == pytest.approx(1 / 3)
    assert is_local(tmp_path, CROP)
    put_labels(tmp_path, CROP, "nuc")
    put_em(tmp_path, CROP, "0/0/1")
    assert local_share(tmp_path, CROP) == 1


@pytest.mark.parametrize(
    ("chunk", "separator", "found"), [("0/0/1", "/", True), ("0.0.1", ".", True), ("5/5/5", "/", False)]
)
def test_em_counts_only_under_the_crop(tmp_path, chunk, separator, found):
    put_em(tmp_path, CROP, chunk, separator=separator)
    assert is_local(tmp_path, CROP) is found


def test_a_test_crop_is_whole_with_its_em_alone(tmp_path):
    crop = make_crop(7, split="test")
    put_em(tmp_path, crop, "0/0/1")
    assert local_share(tmp_path, crop) == 1


@pytest.mark.parametrize(
    "metadata", ["", "{", "[]", '{"multiscales": [{"datasets": [{"path": "s0"}]}]}', "[" * 100_000]
)
def test_em_with_damaged_metadata_counts_as_present(tmp_path, metadata):
    put_em(tmp_path, CROP, "5/5/5")
    group = tmp_path / em_path("cell_a")
    (group / ".zattrs").write_text(metadata)
    assert is_local(tmp_path, CROP)
