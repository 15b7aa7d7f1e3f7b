"""Exporting from the command line, as a script would."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile


@pytest.fixture
def data(cellmap, stacks):
    """A dataset of one's own with a crop."""
    answer = cellmap(
        *("--batch", "--data-root", "data", "import", "--dataset", "mine", "--raw", "em.tif"),
        *("--label", "pm=membrane.tif", "--voxel-size", "50", "4", "4"),
    )
    assert answer.code == 0, answer.err
    return stacks


def export(cellmap, *words):
    return cellmap("--batch", "--data-root", "data", "export", "-o", "out", *words)


def test_stacks_come_out_as_they_came_in(cellmap, data):
    answer = export(cellmap, "--format", "tiff", "--crops", "mine/1", "-c", "pm")
    assert answer.code == 0, answer.err
    for name, source in (("raw", "em"), ("pm", "membrane")):
        assert (tifffile.imread(data / f"out/mine/crop1/{name}.tif") == tifffile.imread(data / f"{source}.tif")).all()
    assert "what is in them: " in answer.out
    with (data / "out" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["raw", "pm"]


def test_sizes_and_margins_are_three_numbers_or_one(cellmap, data):
    answer = export(cellmap, "--json", "-f", "npz", "-s", "50", "8", "8", "--margin", "1", "--no-compression")
    assert answer.code == 0, answer.err
    value = answer.events[-1]["value"]
    assert value["files"][0]["volumes"][0]["shape"] == [6, 20, 24]
    with np.load(data / "out" / "mine" / "crop1.npz") as file:
        assert file["pm"].shape == (6, 20, 24)


def test_a_dry_run_answers_and_writes_nothing(cellmap, data):
    answer = export(cellmap, "--json", "--dry-run")
    assert answer.code == 0, answer.err
    assert [file["state"] for file in answer.events[-1]["value"]["files"]] == ["planned"]
    assert not (data / "out").exists()


def test_nnunet_is_told_what_to_type_next(cellmap, data):
    answer = export(cellmap, "--format", "nnunet", "-c", "pm")
    assert answer.code == 0, answer.err
    assert f"export nnUNet_raw={data}/out/nnUNet_raw" in answer.out
    described = json.loads((data / "out/nnUNet_raw/Dataset501_CellMap/dataset.json").read_text())
    assert described["labels"] == {"background": 0, "pm": 1}


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-c", "mitto"], 2, "did you mean 'mito'?"),
        (["--crops", "mine/7"], 2, "mine/7"),
        (["--margin", "1.5"], 2, "whole voxels"),
        (["--targets", "none.toml"], 1, "none.toml cannot be read"),
        (["--format", "tif"], 2, "tif"),
        (["-c", "mito"], 1, "nothing to export"),
    ],
)
def test_mistakes_are_told_in_a_line(cellmap, words, code, said):
    answer = export(cellmap, *words)
    assert answer.code == code
    assert said in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.usefixtures("data")
def test_other_files_are_refused_with_3(cellmap):
    assert export(cellmap, "-f", "npz").code == 0
    answer = export(cellmap, "-f", "npz", "-s", "100")
    assert answer.code == 3
    assert "--overwrite" in answer.err
