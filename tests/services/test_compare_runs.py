"""Evaluations side by side."""

from __future__ import annotations

import json

import pytest

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.services.compare_runs import Evaluation, compare, pair_score, read_evaluation

PAIR = {"tp": 4, "fp": 0, "fn": 0, "status": "scored", "n_hausdorff": 4, "hausdorff_norm_sum": 3.24}
OVERALL = {"overall_score": 0.5, "overall_instance_score": 0.5, "overall_semantic_score": 0.5}


def official(tmp_path, name, mito, *, profile=None):
    public = {**OVERALL, "overall_score": mito, "label_scores": {"mito": {"f1": 1.0, "combined_score": mito}}}
    if profile:
        public["cellmap_tui"] = {"profile": profile}
    (tmp_path / f"{name}.json").write_text(json.dumps(public))
    (tmp_path / f"{name}_extended.json").write_text(json.dumps({"crop557": {"mito": PAIR}, **public}))
    return tmp_path / f"{name}.json"


def test_official_results_are_read_with_their_crops(tmp_path):
    one = read_evaluation(official(tmp_path, "a", 0.9))
    assert one.classes == {"mito": 0.9}
    assert one.pairs == {("crop557", "mito"): pytest.approx(0.9)}
    assert one.profile is None


def test_each_is_compared_with_the_first_and_the_largest_change_stands_first(tmp_path):
    base = Evaluation(
        "base", "p", {"overall_score": 0.5}, {"er": 0.5, "mito": 0.2, "ld": 0.1}, {("crop1", "er"): 0.5}
    )
    other = Evaluation("other", "p", {"overall_score": 0.6}, {"er": 0.45, "mito": 0.8, "nuc": 0.3}, {})
    result = compare([base, other, base])
    assert [row.name for row in result.classes][:2] == ["mito", "er"]
    assert result.classes[0].deltas == (pytest.approx(0.6), 0.0)
    assert next(row for row in result.classes if row.name == "nuc").deltas == (None, None)
    assert result.overall[0].deltas[0] == pytest.approx(0.1)
    assert result.pairs[0].scores == (0.5, None, 0.5)
    assert "same classes" in result.warnings[0]


def test_different_rules_are_told(tmp_path):
    one = read_evaluation(official(tmp_path, "a", 0.9, profile="2026-06"))
    two = read_evaluation(official(tmp_path, "b", 0.8, profile="panoptic"))
    assert "different rules" in compare([one, two]).warnings[0]


def test_a_run_is_read_by_its_result(tmp_path):
    value = {**OVERALL, "profile": "2026-06", "classes": [{"label": "er", "score": 0.3}]}
    value["pairs"] = [{"crop": "crop1", "label": "er", "score": None}]
    (tmp_path / "result.json").write_text(json.dumps({"v": 1, "command": "evaluate", "value": value}))
    run = read_evaluation(tmp_path / "result.json", "run 1")
    assert (run.name, run.classes, run.pairs) == ("run 1", {"er": 0.3}, {("crop1", "er"): None})


def test_what_is_no_evaluation_is_told(tmp_path):
    (tmp_path / "other.json").write_text(json.dumps({"v": 1, "command": "demo", "value": {}}))
    (tmp_path / "text.json").write_text("hello")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "something.json").write_text("{}")
    for name, words in (("other", "'demo'"), ("text", "not JSON"), ("list", "no result"), ("something", "no result")):
        with pytest.raises(DataError, match=words):
            read_evaluation(tmp_path / f"{name}.json")
    with pytest.raises(MissingDataError):
        read_evaluation(tmp_path / "nothing.json")
    with pytest.raises(RequestError):
        compare([])


def test_a_pair_alone_is_scored_as_its_class_would_be():
    assert pair_score(PAIR) == pytest.approx(0.9)
    assert pair_score({"tp": 1, "fp": 1, "fn": 2, "status": "scored"}) == 0.25
    assert pair_score({"tp": 0, "fp": 0, "fn": 0, "status": "scored"}) == 1.0
    assert pair_score({**PAIR, "status": "skipped_too_many_instances"}) is None
