"""Tuning: the best recipe and run of a class, chosen on one half of the crops and reported on the other."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cellmap_tui.challenge.local import add_local_crops, read_local_crops
from cellmap_tui.errors import MissingDataError, RefusedError, RequestError
from cellmap_tui.services.evaluate import evaluate
from cellmap_tui.services.evaluate_model import EvaluateRequest
from cellmap_tui.services.process import process
from cellmap_tui.services.process_model import ProcessRequest
from cellmap_tui.services.process_recipe import read_recipe
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.tune import tune
from cellmap_tui.services.tune_model import TuneRequest
from tests.services.processing import as_probability, predicted_crop, write_prediction, write_truth

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.tune_model import TuneResult

SHAPE = (36, 36, 64)


def _tune(root: Path, **options: object) -> TuneResult:
    options = {"crops": "dataset:mine", "output": root / "recipe.toml", "overwrite": True, **options}
    options.setdefault("state_dir", root / "state")
    options.setdefault("thresholds", (0.3, 0.5, 0.7))
    options.setdefault("sizes", (0, 100))
    return tune(TuneRequest(data_root=root, **options), SilentReporter())  # type: ignore[arg-type]


def test_the_best_recipe_is_chosen_on_one_half_and_reported_on_the_other(tmp_path: Path) -> None:
    # Cores are predicted, and probabilities are too low: neither the start's threshold nor components will do.
    for number in (1, 2, 3, 4):
        predicted_crop(tmp_path, number, SHAPE, noise=0.12, gain=0.55)
    result = _tune(tmp_path)
    (one,) = result.classes
    assert (one.method, one.kind) == ("cores", "instance")
    assert one.threshold < 0.5
    assert set(one.chosen_on).isdisjoint(one.reported_on)
    assert (len(one.chosen_on), len(one.reported_on)) == (2, 2)
    assert (one.chosen_after or 0) > (one.chosen_before or 0)
    assert (one.reported_after or 0) > (one.reported_before or 0)
    best = [row for row in result.rows if row.is_best]
    assert len(best) == 1
    assert best[0].score == max(row.score or 0 for row in result.rows)
    assert best[0].reported == one.reported_after


def test_the_reported_score_is_what_process_and_evaluate_give(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        predicted_crop(tmp_path, number, SHAPE, noise=0.12, gain=0.7)
    result = _tune(tmp_path)
    crops = ",".join(
        f"mine/{name.removeprefix('mine_').removeprefix('crop')}" for name in result.classes[0].reported_on
    )
    process(ProcessRequest(result.recipe, "dataset:mine", data_root=tmp_path), SilentReporter())
    processed = str(tmp_path / "processed")
    asked = EvaluateRequest(
        predictions=processed, crops=crops, data_root=tmp_path, workers=0, store=tmp_path / "pairs"
    )
    scored = evaluate(asked, SilentReporter())
    assert scored.classes[0].score == pytest.approx(result.classes[0].reported_after)


def test_the_better_run_of_a_class_is_named_in_its_recipe(tmp_path: Path) -> None:
    for number in (1, 2):
        crop, ids = predicted_crop(tmp_path, number, SHAPE)
        for label in ("ves", "ves/core"):
            write_prediction(tmp_path, crop, label, as_probability(np.roll(ids, 3, 0) > 0), folder="worse")
    runs = (str(tmp_path / "worse"), str(tmp_path / "predictions"))
    result = _tune(tmp_path, predictions=runs)
    assert result.classes[0].run == runs[1]
    assert read_recipe(result.recipe).classes["ves"].predictions == runs[1]
    assert {row.run for row in result.rows} == set(runs)
    asked = ProcessRequest(result.recipe, "dataset:mine", data_root=tmp_path, predictions=runs[0])
    made = process(asked, SilentReporter())
    assert made.done == 2


def test_a_semantic_class_gets_its_threshold_and_everything_tried_is_in_the_table(tmp_path: Path) -> None:
    for number in (1, 2):
        crop, ids = predicted_crop(tmp_path, number, SHAPE)
        write_truth(tmp_path, crop, "er", (ids > 0).astype(np.uint8))
        write_prediction(tmp_path, crop, "er", np.where(ids > 0, 90, 10).astype(np.uint8))
    add_local_crops(tmp_path, [replace(crop, classes=("er", "ves")) for crop in read_local_crops(tmp_path)])
    result = _tune(tmp_path, classes=("er",))
    (one,) = result.classes
    assert (one.method, one.threshold, one.reported_after) == ("mask", 0.3, 1.0)
    with result.table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result.rows) == one.tried
    assert read_recipe(result.recipe).classes["er"].kind == "semantic"


def test_one_crop_serves_for_both_and_that_is_said(tmp_path: Path) -> None:
    predicted_crop(tmp_path, 1, SHAPE)
    result = _tune(tmp_path)
    assert "one crop only" in result.classes[0].words
    assert result.classes[0].chosen_after == result.classes[0].reported_after


def test_wrong_requests_are_told(tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        TuneRequest()
    with pytest.raises(RequestError):
        TuneRequest(crops="1", thresholds=(1.5,))
    crop, ids = predicted_crop(tmp_path, 1, SHAPE)
    (tmp_path / "there.toml").write_text("")
    with pytest.raises(RefusedError):
        _tune(tmp_path, output=tmp_path / "there.toml", overwrite=False)
    with pytest.raises(MissingDataError):
        _tune(tmp_path, predictions=(str(tmp_path / "nowhere"),))
    assert crop.grid.shape == ids.shape


def test_the_recipe_is_written_last_so_that_a_tuning_cut_off_before_may_go_on(tmp_path: Path) -> None:
    predicted_crop(tmp_path, 1, SHAPE)
    (tmp_path / "file").write_text("")
    with pytest.raises(RefusedError):
        _tune(tmp_path, overwrite=False, table=tmp_path / "file" / "tried.csv")
    assert not (tmp_path / "recipe.toml").exists()
    _tune(tmp_path, overwrite=False)
    assert (tmp_path / "recipe.toml").exists()


def test_a_stopped_tuning_goes_on_where_it_was_and_a_new_prediction_is_tried_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cellmap_tui.errors import Stopped
    from cellmap_tui.scoring import pairs

    scored, real = [], pairs.score_pair

    def watched(request: pairs.PairRequest) -> object:
        if len(scored) == 5:
            raise Stopped("asked")
        scored.append(request.crop)
        return real(request)

    made = [predicted_crop(tmp_path, number, SHAPE, noise=0.12, gain=0.7) for number in (1, 2)]
    monkeypatch.setattr(pairs, "score_pair", watched)
    with pytest.raises(Stopped):
        _tune(tmp_path)
    monkeypatch.setattr(pairs, "score_pair", lambda request: scored.append(request.crop) or real(request))
    result = _tune(tmp_path)
    total = len(scored)
    whole = _tune(tmp_path, state_dir=tmp_path / "another")
    assert (whole.classes, whole.rows) == (result.classes, result.rows)
    assert len(scored) == 2 * total
    again = _tune(tmp_path)
    assert (again.rows, len(scored)) == (result.rows, 2 * total)
    for crop, ids in made:
        write_prediction(tmp_path, crop, "ves/core", as_probability(np.roll(ids, 2, 0) > 0))
    changed = _tune(tmp_path)
    assert changed.rows != result.rows
    assert len(scored) > 2 * total
