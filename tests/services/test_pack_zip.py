from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.services.pack_zip import PartWriter, ZipAssembler
from tests.services import packing as p

MEMBERS = st.dictionaries(st.text("abcé/.0", min_size=1, max_size=12), st.binary(max_size=60), max_size=20)


def assembled(tmp_path, members, top):
    part = tmp_path / "a.part"
    with part.open("wb") as file:
        writer = PartWriter(file)
        for name, data in members.items():
            writer.add(f"v/{name}", data)
    with (tmp_path / "a.zip").open("wb") as file:
        whole = ZipAssembler(file)
        whole.add("top", top)
        whole.add_part(part, writer.members)
        digest = whole.finish()
    return tmp_path / "a.zip", digest


@given(members=MEMBERS, top=st.binary(max_size=50))
def test_parts_behind_one_another_are_a_zip(tmp_path_factory, members, top):
    path, digest = assembled(tmp_path_factory.mktemp("zip"), members, top)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(f"v/{name}") for name in members} == members
        assert archive.read("top") == top
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert digest == p.digest(path)


def test_more_members_than_a_plain_zip_may_have_are_read_back(tmp_path):
    members = {str(number): b"x" for number in range(70_000)}
    path, _ = assembled(tmp_path, members, b"")
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == 70_001
        assert archive.read("v/69999") == b"x"


class Sparse(io.RawIOBase):
    """A file that skips what is zero, so that 5 GB take no room."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        if data.count(0) == len(data):
            self.file.seek(len(data), 1)
        else:
            self.file.write(data)
        return len(data)


@pytest.mark.slow
def test_members_beyond_four_gigabytes_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr("cellmap_tui.services.pack_zip._COPY_BYTES", 64 * 2**20)
    monkeypatch.setattr("cellmap_tui.services.pack_zip.hashlib.sha256", lambda: Uncounted())
    part = tmp_path / "a.part"
    with part.open("wb") as file:
        writer = PartWriter(file)
        writer.add("v/first", b"1")
        file.seek(4_400_000_000, 1)
        writer.size_bytes += 4_400_000_000
        writer.add("v/last", b"2")
    with (tmp_path / "a.zip").open("wb") as file:
        whole = ZipAssembler(Sparse(file))
        whole.add_part(part, writer.members)
        whole.finish()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("v/first") == b"1"
        assert archive.read("v/last") == b"2"


class Uncounted:
    """A hash of nothing: five gigabytes of zeros take their time."""

    def update(self, data): ...
    def hexdigest(self):
        return ""
