"""The format of a line, pinned; and the log that takes them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.jobs.events import Event, EventLog, decode_line, decode_lines
from cellmap_tui.jobs.recorder import RunReporter
from cellmap_tui.jobs.rundir import RunDir
from tests.jobs.helpers import HERE, SetClock

GOLDEN = HERE / "golden" / "events.jsonl"

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(st.text().filter(lambda name: name not in {"v", "time", "event"}), JSON_VALUES, max_size=4)


def tell_everything(run: RunDir) -> None:
    """Let a reporter tell one of everything, under a clock that stands still."""
    clock = SetClock()
    recorder = RunReporter(run, clock=clock)
    recorder.begin()
    recorder.progress(0, None, "crops")
    clock.pass_time(1)
    recorder.progress(1, 8, "crops")
    recorder.metric(0, {"loss": 0.75, "learning_rate": 1e-4}, epoch=0)
    clock.pass_time(0.25)
    recorder.metric(1, {"loss": 0.5, "learning_rate": 1e-4}, epoch=0)
    recorder.metric(2, {"loss": 0.25, "learning_rate": 1e-4}, epoch=0)
    clock.pass_time(0.25)
    recorder.metric(3, {"loss": float("nan"), "learning_rate": 1e-4}, epoch=0)
    clock.pass_time(0.5)
    recorder.metric(4, {"loss": float("inf")})
    clock.pass_time(0.5)
    recorder.metric(5, {"dice": 0.8125}, epoch=1)
    recorder.note("crop 234 — «mito» 5 µm, [bold]not markup[/bold], \x1b[31mescape\x1b[0m, two\nlines")
    recorder.warning("volume has no scale")
    recorder.artefact(run.path.parent.parent / "data" / "s0", "volume")
    recorder.enter_state("paused", "ada@lab")
    recorder.enter_state("running", "ada@lab")
    recorder.enter_state("stopping", "SIGTERM")
    recorder.error("stopped", "stopped by SIGTERM", "go on with `runs resume`", 130)
    recorder.enter_state("stopped", "SIGTERM", exit_code=130)
    recorder.result("demo", {"data_root": "/data", "score": float("nan"), "crops": [1, 2]})
    recorder.enter_state("done", exit_code=0)
    recorder.__exit__()


def test_the_event_format_is_the_golden_one(tmp_path):
    run = RunDir(tmp_path / "runs" / "20231114T221320Z-demo-0a1b2c")
    run.path.mkdir(parents=True)
    tell_everything(run)
    written = run.events_path.read_text(encoding="utf-8").replace(str(tmp_path), "/tmp")
    assert written == GOLDEN.read_text(encoding="utf-8")


def test_the_golden_events_hold_the_fields_of_the_contract_and_no_other():
    fields = {
        "progress": {"done", "total", "unit"},
        "metric": {"step", "epoch", "values"},
        "note": {"message"},
        "warning": {"message"},
        "artefact": {"path", "kind"},
        "state": {"state", "by"},
        "result": {"command", "value"},
        "error": {"kind", "message", "remedy", "exit_code"},
    }
    lines = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    assert {line["event"] for line in lines} == set(fields)
    for line in lines:
        assert set(line) == {"v", "time", "event", *fields[line["event"]]}


@given(kind=st.text(min_size=1), time_s=st.floats(0, 1e10), fields=FIELDS)
def test_an_event_reads_back_as_it_was_written(kind, time_s, fields):
    event = Event(kind, time_s, fields)
    line = event.to_line()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_line(line) == event


@given(st.binary())
def test_any_bytes_are_an_event_or_none(line):
    event = decode_line(line)
    assert event is None or isinstance(event, Event)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[1]",
        b"null",
        b'{"v":1}',
        b'{"time":1,"event":7}',
        b'{"time":"x","event":"note"}',
        b"\xff\xfe",
        b"[" * 10_000,
    ],
)
def test_a_line_that_is_no_event_is_none(line):
    assert decode_line(line) is None


def test_unknown_kinds_and_fields_are_kept():
    event = decode_line(b'{"v":1,"time":5,"event":"telemetry","gpu":98}')
    assert event == Event("telemetry", 5, {"gpu": 98})


def test_not_a_number_as_other_writers_put_it_is_read():
    event = decode_line(b'{"time":5,"event":"metric","step":1,"values":{"loss":NaN}}')
    assert event is not None
    assert event.fields["values"]["loss"] != event.fields["values"]["loss"]


def test_zero_bytes_that_a_power_cut_left_do_not_hide_the_next_line():
    assert decode_line(b'\0\0\0{"time":5,"event":"note","message":"x"}') == Event("note", 5, {"message": "x"})


def test_undecodable_file_names_are_written_out():
    line = Event(
        "artefact", 1.0, {"path": b"bad\xff.tif".decode("utf-8", "surrogateescape"), "kind": "volume"}
    ).to_line()
    event = decode_line(line)
    assert event is not None
    assert event.fields["path"] == "bad\\udcff.tif"


def test_a_line_torn_by_a_killed_writer_is_closed_before_the_next_one(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"v":1,"time":1,"event":"note","message":"whole"}\n{"v":1,"time":2,"eve')
    log = EventLog(path)
    log.write(Event("note", 3.0, {"message": "after"}))
    log.close()
    events = decode_lines(path.read_bytes().split(b"\n"))
    assert [event.fields["message"] for event in events] == ["whole", "after"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from cellmap_tui.jobs.events import Event, EventLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = EventLog(Path(sys.argv[1]))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
for number in range(10):
    log.write(Event("note", float(number), {"message": f"note {number}"}))
assert log.failure is not None and log.waiting > 0, log.waiting
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
log.write(Event("note", 10.0, {"message": "note 10"}))
assert log.failure is None and log.waiting == 0
log.close()
"""


def test_events_that_a_full_disk_refuses_are_written_when_it_has_room_again(tmp_path):
    path = tmp_path / "events.jsonl"
    subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], check=True, timeout=600)
    events = decode_lines(path.read_bytes().splitlines())
    assert [event.fields["message"] for event in events] == [f"note {number}" for number in range(11)]
