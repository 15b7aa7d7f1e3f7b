"""Stacks from other programs' files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RequestError
from cellmap_tui.volumes.stacks import open_stack


def volume(shape=(5, 24, 20), dtype="uint8"):
    return np.arange(np.prod(shape)).astype(dtype).reshape(shape)


def write_pages(path, data, **options):
    with tifffile.TiffWriter(path) as writer:
        for page in data:
            writer.write(page, contiguous=False, metadata=None, **options)
    return path


def write_tiff(path, data):
    tifffile.imwrite(path, data)
    return str(path)


def write_big_endian(path, data):
    tifffile.imwrite(path, data.astype(data.dtype.newbyteorder(">")), byteorder=">")
    return str(path)


def write_imagej(path, data):
    tifffile.imwrite(path, data, imagej=True, metadata={"axes": "ZYX"})
    return str(path)


def write_separate_pages(path, data):
    return str(write_pages(path, data))


def write_lzw(path, data):
    return str(write_pages(path, data, compression="lzw"))


def write_tiled(path, data):
    tifffile.imwrite(path, data, tile=(16, 16), compression="zlib")
    return str(path)


def write_folder(path, data):
    folder = path.with_suffix("")
    folder.mkdir()
    for index, page in enumerate(data):
        tifffile.imwrite(folder / f"slice_{index + 8}.tif", page)  # 8, 9, 10: not the order of the alphabet
    return str(folder)


def write_npy(path, data):
    np.save(path.with_suffix(".npy"), data)
    return str(path.with_suffix(".npy"))


def write_npy_fortran(path, data):
    np.save(path.with_suffix(".npy"), np.asfortranarray(data))
    return str(path.with_suffix(".npy"))


def write_zarr2(path, data):
    zarr.create_array(str(path.with_suffix(".zarr")), data=data, chunks=(2, 7, 9), zarr_format=2)
    return str(path.with_suffix(".zarr"))


def write_zarr3(path, data):
    group = zarr.open_group(str(path.with_suffix(".zarr")), mode="w", zarr_format=3)
    group.create_array("s0", data=data, chunks=(2, 7, 9))
    return str(path.with_suffix(".zarr"))


def write_zarr_with_channel(path, data):
    zarr.create_array(str(path.with_suffix(".zarr")), data=data[None, None], chunks=(1, 1, 2, 7, 9), zarr_format=2)
    return str(path.with_suffix(".zarr"))


def write_hdf5(path, data):
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["volumes/raw"] = data
        file["volumes/scale"] = [1, 2]
    return str(path.with_suffix(".h5"))


def write_hdf5_named(path, data):
    return write_hdf5(path, data) + ":/volumes/raw"


WRITERS = [
    write_tiff, write_big_endian, write_imagej, write_separate_pages, write_lzw, write_tiled, write_folder,
    write_npy, write_npy_fortran, write_zarr2, write_zarr3, write_zarr_with_channel, write_hdf5, write_hdf5_named,
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("write", WRITERS, ids=lambda w: w.__name__)
def test_every_kind_of_file_gives_the_same_slabs_and_rows(tmp_path: Path, write, dtype):
    data = volume(dtype=dtype)
    with open_stack(write(tmp_path / "stack.tif", data), axes="zyx") as stack:
        assert stack.shape == data.shape
        assert stack.dtype == np.dtype(dtype)
        assert stack.read(1, 4).dtype == np.dtype(dtype)
        np.testing.assert_array_equal(stack.read(0, 5), data)
        np.testing.assert_array_equal(stack.read(2, 3), data[2:3])
        np.testing.assert_array_equal(stack.read(1, 4, 5, 11), data[1:4, 5:11])


@settings(max_examples=30, deadline=None)
@given(order=st.permutations("zyx"), shape=st.tuples(*[st.integers(1, 7)] * 3), fortran=st.booleans(), data=st.data())
def test_any_order_of_axes_is_read_as_z_y_x(tmp_path_factory, order, shape, fortran, data):
    expected = volume(shape, "uint16")
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    stored = expected.transpose(["zyx".index(axis) for axis in order])
    np.save(path, np.asfortranarray(stored) if fortran else np.ascontiguousarray(stored))
    start = data.draw(st.integers(0, shape[0] - 1))
    stop = data.draw(st.integers(start + 1, shape[0]))
    with open_stack(str(path), axes="".join(order)) as stack:
        assert stack.shape == shape
        np.testing.assert_array_equal(stack.read(start, stop), expected[start:stop])


def test_a_single_image_is_one_slice(tmp_path: Path):
    with open_stack(write_tiff(tmp_path / "a.tif", volume()[0])) as stack:
        assert stack.shape == (1, 24, 20)
        np.testing.assert_array_equal(stack.read(0, 1), volume()[:1])


def test_a_tiff_mask_of_single_bits_is_read_as_booleans(tmp_path: Path):
    with open_stack(write_tiff(tmp_path / "a.tif", volume() > 100)) as stack:
        assert stack.dtype == np.dtype(bool)
        np.testing.assert_array_equal(stack.read(0, 5, 3, 9), (volume() > 100)[:, 3:9])


def test_an_imagej_file_declares_its_voxel_size(tmp_path: Path):
    tifffile.imwrite(
        tmp_path / "a.tif", volume(), imagej=True, resolution=(250, 125),
        metadata={"axes": "ZYX", "spacing": 0.05, "unit": "um"},
    )  # fmt: skip
    with open_stack(str(tmp_path / "a.tif")) as stack:
        assert stack.voxel_size_nm == (50, 8, 4)


def test_an_ome_tiff_declares_its_voxel_size(tmp_path: Path):
    sizes = {"PhysicalSizeX": 4, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 4, "PhysicalSizeYUnit": "nm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", volume(), metadata={"axes": "ZYX", "PhysicalSizeZ": 0.03, **sizes})
    with open_stack(str(tmp_path / "a.ome.tif")) as stack:
        assert stack.voxel_size_nm == (30, 4, 4)


@pytest.mark.parametrize("unit", ["pixel", None, "light-years"])
def test_a_unit_that_is_no_length_declares_nothing(tmp_path: Path, unit):
    metadata = {"axes": "ZYX", "spacing": 1, "unit": unit}
    tifffile.imwrite(tmp_path / "a.tif", volume(), imagej=True, resolution=(1, 1), metadata=metadata)
    with open_stack(str(tmp_path / "a.tif")) as stack:
        assert stack.voxel_size_nm is None


def ome_group(path, data, axes, *, version3=False, unit="micrometer"):
    group = zarr.open_group(str(path), mode="w", zarr_format=3 if version3 else 2)
    group.create_array("0", data=data, chunks=data.shape)
    multiscales = [
        {
            "axes": [{"name": name, "type": "space", "unit": unit} for name in axes],
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [
                        {"type": "scale", "scale": [{"z": 0.03, "y": 0.008, "x": 0.004}[a] for a in axes]},
                        {"type": "translation", "translation": [{"z": 3, "y": 2, "x": 1}[a] for a in axes]},
                    ],
                }
            ],
        }
    ]
    group.attrs.update({"ome": {"multiscales": multiscales}} if version3 else {"multiscales": multiscales})


@pytest.mark.parametrize("version3", [False, True])
@pytest.mark.parametrize("inner", ["", "/0"])
def test_an_ome_zarr_declares_order_size_and_place(tmp_path: Path, version3, inner):
    ome_group(tmp_path / "a.zarr", volume().transpose(2, 1, 0), "xyz", version3=version3)
    with open_stack(f"{tmp_path / 'a.zarr'}{inner}") as stack:
        assert stack.axes == "xyz"
        assert stack.voxel_size_nm == (30, 8, 4)
        assert stack.translation_nm == (3000, 2000, 1000)
        np.testing.assert_array_equal(stack.read(0, 5), volume())


@pytest.mark.parametrize(
    "broken", [{"multiscales": 3}, {"multiscales": [{"datasets": "x", "axes": [1]}]}, {"ome": []}]
)
def test_broken_ome_metadata_of_an_array_declares_nothing(tmp_path: Path, broken):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("s0", data=volume(), chunks=(5, 24, 20))
    group.attrs.update(broken)
    with open_stack(str(tmp_path / "a.zarr")) as stack:
        assert stack.voxel_size_nm is None


def test_hdf5_declares_its_voxel_size_as_ilastik_writes_it(tmp_path: Path):
    spec = write_hdf5(tmp_path / "a", volume())
    with h5py.File(spec, "a") as file:
        file["volumes/raw"].attrs["element_size_um"] = [0.05, 0.004, 0.004]
    with open_stack(spec) as stack:
        assert stack.voxel_size_nm == (50, 4, 4)


def test_a_kind_that_is_not_read_is_told_in_words_that_hold_for_every_command(tmp_path: Path):
    (tmp_path / "a.npz").touch()
    words = refused(tmp_path / "a.npz", RequestError)
    assert "is of a kind that cannot be read; save the array itself" in words
    assert "import" not in words


def refused(spec, kind=CellmapError, axes=None):
    with pytest.raises(kind) as caught:
        open_stack(str(spec), axes)
    return str(caught.value)


def test_a_colour_image_is_refused(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 24, 20, 3), np.uint8), photometric="rgb")
    assert "greyscale" in refused(tmp_path / "a.tif", DataError)


def test_channels_beside_slices_are_refused(tmp_path: Path):
    data = np.zeros((5, 2, 24, 20), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata={"axes": "ZCYX"})
    assert "5 along Z, 2 along C" in refused(tmp_path / "a.tif", DataError)
    np.save(tmp_path / "a.npy", data)
    assert "has 4 axes" in refused(tmp_path / "a.npy", DataError)


def test_pages_of_different_sizes_are_refused(tmp_path: Path):
    pages = [np.zeros((24, 20), np.uint8), np.zeros((24, 20), np.uint8)]
    write_pages(tmp_path / "end.tif", [*pages, np.zeros((9, 9), np.uint8)])
    write_pages(tmp_path / "middle.tif", [pages[0], np.zeros((9, 9), np.uint8), pages[1]])
    assert "2 of 24×20, 1 of 9×9" in refused(tmp_path / "end.tif", DataError)
    assert "one size" in refused(tmp_path / "middle.tif", DataError)


def test_a_folder_with_a_slice_of_another_size_names_the_file(tmp_path: Path):
    spec = write_folder(tmp_path / "a.tif", volume())
    tifffile.imwrite(Path(spec) / "slice_10.tif", np.zeros((9, 20), np.uint8))
    message = refused(spec, DataError)
    assert "slice_10.tif is 9×20 uint8" in message
    assert "24×20 uint8" in message


def test_a_folder_with_a_stack_in_it_names_the_file(tmp_path: Path):
    spec = write_folder(tmp_path / "a.tif", volume())
    tifffile.imwrite(Path(spec) / "slice_10.tif", volume())
    assert "slice_10.tif has 5 slices" in refused(spec, DataError)


def test_a_compression_without_its_package_names_the_remedy(tmp_path: Path, monkeypatch):
    spec = write_lzw(tmp_path / "a.tif", volume())

    def decode(*_args, **_kwargs):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", decode)
    message = refused(spec, DataError)
    assert "compressed with LZW" in message
    assert "pip install 'cellmap-tui[tiff]'" in message


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.h5"])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, name):
    (tmp_path / name).write_text("not an image")
    assert str(tmp_path / name) in refused(tmp_path / name, DataError)


@pytest.mark.parametrize("write", [write_tiff, write_npy, write_separate_pages])
def test_a_file_that_was_cut_off_is_refused_or_says_so_on_reading(tmp_path: Path, write):
    spec = Path(write(tmp_path / "a.tif", volume((5, 64, 64))))
    spec.write_bytes(spec.read_bytes()[:-6000])
    with pytest.raises(DataError), open_stack(str(spec)) as stack:
        stack.read(0, 5)


def test_pickled_objects_are_never_loaded(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([[[{}]]], dtype=object), allow_pickle=True)
    assert "never unpickled" in refused(tmp_path / "a.npy", DataError)


@pytest.mark.parametrize("dtype", ["complex64", "U3", [("a", "u1")]])
def test_values_that_are_no_image_are_refused(tmp_path: Path, dtype):
    np.save(tmp_path / "a.npy", np.zeros((5, 24, 20), dtype=dtype))
    assert "not an image" in refused(tmp_path / "a.npy", DataError)


@pytest.mark.parametrize(("shape", "axes"), [((512, 512, 20), "yxz"), ((100, 20, 100), "yzx")])
def test_axes_that_look_swapped_are_asked_for(tmp_path: Path, shape, axes):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    assert f"--axes {axes}" in refused(tmp_path / "a.npy", RequestError)
    with open_stack(str(tmp_path / "a.npy"), axes) as stack:
        assert stack.shape[0] == 20
    with open_stack(str(tmp_path / "a.npy"), "zyx") as stack:
        assert stack.shape == shape


@pytest.mark.parametrize("axes", ["zy", "zyxc", "zzx", "abc", ""])
def test_an_order_of_axes_must_be_one(tmp_path: Path, axes):
    assert "order of z, y and x" in refused(write_npy(tmp_path / "a", volume()), RequestError, axes)


def test_a_missing_file_names_the_nearest(tmp_path: Path):
    (tmp_path / "membrane.tif").touch()
    assert "membrane.tif?" in refused(tmp_path / "membrnae.tif", MissingDataError)
    assert "no folder" in refused(tmp_path / "nowhere" / "a.tif", MissingDataError)


def test_an_unknown_kind_of_file_says_what_import_reads(tmp_path: Path):
    (tmp_path / "a.mrc").touch()
    message = refused(tmp_path / "a.mrc", RequestError)
    assert "convert it to TIFF" in message


def test_an_empty_folder_says_what_is_missing(tmp_path: Path):
    assert "no .tif files" in refused(tmp_path, MissingDataError)


def test_a_zarr_group_of_several_arrays_lists_them(tmp_path: Path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    for name in ("raw", "labels"):
        group.create_array(name, data=volume(), chunks=(5, 24, 20))
    assert "a.zarr/labels, a.zarr/raw" in refused(tmp_path / "a.zarr", RequestError)


def test_an_hdf5_file_of_several_stacks_lists_them(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = volume()
        file["labels/mito"] = volume()
    assert "a.h5:/labels/mito, a.h5:/raw" in refused(tmp_path / "a.h5", RequestError)
    assert "did you mean /raw" in refused(f"{tmp_path / 'a.h5'}:/rwa", MissingDataError)
    assert "is a group" in refused(f"{tmp_path / 'a.h5'}:/labels", RequestError)


def test_identity_changes_with_the_file(tmp_path: Path):
    spec = write_npy(tmp_path / "a", volume())
    with open_stack(spec) as stack:
        before = stack.identity()
    np.save(spec, volume((6, 24, 20)))
    with open_stack(spec) as stack:
        assert stack.identity() != before


@settings(max_examples=40, deadline=None)
@given(write=st.sampled_from([write_imagej, write_lzw, write_npy, write_hdf5, write_zarr2]), data=st.data())
def test_a_damaged_file_gives_data_or_words_but_no_traceback(tmp_path_factory, write, data):
    spec = Path(write(tmp_path_factory.mktemp("damaged") / "a.tif", volume()))
    file = spec / ".zarray" if spec.is_dir() else spec
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 1200) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    with suppress(CellmapError), open_stack(str(spec), "zyx") as stack:
        stack.read(0, min(stack.shape[0], 5), 0, min(stack.shape[1], 24))


def test_a_tiff_that_was_cut_off_is_told_in_words_alone(tmp_path, caplog):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, volume())
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(DataError, match=r"cut\.tif"), open_stack(str(path)) as stack:
        stack.read((0, 0, 0), stack.shape)
    assert caplog.records == []
