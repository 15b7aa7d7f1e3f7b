"""Reading the directory of an archive, and refusing what may not be unpacked."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.errors import DataError
from cellmap_tui.storage import zip_members
from cellmap_tui.storage.zip_directory import BrokenArchiveError, Entry, data_offset, find_directory, read_entries
from cellmap_tui.storage.zip_members import ArchiveRefusedError, Contents, check_entry, destination, look_through
from tests.storage.archive_data import LINK, PIPE, packed, tree, with_member


def reader(data: bytes):
    return lambda at, count: data[at : at + count]


def entries_of(data: bytes, block_bytes: int = 4 << 20) -> list[Entry]:
    directory = find_directory(reader(data), len(data))
    return list(read_entries(reader(data), directory, block_bytes=block_bytes))


def looked_through(data: bytes) -> Contents:
    directory = find_directory(reader(data), len(data))
    return look_through(read_entries(reader(data), directory), directory)


def facts(data: bytes) -> list[tuple]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(i.filename, i.file_size, i.compress_size, i.CRC, i.header_offset) for i in archive.infolist()]


def our_facts(entries: list[Entry]) -> list[tuple]:
    return [(e.name, e.size_bytes, e.packed_bytes, e.crc, e.header_offset) for e in entries]


@given(
    bodies=st.lists(st.binary(max_size=200), max_size=12),
    comment=st.binary(max_size=40),
    block_bytes=st.integers(1, 300),
)
def test_the_directory_is_read_as_the_standard_library_reads_it(bodies, comment, block_bytes):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, body in enumerate(bodies):
            archive.writestr(f"ä/{number}" if number % 2 else f"a/{number}", body)
        archive.comment = comment.replace(b"PK", b"..")
    assert our_facts(entries_of(memory.getvalue(), block_bytes)) == facts(memory.getvalue())


def test_zip64_records_are_read_as_the_standard_library_reads_them(monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 50)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        for number in range(6):
            with archive.open(f"a/{number}", "w", force_zip64=True) as member:
                member.write(bytes(range(200)) * (number + 1))
    data = memory.getvalue()
    assert b"PK\6\6" in data
    entries = entries_of(data)
    assert our_facts(entries) == facts(data)
    for entry in entries:
        at = data_offset(reader(data), entry)
        assert at + entry.packed_bytes <= len(data)


@pytest.mark.parametrize("cut", [1, 21, 22, 60, 2000])
def test_an_archive_that_is_cut_off_is_broken(cut):
    data = packed(tree(30))[:-cut]
    with pytest.raises(BrokenArchiveError, match="not a usable zip archive"):
        entries_of(data)


def test_something_in_front_of_an_archive_makes_it_broken():
    with pytest.raises(BrokenArchiveError, match="not where the end record says"):
        entries_of(b"#!/bin/sh\n" + packed(tree(3)))


def test_a_damaged_directory_is_broken():
    data = bytearray(packed(tree(30)))
    start = find_directory(reader(bytes(data)), len(data)).offset
    data[start : start + 2] = b"xx"
    with pytest.raises(BrokenArchiveError, match="directory is damaged"):
        entries_of(bytes(data))


def test_a_directory_with_fewer_members_than_announced_is_broken():
    data = bytearray(packed(tree(30)))
    at = data.rfind(b"PK\5\6")
    members = struct.unpack_from("<H", data, at + 8)[0]
    struct.pack_into("<2H", data, at + 8, members + 1, members + 1)
    with pytest.raises(BrokenArchiveError, match=f"lists {members} members of {members + 1}"):
        entries_of(bytes(data))


@pytest.mark.parametrize(
    ("member", "why"),
    [
        ({"name": "../evil"}, "leaves the folder"),
        ({"name": "jrc_a/jrc_a.zarr/../../../evil"}, "leaves the folder"),
        ({"name": "jrc_a/jrc_a.zarr/s0/.."}, "leaves the folder"),
        ({"name": "/etc/passwd"}, "has an absolute name"),
        ({"name": "C:/windows"}, "has an absolute name"),
        ({"name": "jrc_a\\jrc_a.zarr\\s0\\1"}, "has an odd name"),
        ({"name": "jrc_a//jrc_a.zarr/s0/1"}, "has an odd name"),
        ({"name": "jrc_a/./jrc_a.zarr/s0/1"}, "has an odd name"),
        ({"name": "jrc_a/jrc_a.zarr/s0/\x1b[2J"}, "has an odd name"),
        ({"name": "jrc_a/jrc_a.zarr/s0/\u202e1"}, "has an odd name"),
        ({"name": "jrc_a/jrc_a.zarr/s0/a b;c"}, "has a name that no chunk has"),
        ({"name": "jrc_a/jrc_a.zarr/" + "x" * 200}, "has a name that no chunk has"),
        ({"name": "jrc_a/jrc_a.zarr/s0/1", "mode": LINK}, "is a link"),
        ({"name": "elsewhere", "mode": LINK}, "is a link"),
        ({"name": "jrc_a/jrc_a.zarr/s0/1", "mode": PIPE}, "is no plain file"),
        ({"name": "jrc_a/jrc_a.zarr/s0/1", "flags": 1}, "is encrypted"),
        ({"name": "jrc_a/jrc_a.zarr/s0/1", "flags": 0x2000}, "is encrypted"),
    ],
)
def test_one_evil_member_refuses_the_whole_archive(member, why):
    with pytest.raises(ArchiveRefusedError, match=why):
        looked_through(with_member(**member))


@given(st.text(alphabet="ab.Z0_-+/\\: \x07é", max_size=20))
def test_a_name_that_is_let_through_stays_inside(name):
    entry = Entry(name, name.encode(), 0, 0, 0, 1, 1, 0, 3, 0)
    try:
        check_entry(entry)
    except ArchiveRefusedError:
        return
    path = PurePosixPath("/root") / name
    assert path.is_relative_to("/root")
    assert not {".", ".."} & {*name.split("/")}
    assert "\\" not in name
    assert name.isprintable()


def test_a_name_that_comes_twice_refuses_the_archive():
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("jrc_a/jrc_a.zarr/s0/1", b"one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("jrc_a/jrc_a.zarr/s0/1", b"two")
    with pytest.raises(ArchiveRefusedError, match="1 of its files come more than once"):
        looked_through(memory.getvalue())


def test_two_members_that_would_become_one_file_refuse_the_archive():
    files = {"a/jrc_a/jrc_a.zarr/s0/1": b"one", "b/jrc_a/jrc_a.zarr/s0/1": b"two"}
    with pytest.raises(ArchiveRefusedError, match="come more than once"):
        looked_through(packed(files))


def test_a_bomb_of_zeros_is_refused_by_its_ratio(monkeypatch):
    monkeypatch.setattr(zip_members, "ALLOWANCE_BYTES", 1_000_000)
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("jrc_a/jrc_a.zarr/s0/1", bytes(5_000_000))
    with pytest.raises(ArchiveRefusedError, match="as a bomb does"):
        looked_through(memory.getvalue())


def test_a_bomb_of_overlapping_members_is_refused():
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("jrc_a/jrc_a.zarr/s0/0", bytes(1000))
        first = archive.filelist[0]
        for number in range(1, 50):
            twin = zipfile.ZipInfo(f"jrc_a/jrc_a.zarr/s0/{number}")
            twin.CRC, twin.compress_size, twin.file_size = first.CRC, first.compress_size, first.file_size
            twin.header_offset = first.header_offset
            archive.filelist.append(twin)
    with pytest.raises(ArchiveRefusedError, match="members overlap"):
        looked_through(memory.getvalue())


def test_a_member_larger_than_any_chunk_is_refused(monkeypatch):
    monkeypatch.setattr(zip_members, "LARGEST_MEMBER_BYTES", 100)
    with pytest.raises(ArchiveRefusedError, match="claims to unpack to"):
        looked_through(with_member("jrc_a/jrc_a.zarr/s0/1", body=bytes(101)))


def test_an_archive_without_a_dataset_is_refused():
    with pytest.raises(ArchiveRefusedError, match="holds no challenge data"):
        looked_through(packed({"notes/readme.txt": b"hello"}))


@pytest.mark.parametrize("wrapper", ["", "data", "some/where/deep"])
def test_folders_around_the_datasets_do_not_count(wrapper):
    files = tree(20)
    data = packed(files, wrapper, extras={"README.md": b"hello", "__MACOSX/jrc_a/jrc_a.zarr/._x": b"leavings"})
    placed = {"/".join(path) for entry in entries_of(data) if (path := destination(entry))}
    assert placed == set(files)
    contents = looked_through(data)
    assert (contents.files, contents.left_out) == (len(files), 2)
    assert contents.size_bytes == sum(map(len, files.values()))
    assert contents.datasets == ("jrc_test-0", "jrc_test-1")


def test_a_store_without_its_dataset_folder_gets_one():
    [entry] = entries_of(packed({"jrc_a.zarr/s0/1": b"x"}))
    assert destination(entry) == ("jrc_a", "jrc_a.zarr", "s0", "1")


def test_a_member_whose_own_header_names_another_is_broken():
    data = bytearray(packed({"jrc_a/jrc_a.zarr/s0/1": b"body"}))
    at = data.find(b"s0/1")
    data[at : at + 4] = b"s0/2"
    [entry] = entries_of(bytes(data))
    with pytest.raises(DataError, match="another local header"):
        data_offset(reader(bytes(data)), entry)
