"""The five-column CSV: read as the official toolbox writes it, written as it reads it, wrong lines named."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge.datasplit import (
    Split,
    SplitRow,
    format_split,
    parse_split,
    read_split,
    write_split,
)
from cellmap_tui.errors import DataError, MissingDataError, RequestError

if TYPE_CHECKING:
    from pathlib import Path

OFFICIAL = (
    '"train","/d/jrc_a/jrc_a.zarr","recon-1/em/fibsem-uint8",'
    '"/d/jrc_a/jrc_a.zarr","recon-1/labels/groundtruth/crop234/[nuc,er]"\n'
    '"validate","s3://raw/jrc_b/jrc_b.zarr","recon-1/em/fibsem-uint8",'
    '"s3://truth/jrc_b/jrc_b.zarr","recon-1/labels/groundtruth/crop7/[er]"\n'
)


def test_a_split_of_the_official_toolbox_is_read_and_written_byte_for_byte() -> None:
    split = parse_split(OFFICIAL)
    assert [row.ref for row in split.train] == ["jrc_a/crop234"]
    assert split.train[0].classes == ("nuc", "er")
    assert split.validate[0].label_file == "s3://truth/jrc_b/jrc_b.zarr"
    assert split.validate[0].is_remote
    assert not split.train[0].is_remote
    assert split.classes == ("nuc", "er")
    assert format_split(split) == OFFICIAL


def test_the_older_form_with_three_columns_is_read_too() -> None:
    row = parse_split("train,/d/a.zarr/recon-1/em/x,/d/b.zarr/gt/crop3/[mito]\n").rows[0]
    assert (row.em_file, row.em_path) == ("/d/a.zarr", "recon-1/em/x")
    assert (row.label_file, row.label_path, row.classes) == ("/d/b.zarr", "gt/crop3", ("mito",))


def test_a_row_without_brackets_stands_for_every_class() -> None:
    row = parse_split("Validation,/d/a.zarr,em,/d/a.zarr,gt/crop3\n").rows[0]
    assert row.usage == "validate"
    assert row.classes == ()
    assert row.crop_id == 3


def test_relative_folders_are_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "split.csv"
    path.parent.mkdir()
    path.write_bytes(b"\xef\xbb\xbftrain,../a/a.zarr,em,s3://b/b.zarr,gt/crop1/[x]\r\n\r\n")
    row = read_split(path).rows[0]
    assert row.em_file == str(tmp_path / "a" / "a.zarr")
    assert row.label_file == "s3://b/b.zarr"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rows"),
        ("\n \n", "no rows"),
        ("usage,a,b,c,d\n", "line 1: 'usage' is neither train nor validate"),
        ("train,a,b,c,d/[x]\ntrian,a,b,c,d/[x]\n", "line 2: 'trian'"),
        ("train,a/b,a/c\n\ntrain,a,b,c\n", "line 3: 4 columns"),
        ("train,a,b,c,crop1/[x,y]\n", "line 1: 6 columns"),
        ("train,a,,c,d/[x]\n", "line 1: the EM path is empty"),
        ('train,a,b,c,"[x,y]"\n', "no crop with its classes"),
        ('train,a,b,c,"d/[x]/s0"\n', "no crop with its classes"),
        ("train\0", "NUL"),
    ],
)
def test_a_line_that_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words.replace("[", r"\[")):
        parse_split(text, "split.csv")


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="cannot be read"):
        read_split(tmp_path / "none.csv")
    (tmp_path / "bin.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_split(tmp_path / "bin.csv")


def test_a_crop_on_both_sides_is_found() -> None:
    line = '"{}","/a.zarr","em","/a.zarr","gt/crop1/[x]"\n'
    assert parse_split(line.format("train") + line.format("validate")).on_both_sides == ("a/crop1",)
    assert parse_split(line.format("train")).on_both_sides == ()


def test_a_class_that_would_break_the_format_is_refused() -> None:
    with pytest.raises(RequestError, match="cannot stand"):
        format_split(Split((SplitRow("train", "/a.zarr", "em", "/a.zarr", "crop1", ("a,b",)),)))


def test_writing_replaces_the_file_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "split.csv"
    write_split(path, parse_split(OFFICIAL))
    with pytest.raises(RequestError):
        write_split(path, Split((SplitRow("train", "/a\n.zarr", "em", "/a.zarr", "crop1", ()),)))
    assert path.read_text() == OFFICIAL
    assert [child.name for child in path.parent.iterdir()] == ["split.csv"]


_PART = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters="/[]"), min_size=1, max_size=12
).filter(lambda part: part.strip() == part)
_CLASS = st.text(st.sampled_from("abcxyz_0189"), min_size=1, max_size=8)


@given(
    st.lists(
        st.builds(
            SplitRow,
            st.sampled_from(("train", "validate")),
            _PART.map(lambda p: f"/d/{p}.zarr"),
            _PART,
            _PART.map(lambda p: f"s3://bucket/{p}.zarr"),
            st.tuples(_PART, st.integers(0, 999_999)).map(lambda p: f"{p[0]}/crop{p[1]}"),
            st.lists(_CLASS, unique=True, max_size=5).map(tuple),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_reads_back_the_same_by_us_and_by_any_csv_reader(rows: list[SplitRow]) -> None:
    split = Split(tuple(rows))
    text = format_split(split)
    assert parse_split(text) == split
    assert parse_split(text).digest == split.digest
    assert [cells[0] for cells in csv.reader(io.StringIO(text))] == [row.usage for row in rows]
