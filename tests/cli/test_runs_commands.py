"""`runs show --once` and `runs compare` of trainings, as a user calls them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

RUNS = Path(__file__).parent.parent / "monitor" / "runs"


@pytest.fixture
def training(environ):
    """Put a recorded training below the runs root; return its name."""

    def put(events, run_id, config="", machine=None):
        folder = Path(environ["CELLMAP_TUI_RUNS_ROOT"]) / run_id
        folder.mkdir(parents=True)
        shutil.copyfile(RUNS / f"{events}.jsonl", folder / "events.jsonl")
        if machine:
            shutil.copyfile(RUNS / f"{machine}.jsonl", folder / "telemetry.jsonl")
        state = {"v": 1, "state": "done", "start": 1_795_375_184.7, "end": 1_795_375_313.7, "host": "host", "exit": 0}
        (folder / "state.json").write_text(json.dumps(state))
        request = {"v": 1, "command": "train", "argv": ["cellmap-tui", "train"], "request": {}, "cwd": "/"}
        (folder / "request.json").write_text(json.dumps(request))
        (folder / "config.toml").write_text(config)
        return run_id

    return put


FIRST, SECOND = "20261122T191944Z-train-fcce1b", "20261122T193259Z-train-ee7481"


def test_a_frame_has_curves_classes_machine_and_last_words(cellmap, training):
    training("recorded_healthy", FIRST, machine="recorded_healthy_machine")
    shown = cellmap("runs", "show", "fcce1b", "--once", COLUMNS="100", LINES="30")
    assert shown.code == 0, shown.err
    lines = shown.out.splitlines()
    assert lines[0].startswith(f"{FIRST}  done  step 288  epoch 12")
    assert "⠉" in shown.out
    assert "ves/core       0.06" in shown.out
    assert "memory " in shown.out
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 100


def test_a_frame_tells_what_the_rules_find(cellmap, training):
    training("recorded_never", SECOND)
    assert (
        "! er, mito, mito/core, nuc, ves, ves/core are not predicted"
        in cellmap("runs", "show", "latest", "--once").out
    )


def test_a_log_that_takes_long_is_told_of_once(training, environ, capsys, monkeypatch):
    from cellmap_tui.cli.commands import runs_frame
    from cellmap_tui.monitor.source import open_source

    name = training("recorded_healthy", FIRST)
    monkeypatch.setattr(runs_frame, "SAY_AFTER_S", -1.0)
    runs_frame.read_whole(open_source(Path(environ["CELLMAP_TUI_RUNS_ROOT"]) / name))
    assert capsys.readouterr().err == f"reading all of {name} …\n"


def test_a_frame_draws_what_is_asked_for(cellmap, training):
    training("recorded_healthy", FIRST)
    assert "val/dice/er" in cellmap("runs", "show", "latest", "--once", "--metrics", "val/dice/*").out
    missed = cellmap("runs", "show", "latest", "--once", "--metrics", "nothing")
    assert missed.code == 1
    assert "no metric of" in missed.err
    assert "Traceback" not in missed.err


def test_a_frame_is_ascii_where_the_output_is(cellmap, training):
    training("recorded_healthy", FIRST)
    shown = cellmap("runs", "show", "latest", "--once", PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert shown.code == 0, shown.err
    assert shown.out.isascii()
    assert ":" in shown.out


def test_a_frame_in_json_has_the_findings(cellmap, training):
    training("recorded_never", SECOND)
    document = cellmap("--json", "runs", "show", "latest", "--once").document
    assert document["metrics"]["loss"] == pytest.approx(0.231, abs=0.01)
    assert {finding["rule"] for finding in document["findings"]} == {"never_predicted"}
    assert document["state"]["state"] == "done"


def test_a_log_of_another_tool_is_shown_by_its_path(cellmap, tmp_path):
    (tmp_path / "log.csv").write_text("step,loss,acc\n1,0.9,0.1\n2,0.7,0.3\n3,0.5,0.4\n")
    shown = cellmap("runs", "show", "log.csv")
    assert shown.code == 0, shown.err
    assert "csv  step 3" in shown.out.splitlines()[0]
    assert "loss 0.5" in shown.out


def test_show_without_once_stays_what_it_was(cellmap, training):
    training("recorded_healthy", FIRST)
    shown = cellmap("runs", "show", "latest")
    assert shown.out.startswith("run        2026")
    refused = cellmap("runs", "show", "latest", "--metrics", "loss")
    assert refused.code == 2
    assert "--once" in refused.err


def test_trainings_are_compared(cellmap, training):
    training("recorded_healthy", FIRST, config="learning_rate = 0.002\n")
    training("recorded_never", SECOND, config="learning_rate = 0.003\n")
    shown = cellmap("runs", "compare", "fcce1b", "ee7481")
    assert shown.code == 0, shown.err
    assert "learning_rate  0.002            0.003" in shown.out
    assert "6 classes in pairs, 1 better, 5 worse, -0.0857 on average" in shown.out
    document = cellmap("--json", "runs", "compare", "fcce1b", "ee7481").document
    assert [row["key"] for row in document["config"]] == ["learning_rate"]
    assert document["best"][0]["epoch"] == 1


def test_a_training_and_an_evaluation_do_not_compare(cellmap, training, tmp_path):
    training("recorded_healthy", FIRST)
    (tmp_path / "R.json").write_text('{"overall_score": 0.5, "label_scores": {}}')
    refused = cellmap("runs", "compare", "fcce1b", "R.json")
    assert refused.code == 2
    assert "R.json is no training" in refused.err
    alone = cellmap("runs", "compare", "fcce1b")
    assert alone.code == 2
    assert "nothing to compare" in alone.err
