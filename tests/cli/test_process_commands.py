from __future__ import annotations

import numpy as np
import pytest

from tests.services.processing import as_probability, predicted_crop, write_prediction

RECIPE = '[classes.ves]\nsteps = ["threshold", "cores"]\n'


@pytest.fixture
def data(tmp_path):
    """Two crops of touching vesicles with predictions, and a recipe."""
    root = tmp_path / "data"
    root.mkdir()
    for number in (1, 2):
        predicted_crop(root, number, (36, 36, 64), noise=0.1, gain=0.7)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return root


def test_predictions_become_labels_by_a_recipe(cellmap, data):
    words = ["process", "recipe.toml", "--crops", "dataset:mine", "--data-root", str(data)]
    answer = cellmap("--batch", "--json", *words)
    assert answer.code == 0, answer.err
    value = answer.events[-1]["value"]
    assert (value["done"], value["kept"], value["failed"]) == (2, 0, 0)
    assert [row["dtype"] for row in value["volumes"]] == ["uint8", "uint8"]
    assert (data / "processed" / "mine.zarr" / "crop1" / "ves" / "s0" / ".zarray").is_file()
    again = cellmap("--batch", *words)
    assert "2 there already" in again.out


def test_a_dry_run_of_process_shows_steps_memory_and_time_and_writes_nothing(cellmap, data):
    answer = cellmap("process", "recipe.toml", "--crops", "dataset:mine", "--dry-run", "--data-root", str(data))
    assert answer.code == 0, answer.err
    assert "threshold · cores" in answer.out
    assert "blocks of" in answer.out
    assert not (data / "processed").exists()


def test_the_steps_of_recipes_are_listed(cellmap):
    answer = cellmap("process", "--steps")
    assert answer.code == 0, answer.err
    assert "watershed" in answer.out
    assert "min_seed_voxels" in answer.out


@pytest.mark.parametrize(
    ("recipe", "code", "words"),
    [
        ('[classes.ves]\nsteps = ["treshold"]', 2, "did you mean threshold"),
        (None, 1, "cannot be read"),
        ("def process_func(x):\n    return x > 0.5\n", 3, "Python code"),
    ],
)
def test_a_wrong_recipe_is_one_line(cellmap, data, tmp_path, recipe, code, words):
    name = "other.py" if recipe and recipe.startswith("def") else "other.toml"
    if recipe is not None:
        (tmp_path / name).write_text(recipe)
    answer = cellmap("--batch", "process", name, "--crops", "mine/1", "--data-root", str(data))
    assert answer.code == code
    assert words in answer.err
    assert "Traceback" not in answer.err


def test_other_labels_are_not_replaced_unasked(cellmap, data, tmp_path):
    words = ["--batch", "process", "recipe.toml", "--crops", "mine/1", "--data-root", str(data)]
    assert cellmap(*words).code == 0
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("cores", "components"))
    refused = cellmap(*words)
    assert refused.code == 3
    assert "--overwrite" in refused.err
    assert cellmap(*words, "-O").code == 0


def test_predictions_that_are_not_there_are_told(cellmap, data, tmp_path):
    text = RECIPE + '[classes.both]\nsteps = [{ step = "union", classes = ["ves"] }]\n'
    (tmp_path / "recipe.toml").write_text(text)
    words = ["--batch", "process", "recipe.toml", "--crops", "mine/1", "--data-root", str(data)]
    assert cellmap(*words).code == 0
    answer = cellmap(*words, "-i", "nowhere")
    assert answer.code != 0
    assert "has no prediction" in answer.err


def test_a_class_that_a_crop_does_not_have_is_no_failure(cellmap, data):
    from cellmap_tui.challenge.local import read_local_crops

    crop = next(crop for crop in read_local_crops(data) if crop.id == 2)
    mask = np.zeros(crop.grid.shape, bool)
    mask[5:9, 5:9, 5:9] = True
    write_prediction(data, crop, "er", as_probability(mask))
    answer = cellmap("--batch", "process", "--crops", "dataset:mine", "--classes", "er,ves", "--data-root", str(data))
    assert answer.code == 0, answer.err
    assert "3 made" in answer.out


def test_tune_writes_a_recipe_that_process_takes_and_the_table_behind_it(cellmap, data, tmp_path):
    words = ["--crops", "dataset:mine", "--data-root", str(data)]
    answer = cellmap("--batch", "tune", *words, "--thresholds", "0.3,0.5", "--sizes", "0,50", "-o", "best.toml")
    assert answer.code == 0, answer.err
    assert "the best" in answer.out
    assert "mean over classes where reported" in answer.out
    assert (tmp_path / "best.csv").read_text().startswith("label,run,method")
    assert cellmap("--batch", "process", "best.toml", *words).code == 0
    refused = cellmap("--batch", "tune", *words, "-o", "best.toml")
    assert refused.code == 3
    wrong = cellmap("--batch", "tune", *words, "--thresholds", "high", "-o", "x.toml")
    assert wrong.code == 2
