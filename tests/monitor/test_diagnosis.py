"""Every rule of the diagnosis: a run on which it speaks, and runs on which it must not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.monitor.diagnosis import LEVELS, diagnose
from cellmap_tui.monitor.points import make_points
from cellmap_tui.monitor.series import Batch, RunSeries
from tests.monitor.recordings import findings, recording

if TYPE_CHECKING:
    from pathlib import Path

HEALTHY = (
    ("recorded_healthy", "recorded_healthy_machine"),
    ("made_healthy", "made_machine_healthy"),
)
SPEAKS = (
    ("nan", "made_nan", None, "error", "since epoch 20 (step 400)"),
    ("diverging", "recorded_diverging", None, "error", "27.8 now"),
    ("plateau", "recorded_still", None, "warn", "1.61 at the start, 1.59 now"),
    ("plateau", "made_plateau", None, "warn", "at epoch 10 (step 200)"),
    ("overfitting", "made_overfitting", None, "warn", "val/loss 0.34 at epoch 8 (step 160)"),
    ("never_predicted", "recorded_never", None, "warn", "recall 0 in the last"),
    ("gradient", "made_gradient", None, "warn", "up to 300"),
    ("rate_zero", "made_rate_zero", None, "warn", "since epoch 10 (step 200)"),
    ("loader", "made_loader", None, "warn", "70 % of a step, 350 of 500 ms, in the last 5 min"),
    ("disk_full", "made_healthy", "made_machine_full", "warn", "free"),
    ("memory_full", "made_healthy", "made_machine_full", "warn", "of 64.0 G used, 20.0 G by the job"),
    ("memory_kill", "made_healthy", "made_machine_full", "error", "1 kill"),
    ("gpu_idle", "made_healthy", "made_machine_gpu", "warn", "GPU 0 11 %"),
    ("gpu_throttled", "made_healthy", "made_machine_gpu", "warn", "1530 MHz in the last 5 min, 1980 at best; 89 °C"),
    ("gpu_lost", "made_healthy", "made_machine_lost", "error", "; 61.0 G in use before, 71 °C"),
)


@pytest.mark.parametrize(("events", "machine"), HEALTHY)
def test_every_rule_is_silent_on_a_healthy_run(tmp_path: Path, events: str, machine: str) -> None:
    source = recording(tmp_path / "run", events, machine)
    assert len(source.series.points("loss")) > 30
    assert findings(source) == {}


@pytest.mark.parametrize(("rule", "events", "machine", "level", "evidence"), SPEAKS)
def test_a_rule_speaks_of_the_run_it_is_for(
    tmp_path: Path, rule: str, events: str, machine: str | None, level: str, evidence: str
) -> None:
    found = findings(recording(tmp_path / "run", events, machine))
    assert rule in found, found
    assert found[rule].level == level
    assert evidence in found[rule].line
    assert found[rule].setting


@pytest.mark.parametrize(
    ("events", "rules"),
    [
        ("made_nan", {"nan"}),
        ("recorded_diverging", {"diverging"}),
        ("recorded_still", {"plateau"}),
        ("made_plateau", {"plateau"}),
        ("made_overfitting", {"overfitting"}),
        ("made_gradient", {"gradient"}),
        ("made_rate_zero", {"rate_zero"}),
        ("made_loader", {"loader"}),
        ("recorded_never", {"never_predicted"}),
    ],
)
def test_no_other_rule_speaks_of_such_a_run(tmp_path: Path, events: str, rules: set[str]) -> None:
    assert set(findings(recording(tmp_path / "run", events, "made_machine_healthy"))) == rules


def test_classes_that_were_predicted_once_are_told_apart(tmp_path: Path) -> None:
    source = recording(tmp_path / "run", "recorded_never")
    sentences = [finding.sentence for finding in diagnose(source.series)]
    assert sentences == [
        "mito, mito/core, nuc, ves are not predicted",
        "er, ves/core are not predicted any more",
    ]


def test_a_disk_is_told_with_the_time_at_which_it_is_full(tmp_path: Path) -> None:
    finding = findings(recording(tmp_path / "run", "made_healthy", "made_machine_full"))["disk_full"]
    assert "the run's disk will be full at" in finding.sentence
    # 60 GB less half an hour of 15 MB/s are 33 GB: another 37 minutes.
    assert finding.sentence.endswith((", in 36 min", ", in 37 min"))


def test_a_run_that_has_ended_is_not_told_that_its_disk_will_be_full(tmp_path: Path) -> None:
    source = recording(tmp_path / "run", "made_healthy", "made_machine_full")
    assert source.facts.state is not None
    found = {finding.rule for finding in diagnose(source.series, source.telemetry, source.facts)}
    assert not found & {"disk_full", "memory_full", "gpu_idle"}


def test_a_run_that_ended_with_its_gpu_says_so(tmp_path: Path) -> None:
    source = recording(tmp_path / "run", "made_healthy", "made_machine_lost")
    assert source.facts.state is not None
    (finding,) = diagnose(source.series, source.telemetry, source.facts)
    assert (finding.rule, finding.sentence) == ("gpu_lost", "GPU 0 is lost")


def test_a_schedule_that_ends_at_zero_with_the_training_is_fine(tmp_path: Path) -> None:
    source = recording(tmp_path / "run", "made_rate_zero")
    assert "rate_zero" not in findings(source, planned_steps=810)
    assert "rate_zero" in findings(source, planned_steps=2000)


def test_clipped_gradients_are_only_worth_knowing(tmp_path: Path) -> None:
    source = recording(tmp_path / "run", "made_gradient", config="max_grad_norm = 1.0\n")
    assert findings(source)["gradient"].level == "info"


def test_the_learning_rate_to_try_is_named(tmp_path: Path) -> None:
    source = recording(tmp_path / "run", "recorded_diverging", config="learning_rate = 0.03\n")
    assert "0.01" in findings(source)["diverging"].setting


def test_the_worst_comes_first(tmp_path: Path) -> None:
    source = recording(tmp_path / "run", "made_nan", "made_machine_gpu")
    levels = [LEVELS.index(finding.level) for finding in diagnose(source.series, source.telemetry)]
    assert levels == sorted(levels)
    assert len(levels) > 1


def test_a_long_history_is_thinned_before_it_is_looked_at() -> None:
    steps = range(1_000_000)
    values = np.exp(-np.arange(1_000_000) / 3e5)
    series = RunSeries()
    batch = Batch({"loss": make_points(steps, values, time_s=np.arange(1e6))}, first_step=0)
    series.add_newer([batch])
    assert diagnose(series) == ()


numbers = st.floats(allow_nan=True, allow_infinity=False, width=32) | st.just(float("nan"))


@settings(max_examples=60, deadline=None)
@given(
    losses=st.lists(numbers, max_size=120),
    dice=st.lists(numbers, max_size=30),
    rates=st.lists(numbers, max_size=30),
)
def test_no_numbers_make_the_rules_fail(losses: list[float], dice: list[float], rates: list[float]) -> None:
    series = RunSeries()
    rows = {
        name: make_points(range(len(values)), values)
        for name, values in {
            "loss": losses,
            "grad_norm": losses,
            "val/dice": dice,
            "val/loss": losses,
            "val/recall/\x1b[31mmito": dice,
            "lr": rates,
            "perf/data_wait": rates,
        }.items()
        if values
    }
    series.add_newer([Batch(rows, first_step=0)])
    for finding in diagnose(series):
        assert finding.level in LEVELS
        assert "\x1b" not in finding.line
