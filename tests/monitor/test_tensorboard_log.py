"""TensorBoard logs of other tools: several files, restarts, damage, growth."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2

from cellmap_tui.monitor import spans as spans_module
from cellmap_tui.monitor import tensorboard_log
from cellmap_tui.monitor.source import open_source
from tests.monitor.logs import (
    START_S,
    first_record,
    opened,
    read_all,
    record,
    scalars,
    session_start,
    told,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NAME = "events.out.tfevents.1700000000.host.1.0"
LATER = "events.out.tfevents.1700009000.host.2.0"


def steps(*numbers: int, at_s: float = 0.0) -> bytes:
    return b"".join(scalars(step, {"loss": step / 4}, START_S + at_s + step) for step in numbers)


def log(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(first_record() + data)
    return path


def test_scalars_are_read_from_a_file_or_its_folder(tmp_path: Path) -> None:
    path = log(tmp_path / NAME, steps(1, 2, 3))
    for place in (path, tmp_path):
        source = opened(place)
        assert source.kind == "tensorboard"
        assert told(source, "loss") == [(1, 0.25), (2, 0.5), (3, 0.75)]


def test_a_folder_of_the_official_toolbox_is_opened_with_the_names_of_own_runs(tmp_path: Path) -> None:
    log(tmp_path / "tensorboard" / "unet_3d" / NAME, steps(1) + scalars(1, {"validation": 2.0, "lr": 0.5}))
    (tmp_path / "checkpoints").mkdir()
    source = opened(tmp_path)
    assert source.series.names() == ("loss", "lr", "val/loss")
    assert told(source, "val/loss") == [(1, 2.0)]


def test_folders_beside_each_other_are_told_apart(tmp_path: Path) -> None:
    log(tmp_path / "train" / NAME, steps(1, 2))
    log(tmp_path / "validation" / NAME, steps(2))
    source = opened(tmp_path)
    assert source.series.names() == ("train/loss", "validation/loss")


def test_a_long_log_is_read_newest_first_and_then_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans_module, "BLOCK_BYTES", 1000)
    path = log(tmp_path / NAME, steps(*range(500)))
    source = open_source(path)
    source._read()
    first = source.series.points("loss").step
    assert first[-1] == 499
    assert first[0] > 450
    assert [step for step, _ in told(read_all(source), "loss")] == list(range(500))


def test_a_resumed_run_in_a_second_file_takes_back_steps(tmp_path: Path) -> None:
    log(tmp_path / NAME, steps(1, 2, 3, 4) + scalars(4, {"val": 1.0}))
    log(tmp_path / LATER, session_start(3) + steps(3, at_s=9000))
    source = opened(tmp_path)
    assert [step for step, _ in told(source, "loss")] == [1, 2, 3]
    assert told(source, "val") == []


def test_a_file_that_comes_while_watching_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard_log, "LIST_INTERVAL_S", 0.0)
    path = log(tmp_path / NAME, steps(1, 2))
    source = opened(tmp_path)
    with path.open("ab") as stream:
        stream.write(steps(3) + steps(4)[:-5])
    read_all(source)
    log(tmp_path / LATER, steps(5, at_s=9000))
    read_all(source)
    assert [step for step, _ in told(source, "loss")] == [1, 2, 3, 5]
    with path.open("ab") as stream:
        stream.write(steps(4)[-5:])
    read_all(source)
    assert [step for step, _ in told(source, "loss")] == [1, 2, 3, 4, 5]


def test_damage_is_passed_over_and_counted(tmp_path: Path) -> None:
    damaged = bytearray(steps(2))
    damaged[-6] ^= 0xFF
    source = opened(log(tmp_path / NAME, steps(1) + bytes(damaged) + b"garbage" * 9 + record(b"\xff\xff") + steps(3)))
    assert [step for step, _ in told(source, "loss")] == [1, 3]
    assert source.skipped == 2


def test_scalars_of_newer_writers_come_as_tensors(tmp_path: Path) -> None:
    def tensor(**fields: object) -> bytes:
        part = summary_pb2.Summary.Value(tag="t", tensor=tensor_pb2.TensorProto(**fields))
        event = event_pb2.Event(wall_time=START_S, step=len(parts) + 1, summary=summary_pb2.Summary(value=[part]))
        return record(event.SerializeToString())

    parts: list[bytes] = []
    parts.append(tensor(dtype=1, float_val=[0.5]))
    parts.append(tensor(dtype=1, tensor_content=np.float32(0.25).tobytes()))
    parts.append(tensor(dtype=2, double_val=[0.125]))
    parts.append(tensor(dtype=7, string_val=[b"text"]))
    parts.append(tensor(dtype=1, tensor_content=b"odd"))
    assert told(opened(log(tmp_path / NAME, b"".join(parts))), "t") == [(1, 0.5), (2, 0.25), (3, 0.125)]


def test_values_that_are_no_numbers_break_the_line(tmp_path: Path) -> None:
    data = scalars(1, {"loss": 1.0}) + scalars(2, {"loss": float("nan")}) + scalars(3, {"loss": float("inf")})
    means = opened(log(tmp_path / NAME, data)).series.points("loss").mean
    assert np.isnan(means).tolist() == [False, True, True]


def test_epochs_told_as_scalars_become_epochs_of_rows(tmp_path: Path) -> None:
    data = steps(1, 2) + scalars(2, {"epoch": 1.0}) + steps(3, 4) + scalars(4, {"epoch": 2.0})
    assert opened(log(tmp_path / NAME, data)).series.points("loss").epoch.tolist() == [1.0, 1.0, 2.0, 2.0]


def test_a_log_that_vanishes_is_told(tmp_path: Path) -> None:
    path = log(tmp_path / NAME, steps(1))
    source = opened(path)
    path.unlink()
    assert source.poll()
    assert source.problem == "the log is gone"
    assert told(source, "loss") == [(1, 0.25)]


def test_tensorflow_and_torch_are_not_loaded(tmp_path: Path) -> None:
    path = log(tmp_path / NAME, steps(1))
    code = (
        "import sys; from pathlib import Path; from cellmap_tui.monitor.source import open_source\n"
        f"open_source(Path({str(path)!r})).poll()\n"
        "heavy = ('torch', 'tensorflow', 'scipy', 'zarr', 'textual', 'pandas')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
