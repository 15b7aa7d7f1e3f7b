from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def own(tmp_path):
    """A label volume of one's own: two masses of mitochondria, one value that means nothing."""
    values = np.zeros((8, 20, 22), np.uint16)
    values[1:4, 2:8, 2:8], values[5:7, 10:18, 10:20], values[0, 0, :3] = 3, 4, 300
    np.save(tmp_path / "own.npy", values)
    (tmp_path / "targets.toml").write_text('[targets]\nmito = ["mito_mem", "mito_lum"]\nlum = ["er_lum"]\n')
    return ["map-labels", "--input", "own.npy", "--voxel-size", "8", "8", "8", "-o", "out.zarr"]


def test_a_volume_of_ones_own_is_mapped_by_a_file_of_targets(cellmap, own, tmp_path):
    answer = cellmap("--batch", "--json", *own, "--targets", "targets.toml")
    assert answer.code == 0, answer.err
    value = answer.events[-1]["value"]
    assert [(v["target"], v["kind"], v["objects"]) for v in value["volumes"]] == [
        ("mito", "instance", 2),
        ("lum", "semantic", None),
    ]
    assert value["unmapped"] == [{"id": 300, "name": None, "voxels": 3, "crops": ["own.npy"]}]
    assert any(event["event"] == "warning" and "300" in event["message"] for event in answer.events)
    assert (tmp_path / "out.zarr" / "mito" / "s0" / ".zarray").is_file()


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(cellmap, own, tmp_path):
    answer = cellmap(*own, "-c", "mito_mem,", "er_lum", "--dry-run")
    assert answer.code == 0, answer.err
    assert "planned  own.npy/mito_mem: semantic, 8×20×22 at 8 nm, from ids of own.npy" in answer.out
    assert "nothing was written (--dry-run)" in answer.out
    assert "mito_lum (4) 160 voxels" in answer.err
    assert not (tmp_path / "out.zarr").exists()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[targets]\na = ["mito"]\nb = ["mito"]', "class 'mito' is in 'a' and in 'b'"),
        ('[targets]\na = ["mitochondrio"]', "did you mean"),
        ("[targets]\na = []", "target 'a' has no classes"),
        ("", "no targets"),
    ],
)
def test_wrong_targets_are_one_line_and_exit_code_2(cellmap, own, tmp_path, text, words):
    (tmp_path / "targets.toml").write_text(text)
    answer = cellmap("--batch", *own, "--targets", "targets.toml")
    assert answer.code == 2
    assert words in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--label", "axon"], "not of the form NAME=ID"),
        (["--label", "a=1", "--label", "a=2"], "given twice"),
        (["-c", "pm", "--separate"], "--separate goes with --combined"),
        (["-c", "pm", "--targets", "t"], "not allowed with"),
        (["-c", "pm", "--memory", "much"], "not a size"),
        (["-c", "cell", "pm", "--combined"], "'cell' and 'pm' overlap"),
    ],
)
def test_wrong_options_are_one_line_and_exit_code_2(cellmap, own, words, said):
    answer = cellmap("--batch", *own, *words)
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
