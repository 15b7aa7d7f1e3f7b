"""Predictions into labels: recipes, exact objects, what is there already, kills, functions, bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import cc3d
import numpy as np
import pytest

from cellmap_tui.errors import DataError, MissingDataError, RefusedError, RequestError
from cellmap_tui.jobs.execute import execute
from cellmap_tui.jobs.rundir import create_run
from cellmap_tui.jobs.summary import summarise
from cellmap_tui.learning.cores import core_ids
from cellmap_tui.scoring.instances import score_instance
from cellmap_tui.scoring.profiles import get_profile
from cellmap_tui.services.process import plan_process, process
from cellmap_tui.services.process_model import PreviewRequest, ProcessRequest
from cellmap_tui.services.process_preview import preview
from cellmap_tui.services.process_recipe import parse_recipe, recipe_text
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes.arrays import open_level
from cellmap_tui.volumes.ngff import open_volume
from tests.services.processing import as_probability, make_crop, predicted_crop, touching_balls, write_prediction

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.process_model import ProcessResult

CORES = '[classes.ves]\nsteps = ["threshold", "cores"]\n'
PARTS = '[classes.ves]\nsteps = ["threshold", "components"]\n'


def _process(root: Path, text: str = "", **options: object) -> ProcessResult:
    options.setdefault("crops", "all")
    if text:
        file = root / "recipe.toml"
        file.write_text(text)
        options["recipe"] = file
    request = ProcessRequest(data_root=root, state_dir=root / "state", **options)  # type: ignore[arg-type]
    return process(request, SilentReporter())


def _read(root: Path, crop: Crop, label: str, folder: str = "processed") -> NDArray[np.generic]:
    level = open_volume(root / folder / f"{crop.dataset}.zarr" / crop.name / label).finest
    assert level.grid == crop.grid
    return np.asarray(open_level(level)[...])


def _f1(ids: NDArray[np.generic], labels: NDArray[np.generic]) -> float:
    score = score_instance(ids, labels, (8.0, 8.0, 8.0), get_profile("panoptic"))
    return score.rq


def test_cores_tell_touching_objects_apart_where_components_do_not(tmp_path: Path) -> None:
    crop, ids = predicted_crop(tmp_path, 1)
    result = _process(tmp_path, CORES)
    by_cores = _read(tmp_path, crop, "ves")
    assert result.volumes[0].objects == len(np.unique(ids)) - 1
    assert by_cores.dtype == np.uint8
    assert _f1(ids, by_cores) >= 0.98
    _process(tmp_path, PARTS, overwrite=True)
    assert _f1(ids, _read(tmp_path, crop, "ves")) < 0.6


def test_the_built_in_recipe_takes_cores_where_they_are_and_components_elsewhere(tmp_path: Path) -> None:
    crop, ids = predicted_crop(tmp_path, 1)
    other = make_crop(tmp_path, 2, ("ves", "er"), crop.grid.shape)
    for label in other.classes:
        write_prediction(tmp_path, other, label, as_probability(ids > 0))
    rows = {(row.crop, row.label): row for row in _process(tmp_path).volumes}
    assert set(rows) == {("mine/crop1", "ves"), ("mine/crop2", "ves"), ("mine/crop2", "er")}
    assert rows["mine/crop1", "ves"].objects == len(np.unique(ids)) - 1
    parts = cc3d.connected_components(as_probability(ids > 0) > 127, connectivity=26, return_N=True)[1]
    assert rows["mine/crop2", "ves"].objects == parts < len(np.unique(ids)) - 1
    assert rows["mine/crop2", "er"].kind == "semantic"
    assert set(np.unique(_read(tmp_path, other, "er"))) == {0, 1}


def test_a_large_crop_in_small_blocks_gives_the_same_labels(tmp_path: Path) -> None:
    crop, _ = predicted_crop(tmp_path, 1, (70, 80, 140))
    _process(tmp_path, CORES, output=str(tmp_path / "whole"))
    plan = plan_process(ProcessRequest(crops="all", data_root=tmp_path, memory_bytes=200_000_000, workers=8))
    assert plan.block == 64
    _process(tmp_path, CORES, memory_bytes=200_000_000, workers=8, output=str(tmp_path / "blocks"))
    assert np.array_equal(_read(tmp_path, crop, "ves", "whole"), _read(tmp_path, crop, "ves", "blocks"))
    assert not list((tmp_path / "blocks").rglob(".*process"))


def test_ids_take_the_narrowest_type(tmp_path: Path) -> None:
    crop = make_crop(tmp_path, 1, ("ves",), (32, 32, 64))
    mask = np.zeros(crop.grid.shape, np.uint8)
    mask[::4, ::4, ::4] = 255
    write_prediction(tmp_path, crop, "ves", mask)
    assert _process(tmp_path, PARTS).volumes[0].dtype == "uint16"
    assert _read(tmp_path, crop, "ves").max() == 8 * 8 * 16


@pytest.mark.parametrize(
    ("values", "unit", "steps"),
    [
        ("uint8", "", '"threshold"'),
        ("float32", "", '"threshold"'),
        ("float16", "probability", '"threshold"'),
        ("logits", "logit", '"threshold"'),
        ("logits", "", '"sigmoid", "threshold"'),
        ("uint8", "probability * 255", '"sigmoid", "threshold"'),
    ],
)
def test_every_unit_of_predictions_means_the_same(tmp_path: Path, values: str, unit: str, steps: str) -> None:
    crop = make_crop(tmp_path, 1, ("er",), (20, 20, 20))
    truth = np.zeros(crop.grid.shape, bool)
    truth[5:15, 5:15, 5:15] = True
    stored = {
        "uint8": np.where(truth, 200, 90).astype(np.uint8),
        "float32": np.where(truth, 0.8, 0.4).astype(np.float32),
        "float16": np.where(truth, 0.8, 0.4).astype(np.float16),
        "logits": np.where(truth, 1.4, -0.4).astype(np.float32),
    }[values]
    write_prediction(tmp_path, crop, "er", stored, unit)
    _process(tmp_path, f"[classes.er]\nsteps = [{steps}]\n")
    assert np.array_equal(_read(tmp_path, crop, "er") > 0, truth)


def test_logits_that_nothing_says_are_logits_are_told(tmp_path: Path) -> None:
    crop = make_crop(tmp_path, 1, ("er",), (20, 20, 20))
    write_prediction(tmp_path, crop, "er", np.full(crop.grid.shape, -3.5, np.float32))
    result = _process(tmp_path)
    assert result.exit_code == 1
    assert "step sigmoid" in result.volumes[0].problem


def test_groups_are_the_union_of_their_members_and_exclusions_leave_nothing_twice(tmp_path: Path) -> None:
    crop = make_crop(tmp_path, 1, ("mito", "er"), (20, 20, 40))
    one, two = np.zeros(crop.grid.shape, np.uint8), np.zeros(crop.grid.shape, np.uint8)
    one[..., :25], two[..., 15:] = 200, 220
    write_prediction(tmp_path, crop, "mito", one)
    write_prediction(tmp_path, crop, "er", two)
    text = """
    [classes.er]
    steps = ["threshold", { step = "exclude", classes = ["mito"] }]
    [classes.mito]
    steps = ["threshold"]
    [classes.both]
    steps = [{ step = "union", classes = ["mito", "er"] }]
    """
    _process(tmp_path, text)
    mito, er, both = (_read(tmp_path, crop, name) for name in ("mito", "er", "both"))
    assert not (mito & er).any()
    assert (mito[..., :25] == 1).all()
    assert (both == 1).all()
    by = 'steps = ["threshold", { step = "exclude", by = "probability", classes = ["mito"] }]'
    _process(tmp_path, f"[classes.er]\n{by}\n", classes=("er",), output=str(tmp_path / "by"))
    assert (_read(tmp_path, crop, "er", "by")[..., 15:] == 1).all()


def test_labels_that_are_there_are_kept_and_others_are_refused(tmp_path: Path) -> None:
    crop, _ = predicted_crop(tmp_path, 1)
    _process(tmp_path, CORES)
    before = (tmp_path / "processed" / "mine.zarr" / crop.name / "ves" / ".zattrs").stat().st_mtime_ns
    again = _process(tmp_path, CORES)
    assert (again.kept, again.done, again.volumes[0].kept) == (1, 0, True)
    assert (tmp_path / "processed" / "mine.zarr" / crop.name / "ves" / ".zattrs").stat().st_mtime_ns == before
    with pytest.raises(RefusedError, match="another recipe"):
        _process(tmp_path, PARTS)
    assert _process(tmp_path, PARTS, overwrite=True).done == 1
    write_prediction(tmp_path, crop, "ves", np.zeros(crop.grid.shape, np.uint8))
    with pytest.raises(RefusedError):
        _process(tmp_path, PARTS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[classes.ves]\nsteps = ['treshold']", "did you mean threshold"),
        ("[classes.ves]\nsteps = [{ step = 'threshold', abvoe = 0.5 }]", "did you mean above"),
        ("[classes.ves]\nsteps = [{ step = 'threshold', above = 3 }]", "is not a number from 0 to 1"),
        ("[classes.ves]\nsteps = ['threshold', 'remove_small']", "needs one of min_voxels"),
        ("[classes.ves]\nsteps = ['components']", "needs a mask"),
        ("[classes.ves]\nsteps = ['threshold', 'components', 'fill_holes']", "needs a mask, and it gets objects"),
        ("[classes.ves]\nsteps = [{ step = 'smooth', sigma_nm = 4 }]", "ends with a probability"),
        ("[classes.ves]\nsteps = []", "has no steps"),
        ("[clases.ves]\nsteps = ['threshold']", "did you mean classes"),
        ("[classes.ves\n", "is not TOML"),
        (
            "[classes.a]\nsteps = ['threshold', { step = 'exclude', classes = ['b'] }]\n"
            "[classes.b]\nsteps = ['threshold', { step = 'exclude', classes = ['a'] }]",
            "wait for each other",
        ),
    ],
)
def test_a_wrong_recipe_is_told_by_class_and_step(text: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_recipe(text)
    assert words in f"{caught.value.message} {caught.value.remedy}"


def test_a_recipe_reads_as_it_was_written() -> None:
    text = """
    [classes.mito]
    predictions = "a \\"b\\"/{crop}"
    from = "mito_2"
    steps = [{ step = "smooth", sigma_nm = 8.5 }, "threshold", "cores", { step = "exclude", classes = ["er", "nuc"] }]
    [default.semantic]
    steps = [{ step = "threshold", above = 0.25 }]
    """
    recipe = parse_recipe(text)
    assert parse_recipe(recipe_text(recipe)) == recipe
    assert recipe.of("er", "semantic").steps[0]["above"] == 0.25
    assert recipe.of("ves", "instance").kind == "instance"


def test_what_is_missing_or_broken_is_told_and_the_rest_is_made(tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        _process(tmp_path, crops="no_such_class_or_dataset")
    crop, _ = predicted_crop(tmp_path, 1)
    with pytest.raises(MissingDataError, match="no prediction of mito"):
        _process(tmp_path, crops="mine/1", classes=("mito",))
    other = make_crop(tmp_path, 2, ("ves",), (20, 20, 20))
    path = write_prediction(tmp_path, other, "ves", np.full((20, 20, 20), 255, np.uint8))
    (path / "s0" / "0" / "0" / "0").write_bytes(b"no chunk")
    result = _process(tmp_path, CORES)
    assert (result.done, result.failed, result.exit_code) == (1, 1, 1)
    problems = {row.crop: row.problem for row in result.volumes}
    assert problems[crop.ref] == ""
    assert problems[other.ref]


def test_a_core_of_other_voxels_is_told(tmp_path: Path) -> None:
    crop, _ = predicted_crop(tmp_path, 1)
    small = make_crop(tmp_path, 9, ("ves",), (20, 20, 20), "else")
    from cellmap_tui.volumes.write import write_multiscale

    path = tmp_path / "predictions" / "mine.zarr" / crop.name / "ves" / "core"
    write_multiscale(path, np.zeros((20, 20, 20), np.uint8), small.grid, overwrite=True)
    assert "different voxels" in _process(tmp_path, CORES, crops="mine/1").volumes[0].problem


WORK = """
import sys
from pathlib import Path
from cellmap_tui.services.process import process
from cellmap_tui.services.process_model import ProcessRequest
from cellmap_tui.services.report import SilentReporter
root = Path(sys.argv[1])
process(ProcessRequest(root / "recipe.toml", "all", data_root=root, memory_bytes=200_000_000, workers=8,
                       output=str(root / "killed")), SilentReporter())
"""


@pytest.mark.slow
def test_killed_at_random_moments_it_goes_on_to_the_same_labels(tmp_path: Path) -> None:
    crop, _ = predicted_crop(tmp_path, 1, (70, 140, 200))
    _process(tmp_path, CORES, output=str(tmp_path / "whole"))
    marks = tmp_path / "killed" / "mine.zarr" / crop.name / ".ves.process"
    kills = 0
    for blocks in (2, 8, 15, 25, 40):
        worker = subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path)])
        while worker.poll() is None and _lines(marks) < blocks:
            time.sleep(0.002)
        kills += worker.poll() is None
        worker.kill()
        worker.wait()
    assert kills >= 2
    assert not (tmp_path / "killed" / "mine.zarr" / crop.name / "ves").exists() or kills < 5
    subprocess.run([sys.executable, "-c", WORK, str(tmp_path)], check=True)
    assert np.array_equal(_read(tmp_path, crop, "ves", "whole"), _read(tmp_path, crop, "ves", "killed"))
    assert not marks.exists()


def _lines(folder: Path) -> int:
    found = 0
    for file in folder.glob("*/done.jsonl"):
        try:
            found += file.read_bytes().count(b"\n")
        except OSError:
            continue
    return found


def test_a_preview_of_a_whole_crop_shows_what_process_writes(tmp_path: Path) -> None:
    crop, _ = predicted_crop(tmp_path, 1)
    _process(tmp_path, CORES)
    seen = preview(PreviewRequest("mine/1", "ves", CORES, "y", 20, context=200, data_root=tmp_path))
    assert seen.is_whole
    assert np.array_equal(seen.labels, _read(tmp_path, crop, "ves")[:, 20])
    assert seen.probability.dtype == np.uint8
    assert seen.probability.shape == seen.labels.shape == (60, 90)
    assert [step.words for step in seen.steps] == ["threshold", "cores"]
    assert seen.steps[1].objects == _process(tmp_path, CORES).volumes[0].objects
    thin = preview(PreviewRequest("mine/1", "ves", CORES, context=3, data_root=tmp_path))
    assert not thin.is_whole
    assert thin.index == 30
    assert np.array_equal(thin.labels > 0, _read(tmp_path, crop, "ves")[30] > 0)
    with pytest.raises(DataError):
        preview(PreviewRequest("mine/1", "ves", "[classes.ves]\nsteps = ['nothing']", data_root=tmp_path))


FUNCTION = """
def process_func(x):
    assert tuple(x.shape[:2]) == (1, 1)
    return {body}
"""


def _function(root: Path, body: str, **options: object) -> ProcessResult:
    file = root / "config.py"
    file.write_text(FUNCTION.format(body=body))
    options.setdefault("trust", True)
    return _process(root, recipe=file, **options)


@pytest.mark.parametrize("whole", [True, False])
def test_a_function_of_a_configuration_makes_labels(tmp_path: Path, whole: bool) -> None:
    crop, ids = predicted_crop(tmp_path, 1, (40, 40, 70))
    result = _function(tmp_path, "x > 0.5", whole=whole)
    labels = _read(tmp_path, crop, "ves")
    assert labels.dtype == np.uint8
    assert np.array_equal(labels > 0, as_probability(ids > 0, 1) > 127)
    assert result.volumes[0].kind == "semantic"
    assert _function(tmp_path, "x > 0.5", whole=whole).kept == 1


def test_a_function_that_raises_or_changes_the_shape_is_told_with_its_line(tmp_path: Path) -> None:
    predicted_crop(tmp_path, 1, (40, 40, 70))
    raised = _function(tmp_path, "1 / 0")
    assert raised.exit_code == 1
    assert "ZeroDivisionError" in raised.volumes[0].problem
    assert "line 4" in raised.volumes[0].problem
    assert "returned" in _function(tmp_path, "x[..., 1:]").volumes[0].problem
    assert "no labels" in _function(tmp_path, "(x * 5 - 9).long()").volumes[0].problem
    assert "returned" in _function(tmp_path, "'text'").volumes[0].problem
    assert not (tmp_path / "processed" / "mine.zarr" / "crop1" / "ves").exists()


@pytest.mark.parametrize("body", ["__import__('os')._exit(3)", "__import__('sys').exit(3)"])
def test_a_function_that_would_end_the_program_fails_the_job_in_words(tmp_path: Path, body: str) -> None:
    predicted_crop(tmp_path, 1, (40, 40, 70))
    file = tmp_path / "config.py"
    file.write_text(FUNCTION.format(body=body))
    request = ProcessRequest(crops="all", data_root=tmp_path, state_dir=tmp_path / "state", recipe=file, trust=True)
    run = create_run(tmp_path / "runs", "process", request)
    leave = os._exit
    with pytest.raises(DataError, match=r"exit\(3\) on .*crop1.*line 4"):
        execute(run)
    told = summarise(run)
    assert (told.state, told.exit_code) == ("failed", 1)
    assert "exit(3)" in str(told.message)
    assert os._exit is leave


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_that_a_function_starts_may_end_itself(tmp_path: Path) -> None:
    predicted_crop(tmp_path, 1, (40, 40, 70))
    file = tmp_path / "config.py"
    file.write_text(
        "import os\n\ndef process_func(x):\n    child = os.fork()\n    if not child:\n        os._exit(3)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3\n    return x > 0.5\n"
    )
    assert _process(tmp_path, recipe=file, trust=True).exit_code == 0


def test_a_function_runs_only_where_the_user_allowed_it(tmp_path: Path) -> None:
    predicted_crop(tmp_path, 1, (40, 40, 70))
    with pytest.raises(RefusedError, match="Python code"):
        _function(tmp_path, "x > 0.25", trust=False)


def test_labels_say_how_they_were_made(tmp_path: Path) -> None:
    crop, _ = predicted_crop(tmp_path, 1)
    _process(tmp_path, CORES)
    told = json.loads((tmp_path / "processed" / "mine.zarr" / crop.name / "ves" / ".zattrs").read_bytes())
    assert told["cellmap_tui"]["process"]["recipe"] == "threshold · cores"
    assert told["cellmap_tui"]["process"]["kind"] == "instance"
    assert told["cellmap_tui"]["process"]["objects"] == _read(tmp_path, crop, "ves").max()


def test_vesicles_of_a_few_voxels_are_told_apart_by_the_built_in_recipe(tmp_path: Path) -> None:
    crop = make_crop(tmp_path, 1, ("ves",), (30, 30, 40))
    ids = touching_balls(1, (30, 30, 40), radius=2.0)
    write_prediction(tmp_path, crop, "ves", np.where(ids > 0, 255, 0).astype(np.uint8))
    write_prediction(tmp_path, crop, "ves/core", np.where(core_ids(ids) > 0, 255, 0).astype(np.uint8))
    _process(tmp_path)
    assert _f1(ids, _read(tmp_path, crop, "ves")) > 0.98
    coarse = "[classes.ves]\nsteps = ['threshold', { step = 'cores', min_seed_voxels = 20 }]"
    _process(tmp_path, coarse, overwrite=True)
    assert _f1(ids, _read(tmp_path, crop, "ves")) < 0.95
