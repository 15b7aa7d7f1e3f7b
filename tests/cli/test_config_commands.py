from __future__ import annotations

import tomllib

import pytest

from tests.learning.config_parts import OFFICIAL


@pytest.fixture
def official(tmp_path):
    path = tmp_path / "train.py"
    path.write_text(OFFICIAL)
    return path


def test_show_tells_values_and_where_they_come_from(cellmap, tmp_path):
    (tmp_path / "c.toml").write_text("epochs = 20\n")
    answer = cellmap("config", "show", "c.toml", "--set", "batch_size=4", "--changed", "--json")
    rows = {row["key"]: row for row in answer.document["rows"]}
    assert answer.code == 0
    assert {name: (row["value"], row["origin"]) for name, row in rows.items()} == {
        "epochs": (20, "c.toml, line 1"),
        "batch_size": (4, "--set"),
    }
    lines = cellmap("config", "show", "c.toml").out.splitlines()
    assert any(line.split() == ["epochs", "20", "(c.toml,", "line", "1)"] for line in lines)


def test_python_is_refused_until_it_is_trusted_and_then_remembered(cellmap, official):
    refused = cellmap("config", "show", official)
    assert (refused.code, refused.out) == (3, "")
    assert "--trust-config" in refused.err
    assert "torch" in refused.err
    assert cellmap("config", "show", official, "--trust-config").code == 0
    assert cellmap("config", "show", official).code == 0


def test_yes_to_questions_is_not_trust(cellmap, official):
    assert cellmap("config", "show", official, "--yes").code == 3


def test_check_lists_all_mistakes_and_fails(cellmap, tmp_path):
    (tmp_path / "c.toml").write_text('epcohs = 20\nclasses = ["mitoo"]\n')
    answer = cellmap("config", "check", "c.toml")
    assert answer.code == 1
    assert "unknown key 'epcohs'" in answer.out
    assert "did you mean 'mito'?" in answer.out
    findings = cellmap("config", "check", "c.toml", "--json").document["findings"]
    assert [finding["key"] if "key" in finding else finding["name"] for finding in findings] == ["epcohs", "classes"]


def test_check_holds_the_split_against_disk_and_classes(cellmap, tmp_path):
    (tmp_path / "c.toml").write_text('classes = ["mito", "nuc"]\n')
    good = tmp_path / "d" / "d.zarr"
    for path in ("em", "gt/crop1"):
        (good / path).mkdir(parents=True)
    (tmp_path / "datasplit.csv").write_text(
        f'"train","{good}","em","{good}","gt/crop1/[mito_mem]"\n"validate","/gone/e.zarr","em","/gone/e.zarr","gt/crop2/[mito]"\n'
    )
    answer = cellmap("config", "check", "c.toml")
    assert answer.code == 1
    assert "nuc is annotated in none of the 1 crops to learn from" in answer.out
    assert "1 of 2 crops are not on disk: e/crop2" in answer.out
    assert "fetch-data --crops 2" in answer.out


def test_convert_writes_toml_that_says_the_same(cellmap, official, tmp_path):
    assert cellmap("config", "convert", official, "c.toml", "--trust-config").code == 0
    assert tomllib.loads((tmp_path / "c.toml").read_text())["classes"] == ["nuc", "er", "mito"]
    answer = cellmap("config", "diff", official, "c.toml", "--json")
    assert (answer.code, answer.document) == (0, [])
    again = cellmap("config", "convert", official, "c.toml")
    assert again.code == 3
    assert "--overwrite" in again.err
    assert cellmap("config", "convert", official, "c.txt").code == 2


def test_diff_lists_what_differs(cellmap, tmp_path):
    (tmp_path / "a.toml").write_text("val_every = 2\n")
    (tmp_path / "b.toml").write_text("val_every = 3\n")
    (row,) = cellmap("config", "diff", "a.toml", "b.toml", "--json").document
    assert (row["key"], row["first"], row["second"]) == ("val_every", 2, 3)


def test_keys_explains_them(cellmap):
    answer = cellmap("config", "keys", "ema_decay", "learning-rate", "--json")
    assert [row["key"] for row in answer.document] == ["learning_rate", "ema_decay"]
    assert "did you mean 'ema_decay'?" in cellmap("config", "keys", "ema_deca").err
    assert "warmup_epochs" in cellmap("config", "keys").out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["show", "gone.toml"], 1, "no configuration gone.toml"),
        (["show", "--set", "epochs"], 2, "not key=value"),
        (["show", "--timeout", "0"], 2, "--timeout is 0"),
        (["shw"], 2, "invalid choice"),
        (["show", "c.toml"], 2, "c.toml is not TOML"),
    ],
)
def test_wrong_requests_are_one_line(cellmap, tmp_path, words, code, says):
    (tmp_path / "c.toml").write_text("epochs =\n")
    answer = cellmap("config", *words)
    assert (answer.code, answer.out) == (code, "")
    assert says in answer.err
    assert "Traceback" not in answer.err


def test_plan_shows_a_proposal_and_writes_configurations_only_when_asked(cellmap, tmp_path):
    words = ["plan", "-c", "mito,er_mem,ribo", "--gpu-memory", "24"]
    shown = cellmap(*words, "--dry-run")
    assert shown.code == 0
    assert "left out: ribo is annotated in none of 289 crops" in shown.out
    assert not list(tmp_path.glob("*.toml"))
    made = cellmap("--batch", "--json", *words)
    value = made.events[-1]["value"]
    assert [group["name"] for group in value["groups"]] == ["4nm", "16nm"]
    assert cellmap("config", "check", value["groups"][0]["path"]).code == 0
    again = cellmap("--batch", *words)
    assert again.code == 3
    assert "--overwrite" in again.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-c", "mitoo"], "did you mean 'mito'?"),
        (["-c", "nuc", "--targets", "t.toml"], "contradict"),
        (["--groups", "0"], "0 groups"),
        (["--gpu-memory", "much"], "invalid float value"),
        (["-c", "ribo"], "nothing can be learned"),
    ],
)
def test_plan_refuses_what_makes_no_sense(cellmap, words, says):
    answer = cellmap("plan", "--dry-run", *words)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err
