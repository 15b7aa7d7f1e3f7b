"""What the evaluation screen says: rows, figures, remarks, pairs so far, the form, files; no terminal."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cellmap_tui.app import eval_words
from cellmap_tui.app.eval_compare import comparison
from cellmap_tui.app.eval_export import export, problem
from cellmap_tui.app.eval_form import FIELDS, EvalForm
from cellmap_tui.app.eval_live import EvalFeed, EvalTally
from cellmap_tui.app.eval_rows import class_rows, delta_words, hausdorff_nm, pair_rows, so_far
from cellmap_tui.app.eval_slices import voxel_at
from cellmap_tui.app.evaluations import Evaluations, read_result, request_of, scored_name
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.scoring.profiles import PROFILES
from cellmap_tui.services.evaluate_model import EvaluateRequest
from tests.app.builders import settings_at
from tests.app.eval_parts import MIDWAY, OTHER_ID, evaluation, pair_of, result_of

if TYPE_CHECKING:
    from pathlib import Path

BY_NAME = {field.name: field for field in FIELDS}


def item_of(**changes: object):
    return Evaluations().items([evaluation(**changes)])[0]  # type: ignore[arg-type]


# Reading


def test_a_finished_evaluation_is_read_from_its_run_directory() -> None:
    item = item_of()

    assert (item.name, item.profile, item.pairs, item.missing) == ("mito-s0/best", "2026-06", 8, 1)
    assert item.overall == pytest.approx(0.594)
    assert read_result(item.run.path) == result_of()


def test_only_evaluations_are_listed() -> None:
    other = replace(evaluation(), command="demo")

    assert Evaluations().items([other]) == ()


def test_a_damaged_result_is_said_in_the_list_and_does_not_end_it() -> None:
    run = evaluation()
    (run.path / "result.json").write_text('{"value": {"profile": 3}}')

    [item] = Evaluations().items([run])
    assert not item.has_result
    assert "result.json" in item.problem
    with pytest.raises(DataError, match=r"result\.json"):
        read_result(run.path)


def test_a_run_without_a_result_says_so() -> None:
    run = evaluation(state="failed")

    with pytest.raises(MissingDataError, match="does not exist"):
        read_result(run.path)


def test_a_result_of_a_newer_version_with_more_fields_is_read() -> None:
    run = evaluation()
    document = json.loads((run.path / "result.json").read_text())
    document["value"]["of_tomorrow"] = document["value"]["pairs"][0]["of_tomorrow"] = 1
    (run.path / "result.json").write_text(json.dumps(document))

    assert read_result(run.path) == result_of()


def test_paths_of_a_request_are_relative_to_where_the_run_was_started() -> None:
    run = evaluation()
    document = json.loads((run.path / "request.json").read_text())
    (run.path / "request.json").write_text(json.dumps({**document, "cwd": "/somewhere"}))

    assert request_of(run.path).predictions == "/somewhere/predictions/mito-s0/best"


@pytest.mark.parametrize(
    ("asked", "name"),
    [({"predictions": "/a/b/c/d/"}, "c/d"), ({"submission": "/tmp/sub.zip"}, "tmp/sub.zip"), ({}, "")],
)
def test_an_evaluation_is_called_by_the_end_of_what_was_scored(asked: dict[str, object], name: str) -> None:
    assert scored_name(asked) == name


# Rows


def test_the_worst_comes_first_and_what_has_no_score_before_it() -> None:
    pairs = [pair_of("crop1", "er", 0.5), pair_of("crop2", "er", 0.1), pair_of("crop3", "er", None)]

    assert [row.pair.crop for row in pair_rows(pairs, "2026-06")] == ["crop3", "crop2", "crop1"]


def test_a_boundary_score_is_told_as_the_distance_that_gives_it() -> None:
    distance = hausdorff_nm(pair_of("crop1", "mito", 0.5), "2026-06")

    assert distance is not None
    assert 1.01 ** (-distance / math.hypot(4, 4, 4)) == pytest.approx(0.936)


@pytest.mark.parametrize("profile", ["2026-07", "panoptic"])
def test_no_distance_is_told_under_rules_where_the_score_does_not_give_one(profile: str) -> None:
    assert hausdorff_nm(pair_of("crop1", "mito", 0.5), profile) is None


def test_the_overlap_of_an_instance_class_is_that_of_its_matches() -> None:
    result = result_of()

    rows = class_rows(result.classes, result.pairs, result.profile)
    assert [row.result.label for row in rows] == ["mito", "er", "ecs"]
    assert rows[0].hausdorff_nm is not None


def test_changes_say_how_much_better_this_one_is() -> None:
    compared = comparison(result_of(better=0.02), "new", result_of(), "old")
    rows = class_rows(result_of(better=0.02).classes, (), "2026-06", compared)

    assert rows[0].delta == pytest.approx(0.02)
    assert delta_words(rows[0].delta) == "+0.020 ▲"
    assert delta_words(rows[1].delta).strip() == "0.000"
    assert delta_words(-0.3) == "-0.300 ▼"
    assert "mito +0.020 ▲" in eval_words.compared_words(compared, 70).plain


def test_scores_by_different_rules_are_warned_of() -> None:
    compared = comparison(result_of(profile="2026-07"), "new", result_of(), "old")

    assert any("do not compare" in line for line in eval_words.remarks(item_of(), result_of(), compared))


# Words


def test_a_provisional_profile_says_so_beside_the_score() -> None:
    result = result_of(profile="2026-07", provisional=True)

    assert "profile 2026-07 provisional" in eval_words.head_words(item_of(), result, None).plain
    assert any("not published" in line for line in eval_words.remarks(item_of(), result, None))


def test_errors_and_missing_volumes_come_before_the_rest() -> None:
    result = result_of(errors=("crop9/er: its shape is wrong",), warnings=("odd",))

    lines = eval_words.remarks(item_of(), result, None)
    assert lines[0] == "✗ crop9/er: its shape is wrong"
    assert "crop155/ecs" in lines[1]


def test_a_class_is_summed_up_by_its_best_and_worst_crop() -> None:
    result = result_of()
    pairs = pair_rows(result.pairs, result.profile)

    words = eval_words.class_brief(class_rows(result.classes, (), "2026-06")[0], pairs).plain
    assert words.startswith("mito by crop: best 113 0.690, worst 28 0.210")


def test_the_spread_counts_every_crop_once() -> None:
    rows = pair_rows([pair_of(f"crop{n}", "er", n / 10) for n in range(11)], "2026-06")

    lines = eval_words.spread_lines(rows, 50, 10)
    assert sum(int(line.split()[-1]) for line in lines) == 11
    assert lines[0].startswith("0.9-1.0")


# So far


def test_pairs_so_far_are_gathered_from_events_whoever_reads_them() -> None:
    run = evaluation(state="running", events=MIDWAY)
    feed, tally = EvalFeed(run.path), EvalTally()
    events, _ = feed.poll()

    assert tally.take(events)
    mito, er, skipped = tally.pairs()
    assert (mito.kind, mito.score, mito.f1) == ("instance", 0.21, pytest.approx(8 / 18))
    assert (er.kind, er.iou) == ("semantic", 0.44)
    assert (skipped.score, skipped.status) == (None, "not scored")
    assert [one.label for one in so_far(tally.pairs())] == ["mito", "er"]


def test_events_of_others_are_passed_over() -> None:
    tally = EvalTally()
    run = evaluation(
        state="running",
        events=(
            {"event": "metric", "step": 1, "values": {"loss": 0.3, "a/b:unheard": 1, "nothing:score": 2}},
            {"event": "metric", "step": 1, "values": ["odd"]},
            {"event": "metric", "step": 2, "values": {"crop1/er:score": {"mean": 0.5, "min": 0.5, "max": 0.5}}},
        ),
    )
    tally.take(EvalFeed(run.path).poll()[0])

    assert [(pair.crop, pair.label, pair.score) for pair in tally.pairs()] == [("crop1", "er", 0.5)]


# Slices


def test_a_position_becomes_the_voxel_it_is_in() -> None:
    grid = Grid((8.0, 4.0, 4.0), (100.0, 2.0, 2.0), (16, 32, 32))

    assert voxel_at(grid, (156.0, 34.0, 50.0)) == (7, 8, 12)
    assert voxel_at(grid, (-50.0, 1e9, 2.0)) == (0, 31, 0)


# Form


def test_every_field_is_one_of_the_request() -> None:
    assert set(BY_NAME) <= set(EvaluateRequest.__dataclass_fields__)


def test_the_rules_to_choose_from_are_those_of_the_scorer() -> None:
    form, seen = EvalForm(), []
    for _ in PROFILES:
        seen.append(form.profile)
        form = form.with_next_profile()

    assert seen == [profile.name for profile in PROFILES]
    assert form == EvalForm()


def test_predictions_are_asked_for_with_the_data_root_and_whole_paths(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    form = EvalForm().with_text(BY_NAME["predictions"], "out").with_text(BY_NAME["crops"], "234")
    form = form.with_text(BY_NAME["labels"], "mito=1 er=2").with_text(BY_NAME["voxel_size_nm"], "8")

    request = form.request(settings_at())
    assert request.predictions == str(tmp_path / "out")
    assert request.data_root == tmp_path / "data"
    assert (request.labels, request.voxel_size_nm) == ({"mito": 1, "er": 2}, (8.0, 8.0, 8.0))
    assert form.typed(BY_NAME["labels"]) == "mito=1 er=2"
    assert form.typed(BY_NAME["voxel_size_nm"]) == "8 8 8"


def test_of_predictions_and_submission_the_one_set_last_counts(tmp_path: Path) -> None:
    for name in ("out", "sub.zip", "truth.zarr"):
        (tmp_path / name).mkdir()
    form = EvalForm().with_text(BY_NAME["predictions"], "out").with_text(BY_NAME["crops"], "234")
    form = form.with_text(BY_NAME["submission"], "sub.zip").with_text(BY_NAME["truth"], "truth.zarr")

    request = form.request(settings_at())
    assert (request.predictions, request.crops) == (None, None)
    assert (request.submission, request.truth) == (tmp_path / "sub.zip", tmp_path / "truth.zarr")


@pytest.mark.parametrize(
    ("name", "typed", "why"),
    [
        ("predictions", "nowhere", "does not exist"),
        ("voxel_size_nm", "8 nm", "no voxel size"),
        ("voxel_size_nm", "8 8", "no voxel size"),
        ("labels", "mito", "class=value"),
    ],
)
def test_what_cannot_be_read_is_refused_with_an_example(name: str, typed: str, why: str) -> None:
    with pytest.raises(RequestError, match=why):
        EvalForm().with_text(BY_NAME[name], typed)


@pytest.mark.parametrize(
    ("form", "why"),
    [
        (EvalForm(), "nothing to score"),
        (EvalForm(predictions="out"), "which crops"),
        (EvalForm(submission="sub.zip"), "ground truth"),
    ],
)
def test_what_is_missing_is_said_before_anything_starts(form: EvalForm, why: str) -> None:
    with pytest.raises(RequestError, match=why):
        form.request(settings_at())


# Files


def test_scores_are_written_as_the_ending_says(tmp_path: Path) -> None:
    for name in ("a.csv", "a.json", "a.md"):
        export(tmp_path / name, result_of())

    assert len(list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))) == 8
    assert json.loads((tmp_path / "a.json").read_text())["overall_score"] == pytest.approx(0.594)
    assert (tmp_path / "a.md").read_text().startswith("# Score 0.5940 under 2026-06")


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")

    assert "exists already" in problem("a.csv")
    assert "must end in" in problem("a.txt")
    assert "no such folder" in problem("nowhere/a.csv")
    assert problem("b.csv") == ""


def test_other_evaluations_keep_their_names_apart() -> None:
    runs = [evaluation(), evaluation(OTHER_ID, predictions="predictions/mito-s1/best")]

    assert [item.name for item in Evaluations().items(runs)] == ["mito-s0/best", "mito-s1/best"]
