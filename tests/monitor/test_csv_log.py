"""CSV logs of other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cellmap_tui.errors import DataError
from cellmap_tui.monitor import spans as spans_module
from cellmap_tui.monitor.source import open_source
from tests.monitor.logs import opened, read_all, told

if TYPE_CHECKING:
    from pathlib import Path


def log(tmp_path: Path, text: str, name: str = "metrics.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_empty_cells_are_nothing_and_nan_is_a_break(tmp_path: Path) -> None:
    source = opened(log(tmp_path, "epoch,step,train,val\n0,1,0.5,\n0,2,nan,\n0,2,,0.6\n1,3,0.3,\n"))
    assert source.kind == "csv"
    points = source.series.points("train")
    assert points.step.tolist() == [1, 2, 3]
    assert points.epoch.tolist() == [0.0, 0.0, 1.0]
    assert np.isnan(points.mean).tolist() == [False, True, False]
    assert told(source, "val") == [(2, 0.6)]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_and_quotes_are_understood(tmp_path: Path, delimiter: str) -> None:
    text = '"step"|"my loss"\r\n1|"0.5"\r\n2|0.25\r\n'.replace("|", delimiter)
    assert told(opened(log(tmp_path, text)), "my loss") == [(1, 0.5), (2, 0.25)]


def test_without_steps_epochs_or_rows_are_counted(tmp_path: Path) -> None:
    assert told(opened(log(tmp_path, "epoch,loss\n1,0.5\n2,0.25\n", "a.csv")), "loss") == [(1, 0.5), (2, 0.25)]
    assert told(opened(log(tmp_path, "loss,acc\n0.5,0\n0.25,1\n", "b.csv")), "loss") == [(0, 0.5), (1, 0.25)]


def test_times_are_seconds_milliseconds_or_dates(tmp_path: Path) -> None:
    for told_time, time_s in (
        ("1700000000", 1.7e9),
        ("1700000000123", 1700000000.123),
        ("2023-11-14T22:13:20Z", 1.7e9),
    ):
        source = opened(log(tmp_path, f"time,step,loss\n{told_time},1,0.5\n"))
        assert source.series.points("loss").time_s.tolist() == [time_s]
    assert np.isnan(opened(log(tmp_path, "time,step,loss\n12.5,1,0.5\n")).series.points("loss").time_s[0])


def test_a_resumed_run_takes_back_its_steps_and_repeats_its_header(tmp_path: Path) -> None:
    source = opened(log(tmp_path, "step,loss\n1,0.5\n2,0.4\n3,0.3\nstep,loss\n2,0.9\n"))
    assert told(source, "loss") == [(1, 0.5), (2, 0.9)]
    assert source.skipped == 0


def test_torn_rows_wait_and_rows_of_another_length_are_passed_over(tmp_path: Path) -> None:
    path = log(tmp_path, "step,loss\n1,0.5\n2\n3,0.3,9\nx,1\n4,0.2\n5,0.")
    source = opened(path)
    assert [step for step, _ in told(source, "loss")] == [1, 4]
    assert source.skipped == 3
    with path.open("a") as stream:
        stream.write("125\n")
    assert told(read_all(source), "loss")[-1] == (5, 0.125)


def test_a_log_rewritten_with_another_column_is_read_anew(tmp_path: Path) -> None:
    path = log(tmp_path, "step,loss\n1,0.5\n2,0.4\n")
    source = opened(path)
    path.write_text("step,loss,val\n1,0.5,\n2,0.4,\n3,,0.7\n")
    source.poll()
    read_all(source)
    assert source.series.names() == ("loss", "val")
    assert told(source, "val") == [(3, 0.7)]


def test_a_long_log_is_read_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans_module, "BLOCK_BYTES", 500)
    source = open_source(log(tmp_path, "step,loss\n" + "".join(f"{n},{n}\n" for n in range(2000))))
    source._read()
    assert source.series.points("loss").step[0] > 1900
    assert [step for step, _ in told(read_all(source), "loss")] == list(range(2000))


@pytest.mark.parametrize(
    "text", ["1,2\n3,4\n", "crop,class\n1,er\nx,y\n" * 0, "words only\n", "a,b\nx,y\n", "\0\0,\n"]
)
def test_a_table_that_is_no_log_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError):
        open_source(log(tmp_path, text, "table.csv"))


@settings(max_examples=60, deadline=None)
@example("\0" * 100)
@given(st.text(max_size=200))
def test_nothing_in_a_log_raises(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("csv") / "log.csv"
    path.write_bytes(b"step,loss\n1,0.5\n" + text.encode("utf-8", "surrogatepass") + b"\n")
    assert len(opened(path).series.points("loss")) >= 0


def test_a_row_with_a_step_below_zero_is_passed_over_and_takes_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n1,3\n2,2\n-7,9\n3,1\n")
    source = opened(path)
    assert told(source, "loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert source.skipped == 1
