"""Every rule of the diagnosis: a run on which it speaks, and runs on which it must not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.monitor import thresholds
from cellmap_tui.monitor.diagnosis import LEVELS, diagnose
from cellmap_tui.monitor.facts import RunFacts
from cellmap_tui.monitor.points import make_points
from cellmap_tui.monitor.series import Batch, RunSeries
from tests.monitor.recordings import findings, findings_at, recording

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


def test_a_training_that_its_first_broken_loss_ended_is_told_so(tmp_path: Path) -> None:
    source = recording(tmp_path / "run", "recorded_nan")
    assert source.facts.state is not None
    assert source.facts.state.state == "failed"
    found = diagnose(source.series, None, source.facts)
    assert [(one.level, one.rule) for one in found] == [("error", "nan")]
    assert found[0].sentence == "the training ended because its loss is not a number any more"
    assert found[0].evidence == "since epoch 3 (step 36)"
    # The same numbers of a training that goes on are one broken window among others.
    assert findings(source)["nan"].level == "warn"


def test_a_class_without_a_voxel_that_is_validated_is_told_of() -> None:
    known, none = np.full(2, 0.4), np.full(2, np.nan)
    names = {"val/dice/er": known, "val/dice/nuc": none, "val/dice/nuc/core": none, "val/dice/[b]x": none}
    series = RunSeries()
    series.add_newer([Batch({name: make_points([10, 20], values) for name, values in names.items()}, first_step=10)])
    (found,) = diagnose(series)
    assert (found.level, found.rule) == ("warn", "never_measured")
    assert found.sentence == "[b]x, nuc are in nothing that is validated"
    assert "in 2 validations" in found.evidence
    limited = RunFacts(config={"validation_batch_limit": 3})
    assert "a higher validation_batch_limit" in diagnose(series, None, limited)[0].setting


def test_a_class_that_one_validation_has_measured_is_not_told_of() -> None:
    series = RunSeries()
    series.add_newer([Batch({"val/dice/er": make_points([10, 20], [np.nan, 0.4])}, first_step=10)])
    assert diagnose(series) == ()


def test_classes_that_were_predicted_once_are_told_apart(tmp_path: Path) -> None:
    source = recording(tmp_path / "run", "recorded_never")
    sentences = [finding.sentence for finding in diagnose(source.series)]
    # What the first validation hit by chance was never learned.
    assert sentences == ["er, mito, mito/core, nuc, ves, ves/core are not predicted"]

    source = recording(tmp_path / "forgotten", "recorded_forgotten")
    sentences = [finding.sentence for finding in diagnose(source.series)]
    assert sentences == ["ves is never predicted", "nuc is not predicted any more"]


def test_no_rule_speaks_at_any_moment_of_a_training_with_a_noisy_loss(tmp_path: Path) -> None:
    source = recording(tmp_path / "run", "recorded_noisy")
    told = findings_at(source, {"max_grad_norm": 1.0, "loss": "dice", "learning_rate": 1e-3})
    assert len(told) == 20
    assert {step: found for step, found in told.items() if found} == {}


def test_a_slow_start_is_no_plateau_as_long_as_the_validation_loss_falls(tmp_path: Path) -> None:
    source = recording(tmp_path / "run", "recorded_slow")
    told = findings_at(source, {"max_grad_norm": 1.0})
    found = [findings["plateau"] for findings in told.values() if "plateau" in findings]
    assert found
    assert {finding.level for finding in found} == {"info"}
    assert all("give it longer" in finding.setting for finding in found)
    # It did get better in the end, more than three times as good as what chance had hit at first.
    assert set(told[max(told)]) <= {"never_predicted"}


def test_nobody_asks_for_rare_classes_in_the_first_steps(tmp_path: Path) -> None:
    told = findings_at(recording(tmp_path / "run", "recorded_slow"), {})
    spoke = [step for step, found in told.items() if "never_predicted" in found]
    assert min(spoke) >= thresholds.NEVER_STEPS
    # Seven epochs before its end the class that had been missing was learned.
    assert max(spoke) < max(told)


def test_gradients_that_shrink_while_a_crop_is_learned_by_heart_do_not_explode(tmp_path: Path) -> None:
    source = recording(tmp_path / "run", "recorded_by_heart")
    grad = source.series.points("grad_norm")
    assert grad.high.max() > thresholds.GRADIENT_FACTOR * np.median(grad.mean)
    told = findings_at(source, {"max_grad_norm": 1.0})
    assert set().union(*told.values()) == {"overfitting"}
    assert told[max(told)]["overfitting"].level == "warn"


def test_a_validation_that_goes_up_and_down_is_no_overfitting(tmp_path: Path) -> None:
    told = findings_at(recording(tmp_path / "run", "recorded_unsteady"), {})
    assert "overfitting" not in set().union(*told.values())


def test_a_training_is_told_that_it_diverges_while_it_does(tmp_path: Path) -> None:
    told = findings_at(recording(tmp_path / "run", "recorded_wave"), {"learning_rate": 3})
    spoke = [step for step, found in told.items() if "diverging" in found]
    # It began to rise at about step 180 and had come back at 330.
    assert spoke == [270, 300, 330]
    assert {told[step]["diverging"].level for step in spoke} == {"error"}


def test_a_dice_loss_that_never_falls_is_told_with_the_learning_rate(tmp_path: Path) -> None:
    source = recording(tmp_path / "run", "recorded_still_dice", config="learning_rate = 1e-4\n")
    finding = findings(source)["plateau"]
    assert finding.sentence == "the training loss has not fallen since the start"
    assert "learning_rate (now 1.00e-04)" in finding.setting


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


def test_a_training_whose_gradients_are_clipped_is_not_told_to_clip_them(tmp_path: Path) -> None:
    free = findings(recording(tmp_path / "free", "made_nan", config="learning_rate = 0.03\n"))["nan"].setting
    assert free.startswith("lower learning_rate (0.01), or clip with max_grad_norm = 1;")
    kept = "max_grad_norm = 1.0\nwarmup_epochs = 5\nlearning_rate = 0.03\n"
    clipped = findings(recording(tmp_path / "clipped", "made_nan", config=kept))["nan"].setting
    assert clipped.startswith("lower learning_rate (0.01), or longer warm-up (warmup_epochs, now 5);")
    assert "max_grad_norm" not in clipped
    loose = findings(recording(tmp_path / "loose", "made_nan", config="max_grad_norm = 50.0\n"))["nan"].setting
    assert "max_grad_norm = 1" in loose


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
