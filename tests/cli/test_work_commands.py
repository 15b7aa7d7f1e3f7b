from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

DEMO_FIELDS = {
    "data_root",
    "bucket_root",
    "truth_path",
    "manifest",
    "train_manifest",
    "test_manifest",
    "not_available",
}


def until(condition, seconds=300.0):
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def picture_size(path):
    with Image.open(path) as picture:
        return picture.size


def import_words(stacks, root):
    return [
        "--data-root",
        root,
        *("import", "--dataset", "mine", "--raw", stacks / "em.tif"),
        *("--label", f"pm={stacks / 'membrane.tif'}", "--voxel-size", "50", "4", "4", "--crop", "1"),
    ]


@pytest.mark.parametrize("command", [["demo"], ["import", "--dataset", "x", "--raw", "em.tif"]])
def test_a_working_command_without_a_terminal_asks_for_batch(cellmap, command):
    answer = cellmap(*command)
    assert answer.code == 2
    assert answer.out == ""
    assert "--batch" in answer.err


def test_no_command_without_a_terminal_asks_for_one(cellmap):
    answer = cellmap()
    assert answer.code == 2
    assert "--help" in answer.err


def test_demo_makes_the_data_and_names_them(cellmap, tmp_path):
    answer = cellmap("--batch", "--json", "demo", "--make-only", "--size", "tiny", "--dest", tmp_path / "demo")
    assert answer.code == 0
    last = answer.events[-1]
    assert (last["event"], last["command"]) == ("result", "demo")
    assert set(last["value"]) >= DEMO_FIELDS
    for name in DEMO_FIELDS - {"not_available"}:
        assert Path(last["value"][name]).exists()
    progress = [event for event in answer.events if event["event"] == "progress"]
    assert progress[-1]["done"] == progress[-1]["total"]


def test_demo_walks_the_whole_journey(cellmap, tmp_path):
    answer = cellmap("--batch", "--json", "demo", "--size", "tiny", "--dest", tmp_path / "demo")
    assert answer.code == 0
    value = answer.events[-1]["value"]
    assert value["not_available"] == []
    made = {step["name"]: step["outcome"] for step in value["steps"]}
    assert {"visualize", "validate-submission", "evaluate"} <= set(made)
    assert "nothing wrong" in made["validate-submission"]
    assert json.loads((tmp_path / "demo" / "result.json").read_text())["overall_score"] == value["overall_score"]
    assert value["zip_path"] == str(tmp_path / "demo" / "submission.zip")
    pictures = list((tmp_path / "demo").rglob("*.png"))
    assert pictures
    assert all(picture_size(path)[0] > 50 for path in pictures)


def test_demo_refuses_a_folder_with_other_things_in_it(cellmap, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    answer = cellmap("--batch", "--json", "demo", "--dest", tmp_path / "full")
    assert answer.code == 3
    assert answer.events[-1]["event"] == "error"
    assert answer.events[-1]["exit_code"] == 3


def test_an_imported_stack_is_listed_filtered_and_drawn(cellmap, stacks, tmp_path):
    root = tmp_path / "data"
    answer = cellmap("--batch", *import_words(stacks, root))
    assert answer.code == 0, answer.err
    assert "mine/crop1" in answer.out
    rows = cellmap("--data-root", root, "crops", "--json", "local pm").document
    assert [(row["dataset"], row["crop"], row["voxel_size_nm"], row["local"]) for row in rows] == [
        ("mine", 1, [50, 4, 4], True)
    ]
    drawn = cellmap("--data-root", root, "visualize", "mine/1", "--no-legend", "-o", tmp_path / "slice.png")
    assert drawn.code == 0
    assert picture_size(tmp_path / "slice.png") == (800, 667)


def test_a_picture_that_cannot_be_written_names_the_place(cellmap, stacks, tmp_path):
    assert cellmap("--batch", *import_words(stacks, tmp_path / "data")).code == 0
    (tmp_path / "file").write_text("")
    answer = cellmap("--data-root", tmp_path / "data", "visualize", "mine/1", "-o", tmp_path / "file" / "slice.png")
    assert answer.code == 3
    assert str(tmp_path / "file") in answer.err
    assert "Traceback" not in answer.err


def test_underscores_and_triples_of_the_toolbox_work(cellmap, stacks, tmp_path):
    words = ["import", "--dataset", "mine", "--raw", stacks / "em.tif", "--voxel_size=8,8,8", "--dry_run", "--json"]
    answer = cellmap("--data_root", tmp_path / "data", *words)
    assert answer.code == 0
    assert answer.events[-1]["value"]["voxel_size_nm"] == [8, 8, 8]
    assert not (tmp_path / "data").exists()


def test_importing_over_an_existing_crop_is_refused(cellmap, stacks, tmp_path):
    words = import_words(stacks, tmp_path / "data")
    assert cellmap("--batch", *words).code == 0
    other = [word if word != "4" else "5" for word in words]
    answer = cellmap("--batch", *other)
    assert answer.code == 3
    assert "--overwrite" in answer.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--raw", "none.tif"], "none.tif"),
        (["--label", "mtio=membrane.tif"], "mito"),
        (["--label", "pm"], "NAME=VALUE"),
        (["--box", "0 1 2"], "6 numbers"),
        (["--voxel-size", "0"], "voxel size"),
        (["--unknown", "x"], "whole number"),
    ],
)
def test_a_wrong_import_is_one_clear_error(cellmap, stacks, words, part):
    given = {"--raw": "em.tif", "--voxel-size": "8"}
    others = [word for flag, value in given.items() if flag not in words for word in (flag, value)]
    answer = cellmap("--batch", "import", "--dataset", "mine", *others, *words)
    assert answer.code in {1, 2}
    assert part in answer.err
    assert "Traceback" not in answer.err


def test_a_detached_job_is_followed_to_its_end(cellmap, tmp_path):
    started = cellmap(
        "--batch", "--json", "--detach", "demo", "--make-only", "--size", "tiny", "--dest", tmp_path / "d"
    )
    assert started.code == 0
    value = started.events[-1]["value"]
    assert Path(value["run_dir"]).is_dir()
    followed = cellmap("--json", "runs", "follow", value["run_id"])
    assert followed.code == 0
    assert followed.events[-1]["state"] == "done"
    listed = cellmap("runs", "list", "--json").document
    assert [(run["run_id"], run["state"]) for run in listed] == [(value["run_id"], "done")]
    assert cellmap("runs", "show", "latest").out.startswith("run ")


def test_sigint_stops_the_work_and_it_can_be_resumed(cellmap, environ, tmp_path):
    command = [sys.executable, "-m", "cellmap_tui", "--batch", "--json", "demo", "--make-only", "--size", "tiny"]
    process = subprocess.Popen(
        [*command, "--dest", str(tmp_path / "demo")], env=environ, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    for line in process.stdout:
        if json.loads(line)["event"] == "progress":
            break
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 130
    last = json.loads(out.splitlines()[-1])
    assert (last["event"], last["kind"]) == ("error", "stopped")
    assert cellmap("runs", "list", "--json").document[0]["state"] == "stopped"
    resumed = cellmap("--batch", "--json", "runs", "resume", "latest")
    assert resumed.code == 0
    assert resumed.events[-1]["event"] == "result"
    assert cellmap("runs", "list", "--json").document[0]["state"] == "done"


def test_a_job_outlives_the_terminal_it_was_started_from(cellmap, environ, tmp_path):
    words = ["--batch", "--detach", "demo", "--make-only", "--size", "tiny", "--dest", str(tmp_path / "demo")]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(sys.executable, [sys.executable, "-m", "cellmap_tui", *words], environ)
    runs = Path(environ["CELLMAP_TUI_RUNS_ROOT"])
    until(lambda: [path for path in runs.glob("*/state.json") if '"running"' in path.read_text()])
    os.close(terminal)
    os.waitpid(pid, 0)
    until(lambda: cellmap("runs", "list", "--json").document[0]["state"] in {"done", "failed"})
    assert cellmap("runs", "list", "--json").document[0]["state"] == "done"


def test_ended_runs_are_pruned_after_a_yes(cellmap, tmp_path):
    assert cellmap("--batch", "demo", "--make-only", "--size", "tiny", "--dest", tmp_path / "demo").code == 0
    dry = cellmap("runs", "prune", "--dry-run")
    assert dry.code == 0
    refused = cellmap("runs", "prune")
    assert refused.code == 3
    assert "--yes" in refused.err
    assert cellmap("runs", "prune", "--yes", "--json").document["removed"]
    assert cellmap("runs", "list", "--json").document == []


def test_a_run_of_a_user_error_tells_message_and_remedy(cellmap, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    assert cellmap("--batch", "demo", "--dest", tmp_path / "full").code == 3
    run = cellmap("runs", "show", "latest", "--json").document
    assert (run["state"], run["exit_code"]) == ("failed", 3)
    assert run["message"]
