"""`train` on the command line."""

from __future__ import annotations

import json

import pytest
import torch

from cellmap_tui.cli.main import main
from cellmap_tui.jobs.control import ask, ask_stop
from cellmap_tui.jobs.recorder import RunReporter
from cellmap_tui.jobs.rundir import RunDir
from cellmap_tui.services.train_here import ReportListener
from tests.services.split_data import make_dataset
from tests.services.test_train import CONFIG, CROPS

PYTHON = """
import torch
classes = ["mito", "nuc"]
epochs = 2
optimizer = torch.optim.AdamW
"""


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setenv("CELLMAP_TUI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("CELLMAP_TUI_CONFIG_DIR", str(tmp_path / "settings"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def place(tmp_path):
    """Three small crops and a configuration."""
    make_dataset(tmp_path / "data", "own", CROPS)
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


@pytest.fixture
def train(place, capsys):
    """Return what runs the command with ``--json`` and gives exit code and events."""

    def run(*words: str):
        shared = ["--batch", "--json", f"--data-root={place / 'data'}", f"--runs-root={place / 'runs'}"]
        code = main([*shared, "train", *words])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def said(events, kind="note"):
    return [event["message"] for event in events if event["event"] == kind]


def test_the_help_tells_how_to_go_on_and_how_to_look_first(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(word in told for word in ("--resume", "--dry-run", "--set", "--init-from", "--cluster", "7f3a"))


def test_a_training_ends_with_its_result_and_set_holds(train, place):
    code, events = train("config.toml", "--set", "epochs=1", "--set", "iterations_per_epoch=2")
    assert code == 0
    last = events[-1]
    assert (last["event"], last["command"]) == ("result", "train")
    assert (last["value"]["ended"], last["value"]["epochs"], last["value"]["steps"]) == ("epochs", 1, 2)
    [run] = (place / "runs").iterdir()
    assert (run / "checkpoints" / "basicunet_1.pth").is_file()
    assert "validation tiles" in {event["unit"] for event in events if event["event"] == "progress"}


def test_people_read_the_best_epoch_and_where_the_weights_are(place, capsys):
    words = [f"--data-root={place / 'data'}", f"--runs-root={place / 'runs'}", "train", "config.toml"]
    assert main(["--batch", "--quiet", *words, "--set", "epochs=1"]) == 0
    told = capsys.readouterr().out
    assert "all epochs done" in told
    assert "best: epoch 1, dice" in told
    assert "basicunet_1.pth" in told


def test_a_look_alone_tells_the_time_and_leaves_no_run(train, place):
    code, events = train("config.toml", "--dry-run")
    assert code == 0
    value = events[-1]["value"]
    assert (events[-1]["event"], value["ended"], value["steps"]) == ("result", "dry_run", 0)
    assert value["preflight"]["eta_s"] > 0
    assert [row["name"] for row in value["preflight"]["classes"]] == ["mito", "nuc"]
    assert not (place / "runs").exists()


def test_what_was_stopped_goes_on_in_the_same_run_and_tells_what_changes_once(train, place, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(RunReporter, "metric", _stops)
        code, events = train("config.toml", "--set", "iterations_per_epoch=40")
    assert code == 130
    assert events[-1]["event"] == "error"
    assert "resume" in events[-1]["remedy"]
    [run] = (place / "runs").iterdir()
    code, events = train("--resume", "--set", "epochs=3", "--set", "iterations_per_epoch=2")
    assert (code, events[-1]["value"]["epochs"]) == (0, 3)
    assert list((place / "runs").iterdir()) == [run]
    told = said(events) + said(events, "warning")
    assert sum("epochs from 2 to 3" in message for message in told) == 1
    assert not any("checkpoint" in message and "is not the one" in message for message in told)
    assert any("going on after epoch" in message for message in told)


def test_a_run_that_is_asked_for_but_not_there_is_told(train, place):
    code, events = train("--resume", "7f3a")
    assert code == 2
    assert "there are no runs" in events[-1]["message"]


def test_without_a_configuration_it_says_which_defaults_hold(train, place, capsys, monkeypatch):
    monkeypatch.setattr("cellmap_tui.cli.commands.train.run_work", lambda *_: 0)
    assert (
        main(["--batch", f"--data-root={place / 'data'}", "train", "--set", "epochs=7", "--set", "classes=mito"]) == 0
    )
    first = capsys.readouterr().err.splitlines()[0]
    assert "no configuration is named: the defaults and --set hold; classes mito; resencunet; patches of" in first
    assert "7 epochs; `cellmap-tui config show` lists all" in first
    assert main(["--batch", f"--data-root={place / 'data'}", "train", "config.toml"]) == 0
    assert "no configuration" not in capsys.readouterr().err


def test_a_typo_names_the_nearest_key_and_makes_no_run(train, place):
    (place / "config.toml").write_text(CONFIG.replace("epochs = 2", "epcohs = 2"), encoding="utf-8")
    code, events = train("config.toml")
    assert (code, len(events)) == (2, 1)
    assert "epcohs" in events[0]["message"]
    assert "'epochs'" in events[0]["remedy"]
    assert not (place / "runs").exists()


def test_a_python_configuration_that_nobody_allowed_does_not_run(train, place):
    (place / "config.py").write_text(PYTHON + "open('ran', 'w').close()\n", encoding="utf-8")
    code, events = train("config.py")
    assert code == 3
    assert "--trust-config" in events[-1]["remedy"]
    assert not (place / "ran").exists()
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--devices", "0"], 2, "--devices 0"),
        (["--name", "a/b"], 2, "'a/b'"),
        (["--max-hours", "-1"], 2, "--max-hours"),
        (["--init-from", "nowhere.pth"], 1, "nowhere.pth"),
    ],
)
def test_what_is_wrong_has_its_exit_code(train, words, code, told):
    found, events = train("config.toml", *words)
    assert found == code
    assert told in events[-1]["message"]


def test_a_checkpoint_a_rate_and_a_validation_that_are_asked_for_come(train, place, monkeypatch):
    monkeypatch.setattr("cellmap_tui.jobs.recorder.LOOK_INTERVAL_S", 0.0)
    monkeypatch.setattr("cellmap_tui.learning.train_asks.POLL_S", 0.0)
    monkeypatch.setattr("cellmap_tui.learning.metric_feed.INTERVAL_S", 0.0)
    monkeypatch.setattr(ReportListener, "step", _asks_after_step_3)
    code, events = train("config.toml", "--set", "scheduler=constant", "--set", "iterations_per_epoch=12")
    assert code == 0
    for words in ("asked for a checkpoint", "asked for a validation", "set the step size to 0.0125"):
        assert any("ann" in message and words in message for message in said(events)), words
    files = [event["path"].rpartition("/")[2] for event in events if event["event"] == "artefact"]
    assert files[-3:] == ["basicunet_now.pth", "basicunet_1.pth", "basicunet_2.pth"]
    metrics = [event for event in events if event["event"] == "metric"]
    rates = {_largest(event["values"]["lr"]) for event in metrics if "lr" in event["values"]}
    assert any(rate == pytest.approx(0.0125) for rate in rates)
    validations = [event for event in metrics if "val/dice" in event["values"]]
    assert {event["step"] for event in validations} <= {3, 12, 24}
    assert sum(_samples(event["values"]["val/dice"]) for event in validations) == 3


def _samples(value):
    """Return how many values a window gathered: two validations within half a second share a line."""
    return value["count"] if isinstance(value, dict) else 1


def _largest(value):
    """Return a value, or the largest of a window: the new rate is above the old one."""
    return value["max"] if isinstance(value, dict) else value


_metric, _step = RunReporter.metric, ReportListener.step


def _stops(self, step, values, epoch=None):
    _metric(self, step, values, epoch)
    ask_stop(RunDir(self.folder), by="ann")


def _asks_after_step_3(self, record):
    _step(self, record)
    if record.step == 3:
        run = RunDir(self._prepared.folder)
        ask(run, "checkpoint", by="ann")
        ask(run, "lr", 0.0125, by="ann")
        ask(run, "validate", by="ann")
