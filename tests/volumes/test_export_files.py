"""Volumes written for other tools, read back with the readers that those tools use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import RefusedError, RequestError
from cellmap_tui.volumes import export_nifti, export_volume
from cellmap_tui.volumes.annotation import read_annotation
from cellmap_tui.volumes.export_hdf5 import Hdf5File
from cellmap_tui.volumes.export_nifti import NiftiFile
from cellmap_tui.volumes.export_npz import NpzFile
from cellmap_tui.volumes.export_tiff import OmeTiffFile, TiffFile
from cellmap_tui.volumes.export_volume import ExportVolume, chunk_rows, slabs
from cellmap_tui.volumes.export_zarr import OmeZarrFolder, ZarrFolder
from cellmap_tui.volumes.ngff import open_multiscale, open_volume
from cellmap_tui.volumes.stacks import open_stack

ROOT = Path(__file__).parents[2]
GRID = Grid((5.24, 4.0, 8.0), (1000.5, -2000.0, 30.0), (70, 50, 40))
CONTAINERS = {
    "a.tif": TiffFile,
    "a.ome.tif": OmeTiffFile,
    "a.nii": NiftiFile,
    "a.nii.gz": NiftiFile,
    "a.h5": Hdf5File,
    "a.npz": NpzFile,
    "a.zarr": ZarrFolder,
    "a.ome.zarr": OmeZarrFolder,
}


def values(dtype, shape=GRID.shape):
    random = np.random.default_rng(3)
    if np.dtype(dtype).kind == "f":
        return random.normal(size=shape).astype(dtype)
    top = min(np.iinfo(dtype).max, 2**53)
    return random.integers(0, top, shape, endpoint=True).astype(dtype)


def raw(dtype="uint8", grid=GRID):
    array = values(dtype, grid.shape)
    return ExportVolume("raw", grid, array.dtype, "em"), array


def labels(dtype="uint8", name="mito"):
    array = values(dtype)
    return ExportVolume(name, GRID, array.dtype, "label", True, int(np.iinfo(dtype).max)), array


def write(path, *volumes, **how):
    with CONTAINERS[path.name](path, **how) as container:
        for volume, array in volumes:
            container.write(volume, lambda box, array=array: array[box.slices])
        container.finish()
    return path


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(export_volume, "BLOCK_VOXELS", 9000)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", "float32"])
def test_tifffile_reads_a_stack_with_its_voxel_size(tmp_path, name, dtype, compress):
    path = write(tmp_path / name, (volume := raw(dtype)), compress=compress)
    with tifffile.TiffFile(path) as file:
        assert (file.asarray() == volume[1]).all()
        assert len(file.pages) == GRID.shape[0] or not compress
        assert file.is_imagej == (name == "a.tif" and dtype in {"uint8", "uint16", "float32"})
    with open_stack(str(path), None) as stack:
        assert stack.voxel_size_nm == pytest.approx(GRID.voxel_size_nm)


def test_imagej_is_told_unit_spacing_origin_and_meaning(tmp_path):
    with tifffile.TiffFile(write(tmp_path / "a.tif", labels())) as file:
        found = file.imagej_metadata
        x, y = (file.pages[0].tags[name].value for name in ("XResolution", "YResolution"))
    assert (found["unit"], found["spacing"], found["slices"]) == ("nm", 5.24, 70)
    assert (x[1] / x[0], y[1] / y[0]) == pytest.approx((8.0, 4.0))
    assert -found["zorigin"] * 5.24 == pytest.approx(1000.5)
    assert json.loads(found["Info"])["mito"]["unknown_value"] == 255


def test_ome_xml_has_sizes_and_positions_in_nm(tmp_path):
    with tifffile.TiffFile(write(tmp_path / "a.ome.tif", labels("uint32"))) as file:
        found = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert (found["PhysicalSizeZ"], found["PhysicalSizeY"], found["PhysicalSizeX"]) == (5.24, 4.0, 8.0)
    assert {found[f"PhysicalSize{axis}Unit"] for axis in "XYZ"} == {"nm"}
    first, second = found["Plane"][:2]
    assert (first["PositionZ"], first["PositionY"], first["PositionX"]) == (1000.5, -2000.0, 30.0)
    assert second["PositionZ"] == pytest.approx(1005.74)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "int16", "float32", "float64"])
def test_nibabel_reads_values_place_and_size(tmp_path, name, dtype):
    volume = raw(dtype)
    image = nibabel.load(write(tmp_path / name, volume))
    assert (volume[1] == np.asanyarray(image.dataobj).T).all()
    assert image.get_data_dtype() == np.dtype(dtype)
    assert image.header.get_zooms() == pytest.approx((8.0, 4.0, 5.24))
    assert image.affine[:3, 3] == pytest.approx((30.0, -2000.0, 1000.5))
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    assert image.get_qform() == pytest.approx(image.get_sform())


def test_nifti_labels_say_so_and_which_value_is_unknown(tmp_path):
    header = nibabel.load(write(tmp_path / "a.nii.gz", labels())).header
    assert header.get_intent()[0] == "label"
    assert b"255 is unknown" in header["descrip"].item()


def test_a_long_axis_makes_nifti_2(tmp_path, monkeypatch):
    monkeypatch.setattr(export_nifti, "_LONGEST_AXIS", 60)
    volume = labels()
    image = nibabel.load(write(tmp_path / "a.nii", volume))
    assert isinstance(image, nibabel.Nifti2Image)
    assert (volume[1] == np.asanyarray(image.dataobj).T).all()
    assert image.affine[:3, 3] == pytest.approx((30.0, -2000.0, 1000.5))
    assert image.header.get_intent()[0] == "label"


def test_nifti_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(RequestError, match="float16"):
        write(tmp_path / "a.nii", raw("float16"))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("compress", [True, False])
def test_h5py_reads_all_volumes_with_their_attributes(tmp_path, compress):
    em, mito = raw(), labels("uint32")
    with h5py.File(write(tmp_path / "a.h5", em, mito, compress=compress)) as file:
        assert (file["raw"][:] == em[1]).all()
        found = file["labels/mito"]
        assert (found[:] == mito[1]).all()
        assert found.dtype == np.uint32
        assert found.compression == ("gzip" if compress else None)
        assert list(found.attrs["voxel_size"]) == [5.24, 4.0, 8.0]
        assert list(found.attrs["translation"]) == [1000.5, -2000.0, 30.0]
        assert found.attrs["element_size_um"] == pytest.approx([0.00524, 0.004, 0.008])
        assert (found.attrs["kind"], found.attrs["unknown_value"]) == ("instance", 2**32 - 1)
        assert [dim.label for dim in found.dims] == ["z", "y", "x"]
    with open_stack(f"{tmp_path / 'a.h5'}:/raw", None) as stack:
        assert stack.voxel_size_nm == pytest.approx(GRID.voxel_size_nm)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("compress", [True, False])
def test_numpy_loads_an_archive_without_pickle(tmp_path, compress):
    em, mito = raw(), labels("uint16")
    with np.load(write(tmp_path / "a.npz", em, mito, compress=compress), allow_pickle=False) as file:
        assert (file["raw"] == em[1]).all()
        assert (file["mito"] == mito[1]).all()
        assert file["mito"].dtype == np.uint16
        assert tuple(file["raw.voxel_size_nm"]) == GRID.voxel_size_nm
        assert tuple(file["mito.translation_nm"]) == GRID.translation_nm
        assert json.loads(str(file["attributes"]))["mito"]["unknown_value"] == 65535


@pytest.mark.usefixtures("small_blocks")
def test_zarr_reads_plain_arrays_with_their_place(tmp_path):
    em, mito = raw("uint16"), labels("uint64")
    path = write(tmp_path / "a.zarr", em, mito)
    group = zarr.open_group(path, mode="r")
    assert (group["raw"][:] == em[1]).all()
    assert (group["mito"][:] == mito[1]).all()
    assert group["mito"].attrs["voxel_size"] == [5.24, 4.0, 8.0]
    assert open_volume(path / "raw").finest.grid == GRID
    annotation = read_annotation(open_volume(path / "mito"))
    assert (annotation.is_instance, annotation.unknown_value) == (True, 2**64 - 1)


@pytest.mark.usefixtures("small_blocks")
def test_an_ome_zarr_is_an_image_with_labels(tmp_path):
    em, mito, er = raw(), labels("uint32"), labels("uint8", "er")
    path = write(tmp_path / "a.ome.zarr", em, mito, er)
    root = zarr.open_group(path, mode="r")
    image = root.attrs["multiscales"][0]
    assert image["version"] == "0.4"
    assert (root[image["datasets"][0]["path"]][:] == em[1]).all()
    assert root["labels"].attrs["labels"] == ["mito", "er"]
    group = root["labels/mito"]
    assert group.attrs["image-label"]["source"] == {"image": "../../"}
    assert (group[group.attrs["multiscales"][0]["datasets"][0]["path"]][:] == mito[1]).all()
    assert open_multiscale(path).finest.grid == GRID
    assert open_multiscale(path / "labels" / "er").finest.grid == GRID


def test_an_ome_zarr_may_be_labels_alone(tmp_path):
    path = write(tmp_path / "a.ome.zarr", labels())
    assert zarr.open_group(path, mode="r")["labels"].attrs["labels"] == ["mito"]


@pytest.mark.parametrize("name", CONTAINERS)
def test_nothing_is_left_of_a_file_that_failed(tmp_path, name):
    def fails(box):
        raise RequestError("no more")

    with pytest.raises(RequestError), CONTAINERS[name](tmp_path / name) as container:
        container.write(labels()[0], fails)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", CONTAINERS)
def test_what_is_there_is_replaced_only_when_asked(tmp_path, name):
    write(tmp_path / name, labels())
    with pytest.raises(RefusedError, match="exists already"):
        write(tmp_path / name, labels())
    write(tmp_path / name, labels(), overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", sorted(CONTAINERS.keys() - {"a.ome.tif"}))
def test_the_same_voxels_give_the_same_bytes(tmp_path, name):
    contents = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        path = write(tmp_path / folder / name, labels())
        files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", CONTAINERS)
def test_no_more_than_a_block_is_asked_for(tmp_path, name, monkeypatch):
    monkeypatch.setattr(export_volume, "BLOCK_VOXELS", 300_000)
    grid = Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), (130, 140, 150))
    volume, array = raw(grid=grid)
    asked = []

    def read(box):
        asked.append(box.voxels)
        return array[box.slices]

    with CONTAINERS[name](tmp_path / name) as container:
        container.write(volume, read)
        container.finish()
    assert max(asked) <= 300_000
    assert sum(asked) == grid.voxels


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.volumes.test_export_files import labels, write
volume = labels("uint16")
warm = write(Path(sys.argv[1]) / "warm" / sys.argv[2], volume)
largest = max(file.stat().st_size for file in (warm, *warm.rglob("*")) if file.is_file())
resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest * float(sys.argv[3])), resource.RLIM_INFINITY))
try:
    write(Path(sys.argv[1]) / "full" / sys.argv[2], volume)
except Exception as error:
    print(type(error).__name__, error, end="", file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.1, 0.999])
@pytest.mark.parametrize("name", CONTAINERS)
def test_a_disk_that_fills_is_told_and_leaves_nothing(tmp_path, name, share):
    words = [sys.executable, "-c", FULL_DISK, str(tmp_path), name, str(share)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("RefusedError"), done.stderr
    assert "cannot be written" in done.stderr
    assert not list((tmp_path / "full").iterdir())


shapes = st.tuples(*[st.integers(1, 300)] * 3)


@given(shapes)
def test_chunk_rows_tile_a_volume_and_meet_at_chunks(shape):
    boxes = list(chunk_rows(shape))
    assert sum(box.voxels for box in boxes) == shape[0] * shape[1] * shape[2]
    assert all(start % 64 == 0 for box in boxes for start in box.start)
    assert len({box.start for box in boxes}) == len(boxes)


@given(shapes, st.none() | st.integers(1, 70))
def test_slabs_follow_on_each_other(shape, depth):
    boxes = list(slabs(shape, depth))
    assert [box.start[0] for box in boxes[1:]] == [box.stop[0] for box in boxes[:-1]]
    assert (boxes[0].start, boxes[-1].stop) == ((0, 0, 0), shape)
