"""However a log grows and however it is read, the lines are the same."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.jobs.events import Event
from cellmap_tui.jobs.rundir import RunDir
from cellmap_tui.jobs.tail import LineTail, read_last_lines
from cellmap_tui.jobs.watch import RunReader

EVENTS = [Event("note", float(number), {"message": f"«{number}» " + "x" * (number % 7)}) for number in range(12)]
LOG = b"".join(event.to_line() for event in EVENTS)


@given(
    cuts=st.lists(st.integers(0, len(LOG)), max_size=12).map(sorted),
    max_bytes=st.integers(1, 400),
    garbage=st.binary(max_size=30).filter(lambda data: b"\n" not in data and data.strip(b"\0 \t\r")),
    place=st.integers(0, len(EVENTS)),
)
def test_any_split_of_the_log_gives_the_same_events(cuts, max_bytes, garbage, place):
    lines = LOG.splitlines(keepends=True)
    log = b"".join([*lines[:place], garbage + b"\n", *lines[place:]])
    with tempfile.TemporaryDirectory() as folder:
        run = RunDir(Path(folder))
        reader, events, at = RunReader(run), [], 0
        for cut in [*cuts, len(log)]:
            with run.events_path.open("ab") as stream:
                stream.write(log[at:cut])
            at = max(at, cut)
            events += reader.poll(max_bytes)
        while not reader.at_end:
            events += reader.poll(max_bytes)
    assert events == EVENTS
    assert reader.skipped == 1
    assert reader.restarts == 0


def test_an_unterminated_line_is_held_back_until_it_is_whole(tmp_path):
    run = RunDir(tmp_path)
    reader = RunReader(run)
    assert reader.poll() == []
    line = EVENTS[0].to_line()
    run.events_path.write_bytes(line[:-10])
    assert reader.poll() == []
    with run.events_path.open("ab") as stream:
        stream.write(line[-10:])
    assert reader.poll() == [EVENTS[0]]
    assert reader.skipped == 0


def test_a_truncated_log_is_read_from_its_start_again(tmp_path):
    run = RunDir(tmp_path)
    run.events_path.write_bytes(LOG)
    reader = RunReader(run)
    assert reader.poll() == EVENTS
    run.events_path.write_bytes(EVENTS[5].to_line())
    assert reader.poll() == [EVENTS[5]]
    assert reader.restarts == 1


def test_a_longer_log_put_in_place_of_the_old_one_is_noticed(tmp_path):
    run = RunDir(tmp_path)
    run.events_path.write_bytes(EVENTS[3].to_line() * 3)
    reader = RunReader(run)
    assert reader.poll() == [EVENTS[3]] * 3
    fresh = tmp_path / "fresh"
    fresh.write_bytes(LOG)
    fresh.replace(run.events_path)
    assert reader.poll() == EVENTS
    assert reader.restarts == 1


def test_a_log_that_vanishes_for_a_moment_is_read_on_where_it_was(tmp_path):
    run = RunDir(tmp_path)
    run.events_path.write_bytes(LOG)
    reader = RunReader(run)
    reader.poll()
    away = tmp_path / "away"
    run.events_path.rename(away)
    assert reader.poll() == []
    away.rename(run.events_path)
    assert reader.poll() == []
    assert reader.restarts == 0


def test_a_huge_line_is_passed_over_without_being_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("cellmap_tui.jobs.tail.MAX_LINE_BYTES", 1000)
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"first\n" + b"x" * 5000 + b"\nlast\n")
    tail, lines = LineTail(path), []
    while not tail.at_end:
        lines += tail.read(300)
        assert len(tail.rest) <= 1300
    assert lines == [b"first", b"last"]
    assert tail.overlong == 1


def test_a_poll_reads_no_more_than_it_was_allowed(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"0123456\n" * 1000)
    tail = LineTail(path)
    assert len(tail.read(80)) == 10
    assert not tail.at_end


@given(st.lists(st.binary(max_size=20).filter(lambda data: b"\n" not in data), max_size=20), st.integers(1, 200))
def test_the_last_lines_are_whole_lines_from_the_end(lines, max_bytes):
    data = b"".join(line + b"\n" for line in lines)
    descriptor, name = tempfile.mkstemp()
    os.write(descriptor, data)
    os.close(descriptor)
    last = read_last_lines(Path(name), max_bytes)
    Path(name).unlink()
    assert last == lines[len(lines) - len(last) :]
    assert len(data) > max_bytes or last == lines
