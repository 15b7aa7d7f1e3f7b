"""Own runs as they are found: growing, resumed, damaged, gone."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.monitor import spans as spans_module
from cellmap_tui.monitor.source import find_sources, open_source
from tests.monitor.logs import START_S, event_line, metric_line, opened, read_all, run_dir, told

if TYPE_CHECKING:
    from pathlib import Path

FEW = settings(max_examples=40, deadline=None)


def steps(*numbers: int, at_s: float = 0.0) -> bytes:
    return b"".join(metric_line(step, {"loss": step / 100}, time_s=START_S + at_s + step) for step in numbers)


def test_numbers_windows_and_what_is_no_number_are_read(tmp_path: Path) -> None:
    window = {"mean": 0.4, "min": 0.25, "max": 0.5, "count": 3}
    path = run_dir(tmp_path, metric_line(3, {"loss": window}, epoch=1) + metric_line(4, {"loss": None}, epoch=1))
    points = opened(path).series.points("loss")
    assert points.step.tolist() == [3, 4]
    assert points.epoch.tolist() == [1.0, 1.0]
    assert (points.mean[0], points.low[0], points.high[0]) == (0.4, 0.25, 0.5)
    assert np.isnan(points.mean[1])


def test_a_number_before_the_first_window_is_its_own_bounds(tmp_path: Path) -> None:
    lines = metric_line(1, {"a": 2.0}) + metric_line(2, {"a": {"mean": 1.0, "min": 0.0, "max": 5.0}})
    points = opened(run_dir(tmp_path, lines + metric_line(3, {"a": 4.0}))).series.points("a")
    assert points.low.tolist() == [2.0, 0.0, 4.0]
    assert points.high.tolist() == [2.0, 5.0, 4.0]


def test_a_resume_voids_also_what_is_not_told_again(tmp_path: Path) -> None:
    before = steps(1, 2, 3) + metric_line(3, {"val/dice": 0.9})
    after = event_line("state", START_S + 50, state="queued", by="ada@lab") + steps(3, at_s=100)
    source = opened(run_dir(tmp_path, before + after))
    assert told(source, "val/dice") == []
    assert [step for step, _ in told(source, "loss")] == [1, 2, 3]


def test_a_resume_while_watching_voids_what_was_shown(tmp_path: Path) -> None:
    path = run_dir(tmp_path, steps(1, 2, 3, 4, 5))
    source = opened(path)
    with (path / "events.jsonl").open("ab") as stream:
        stream.write(event_line("state", START_S + 50, state="queued", by="ada@lab"))
        stream.flush()
        read_all(source)
        assert len(source.series.points("loss")) == 5
        stream.write(steps(3, at_s=-500))
    read_all(source)
    assert [step for step, _ in told(source, "loss")] == [1, 2, 3]


@st.composite
def event_logs(draw: st.DrawFn) -> list[bytes]:
    lines, done = [], 0
    for attempt in range(draw(st.integers(1, 3))):
        if attempt:
            lines.append(event_line("state", START_S + 100 * attempt, state="queued", by=None))
        step = draw(st.integers(0, done))
        for _ in range(draw(st.integers(0, 12))):
            step += draw(st.integers(1, 3))
            names = draw(st.sets(st.sampled_from(["loss", "lr", "val/dice"]), min_size=1))
            line = metric_line(
                step, dict.fromkeys(sorted(names), float(attempt)), time_s=START_S + 100 * attempt + step
            )
            lines.append(line)
            done = max(done, step)
    return lines


@FEW
@given(event_logs(), st.integers(60, 400), st.integers(0, 40))
def test_reading_from_the_end_tells_the_same_as_from_the_beginning(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], block: int, cut: int
) -> None:
    path = run_dir(tmp_path_factory.mktemp("run"), b"")
    with pytest.MonkeyPatch.context() as patch:
        (path / "events.jsonl").write_bytes(b"")
        slow = open_source(path)
        for line in lines:
            with (path / "events.jsonl").open("ab") as stream:
                stream.write(line)
            read_all(slow)
        (path / "events.jsonl").write_bytes(b"".join(lines[:cut]))
        patch.setattr(spans_module, "BLOCK_BYTES", block)
        late = open_source(path)
        late.poll()
        with (path / "events.jsonl").open("ab") as stream:
            stream.write(b"".join(lines[cut:]))
        read_all(late)
    assert late.series.names() == slow.series.names() or cut < len(lines)
    for name in ("loss", "lr", "val/dice"):
        assert told(late, name) == told(slow, name)


@FEW
@given(st.lists(st.one_of(st.binary(max_size=60), st.just(steps(7)[:-1]), st.just(b'{"event":"metric","time":1}'))))
def test_nothing_in_a_log_raises(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = run_dir(tmp_path_factory.mktemp("run"), steps(1, 2) + b"\n".join(lines) + b"\n")
    assert told(opened(path), "loss")[:2] == [(1, 0.01), (2, 0.02)]


@pytest.mark.parametrize(
    "line",
    [
        b'{"v":1,"time":1e999,"event":"metric","step":3,"values":{"loss":1}}',
        b'{"v":1,"time":1,"event":"metric","step":99999999999999999999999,"values":{"loss":1}}',
        b'{"v":1,"time":1,"event":"metric","step":3,"values":{"other":NaN}}',
        b'{"v":1,"time":1,"event":"metric","step":3,"values":{"other":{"mean":Infinity,"min":1,"max":2}}}',
        b'{"v":1,"time":1,"event":"metric","step":3,"values":{"other":1e400}}',
        b'{"v":1,"time":1,"event":"metric","step":3.5,"values":{"other":1}}',
        b'{"v":1,"time":1,"event":"metric","step":true,"values":{"other":1}}',
        b'{"v":1,"time":1,"event":"metric","step":3,"epoch":"x","values":{"other":"y"}}',
        b'{"v":1,"time":1,"event":"metric","step":3,"values":[1]}',
        b'{"v":1,"time":-1e300,"event":"note","message":7}',
        b'{"v":1,"time":1,"event":"progress","done":"x","total":[],"unit":3}',
        b"[" * 100_000,
        b"\0" * 1000,
        b"\xff\xfe",
    ],
)
def test_damaged_and_foreign_lines_cost_themselves_alone(tmp_path: Path, line: bytes) -> None:
    source = opened(run_dir(tmp_path, steps(1, 2) + line + b"\n" + steps(4)))
    assert {1, 2, 4} <= {step for step, _ in told(source, "loss")}
    assert not np.any(np.isfinite(source.series.points("other").mean[:1])) or b"3.5" not in line
    assert source.problem == "" or "state.json" in source.problem or "request.json" in source.problem


def test_a_torn_last_line_waits_for_its_end(tmp_path: Path) -> None:
    path = run_dir(tmp_path, steps(1) + steps(2)[:20])
    source = opened(path)
    assert [step for step, _ in told(source, "loss")] == [1]
    with (path / "events.jsonl").open("ab") as stream:
        stream.write(steps(2)[20:])
    read_all(source)
    assert [step for step, _ in told(source, "loss")] == [1, 2]


def test_names_keep_their_bytes_and_lines_are_safe_to_show(tmp_path: Path) -> None:
    name = "[red]lo\x1b[31mss[/]"
    note = event_line("note", message="\x1b]0;evil\x07 [bold]markup[/bold]")
    source = opened(run_dir(tmp_path, metric_line(1, {name: 1.0}) + note))
    assert source.series.names() == (name,)
    assert "\x1b" not in source.events[0].text
    assert source.events[0].text.endswith("[bold]markup[/bold]")


def test_a_metric_that_appears_late_begins_late(tmp_path: Path) -> None:
    path = run_dir(tmp_path, steps(*range(1, 100)))
    source = opened(path)
    version = source.series.version
    with (path / "events.jsonl").open("ab") as stream:
        stream.write(metric_line(100, {"late": 1.0}))
    assert source.poll()
    assert told(source, "late") == [(100, 1.0)]
    assert source.series.version > version
    assert not source.poll()


def test_a_run_directory_that_vanishes_is_told_and_what_was_read_stays(tmp_path: Path) -> None:
    path = run_dir(tmp_path, steps(1, 2))
    source = opened(path)
    shutil.rmtree(path)
    source._looked_s = float("-inf")  # type: ignore[attr-defined]
    assert source.poll()
    assert source.problem == "the run directory is gone"
    assert source.at_end
    assert len(source.series.points("loss")) == 2


def test_a_log_that_was_replaced_starts_over(tmp_path: Path) -> None:
    path = run_dir(tmp_path, steps(*range(1, 50)))
    source = opened(path)
    (path / "events.jsonl").write_bytes(steps(5))
    read_all(source)
    assert told(source, "loss") == [(5, 0.05)]


def test_the_last_thousand_words_are_kept_from_whichever_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans_module, "BLOCK_BYTES", 4096)
    lines = b"".join(event_line("note", START_S + n, message=f"note {n}") for n in range(3000))
    source = opened(run_dir(tmp_path, lines))
    assert [line.text for line in source.events] == [f"note {n}" for n in range(2000, 3000)]


def test_validations_are_told_as_lines(tmp_path: Path) -> None:
    path = run_dir(tmp_path, metric_line(10, {"val/dice": 0.5, "val/loss": 1.25}, epoch=2))
    assert [(line.kind, line.text) for line in opened(path).events] == [
        ("validation", "validated epoch 2: Dice 0.5, loss 1.25")
    ]


def test_facts_come_from_the_configuration_and_the_model(tmp_path: Path) -> None:
    path = run_dir(tmp_path, steps(1))
    (path / "config.toml").write_text(
        'epochs = 4\niterations_per_epoch = 25\nlearning_rate = 0.001\nclasses = ["er"]\n'
    )
    (path / "model.json").write_text('{"columns": ["er", "nuc"]}')
    facts = opened(path).facts
    assert (facts.planned_steps, facts.planned_epochs, facts.steps_per_epoch) == (100, 4, 25)
    assert facts.classes == ("er", "nuc")
    assert facts.config["learning_rate"] == 0.001


@pytest.mark.parametrize("content", ["epochs = [", "epochs = 'x'\niterations_per_epoch = -3", "\0\0"])
def test_a_damaged_configuration_is_no_facts(tmp_path: Path, content: str) -> None:
    path = run_dir(tmp_path, steps(1))
    (path / "config.toml").write_text(content)
    (path / "model.json").write_text("[")
    assert opened(path).facts.planned_steps is None


def test_telemetry_is_read_beside(tmp_path: Path) -> None:
    path = run_dir(tmp_path, steps(1))
    rows = [
        '{"v":1,"kind":"machine","time":100.0,"host":"box","pid":1,"gpus":[{"index":0,"name":"G","uuid":"u"}]}',
        '{"v":1,"kind":"reading","time":101.0,"cpu":0.5,"gpus":[{"index":0,"utilisation":0.9,"throttle":["heat"]}]}',
        '{"v":1,"kind":"reading","time":102.0,"cpu":0.25,"gpus":[{"index":0,"utilisation":null}]}',
    ]
    (path / "telemetry.jsonl").write_text("\n".join(rows) + '\n{"torn')
    telemetry = opened(path).telemetry
    assert telemetry.machine is not None
    assert telemetry.machine.host == "box"
    assert telemetry.latest is not None
    assert telemetry.latest.cpu == 0.25
    assert telemetry.points("cpu").mean.tolist() == [0.5, 0.25]
    assert telemetry.points("gpu0/utilisation").mean.tolist() == [0.9]


def test_what_is_no_log_is_refused_with_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="does not exist"):
        open_source(tmp_path / "nothing")
    with pytest.raises(DataError, match="no log"):
        open_source(tmp_path)


def test_runs_and_logs_are_found_below_a_folder(tmp_path: Path) -> None:
    run = run_dir(tmp_path / "a" / "runs", steps(1))
    log = tmp_path / "b" / "metrics.csv"
    log.parent.mkdir()
    log.write_text("step,loss\n1,2\n")
    (tmp_path / "b" / "table.csv").write_text("crop,class\n1,er\n")
    assert sorted(find_sources(tmp_path)) == sorted([run, log])


def test_a_lost_run_is_no_news_and_why_it_died_is_found_out_once(tmp_path: Path, monkeypatch) -> None:
    state = {"v": 1, "state": "running", "host": "elsewhere", "heartbeat": START_S}
    path = run_dir(tmp_path, event_line("state", state="running") + steps(1, 2))
    (path / "state.json").write_text(json.dumps(state))
    for name in ("state.json", "events.jsonl"):
        os.utime(path / name, (START_S, START_S))
    monkeypatch.setattr("cellmap_tui.monitor.source.FACTS_INTERVAL_S", 0.0)
    source = opened(path)
    read_all(source)
    assert source.facts.state is not None
    assert source.facts.state.state == "lost"
    looked = []
    monkeypatch.setattr("cellmap_tui.monitor.facts.summarise", lambda *_: looked.append(1))
    monkeypatch.setattr("cellmap_tui.monitor.source.time.monotonic", lambda now=time.monotonic: now() + 60)
    assert not any(source.poll() for _ in range(3))
    assert not looked


def test_runs_that_are_looked_at_together_share_the_memory_of_one(tmp_path: Path) -> None:
    source = opened(run_dir(tmp_path, steps(*range(1, 5000))))
    source.series.keep_within(64 * 1024)
    assert source.series.bytes <= 64 * 1024
    assert source.series.points("loss").step[-1] == 4999
