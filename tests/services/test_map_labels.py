"""Labels of crops and volumes of one's own, turned into targets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_path
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RefusedError, RequestError, Stopped
from cellmap_tui.services import import_place
from cellmap_tui.services.map_labels import map_labels, plan_map_labels
from cellmap_tui.services.map_labels_model import MapLabelsRequest
from cellmap_tui.services.models import from_json, to_json
from cellmap_tui.services.plan_words import plan_lines
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes import known_labels
from cellmap_tui.volumes.annotation import read_annotation
from cellmap_tui.volumes.ngff import open_multiscale
from cellmap_tui.volumes.write import write_multiscale

GRID = Grid((8.0, 8.0, 8.0), (100.0, 200.0, 300.0), (12, 20, 24))
CLASSES = ("mito", "er_mem", "er_lum", "ecs")


class Listener(SilentReporter):
    """Keeps what it is told."""

    def __init__(self):
        self.warnings, self.steps, self.artefacts = [], [], []

    def warning(self, message):
        self.warnings.append(message)

    def progress(self, done, total, unit):
        self.steps.append((done, total, unit))

    def artefact(self, path, kind):
        self.artefacts.append((path, kind))


def write(path, values, **attributes):
    write_multiscale(path, values, GRID, kind="label", attributes={"cellmap_tui": attributes} if attributes else None)


@pytest.fixture
def arrays():
    """A crop: two mitochondria that touch by a neck, ER, extracellular space."""
    blank = np.zeros(GRID.shape, np.uint8)
    mito, er_mem, er_lum, ecs = (blank.copy() for _ in CLASSES)
    mito[2:6, 2:8, 2:8], mito[2:6, 8:14, 2:8] = 1, 2
    mito[2:6, 7:9] = 0
    mito[3:5, 7, 4:6], mito[3:5, 8, 4:6] = 1, 2
    er_mem[8], er_lum[9], ecs[11] = 1, 1, 1
    ids = blank.copy()
    ids[mito > 0], ids[8], ids[9], ids[11], ids[10, 0, 0] = 50, 16, 17, 1, 99
    return {"mito": mito, "er_mem": er_mem, "er_lum": er_lum, "ecs": ecs, "all": ids}


@pytest.fixture
def root(tmp_path, arrays):
    data_root = tmp_path / "data"
    crops = [Crop(number, "cell-1", "train", GRID, CLASSES, source="import") for number in (8001, 8002)]
    crops.append(Crop(8003, "cell-1", "train", GRID, ("er_mem",), source="import"))
    for crop in crops:
        for name in (*crop.classes, *(["all"] if crop.id == 8001 else [])):
            kind = {"kind": "instance"} if name == "mito" else {}
            write(data_root / crop_path(crop) / name, arrays[name], **kind)
    add_local_crops(data_root, crops)
    return data_root


def request(root, text=None, **options):
    if text is not None:
        options["targets"] = root.parent / "targets.toml"
        options["targets"].write_text(text, encoding="utf-8")
    return MapLabelsRequest(root, output=options.pop("output", str(root.parent / "out")), **options)


def stored(root, target, crop=8001, folder="out"):
    volume = open_multiscale(root.parent / folder / "cell-1.zarr" / f"crop{crop}" / target)
    from cellmap_tui.volumes.arrays import open_level

    return open_level(volume.finest)[...], volume


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def row(result, target, crop=8001):
    return next(v for v in result.volumes if v.target == target and v.crop == f"cell-1/crop{crop}")


def test_each_target_becomes_a_group_with_its_place_and_its_unknown_value(root, arrays):
    listener = Listener()
    result = map_labels(request(root, '[targets]\ner = ["er_mem", "er_lum"]\nmito = ["mito"]'), listener)
    values, volume = stored(root, "er")
    assert (values == (arrays["er_mem"] | arrays["er_lum"])).all()
    assert volume.finest.grid == GRID
    assert read_annotation(volume).unknown_value == 255
    values, volume = stored(root, "mito")
    assert (values == arrays["mito"]).all()
    assert read_annotation(volume).is_instance
    assert row(result, "mito").objects == 2
    assert row(result, "er").present_voxels == 2 * 20 * 24
    assert result.exit_code == 0
    assert listener.steps[-1][0] == listener.steps[-1][1]
    assert len(listener.artefacts) == 5
    assert from_json(to_json(result), type(result), source="result") == result


def test_what_is_not_annotated_is_unknown_or_left_out(root):
    result = map_labels(request(root, '[targets]\ner = ["er_mem", "er_lum"]\nmito = ["mito"]'), SilentReporter())
    assert row(result, "mito", 8003).state == "unannotated"
    assert row(result, "er", 8003).unknown_voxels == 11 * 20 * 24
    values, _ = stored(root, "er", 8003)
    assert set(np.unique(values)) == {1, 255}


def test_ids_in_no_target_are_listed_with_counts_and_those_without_meaning_first(root):
    listener = Listener()
    result = map_labels(request(root, classes=("mito",), crops="8001"), listener)
    assert [(one.id, one.name, one.voxels) for one in result.unmapped] == [
        (99, None, 1),
        (1, "ecs", 479 + 1),
        (16, "er_mem", 480),
        (17, "er_lum", 480),
    ]
    assert listener.warnings[0].startswith("1 id in 1 volume without a meaning, unknown in every target: 99 1 voxel")
    assert "in no target: ecs (1) 480 voxels" in listener.warnings[1]


def test_without_an_array_of_ids_classes_in_no_target_are_listed_without_counts(root):
    result = map_labels(request(root, classes=("mito",), crops="8002"), SilentReporter())
    assert {(one.name, one.voxels) for one in result.unmapped} == {("er_mem", None), ("er_lum", None), ("ecs", None)}


def test_ids_and_class_arrays_give_the_same_masks(root):
    text = '[targets]\ner = ["er_mem", "er_lum"]\nm = { classes = ["mito"], kind = "semantic" }'
    map_labels(request(root, text, crops="8001", origin="classes"), SilentReporter())
    map_labels(request(root, text, crops="8001", origin="all", output=str(root.parent / "ids")), SilentReporter())
    for target in ("er", "m"):
        one, other = stored(root, target)[0], stored(root, target, folder="ids")[0]
        one[10, 0, 0] = other[10, 0, 0]  # an id without a meaning is unknown where ids are read
        assert (one == other).all()


def test_objects_become_masks_and_masks_objects(root, arrays):
    map_labels(request(root, classes=("mito",), crops="8001", kind="semantic"), SilentReporter())
    assert (stored(root, "mito")[0] == (arrays["mito"] > 0)).all()
    options = {"crops": "8001", "kind": "instance", "origin": "all"}
    joined = map_labels(request(root, classes=("mito",), **options, overwrite=True), SilentReporter())
    assert row(joined, "mito").objects == 1
    cut = map_labels(
        request(root, classes=("mito",), **options, method="watershed", seed_distance_nm=24.0, overwrite=True),
        SilentReporter(),
    )
    assert row(cut, "mito").objects == 2
    assert row(cut, "mito").memory_bytes > GRID.voxels


def test_a_watershed_that_does_not_fit_into_memory_is_refused_before_anything_is_written(root):
    wanted = request(root, classes=("ecs", "mito"), crops="8001", kind="instance", origin="all", method="watershed")
    with pytest.raises(RefusedError, match="a watershed of ecs needs"):
        map_labels(MapLabelsRequest(**{**as_options(wanted), "memory_bytes": 1000}), SilentReporter())
    assert not (root.parent / "out").exists()


def as_options(wanted):
    return {name: getattr(wanted, name) for name in wanted.__slots__}


def test_one_volume_holds_the_ids_of_all_targets(root, arrays):
    text = '[targets]\nmito = { classes = ["mito"], id = 5 }\ner = ["er_mem", "er_lum"]'
    result = map_labels(request(root, text, crops="8001,8003", combined=True, separate=False), SilentReporter())
    values, volume = stored(root, "combined")
    expected = np.where(arrays["mito"] > 0, 5, 2 * (arrays["er_mem"] | arrays["er_lum"]))
    assert (values == expected).all()
    assert read_annotation(volume).unknown_value == 255
    assert {v.target for v in result.volumes} == {"combined"}
    values, _ = stored(root, "combined", 8003)
    assert set(np.unique(values)) == {2, 255}


def test_targets_that_overlap_are_not_combined(root, arrays):
    text = '[targets]\nmito = ["mito"]\nother = ["mito_mem"]'
    with pytest.raises(RequestError, match="'mito' and 'other' overlap: mito and mito_mem share ids"):
        map_labels(request(root, text, combined=True, separate=False), SilentReporter())
    folder = root / crop_path(Crop(8002, "cell-1", "train", GRID, CLASSES))
    write(folder / "ecs.new", arrays["er_mem"])
    (folder / "ecs").rename(folder / "ecs.old")
    (folder / "ecs.new").rename(folder / "ecs")
    with pytest.raises(RequestError, match="cell-1/crop8002: targets 'ecs' and 'er_mem' overlap"):
        map_labels(
            request(root, classes=("ecs", "er_mem"), crops="8002", combined=True, separate=False), SilentReporter()
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[targets]\na = ["mito"]\nb = ["mito"]', "class 'mito' is in 'a' and in 'b'"),
        ('[targets]\na = ["mitt"]', "no class is called 'mitt'"),
        ("[targets]\na = []", "target 'a' has no classes"),
        ('[targets]\na = ["99"]', "no class has the id 99"),
        ("", "no targets"),
    ],
)
def test_a_wrong_file_of_targets_is_a_wrong_request(root, text, words):
    with pytest.raises(RequestError, match=words):
        map_labels(request(root, text), SilentReporter())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no targets are named"),
        ({"classes": ("mito",), "targets": "t"}, "contradict"),
        ({"classes": ("mito",), "output": "o/{crops}"}, "{crops} means nothing"),
        ({"classes": ("mito",), "output": "o/{crop"}, "means nothing"),
        ({"classes": ("mito",), "voxel_size_nm": (8.0, 8.0, 8.0)}, "--voxel-size is about an input"),
        ({"classes": ("mito",), "input": "a.tif"}, "a place to write"),
        ({"classes": ("mito",), "input": "a.tif", "output": "{crop}"}, "no {dataset}"),
        ({"classes": ("mito",), "input": "a", "output": "o", "crops": "1"}, "--input and --crops"),
        ({"classes": ("mito",), "input": "a", "output": "o", "labels": {"mito": 0}}, "not an id"),
        ({"classes": ("mito",), "seed_distance_nm": -1.0}, "seed distance"),
        ({"classes": ("mito",), "separate": False}, "nothing to write"),
    ],
)
def test_options_that_contradict_each_other_are_a_wrong_request(tmp_path, options, words):
    with pytest.raises(RequestError, match=words.replace("{", r"\{")):
        MapLabelsRequest(tmp_path, **options)


def test_crops_that_would_share_a_folder_are_a_wrong_request(root):
    with pytest.raises(RequestError, match="would both be written to"):
        map_labels(request(root, classes=("mito",), output=str(root.parent / "{dataset}")), SilentReporter())


def test_missing_arrays_are_told_and_the_rest_is_written(root):
    folder = root / crop_path(Crop(8002, "cell-1", "train", GRID, CLASSES))
    (folder / "mito").rename(folder / "gone")
    listener = Listener()
    result = map_labels(request(root, classes=("mito",), crops="8001,8002"), listener)
    assert (row(result, "mito").state, row(result, "mito", 8002).state) == ("written", "missing")
    assert "mito is annotated, and its array is not on disk" in row(result, "mito", 8002).reason
    assert result.exit_code == 1
    assert any("cell-1/crop8002/mito" in words for words in listener.warnings)
    with pytest.raises(MissingDataError, match="cell-1/crop8002: mito is annotated"):
        map_labels(request(root, classes=("mito",), crops="8002"), SilentReporter())


def test_a_broken_chunk_fails_its_volume_alone(root):
    folder = root / crop_path(Crop(8002, "cell-1", "train", GRID, CLASSES)) / "mito" / "s0"
    chunk = next(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    chunk.write_bytes(b"x")
    result = map_labels(request(root, classes=("mito",), crops="8001,8002"), SilentReporter())
    assert (row(result, "mito").state, row(result, "mito", 8002).state) == ("written", "failed")
    assert str(chunk) in row(result, "mito", 8002).reason
    assert not (root.parent / "out" / "cell-1.zarr" / "crop8002" / "mito").exists()


def test_what_is_there_from_the_same_labels_is_kept_and_anything_else_is_refused(root):
    first = map_labels(request(root, classes=("mito",)), SilentReporter())
    before = tree(root.parent / "out")
    again = map_labels(request(root, classes=("mito",)), SilentReporter())
    assert {v.state for v in again.volumes} == {"kept", "unannotated"}
    assert row(again, "mito").objects == row(first, "mito").objects == 2
    assert tree(root.parent / "out") == before
    with pytest.raises(RefusedError, match="was mapped from other labels or otherwise") as refused:
        map_labels(request(root, classes=("mito",), kind="semantic"), SilentReporter())
    assert "--overwrite" in refused.value.remedy
    changed = map_labels(request(root, classes=("mito",), kind="semantic", overwrite=True), SilentReporter())
    assert row(changed, "mito").state == "written"


def test_another_order_of_targets_changes_nothing_but_combined_ids(root):
    options = {"crops": "8001", "combined": True}
    map_labels(request(root, '[targets]\na = ["mito"]\nb = ["ecs"]', **options), SilentReporter())
    again = map_labels(
        request(root, '[targets]\nb = ["ecs"]\na = ["mito"]', **options, overwrite=True), SilentReporter()
    )
    assert {v.target: v.state for v in again.volumes} == {"a": "kept", "b": "kept", "combined": "written"}


def test_labels_that_changed_are_mapped_anew(root, arrays):
    map_labels(request(root, classes=("ecs",), crops="8002"), SilentReporter())
    folder = root / crop_path(Crop(8002, "cell-1", "train", GRID, CLASSES))
    write_multiscale(folder / "ecs", arrays["er_lum"], GRID, kind="label", overwrite=True)
    with pytest.raises(RefusedError):
        map_labels(request(root, classes=("ecs",), crops="8002"), SilentReporter())
    map_labels(request(root, classes=("ecs",), crops="8002", overwrite=True), SilentReporter())
    assert (stored(root, "ecs", 8002)[0] == arrays["er_lum"]).all()


def test_nothing_that_it_did_not_write_is_replaced(root):
    write(root.parent / "out" / "cell-1.zarr" / "crop8001" / "mito", np.ones(GRID.shape, np.uint8))
    with pytest.raises(RefusedError, match="was not written by map-labels"):
        map_labels(request(root, classes=("mito",), overwrite=True), SilentReporter())
    truth = str(root / "{dataset}/{dataset}.zarr/recon-1/labels/groundtruth/{crop}")
    with pytest.raises(RefusedError, match="the folder of the ground truth"):
        map_labels(request(root, classes=("cell", "mito"), output=truth, overwrite=True), SilentReporter())
    for store in ("{dataset}/{dataset}.zarr/mapped/{crop}", "cell-1/x/../cell-1.zarr"):
        with pytest.raises(RefusedError, match="inside a store of the challenge data"):
            map_labels(request(root, classes=("mito",), output=str(root / store)), SilentReporter())


def test_a_plan_writes_nothing_and_says_what_is_in_the_way(root):
    wanted = request(root, classes=("mito",), dry_run=True)
    result = map_labels(wanted, SilentReporter())
    assert result.dry_run
    assert {v.state for v in result.volumes} == {"planned", "unannotated"}
    assert not (root.parent / "out").exists()
    map_labels(request(root, classes=("mito",)), SilentReporter())
    plan = plan_map_labels(request(root, classes=("mito",), kind="semantic"), SilentReporter())
    assert any("--overwrite replaces it" in words for words in plan.warnings)
    assert any("2 to write" in line for line in plan_lines("map-labels", request(root, classes=("ecs",))))


def test_a_disk_that_is_too_small_is_refused(root, monkeypatch):
    monkeypatch.setattr(import_place, "free_bytes", lambda _: 10)
    with pytest.raises(RefusedError, match="needs up to"):
        map_labels(request(root, classes=("mito",)), SilentReporter())
    assert map_labels(request(root, classes=("mito",), ignore_disk=True), SilentReporter()).exit_code == 0


class StopAfter(SilentReporter):
    """Asks to stop once a volume is there."""

    def __init__(self):
        self._is_near = False

    def artefact(self, _path, _kind):
        self._is_near = True

    def checkpoint(self):
        if self._is_near:
            raise Stopped("asked for")


def test_a_mapping_that_was_stopped_goes_on_where_it_was(root):
    wanted = request(root, classes=CLASSES)
    with pytest.raises(Stopped):
        map_labels(wanted, StopAfter())
    result = map_labels(wanted, SilentReporter())
    assert sorted(v.state for v in result.volumes).count("kept") == 1
    map_labels(request(root, classes=CLASSES, output=str(root.parent / "whole")), SilentReporter())
    assert tree(root.parent / "out") == tree(root.parent / "whole")


KILLED = """
import os, signal, sys
from pathlib import Path
from cellmap_tui.services.map_labels import map_labels
from cellmap_tui.services.map_labels_model import MapLabelsRequest
from cellmap_tui.services.report import SilentReporter

class Killer(SilentReporter):
    left = int(sys.argv[3])
    def checkpoint(self):
        Killer.left -= 1
        if Killer.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

map_labels(MapLabelsRequest(Path(sys.argv[1]), classes=("mito", "er", "ecs"), output=sys.argv[2]), Killer())
"""


@pytest.mark.slow
@pytest.mark.parametrize("steps", [7, 12, 19])
def test_a_mapping_that_was_killed_ends_with_the_same_bytes(root, steps):
    out = root.parent / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, str(root), str(out), str(steps)], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    for path in out.rglob("crop*/*"):
        assert path.name.startswith(".") or (path / ".zattrs").is_file()
    map_labels(request(root, classes=("mito", "er", "ecs")), SilentReporter())
    map_labels(request(root, classes=("mito", "er", "ecs"), output=str(root.parent / "whole")), SilentReporter())
    assert tree(out) == tree(root.parent / "whole")
    assert not list(out.rglob("*.partial"))


@pytest.fixture
def stack(tmp_path):
    values = np.zeros((10, 12, 14), np.uint16)
    values[1:4, 1:5, 1:5], values[6:9, 6:10, 6:10], values[0], values[9, 0, 0] = 3, 900, 65_000, 41
    tifffile.imwrite(tmp_path / "own.tif", values)
    return tmp_path / "own.tif", values


def own(stack, **options):
    path, _ = stack
    return MapLabelsRequest(
        path.parent, input=str(path), output=str(path.parent / "o.zarr"), voxel_size_nm=(9.0, 4.0, 4.0), **options
    )


def own_values(stack, target):
    from cellmap_tui.volumes.arrays import open_level

    return open_level(open_multiscale(stack[0].parent / "o.zarr" / target).finest)[...]


def test_ids_of_ones_own_get_names_and_what_has_none_is_unknown(stack):
    result = map_labels(
        own(stack, labels={"axon": 3, "glia": 900}, classes=("axon", "glia"), unknown_value=65_000), SilentReporter()
    )
    values = own_values(stack, "axon")
    assert (values[1:9] == (stack[1][1:9] == 3)).all()
    assert (values[0] == 255).all()
    assert values[9, 0, 0] == 255
    assert [(one.id, one.name, one.voxels) for one in result.unmapped] == [(41, None, 1)]


def test_object_ids_of_ones_own_become_a_mask_and_stay_ids(stack):
    options = {"input_class": "mito", "unknown_value": 65_000}
    kept = map_labels(own(stack, **options), SilentReporter())
    values = own_values(stack, "mito")
    assert values.dtype == np.uint16
    assert (values[1:] == stack[1][1:]).all()
    assert (values[0] == 65_535).all()
    assert kept.volumes[0].objects == 3
    map_labels(own(stack, **options, kind="semantic", overwrite=True), SilentReporter())
    assert (own_values(stack, "mito")[1:] == (stack[1][1:] > 0)).all()


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        (np.full((3, 4, 5), 0.5), DataError, "fractions or NaN"),
        (np.full((3, 4, 5), np.nan), DataError, "fractions or NaN"),
        (np.full((3, 4, 5), -2, np.int16), DataError, "--unknown -2"),
    ],
)
def test_a_volume_that_holds_no_labels_is_refused(tmp_path, values, error, words):
    np.save(tmp_path / "a.npy", values)
    wanted = MapLabelsRequest(
        tmp_path, input=str(tmp_path / "a.npy"), output=str(tmp_path / "o"), classes=("pm",), voxel_size_nm=(8, 8, 8)
    )
    with pytest.raises(error) as raised:
        map_labels(wanted, SilentReporter())
    assert words in str(raised.value)


def test_a_volume_without_a_voxel_size_or_that_is_not_there_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 5), np.uint8))
    for name, words in (
        ("a.npy", "does not declare its voxel size"),
        ("b.npy", "does not exist"),
        ("c.nii", "exist"),
    ):
        with pytest.raises(CellmapError, match=words):
            map_labels(
                MapLabelsRequest(tmp_path, input=str(tmp_path / name), output=str(tmp_path / "o"), classes=("pm",)),
                SilentReporter(),
            )


def test_a_mapped_volume_is_mapped_again_with_its_unknown_value(root):
    map_labels(request(root, classes=("er_lum", "er_mem"), crops="8001,8003"), SilentReporter())
    path = root.parent / "out" / "cell-1.zarr" / "crop8003" / "er_mem"
    attributes = json.loads((path / ".zattrs").read_text())["cellmap_tui"]
    assert (attributes["kind"], attributes["unknown_value"]) == ("binary", 255)
    assert attributes["map_labels"]["targets"] == [{"name": "er_mem", "classes": ["er_mem"], "kind": "semantic"}]
    again = MapLabelsRequest(root, input=str(path), input_class="er_mem", output=str(root.parent / "again.zarr"))
    result = map_labels(again, SilentReporter())
    assert result.volumes[0].unknown_voxels == 0
    assert os.path.isabs(again.input)  # noqa: PTH117 - a text, not a path


def test_ids_are_counted_once_and_again_when_their_files_change(root, monkeypatch):
    looked = []
    count = known_labels.count_ids
    monkeypatch.setattr(known_labels, "count_ids", lambda *given: looked.append(1) or count(*given))
    wanted = request(root, classes=("mito",), crops="8001", dry_run=True, state_dir=root.parent / "state")
    first = map_labels(wanted, SilentReporter())
    assert map_labels(wanted, SilentReporter()).unmapped == first.unmapped
    assert len(looked) == 1
    for file in (root.parent / "state").rglob("*.json"):
        file.write_text("[")
    assert map_labels(wanted, SilentReporter()).unmapped == first.unmapped
    ids = root / crop_path(Crop(8001, "cell-1", "train", GRID, CLASSES)) / "all"
    write_multiscale(ids, np.full(GRID.shape, 2, np.uint8), GRID, kind="label", overwrite=True)
    assert [one.name for one in map_labels(wanted, SilentReporter()).unmapped] == ["pm"]
    assert len(looked) == 3
