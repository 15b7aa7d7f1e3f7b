from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge.manifest_rows import MAX_BYTES
from cellmap_tui.challenge.manifests import ManifestFile, parse_manifests, parse_places, parse_volumes
from cellmap_tui.errors import DataError, RequestError
from tests.challenge.factories import CROPS_HEAD, HEAD, ROW, attempt, place_row


def volumes(text, split="train"):
    return parse_volumes(ManifestFile("t.csv", text.encode()), split)


def places(text):
    return parse_places(ManifestFile("m.csv", text.encode()))


def file(name, text):
    return ManifestFile(name, text.encode())


def test_rows_of_a_crop_become_one_crop_with_classes_in_order_of_their_ids():
    crops = volumes(HEAD + ROW + ROW.replace("mito", "ecs") + ROW.replace("1,", "crop7,", 1))
    assert [(crop.ref, crop.classes) for crop in crops] == [
        ("cell_a/crop1", ("ecs", "mito")),
        ("cell_a/crop7", ("mito",)),
    ]
    assert crops[0].grid.voxel_size_nm == (8, 8, 8)
    assert crops[0].grid.translation_nm == (0, 4, 8)
    assert crops[0].grid.shape == (10, 20, 30)
    assert crops[0].source == "manifest"


def test_classes_may_differ_in_geometry():
    other = ROW.replace("mito", "nuc").replace("[8.0;8.0;8.0]", "[32.0;32.0;32.0]")
    (crop,) = volumes(HEAD + ROW + ROW.replace("mito", "er") + other, "test")
    assert crop.grid.voxel_size_nm == (8, 8, 8)
    assert crop.grid_of("nuc").voxel_size_nm == (32, 32, 32)
    assert crop.split == "test"


def test_a_byte_order_mark_windows_lines_other_columns_and_their_order_do_not_matter():
    text = "\ufeffshape,extra,crop_name,dataset,class_label,voxel_size,translation\r\n"
    text += "[1;2;3],x,1,cell_a,mito,[8;8;8.5],[-1;0;1e3]\r\n"
    (crop,) = volumes(text)
    assert crop.grid.shape == (1, 2, 3)
    assert crop.grid.translation_nm == (-1, 0, 1000)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("crop_name", ""),
        ("crop_name", "-1"),
        ("crop_name", "1.5"),
        ("crop_name", "９"),
        ("crop_name", "1" * 30),
        ("dataset", ""),
        ("dataset", ".."),
        ("dataset", "../../etc"),
        ("dataset", "a/b"),
        ("dataset", "a\\b"),
        ("dataset", "a b"),
        ("dataset", ".hidden"),
        ("dataset", "a\x1b[31m"),
        ("dataset", "a\x00b"),
        ("dataset", "é"),
        ("dataset", "x" * 101),
        ("class_label", "mtio"),
        ("class_label", "all"),
        ("class_label", "../mito"),
        ("voxel_size", "8;8;8"),
        ("voxel_size", "[8;8]"),
        ("voxel_size", "[8;8;8;8]"),
        ("voxel_size", "[0;8;8]"),
        ("voxel_size", "[-8;8;8]"),
        ("voxel_size", "[nan;8;8]"),
        ("voxel_size", "[inf;8;8]"),
        ("voxel_size", "[1e400;8;8]"),
        ("voxel_size", "[1e-400;8;8]"),
        ("voxel_size", "[8_0;8;8]"),
        ("voxel_size", "[;;]"),
        ("translation", "[nan;0;0]"),
        ("translation", "[1e13;0;0]"),
        ("translation", "none"),
        ("shape", "[0;1;1]"),
        ("shape", "[-1;1;1]"),
        ("shape", "[1.0;1;1]"),
        ("shape", "[1;1;99999999999]"),
    ],
)
def test_a_wrong_field_is_named_by_file_line_and_column(column, value):
    names = HEAD.strip().split(",")
    good = dict(zip(names, ROW.strip().split(","), strict=True))
    bad = ",".join({**good, "class_label": "ecs", column: value}[name] for name in names)
    with pytest.raises(DataError) as caught:
        volumes(f"{HEAD}{ROW}{bad}\n")
    assert "t.csv, line 3" in caught.value.message
    assert f"column {column}" in caught.value.message or "\x00" in value
    assert "\x1b" not in str(caught.value)
    assert caught.value.remedy


def test_a_mistyped_class_offers_the_nearest():
    with pytest.raises(DataError, match="did you mean 'mito'"):
        volumes(HEAD + ROW.replace("mito", "mtio"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no column 'crop_name'"),
        (HEAD, "has no rows"),
        ("a,b\n1,2\n", "no column 'crop_name'"),
        (HEAD.replace("shape", "dataset") + ROW, "no column 'shape'"),
        (HEAD.strip() + ",shape\n" + ROW.strip() + ",[1;1;1]\n", "a column stands twice"),
        (HEAD + ROW + ROW, "line 3, column class_label: 'mito' stands twice for cell_a/crop1"),
        (HEAD + "1,cell_a,mito\n", "line 2: not as many values as columns"),
        (HEAD + ROW.strip() + ",more\n", "line 2: not as many values as columns"),
        (HEAD + '"1,cell_a', "not CSV"),
        ("<!DOCTYPE html>\n<html>\n", "no column 'crop_name'"),
    ],
)
def test_a_file_of_another_form_is_refused(text, problem):
    with pytest.raises(DataError) as caught:
        volumes(text)
    assert problem in caught.value.message


def test_a_file_that_is_no_text_or_too_large_is_refused():
    with pytest.raises(DataError, match="byte 1 is not UTF-8"):
        parse_volumes(ManifestFile("t.csv", b"a\xff"), "train")
    with pytest.raises(DataError, match="larger than"):
        parse_volumes(ManifestFile("t.csv", b"a" * (MAX_BYTES + 1)), "train")


def test_a_list_of_crops_gives_alignment_and_em():
    row = place_row(7, "cell_a").replace("recon-1", "recon-2").replace("fibsem-uint8", "fibsem-uint16")
    assert places(CROPS_HEAD + row) == {("cell_a", 7): ("recon-2", "fibsem-uint16")}


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ("groundtruth/crop7", "groundtruth/crop8", "crop_url"),
        ("cell_a.zarr/recon-1/labels", "other.zarr/recon-1/labels", "crop_url"),
        (
            "s3://bucket/cell_a/cell_a.zarr/recon-1/labels",
            "s3://bucket/../cell_a/cell_a.zarr/recon-1/labels",
            "crop_url",
        ),
        ("em/fibsem-uint8", "em/..", "em_url"),
        ("em/fibsem-uint8", "raw/fibsem-uint8", "em_url"),
        ("7,cell_a,recon-1", "7,cell_a,..", "alignment"),
        ("7,cell_a", "seven,cell_a", "crop_number"),
        ("7,cell_a", "7,..", "collection"),
    ],
)
def test_an_address_outside_the_layout_is_refused(old, new, column):
    with pytest.raises(DataError, match=f"line 2, column {column}"):
        places(CROPS_HEAD + place_row(7, "cell_a").replace(old, new))


def test_a_crop_listed_twice_is_refused():
    with pytest.raises(DataError, match="line 3, column crop_number: '7' stands twice"):
        places(CROPS_HEAD + place_row(7, "cell_a") * 2)


def test_the_list_of_crops_chooses_among_the_annotations():
    train = file("t.csv", HEAD + ROW + ROW.replace("1,", "2,", 1))
    read = parse_manifests(manifest=file("m.csv", CROPS_HEAD + place_row(1, "cell_a")), train_manifest=train)
    assert [crop.ref for crop in read.crops] == ["cell_a/crop1"]
    assert "1 crops are left out" in read.notes[0]
    assert read.test is None


def test_a_listed_crop_without_annotations_is_refused():
    with pytest.raises(DataError, match=r"m\.csv names cell_a/crop9, which t\.csv does not describe"):
        parse_manifests(
            manifest=file("m.csv", CROPS_HEAD + place_row(9, "cell_a")), train_manifest=file("t.csv", HEAD + ROW)
        )


def test_a_list_of_crops_alone_asks_for_the_annotations():
    with pytest.raises(RequestError, match="--train-manifest"):
        parse_manifests(manifest=file("m.csv", CROPS_HEAD + place_row(1, "cell_a")))


def test_a_crop_cannot_be_for_training_and_testing():
    with pytest.raises(DataError, match="cell_a/crop1 is a training crop too"):
        parse_manifests(train_manifest=file("t.csv", HEAD + ROW), test_manifest=file("s.csv", HEAD + ROW))


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused_clearly(junk, with_head):
    content = (HEAD + ROW).encode() + junk if with_head else junk
    _, error = attempt(parse_volumes, ManifestFile("t.csv", content), "train")
    assert error is None or (isinstance(error, DataError) and error.message.startswith("t.csv"))
