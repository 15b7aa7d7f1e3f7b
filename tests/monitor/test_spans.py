"""Every item of a file is handed out once, whatever the order of reading and however it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.monitor import spans as spans_module
from cellmap_tui.monitor.event_records import EventRecords, whole_records
from cellmap_tui.monitor.spans import Lines, Spans
from tests.monitor.logs import record

if TYPE_CHECKING:
    from pathlib import Path


FEW = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans_module, "BLOCK_BYTES", 64)
        yield


def in_file_order(spans: Spans) -> bytes:
    data = b""
    while True:
        span = spans.read()
        if span is None:
            assert spans.at_end
            return data
        data = span.data + data if span.place == "older" else data + span.data


@FEW
@given(st.lists(st.binary(max_size=100).map(lambda line: line.replace(b"\n", b" ")), max_size=40))
def test_lines_come_whole_and_once(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("spans") / "log"
    data = b"".join(line + b"\n" for line in lines)
    path.write_bytes(data + b"torn")
    assert in_file_order(Spans(path, Lines())) == data


@FEW
@given(st.lists(st.binary(max_size=60).map(lambda line: line.replace(b"\n", b" ") + b"\n"), min_size=1, max_size=12))
def test_lines_added_while_older_ones_are_read_come_first(
    tmp_path_factory: pytest.TempPathFactory, added: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("spans") / "log"
    before = b"".join(b"%04d\n" % number for number in range(100))
    path.write_bytes(before)
    spans = Spans(path, Lines())
    newest = spans.read()
    assert newest is not None
    assert newest.place == "newest"
    with path.open("ab") as stream:
        stream.write(b"".join(added))
    span = spans.read()
    assert span is not None
    assert span.place == "newer"
    rest = in_file_order(spans)
    assert sorted((newest.data + span.data + rest).split(b"\n")) == sorted((before + b"".join(added)).split(b"\n"))


def test_a_file_that_shrinks_is_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nthree\n")
    spans = Spans(path, Lines())
    assert in_file_order(spans) == b"one\ntwo\nthree\n"
    path.write_bytes(b"four\n")
    assert in_file_order(spans) == b"four\n"
    assert spans.restarts == 1


def test_a_file_that_vanishes_and_comes_back_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    spans = Spans(path, Lines())
    assert in_file_order(spans) == b"one\n"
    path.rename(tmp_path / "away")
    assert spans.read() is None
    assert spans.problem == "it is gone"
    (tmp_path / "away").rename(path)
    with path.open("ab") as stream:
        stream.write(b"two\n")
    assert in_file_order(spans) == b"two\n"
    assert spans.problem == ""


def test_a_line_that_never_ends_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans_module, "MOST_ITEM_BYTES", 1024)
    path = tmp_path / "log"
    path.write_bytes(b"one\n" + b"x" * 5000 + b"\ntwo\n")
    assert in_file_order(Spans(path, Lines(), is_forward=True)) == b"one\ntwo\n"
    assert in_file_order(Spans(path, Lines())).endswith(b"two\n")


@FEW
@given(st.lists(st.binary(max_size=150), min_size=1, max_size=30))
def test_records_come_whole_and_once(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("spans") / "events"
    path.write_bytes(b"".join(map(record, contents)) + record(b"torn")[:-3])
    assert whole_records(in_file_order(Spans(path, EventRecords()))) == (contents, 0)


@FEW
@given(st.lists(st.binary(min_size=4, max_size=90), min_size=4, max_size=20), st.data())
def test_a_damaged_record_costs_itself_alone(contents: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(contents) - 1))
    parts = [bytearray(record(content)) for content in contents]
    place = data.draw(st.integers(12, len(parts[index]) - 1))
    parts[index][place] ^= 0x40
    whole = b"".join(map(bytes, parts))
    assert whole_records(whole) == (contents[:index] + contents[index + 1 :], 1)


@FEW
@given(st.lists(st.binary(min_size=4, max_size=90), min_size=4, max_size=20), st.integers(0, 11), st.integers(1, 3))
def test_after_a_damaged_length_the_next_record_is_found(contents: list[bytes], place: int, index: int) -> None:
    parts = [bytearray(record(content)) for content in contents]
    parts[index - 1][place] ^= 0x10
    records, _ = whole_records(b"".join(map(bytes, parts)))
    assert records == contents[: index - 1] + contents[index:]
