"""Scoring, checking and comparing from the command line, as a script would."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.services.submissions import blobs, mask, write_manifest, write_store, zip_folder

PAIRS = [("crop562", "mito"), ("crop562", "er"), ("crop983", "er")]


@pytest.fixture
def case(tmp_path):
    """A truth and a submission with its manifest; the words that score it."""
    truth = {("crop562", "mito"): blobs(4), ("crop562", "er"): mask(), ("crop983", "er"): mask()}
    write_store(tmp_path / "truth.zarr", truth)
    predicted = {**truth, ("crop562", "er"): np.roll(mask(), 1, axis=0)}
    write_store(tmp_path / "submission.zarr", predicted)
    write_manifest(tmp_path / "test.csv", PAIRS)
    return ["--submission-path", "submission.zarr", "--truth-path", "truth.zarr", "--test-manifest", "test.csv"]


def test_the_line_of_the_contract_writes_the_official_keys(cellmap, case, tmp_path):
    answer = cellmap("--batch", "evaluate", *case, "--result-file", "R.json", "--profile", "2026-06")
    assert answer.code == 0, answer.err
    document = json.loads((tmp_path / "R.json").read_text())
    assert set(document) == {
        "label_scores",
        "overall_instance_score",
        "overall_semantic_score",
        "overall_score",
        "total_evals",
        "num_evals_done",
        "cellmap_tui",
    }
    assert (tmp_path / "R_extended.json").exists()
    assert f"{document['overall_score']:.4f}" in answer.out
    assert "Traceback" not in answer.err


def test_the_flags_of_the_official_toolbox_are_taken(cellmap, case):
    short = [
        "-s",
        "submission.zarr",
        "-t",
        "truth.zarr",
        "-r",
        "R.json",
        "-ic",
        "mito,er",
        "--test_manifest",
        "test.csv",
    ]
    answer = cellmap("--batch", "--json", "evaluate", *short)
    assert answer.code == 0, answer.err
    value = answer.events[-1]["value"]
    assert {row["label"] for row in value["classes"] if row["kind"] == "instance"} == {"mito", "er"}
    long = ["--submission_path", "submission.zarr", "--truth_path", "truth.zarr", "--result_file", "R.json"]
    assert cellmap("--batch", "evaluate", *long, "--test-manifest", "test.csv").code == 0


def test_events_tell_each_finished_pair_and_the_last_line_is_the_result(cellmap, case):
    answer = cellmap("--batch", "--json", "evaluate", *case)
    assert answer.code == 0
    metrics = [event for event in answer.events if event["event"] == "metric"]
    names = {name for event in metrics for name in event["values"]}
    assert {"crop562/mito:score", "crop562/er:tp", "crop983/er:seconds"} <= names
    last = answer.events[-1]
    assert (last["event"], last["command"]) == ("result", "evaluate")
    assert last["value"]["num_evals_done"] == 3
    again = cellmap("--batch", "--json", "evaluate", *case)
    assert again.events[-1]["value"]["kept"] == 3


def test_missing_volumes_are_a_warning_and_a_broken_one_is_exit_code_1(cellmap, case, tmp_path):
    shutil.rmtree(tmp_path / "submission.zarr" / "crop983")
    answer = cellmap("--batch", "evaluate", *case)
    assert answer.code == 0
    assert "1 volume is missing" in answer.err
    (tmp_path / "submission.zarr" / "crop562" / "er" / ".zarray").write_text("{")
    answer = cellmap("--batch", "evaluate", *case, "-r", "R.json")
    assert answer.code == 1
    assert "crop562/er" in answer.out
    assert set(json.loads((tmp_path / "R.json").read_text())) == {"cellmap_tui"}


def test_a_dry_run_and_an_explanation_need_no_batch_and_leave_no_run(cellmap, case, tmp_path):
    plan = cellmap("evaluate", *case, "--dry-run")
    assert plan.code == 0, plan.err
    assert "3 pairs" in plan.out
    assert cellmap("--json", "evaluate", *case, "--dry-run").events[-1]["value"]["voxels"] > 0
    found = cellmap("evaluate", *case, "--explain", "crop562/mito")
    assert "4 of 4 objects matched" in found.out
    objects = cellmap("--json", "evaluate", *case, "--explain", "562/mito").events[-1]["value"]["objects"]
    assert len(objects) == 4
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--submission-path"),
        (["-s", "submission.zarr"], "--truth-path"),
        (["--predictions", "x"], "--crops"),
        (["-s", "submission.zarr", "-t", "truth.zarr", "--profile", "2026-6"], "2026-06"),
        (["-s", "submission.zarr", "-t", "truth.zarr", "--memory", "much"], "8G"),
        (["-s", "submission.zarr", "-t", "truth.zarr", "--label", "mito"], "mito=1"),
    ],
)
def test_a_wrong_request_is_exit_code_2_in_one_line(cellmap, case, words, says):
    answer = cellmap("--batch", "evaluate", *words)
    assert answer.code == 2
    assert says in answer.err
    assert "Traceback" not in answer.err


def test_too_little_memory_is_exit_code_3(cellmap, case):
    answer = cellmap("--batch", "evaluate", *case, "--memory", "1M")
    assert answer.code == 3
    assert "--memory" in answer.err


KILLED = """
import os, signal, sys
from cellmap_tui.cli.main import main
from cellmap_tui.services.evaluate_work import Work

def finish(self, job, score, finish=Work._finish):
    finish(self, job, score)
    os.kill(os.getpid(), signal.SIGKILL)

Work._finish = finish
main(sys.argv[1:])
"""


def test_a_killed_evaluation_goes_on_by_resuming_its_run(cellmap, case, environ, tmp_path):
    words = ["--batch", "evaluate", *case, "-w", "1", "-r", "R.json"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *words], env=environ, cwd=tmp_path, check=False, timeout=600
    )
    assert killed.returncode == -signal.SIGKILL
    run_id = next((tmp_path / "runs").iterdir()).name
    _until(lambda: cellmap("--json", "runs", "show", run_id).document["state"] == "lost")
    answer = cellmap("--batch", "runs", "resume", run_id)
    assert answer.code == 0, answer.err
    value = json.loads((tmp_path / "runs" / run_id / "result.json").read_text())["value"]
    assert value["kept"] == 1
    assert json.loads((tmp_path / "R.json").read_text())["overall_score"] == value["overall_score"]


def _until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_runs_and_result_files_are_compared(cellmap, case, tmp_path):
    assert cellmap("--batch", "evaluate", *case, "-r", "A.json").code == 0
    run_id = next((tmp_path / "runs").iterdir()).name
    shutil.copytree(tmp_path / "truth.zarr", tmp_path / "best.zarr")
    assert cellmap("--batch", "evaluate", *case[2:], "-s", "best.zarr", "-r", "B.json").code == 0
    answer = cellmap("runs", "compare", run_id, "B.json")
    assert answer.code == 0, answer.err
    assert "crop562/er" in answer.out
    document = cellmap("--json", "runs", "compare", "A.json", "B.json").document
    assert document["overall"][0]["deltas"][0] > 0
    assert document["pairs"][0]["name"] == "crop562/er"
    assert cellmap("runs", "compare", "A.json").code == 2
    assert cellmap("runs", "compare", "A.json", "nothing").code == 2


def test_many_submissions_make_one_table(cellmap, case, tmp_path):
    (tmp_path / "list.csv").write_text("path,name\nsubmission.zarr,first\n")
    words = ["-c", "list.csv", "-t", "truth.zarr", "--results-dir", "scores", "--test-manifest", "test.csv"]
    answer = cellmap("--batch", "batch-eval", *words)
    assert answer.code == 0, answer.err
    with (tmp_path / "scores" / "batch.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["name"] == "first"
    assert float(row["overall_score"]) < 1
    assert cellmap("--batch", "batch-eval").code == 2


def test_a_submission_is_checked_with_an_exit_code(cellmap, case, tmp_path):
    path = zip_folder(tmp_path / "submission.zarr", tmp_path / "upload.zip")
    good = cellmap("--batch", "validate-submission", path, "--test-manifest", "test.csv")
    assert good.code == 0, good.err
    assert "3 of 3 volumes" in good.out
    shutil.rmtree(tmp_path / "submission.zarr" / "crop983")
    bad = cellmap("--batch", "--json", "validate-submission", "submission.zarr", "--test-manifest", "test.csv")
    assert bad.code == 1
    value = bad.events[-1]["value"]
    assert value["present"] == 2
    assert value["findings"][0]["kind"] == "missing"
    shown = cellmap("--batch", "validate-submission", "submission.zarr", "--test-manifest", "test.csv")
    assert "crop983/er: is not there" in shown.out
    assert cellmap("--batch", "validate-submission", "nothing.zip").code == 1
