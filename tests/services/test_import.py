"""Importing stacks of one's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from cellmap_tui.challenge.catalog import load_catalog
from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import local_share
from cellmap_tui.challenge.local import add_local_crops, read_local_crops
from cellmap_tui.errors import CellmapError, MissingDataError, RefusedError, RequestError, Stopped, UnknownNameError
from cellmap_tui.services.import_data import ImportRequest, import_data, plan_import
from cellmap_tui.services.models import from_json, to_json
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes.ngff import open_multiscale
from cellmap_tui.volumes.write import write_multiscale

SHAPE = (12, 70, 66)
VOXEL = (50.0, 4.0, 4.0)


class Listener(SilentReporter):
    """Keeps what it is told."""

    def __init__(self):
        self.heard = []
        self.steps = []

    def note(self, message):
        self.heard.append(message)

    def warning(self, message):
        self.heard.append(message)

    def progress(self, done, total, unit):
        self.steps.append((done, total, unit))


class StopAt(SilentReporter):
    """Asks to stop when the group of that name is reached."""

    def __init__(self, after: str):
        self._after = after
        self._is_near = False

    def artefact(self, path, _kind):
        self._is_near |= path.name == self._after

    def checkpoint(self):
        if self._is_near:
            raise Stopped("stopped")


@pytest.fixture
def em(tmp_path: Path):
    data = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "em.tif", data)
    return data


@pytest.fixture
def mask(tmp_path: Path):
    data = np.zeros(SHAPE, np.uint8)
    data[2:8, 10:40, 20:60] = 255
    tifffile.imwrite(tmp_path / "mask.tif", data)
    return data


@pytest.fixture
def request_of(tmp_path: Path, em, mask):
    def make(**options) -> ImportRequest:
        values = {
            "data_root": tmp_path / "root",
            "dataset": "mine",
            "raw": str(tmp_path / "em.tif"),
            "labels": {"pm": str(tmp_path / "mask.tif")},
            "voxel_size_nm": VOXEL,
        }
        return ImportRequest(**{**values, **options})

    return make


def run(request, report=None):
    return import_data(request, report or SilentReporter())


def group(request, name, crop=1):
    store = request.data_root / request.dataset / f"{request.dataset}.zarr" / "recon-1"
    return store / ("em/fibsem-uint8" if name == "em" else f"labels/groundtruth/crop{crop}/{name}")


def voxels(path, level="s0"):
    return zarr.open_array(str(path / level), mode="r")[...]


def own_attributes(path):
    return json.loads((path / ".zattrs").read_text())["cellmap_tui"]


def test_em_and_labels_arrive_unchanged_at_the_places_of_the_challenge(request_of, em, mask):
    request = request_of(translation_nm=(100, 20, 30))
    result = run(request)
    np.testing.assert_array_equal(voxels(group(request, "em")), em)
    np.testing.assert_array_equal(voxels(group(request, "pm")), mask // 255)
    for name in ("em", "pm"):
        grid = open_multiscale(group(request, name)).finest.grid
        assert grid == Grid(VOXEL, (100, 20, 30), SHAPE)
    assert result.ref == "mine/crop1"
    assert result.classes == ("pm",)
    assert [(a.name, a.kind, a.state, a.levels) for a in result.arrays] == [
        ("em", "em", "written", 2),
        ("pm", "binary", "written", 2),
    ]
    assert result.size_bytes == sum(a.size_bytes for a in result.arrays) > 0
    assert "pm: value 255 became 1" in result.notes


def test_the_crop_is_found_like_any_other(request_of):
    request = request_of()
    run(request)
    catalog = load_catalog(data_root=request.data_root)
    crop = catalog.find("mine/crop1")
    assert crop.source == "import"
    assert crop.grid.voxel_size_nm == VOXEL
    assert crop in catalog.select("source:import pm voxel<=50")
    assert local_share(request.data_root, crop) == 1


def test_every_folder_above_is_a_zarr_group(request_of):
    request = request_of()
    run(request)
    tree = zarr.open_group(str(request.data_root / "mine" / "mine.zarr"), mode="r")
    assert tree["recon-1/em/fibsem-uint8/s1"].shape == (6, 35, 33)
    assert tree["recon-1/labels/groundtruth/crop1/pm/s0"].shape == SHAPE


@pytest.mark.parametrize("as_box", [True, False])
def test_a_box_becomes_a_crop_from_labels_of_the_whole_or_of_the_box(tmp_path, request_of, mask, as_box):
    box = (2, 10, 5, 45, 15, 65)
    cut = mask[2:10, 5:45, 15:65]
    np.save(tmp_path / "cut.npy", cut if as_box else mask)
    request = request_of(labels={"pm": str(tmp_path / "cut.npy")}, box=box, axes="zyx")
    result = run(request)
    np.testing.assert_array_equal(voxels(group(request, "pm")), cut // 255)
    assert result.shape == (8, 40, 50)
    assert result.translation_nm == (100, 20, 60)
    assert open_multiscale(group(request, "pm")).finest.grid.translation_nm == (100, 20, 60)


def test_labels_at_another_voxel_size_cover_the_same_box(tmp_path, request_of):
    np.save(tmp_path / "coarse.npy", np.ones((6, 35, 33), np.uint8))
    request = request_of(labels={"pm": str(tmp_path / "coarse.npy")}, label_voxel_size_nm=(100, 8, 8), axes="zyx")
    result = run(request)
    grid = open_multiscale(group(request, "pm")).finest.grid
    assert grid == Grid((100, 8, 8), (25, 2, 2), (6, 35, 33))
    assert result.voxel_size_nm == (100, 8, 8)
    crop = read_local_crops(request.data_root)[0]
    assert crop.grid == grid


def test_a_second_crop_needs_no_em_again(request_of, mask):
    run(request_of())
    before = (group(request_of(), "em") / ".zattrs").stat().st_mtime_ns
    request = request_of(raw=None, voxel_size_nm=None, crop=2, box=(0, 4, 0, 30, 0, 30))
    run(request)
    assert [crop.ref for crop in read_local_crops(request.data_root)] == ["mine/crop1", "mine/crop2"]
    assert (group(request, "em") / ".zattrs").stat().st_mtime_ns == before
    np.testing.assert_array_equal(voxels(group(request, "pm", 2)), mask[:4, :30, :30] // 255)


def test_the_same_em_given_again_is_not_written_again(request_of):
    run(request_of())
    before = (group(request_of(), "em") / ".zattrs").stat().st_mtime_ns
    result = run(request_of(crop=2))
    assert (group(request_of(), "em") / ".zattrs").stat().st_mtime_ns == before
    assert result.arrays[0].state == "kept"


def test_hdf5_and_zarr_stacks_are_imported_too(tmp_path, request_of, em, mask):
    with h5py.File(tmp_path / "both.h5", "w") as file:
        file["raw"] = em
        file["labels"] = mask
    zarr.create_array(str(tmp_path / "mask.zarr"), data=mask, chunks=(4, 32, 32))
    request = request_of(
        raw=f"{tmp_path}/both.h5:/raw",
        labels={"pm": f"{tmp_path}/both.h5:/labels", "mito_mem": f"{tmp_path}/mask.zarr"},
        axes="zyx",
    )
    run(request)
    np.testing.assert_array_equal(voxels(group(request, "em")), em)
    np.testing.assert_array_equal(voxels(group(request, "mito_mem")), mask // 255)


def test_wide_em_is_scaled_and_the_scaling_is_kept(tmp_path, request_of, em):
    tifffile.imwrite(tmp_path / "wide.tif", em.astype(np.uint16) * 100 + 1000)
    request = request_of(raw=str(tmp_path / "wide.tif"), scaling="full")
    result = run(request)
    np.testing.assert_array_equal(voxels(group(request, "em")), em)
    assert any("1000 to 26500" in note for note in result.notes)
    greys = own_attributes(group(request, "em"))["import"]["greys"]
    assert (greys["how"], greys["low"], greys["high"]) == ("full", 1000, 26500)


def test_the_voxel_size_comes_from_the_file_where_it_is_declared(tmp_path, request_of, em):
    tifffile.imwrite(
        tmp_path / "ij.tif", em, imagej=True, resolution=(250, 250),
        metadata={"axes": "ZYX", "spacing": 0.03, "unit": "um"},
    )  # fmt: skip
    result = run(request_of(raw=str(tmp_path / "ij.tif"), voxel_size_nm=None))
    assert result.voxel_size_nm == (30, 4, 4)
    assert any("as the file declares" in note for note in result.notes)


def test_a_declared_voxel_size_gives_way_to_the_one_that_is_asked_for(tmp_path, request_of, em):
    metadata = {"axes": "ZYX", "spacing": 0.03, "unit": "um"}
    tifffile.imwrite(tmp_path / "ij.tif", em, imagej=True, resolution=(250, 250), metadata=metadata)
    result = run(request_of(raw=str(tmp_path / "ij.tif")))
    assert result.voxel_size_nm == VOXEL
    assert any("declares 30×4×4 nm" in note for note in result.notes)


def test_object_ids_are_kept_for_classes_that_are_scored_by_object(tmp_path, request_of):
    ids = np.zeros(SHAPE, np.uint32)
    ids[2:4, 5:9, 5:9], ids[5:7, 20:30, 20:30] = 7, 70_000
    np.save(tmp_path / "ids.npy", ids)
    request = request_of(labels={"mito": str(tmp_path / "ids.npy")}, axes="zyx")
    result = run(request)
    assert result.arrays[1].kind == "instance"
    np.testing.assert_array_equal(voxels(group(request, "mito")), ids)


def test_unknown_voxels_are_stored_apart_and_declared(tmp_path, request_of):
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, :20], labels[:, 30:] = 1, 255
    np.save(tmp_path / "labels.npy", labels)
    request = request_of(labels={"pm": str(tmp_path / "labels.npy")}, unknown_value=255, axes="zyx")
    result = run(request)
    assert result.arrays[1].unknown_value == 255
    assert own_attributes(group(request, "pm"))["unknown_value"] == 255
    np.testing.assert_array_equal(voxels(group(request, "pm")), labels)


def test_all_ids_has_the_id_of_each_atomic_class(tmp_path, request_of, mask):
    other = np.zeros(SHAPE, np.uint8)
    other[6:12, 10:40, 20:60] = 1
    other[0, 0, 0] = 9
    np.save(tmp_path / "other.npy", other)
    labels = {"pm": str(tmp_path / "mask.tif"), "mito_mem": str(tmp_path / "other.npy")}
    request = request_of(labels=labels, unknown_values={"mito_mem": 9}, axes="zyx")
    result = run(request)
    catalog = load_catalog(data_root=request.data_root)
    pm, mito_mem = catalog.classes.get("pm").id, catalog.classes.get("mito_mem").id
    expected = np.where(mask > 0, pm, 0)
    expected[other == 1] = mito_mem
    expected[0, 0, 0] = 255
    np.testing.assert_array_equal(voxels(group(request, "all")), expected)
    assert any("overlap in 2 400 voxels" in warning for warning in result.warnings)
    assert read_local_crops(request.data_root)[0].classes == ("pm", "mito_mem")


def test_an_alias_is_stored_under_the_name_of_its_class(request_of, tmp_path):
    catalog = load_catalog()
    info = next(info for info in catalog.classes if info.aliases)
    request = request_of(labels={info.aliases[0]: str(tmp_path / "mask.tif")})
    assert run(request).classes == (info.name,)


def test_em_alone_becomes_a_crop_that_may_be_given_labels_later(request_of):
    result = run(request_of(labels={}))
    assert result.classes == ()
    assert run(request_of(raw=None)).classes == ("pm",)
    with pytest.raises(RefusedError, match="imported already"):
        run(request_of(labels={}))


def test_the_plan_says_what_would_be_written_and_writes_nothing(request_of):
    request = request_of()
    plan = plan_import(request)
    assert [(a.name, a.state) for a in plan.arrays] == [("em", "planned"), ("pm", "planned")]
    assert plan.needed_bytes > np.prod(SHAPE)
    result = run(request_of(dry_run=True))
    assert result.dry_run
    assert result.size_bytes == 0
    assert not request.data_root.exists()


def test_progress_reaches_its_end(request_of):
    listener = Listener()
    run(request_of(), listener)
    done, total, unit = listener.steps[-1]
    assert (done, unit) == (total, "voxels")
    assert total == 3 * np.prod(SHAPE)


def test_request_and_result_survive_json(request_of):
    request = request_of(unknown_values={"pm": 3}, box=(0, 12, 0, 70, 0, 66))
    assert from_json(to_json(request), ImportRequest, source="test") == request
    assert json.loads(to_json(run(request)))["arrays"][0]["shape"] == list(SHAPE)


def test_relative_paths_are_those_of_the_current_folder(tmp_path, request_of, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = request_of(raw="em.tif", labels={"pm": "mask.tif"})
    assert request.raw == str(tmp_path / "em.tif")
    assert request.labels == {"pm": str(tmp_path / "mask.tif")}


def test_labels_of_one_s_own_join_a_fetched_dataset_under_a_free_number(request_of, em):
    options = {"dataset": "jrc_hela-2", "raw": None, "voxel_size_nm": None}
    published = load_catalog().select("dataset:jrc_hela-2")[0]
    em_group = group(request_of(**options), "em")
    write_multiscale(em_group, em, Grid((4, 4, 4), (0, 0, 0), SHAPE))
    assert "crop of the challenge" in refused(lambda: request_of(**options, crop=published.id), RefusedError)
    assert run(request_of(**options, crop=999_999)).ref == "jrc_hela-2/crop999999"


def refused(make, kind=CellmapError):
    with pytest.raises(kind) as caught:
        run(make())
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"dataset": "../mine"}, RequestError, "cannot be a folder name"),
        ({"labels": {"mitto": "mask.tif"}}, UnknownNameError, "did you mean"),
        ({"labels": {"all": "mask.tif"}}, UnknownNameError, "no class is called 'all'"),
        ({"raw": None, "labels": {}}, RequestError, "nothing to import"),
        ({"raw": None}, MissingDataError, "--raw"),
        ({"crop": 0}, RequestError, "not a crop number"),
        ({"voxel_size_nm": None}, RequestError, "--voxel-size 50 4 4"),
        ({"voxel_size_nm": (0, 4, 4)}, RequestError, "positive"),
        ({"box": (0, 13, 0, 70, 0, 66)}, RequestError, "12 voxels along z"),
        ({"box": (0, 4, 9, 9, 0, 66)}, RequestError, "box y 9 to 9"),
        ({"kinds": {"mito": "binary"}}, RequestError, "--as mito"),
        ({"labels": {"pm": "nowhere.tif"}}, MissingDataError, "does not exist"),
        ({"label_voxel_size_nm": (50, 8, 8)}, RequestError, "--label-voxel-size"),
        ({"axes": "zzy"}, RequestError, "order of z, y and x"),
        ({"dataset": "jrc_hela-2"}, RefusedError, "dataset of the challenge"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_written(
    tmp_path, request_of, monkeypatch, options, kind, words
):
    monkeypatch.chdir(tmp_path)
    assert words in refused(lambda: request_of(**options), kind)
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros((12, 70, 65), np.uint8), "12×70×65 voxels (z, y, x); the EM has 12×70×66"),
        (np.zeros((6, 30, 30), np.uint8), "--box"),
        (np.zeros((66, 70, 12), np.uint8), "--axes"),
        (np.full(SHAPE, 0.5, np.float32), "threshold it first"),
        (np.full(SHAPE, -1, np.int8), "--unknown pm=-1"),
        (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 5, "--as pm=instance"),
        (np.zeros((*SHAPE, 3), np.uint8), "greyscale"),
        (np.zeros(SHAPE, np.complex64), "not an image"),
    ],
)
def test_wrong_labels_are_refused_before_anything_is_written(tmp_path, request_of, labels, words):
    np.save(tmp_path / "wrong.npy", labels)
    options = {"labels": {"pm": str(tmp_path / "wrong.npy")}, "axes": "zyx"}
    assert words in refused(lambda: request_of(**options))
    assert not (tmp_path / "root").exists()


def test_an_imported_crop_is_replaced_only_when_asked(tmp_path, request_of, mask):
    run(request_of(labels={"pm": str(tmp_path / "mask.tif"), "mito": str(tmp_path / "mask.tif")}))
    assert "--crop 2" in refused(request_of, RefusedError)
    tifffile.imwrite(tmp_path / "new.tif", 255 - mask)
    request = request_of(labels={"pm": str(tmp_path / "new.tif")}, overwrite=True)
    run(request)
    np.testing.assert_array_equal(voxels(group(request, "pm")), mask == 0)
    assert not group(request, "mito").exists()
    assert read_local_crops(request.data_root)[0].classes == ("pm",)


def test_other_em_under_the_same_name_is_refused(tmp_path, request_of, em):
    run(request_of())
    tifffile.imwrite(tmp_path / "other.tif", em[:, :60])
    options = {"raw": str(tmp_path / "other.tif"), "crop": 2, "labels": {}}
    assert "--overwrite" in refused(lambda: request_of(**options), RefusedError)
    result = run(request_of(**options, overwrite=True))
    assert any("earlier crops may no longer fit" in warning for warning in result.warnings)
    np.testing.assert_array_equal(voxels(group(request_of(), "em")), em[:, :60])


def test_a_voxel_size_that_is_not_the_em_s_is_refused(request_of):
    run(request_of())
    message = refused(lambda: request_of(raw=None, crop=2, voxel_size_nm=(8, 8, 8)), RequestError)
    assert "has voxel size 50×4×4 nm, not 8×8×8" in message


def test_crops_of_the_demo_are_never_replaced(tmp_path, request_of):
    grid = Grid(VOXEL, (0, 0, 0), SHAPE)
    add_local_crops(tmp_path / "root", [Crop(1, "mine", "train", grid, ("pm",), source="demo")])
    assert "crop of the demo" in refused(lambda: request_of(overwrite=True), RefusedError)


def test_a_disk_that_is_too_small_is_refused(request_of, monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage(10**9, 10**9 - 1000, 1000))
    assert "--ignore-disk" in refused(request_of, RefusedError)
    assert not (tmp_path / "root").exists()
    assert run(request_of(ignore_disk=True)).classes == ("pm",)


def test_a_data_root_that_is_a_file_is_refused(tmp_path, request_of):
    (tmp_path / "root").touch()
    assert "is a file" in refused(request_of, RequestError)


def test_a_stopped_import_leaves_no_half_group_and_goes_on_where_it_was(tmp_path, request_of):
    labels = {"pm": str(tmp_path / "mask.tif"), "mito": str(tmp_path / "mask.tif")}
    request = request_of(labels=labels)
    with pytest.raises(Stopped):
        run(request, StopAt("pm"))
    assert group(request, "pm").is_dir()
    assert not group(request, "mito").exists()
    assert list(request.data_root.rglob("*.partial")) == []
    assert read_local_crops(request.data_root) == ()
    written = (group(request, "pm") / ".zattrs").stat().st_mtime_ns
    result = run(request)
    assert [array.state for array in result.arrays] == ["kept", "kept", "written"]
    assert (group(request, "pm") / ".zattrs").stat().st_mtime_ns == written
    assert read_local_crops(request.data_root)[0].ref == "mine/crop1"


KILLED = """
import os, signal, sys
from pathlib import Path
from cellmap_tui.services.import_data import ImportRequest, import_data
from cellmap_tui.services.models import from_json
from cellmap_tui.services.report import SilentReporter

class Killer(SilentReporter):
    is_near = False
    def artefact(self, path, kind):
        self.is_near = kind == "em"
    def progress(self, done, total, unit):
        if self.is_near:
            os.kill(os.getpid(), signal.SIGKILL)

import_data(from_json(Path(sys.argv[1]).read_bytes(), ImportRequest, source="test"), Killer())
"""


def test_a_killed_import_leaves_no_half_group_and_goes_on_where_it_was(tmp_path, request_of):
    request = request_of()
    (tmp_path / "request.json").write_bytes(to_json(request))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "request.json")], env=environment(), check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert not group(request, "pm").exists()
    em_written = (group(request, "em") / ".zattrs").stat().st_mtime_ns
    result = run(request)
    assert [array.state for array in result.arrays] == ["kept", "written"]
    assert (group(request, "em") / ".zattrs").stat().st_mtime_ns == em_written
    assert list(request.data_root.rglob("*.partial")) == []


LIMITED = """
import resource, sys
limit = 1_500_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
from pathlib import Path
from cellmap_tui.services.import_data import ImportRequest, import_data
from cellmap_tui.services.report import SilentReporter

root, raw, label = sys.argv[1:]
request = ImportRequest(Path(root), "big", raw=raw, labels={"pm": label}, voxel_size_nm=(8, 8, 8))
print(import_data(request, SilentReporter()).ref)
"""


@pytest.mark.slow
def test_stacks_larger_than_the_address_space_are_imported(tmp_path: Path):
    shape = (390, 2048, 2048)  # 1.6 GB; zeros, so that it takes no room on disk
    with (tmp_path / "em.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + int(np.prod(shape)))
    page = np.zeros(shape[1:], np.uint8)
    page[500:900] = 1
    with tifffile.TiffWriter(tmp_path / "mask.tif") as writer:
        for _ in range(shape[0]):
            writer.write(page, contiguous=False, metadata=None, compression="zlib")
    arguments = [str(tmp_path / name) for name in ("root", "em.npy", "mask.tif")]
    # BLAS reserves address space per core of the machine, which is not what is tested here.
    env = {**environment(), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments], env=env, check=False, capture_output=True, text=True
    )
    assert done.stdout == "big/crop1\n", done.stderr
    stored = zarr.open_array(str(tmp_path / "root/big/big.zarr/recon-1/labels/groundtruth/crop1/pm/s0"), mode="r")
    assert stored.shape == shape
    np.testing.assert_array_equal(stored[389, 490:510, 0], [0] * 10 + [1] * 10)


def environment():
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
