"""A training's machine is told in words: what is not known is a dash, what is bad has a sign."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.app.machine_words import (
    Split,
    gpu_rows,
    gpu_words,
    host_rows,
    place_words,
    share_line,
    sound,
    split_lines,
    split_of,
    step_lines,
    wait_words,
)
from cellmap_tui.services.telemetry_model import GpuFacts, GpuReading, Machine, Reading, parse_line
from tests.app.builders import NOW_S
from tests.app.live_parts import machine, reading


def test_a_gpu_is_told_with_what_it_may_use() -> None:
    (row,) = gpu_rows(machine(1), reading(1))

    assert (row.number, row.load, row.memory_words) == ("gpu0", 0.98, "61.0 G / 80.0 G")
    assert (row.power, row.temperature, row.clocks) == ("610 / 700 W", "71 °C", "1 980 / 2 619 MHz")
    assert (row.note, row.level) == ("", "")


def test_held_clocks_name_their_reason() -> None:
    row = gpu_rows(machine(2), reading(2))[1]

    assert (row.note, row.level) == ("clocks held: power cap", "warn")


def test_a_lost_gpu_is_told_as_lost_and_not_as_idle() -> None:
    (row,) = gpu_rows(machine(1), reading(1, gpus=(GpuReading(0, is_lost=True),)))

    assert (row.load, row.memory_words, row.note, row.level) == (None, "-", "the driver has lost it", "bad")


def test_a_part_of_a_gpu_says_so_and_knows_no_utilisation() -> None:
    part = GpuFacts(0, "NVIDIA H100 MIG 3g.40gb", "MIG-0", "mig", 40 * 10**9)
    (row,) = gpu_rows(machine(gpus=(part,)), reading(gpus=(GpuReading(0, None, 30 * 10**9, 610.0),)))

    assert (row.number, row.load, row.memory) == ("mig0", None, 0.75)
    assert "part of a GPU" in row.note


def test_eight_gpus_are_eight_rows_and_one_sentence() -> None:
    assert len(gpu_rows(machine(8), reading(8))) == 8
    assert gpu_words(machine(8)) == "8 × NVIDIA H100, driver 550.54"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (None, "nothing was read of GPUs yet"),
        (machine(0, gpu_state="no NVIDIA driver"), "no GPU: no NVIDIA driver"),
        (machine(0, gpu_state="no GPU that the job may use"), "no GPU: no GPU that the job may use"),
        (machine(0, gpu_state="\x1b[31m"), "no GPU: ·[31m"),
    ],
)
def test_why_there_is_no_gpu_is_told(facts, words) -> None:
    assert gpu_words(facts) == words


def test_the_container_is_measured_against_its_limit() -> None:
    rows = {row.name: row for row in host_rows(machine(), reading(container_used_bytes=125 * 10**9, oom_kills=2))}

    assert (rows["container"].level, rows["OOM killed"].words) == ("bad", "2 processes")
    assert "! 125 G / 128 G" in share_line(rows["container"], 8)


def test_no_limit_and_a_disk_that_is_nearly_full_are_told() -> None:
    rows = {row.name: row for row in host_rows(machine(container_limit_bytes=None), reading(disk_free_bytes=10**9))}

    assert rows["container"].words == "no memory limit"
    assert (rows["disk"].words, rows["disk"].level) == ("1.0 G free", "bad")


def test_what_is_not_known_is_left_out_and_never_zero() -> None:
    assert host_rows(None, Reading(NOW_S)) == ()
    assert host_rows(None, None) == ()
    (row,) = gpu_rows(None, Reading(NOW_S, gpus=(GpuReading(3),)))
    assert (row.number, row.name, row.power, row.memory_words) == ("gpu3", "-", "-", "-")


@pytest.mark.parametrize(
    ("told", "is_live", "words"),
    [
        (reading(time_s=NOW_S - 3), True, "gpu-07, not this machine; read by the job every second"),
        (reading(time_s=NOW_S - 65), True, "gpu-07, not this machine; last read 1 min 05 s ago"),
        (reading(time_s=NOW_S - 65), False, "gpu-07, not this machine; last read 1 min 05 s ago, the job has ended"),
        (reading(time_s=NOW_S + 300), True, "gpu-07, not this machine; its clock is 5 min 00 s ahead"),
        (None, True, "gpu-07, not this machine; nothing read yet"),
    ],
)
def test_where_and_when_it_was_read_is_told(told, is_live, words) -> None:
    assert place_words(machine(), told, "testhost", NOW_S, is_live=is_live) == words


def test_the_split_of_an_epoch_adds_up() -> None:
    split = split_of(100, {"perf/data_ms": 100.0, "perf/compute_ms": 200.0, "val/seconds": 30.0})

    assert split == Split(10.0, 20.0, 30.0)
    assert [round(share, 3) for _, _, share in split.shares()] == [0.167, 0.333, 0.5]
    assert [line.split() for line in split_lines(split, 0)][2] == ["validation", "50", "%", "30.0", "s"]


def test_a_split_without_steps_says_so() -> None:
    assert split_lines(split_of(None, {}), 8) == ["no step has been told yet"]
    assert step_lines({}) == []
    assert wait_words({}) == ""


def test_waiting_for_data_names_the_setting_to_change() -> None:
    assert "workers" in wait_words({"perf/data_wait": 0.31})
    assert "workers" not in wait_words({"perf/data_wait": 0.02})


NUMBERS = st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.booleans() | st.lists(st.integers())


@given(st.dictionaries(st.sampled_from([*Reading.__slots__]), NUMBERS), st.data())
def test_readings_of_any_content_are_told_without_an_error(fields, data) -> None:
    gpu = data.draw(st.dictionaries(st.sampled_from([*GpuReading.__slots__]), NUMBERS))
    row = Reading(NOW_S, **{name: value for name, value in fields.items() if name not in {"time_s", "gpus"}})
    row = replace(row, gpus=(GpuReading(**{"index": 0, **{k: v for k, v in gpu.items() if k != "throttle"}}),))
    facts = Machine(
        NOW_S, host=data.draw(NUMBERS), pid=1, memory_bytes=data.draw(NUMBERS), gpu_state=data.draw(NUMBERS)
    )

    told, place = sound(row), sound(facts)

    for figure in host_rows(place, told):
        share_line(figure, 8)
    gpu_rows(place, told)
    gpu_words(place)
    place_words(place, told, "testhost", NOW_S, is_live=True)


def test_a_line_with_a_broken_clock_is_told_too() -> None:
    row = parse_line('{"kind": "reading", "time": 1e300, "cpu": "x", "gpus": [{"index": "a"}, {"index": 1}]}')

    assert isinstance(row, Reading)
    told = sound(row)
    assert (told.cpu, [gpu.index for gpu in told.gpus]) == (None, [1])
    place_words(None, told, "testhost", NOW_S, is_live=False)
