"""Trainings side by side: configuration, metrics, best epochs, classes in pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cellmap_tui.errors import RequestError
from cellmap_tui.monitor.compare import compare_trainings, flat_config, side_by_side
from tests.monitor.recordings import recording

if TYPE_CHECKING:
    from pathlib import Path


def test_only_keys_that_differ_are_told(tmp_path: Path) -> None:
    first = recording(tmp_path / "a", "recorded_healthy", config='learning_rate = 0.002\nloss = "dice_bce"\n')
    second = recording(
        tmp_path / "b",
        "recorded_never",
        config='learning_rate = 0.003\nloss = "dice_bce"\n[model_kwargs]\ndepth = 4\n',
    )
    rows = {row.key: row.values for row in compare_trainings([first, second]).config}
    assert rows == {"learning_rate": ("0.002", "0.003"), "model_kwargs.depth": (None, "4")}


def test_classes_are_compared_at_the_best_epoch_of_each(tmp_path: Path) -> None:
    comparison = compare_trainings(
        [recording(tmp_path / "a", "recorded_healthy"), recording(tmp_path / "b", "recorded_never")]
    )
    first, second = comparison.best
    assert (first.metric, first.epoch, first.step, first.epochs_done) == ("val/dice", 1, 24, 12)
    assert second.epoch == 1
    rows = {row.name: row for row in comparison.classes}
    assert rows["nuc"].values == pytest.approx((0.3325, 0.0074), abs=1e-4)
    assert rows["nuc"].deltas == pytest.approx((-0.3251,), abs=1e-4)
    assert comparison.classes[0].name == "nuc"


def test_pairs_of_classes_are_counted(tmp_path: Path) -> None:
    comparison = compare_trainings(
        [recording(tmp_path / "a", "recorded_healthy"), recording(tmp_path / "b", "recorded_never")]
    )
    (paired,) = comparison.paired
    assert (paired.classes, paired.better, paired.worse) == (6, 1, 5)
    assert paired.mean == pytest.approx(-0.0857, abs=1e-4)


def test_the_best_of_a_loss_is_its_lowest_and_of_a_dice_its_highest(tmp_path: Path) -> None:
    source = recording(tmp_path / "a", "recorded_healthy")
    rows = {row.name: row for row in compare_trainings([source, source]).metrics}
    assert rows["val/loss"].is_low_best is True
    assert rows["val/loss"].best[0] == pytest.approx(1.125, abs=1e-3)
    assert rows["val/dice"].is_low_best is False
    assert rows["val/dice"].best[0] == pytest.approx(0.2301, abs=1e-3)
    assert rows["lr"].is_low_best is None
    assert rows["lr"].best == rows["lr"].last
    assert not any(name.startswith(("loss/", "val/dice/")) for name in rows)


def test_two_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    source = recording(tmp_path / "a", "recorded_healthy")
    assert compare_trainings([source, source]).runs == ("a", "a (2)")


def test_numbers_that_do_not_compare_are_told(tmp_path: Path) -> None:
    first = recording(tmp_path / "a", "recorded_healthy", config='datasplit_path = "a.csv"\nloss = "bce"\n')
    second = recording(tmp_path / "b", "recorded_healthy", config='datasplit_path = "b.csv"\nloss = "dice"\n')
    warnings = compare_trainings([first, second]).warnings
    assert tuple(words for words in warnings if "has no request.json" not in words) == (
        "datasplit_path differs, so the numbers do not measure the same",
        "loss differs, so the losses do not measure the same",
    )


def test_a_training_that_has_validated_nothing_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    healthy = recording(tmp_path / "a", "recorded_healthy")
    empty = tmp_path / "b"
    empty.mkdir()
    (empty / "events.jsonl").write_text("")
    from cellmap_tui.monitor.source import open_source

    nothing = open_source(empty)
    nothing.poll()
    comparison = compare_trainings([healthy, nothing])
    assert comparison.best[1].value is None
    assert comparison.paired[0].mean is None
    assert "b has validated nothing" in comparison.warnings or comparison.warnings


def test_one_training_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="nothing to compare"):
        compare_trainings([recording(tmp_path / "a", "recorded_healthy")])


def test_one_training_stands_alone_with_all_its_settings(tmp_path: Path) -> None:
    source = recording(tmp_path / "a", "recorded_healthy")
    alone = side_by_side([source])
    assert alone.paired == ()
    assert {row.key for row in alone.config} == set(flat_config(source.facts.config))
    assert any(row.name == "loss" for row in alone.metrics)


def test_a_configuration_is_flat_text() -> None:
    config = {"a": {"b": [1, 2.5], "c": {}}, "d": True, "e": None, "f": [{"x": 1}]}
    assert flat_config(config) == {"a.b": "[1, 2.5]", "a.c": "{}", "d": "true", "e": "none", "f": "[{x = 1}]"}
