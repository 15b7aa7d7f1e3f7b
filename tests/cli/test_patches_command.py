"""Patches from the command line: counted, drawn, as a configuration says."""

from __future__ import annotations

import json

import pytest

from tests.services.split_data import make_dataset


@pytest.fixture
def split(cellmap, tmp_path):
    """A split of two small crops."""
    make_dataset(tmp_path / "data", "own", {1: {"mito": 0.5, "nuc": 0.25}, 2: {"mito": 0.25}})
    answer = cellmap(
        "--batch", "--data-root", "data", "make-datasplit", "-c", "mito,nuc", "-vr", "0", "-cp", "split.csv"
    )
    assert answer.code == 0, answer.err
    return ["split.csv", "--shape", "8,8,8", "-n", "6", "--cache-dir", "banks"]


def test_patches_are_counted_and_drawn(cellmap, split, tmp_path):
    answer = cellmap("--batch", "patches", *split, "-c", "mito", "-s", "8", "8", "8", "--show", "3", "-o", "p.png")
    assert answer.code == 0, answer.err
    assert "2 crops" in answer.out
    assert "mito" in answer.out
    assert (tmp_path / "p.png").stat().st_size > 500


def test_the_result_for_programs_has_every_channel(cellmap, split):
    answer = cellmap("--batch", "--json", "patches", *split, "--no-augment", "--slicing-axes", "zyx")
    assert answer.code == 0, answer.err
    value = json.loads(answer.out.splitlines()[-1])["value"]
    assert [column["name"] for column in value["columns"]] == ["mito", "nuc"]
    assert value["patches"] == 6
    assert value["picture"] is None


def test_patches_are_drawn_as_a_configuration_says(cellmap, split, tmp_path):
    (tmp_path / "mine.toml").write_text(
        'classes = ["mito"]\ndatasplit_path = "split.csv"\nbatch_size = 3\nworkers = 1\n'
        "[input_array_info]\nshape = [1, 8, 8]\nscale = [8, 8, 8]\n"
    )
    answer = cellmap("--batch", "--json", "patches", "mine.toml", "-n", "6", "--cache-dir", "banks")
    assert answer.code == 0, answer.err
    value = json.loads(answer.out.splitlines()[-1])["value"]
    assert [column["name"] for column in value["columns"]] == ["mito"]
    (tmp_path / "wrong.toml").write_text('clases = ["mito"]\n')
    answer = cellmap("--batch", "patches", "wrong.toml")
    assert answer.code == 2
    assert "classes" in answer.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere.csv"], 1, "nowhere.csv"),
        (["split.csv", "-c", "mitto"], 2, "mito"),
        (["split.csv", "-c", "golgi", "--cache-dir", "banks"], 1, "golgi"),
        (["split.csv", "--foreground", "2"], 2, "foreground"),
        (["split.csv", "--show"], 2, "-o patches.png"),
    ],
)
def test_a_wrong_request_is_one_line_and_what_to_do(cellmap, split, words, code, message):
    answer = cellmap("--batch", "patches", *words)
    assert (answer.code, message in answer.err) == (code, True), answer.err
    assert "Traceback" not in answer.err
