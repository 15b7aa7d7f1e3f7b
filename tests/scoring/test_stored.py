from __future__ import annotations

import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import BZ2, LZ4, LZMA, Blosc, Delta, FixedScaleOffset, GZip, Pickle, Shuffle, Zlib, Zstd

from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.scoring import stored
from cellmap_tui.scoring.stored import open_stored
from cellmap_tui.scoring.stores import FolderStore, ZipStore, open_store

COMPRESSORS = {
    "none": None,
    "blosc-lz4": Blosc("lz4", shuffle=Blosc.SHUFFLE),
    "blosc-zstd": Blosc("zstd", shuffle=Blosc.BITSHUFFLE),
    "zlib": Zlib(1),
    "gzip": GZip(1),
    "bz2": BZ2(1),
    "lzma": LZMA(preset=1),
    "zstd": Zstd(1),
    "lz4": LZ4(),
}
SMALL = {"zarr_format": 2, "shape": [4, 4, 4], "chunks": [4, 4, 4], "dtype": "|u1", "compressor": None, "order": "C"}
SMALL |= {"fill_value": 0, "filters": None}


def _write(path, array, **options):
    made = zarr.create_array(path, shape=array.shape, dtype=array.dtype, zarr_format=2, **options)
    made[:] = array
    return path


def _hostile(folder, **changes):
    (folder / ".zarray").write_text(json.dumps(SMALL | changes))
    return FolderStore(folder)


def _read_all(array):
    return array.read((0, 0, 0), array.shape)


@pytest.mark.parametrize("name", COMPRESSORS)
@pytest.mark.parametrize("dtype", ["|u1", "|b1", "<u2", ">i4", "<u8", "<f4", "<f2", ">f8"])
def test_arrays_read_as_zarr_wrote_them(tmp_path, name, dtype):
    rng = np.random.default_rng(1)
    array = rng.integers(0, 3, (9, 11, 13)).astype(dtype)
    path = _write(tmp_path / "a", array, chunks=(4, 5, 13), compressors=COMPRESSORS[name], order="F")
    found = open_stored(FolderStore(path), "")
    assert found.dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(_read_all(found), array)


@pytest.mark.parametrize("filters", [[Delta("<i4")], [Shuffle(4)], [FixedScaleOffset(0, 1, "<i4", "|u1")]])
def test_filters_are_undone(tmp_path, filters):
    array = np.arange(60, dtype="<i4").reshape(3, 4, 5)
    path = _write(tmp_path / "a", array, chunks=(2, 2, 5), compressors=Zstd(1), filters=filters)
    assert np.array_equal(_read_all(open_stored(FolderStore(path), "")), array)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_box_is_read_with_any_cache(tmp_path_factory, data):
    shape = tuple(data.draw(st.integers(1, 9)) for _ in range(3))
    chunks = tuple(data.draw(st.integers(1, n)) for n in shape)
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    separator = data.draw(st.sampled_from("./"))
    path = _write(
        tmp_path_factory.mktemp("array") / "a",
        array,
        chunks=chunks,
        chunk_key_encoding={"name": "v2", "separator": separator},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "CACHE_BYTES", data.draw(st.sampled_from([0, 40, 10**6])))
        found = open_stored(FolderStore(path), "")
        for _ in range(4):
            start = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
            stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, shape, strict=True))
            box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
            assert np.array_equal(found.read(start, stop), array[box])


def test_chunks_that_are_not_there_hold_the_fill_value(tmp_path):
    path = tmp_path / "a"
    zarr.create_array(path, shape=(5, 5, 5), chunks=(2, 2, 2), dtype="u1", zarr_format=2, fill_value=7)
    assert (_read_all(open_stored(FolderStore(path), "")) == 7).all()


def test_a_zip_reads_like_the_folder(tmp_path):
    array = np.random.default_rng(0).integers(0, 9, (8, 8, 8)).astype("u2")
    path = _write(tmp_path / "a", array, chunks=(4, 4, 4))
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = tmp_path / f"a{method}.zip"
        with zipfile.ZipFile(file, "w", method) as target:
            for part in path.rglob("*"):
                target.write(part, f"x/{part.relative_to(path)}")
        assert np.array_equal(_read_all(open_stored(ZipStore(file), "x")), array)


def test_nothing_there_is_missing(tmp_path):
    with pytest.raises(MissingDataError, match="not a Zarr v2 array"):
        open_stored(FolderStore(tmp_path), "crop1/mito")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"zarr_format": 3}, "zarr_format: is Zarr v3"),
        ({"shape": [4, 4]}, "shape: must have 3 values"),
        ({"shape": [4, -4, 4]}, "shape: must be three whole numbers"),
        ({"shape": [2**31, 2**31, 2**31]}, "shape: has more voxels"),
        ({"chunks": [2**11, 2**11, 2**11]}, "chunks: one chunk is larger"),
        ({"dtype": "|O"}, "dtype"),
        ({"dtype": "<c16"}, "dtype"),
        ({"dtype": [["a", "<i4"]]}, "dtype: must be text"),
        ({"compressor": Pickle().get_config()}, "codec 'pickle' is not among"),
        ({"filters": [{"id": "vlen-utf8"}]}, "codec 'vlen-utf8' is not among"),
        ({"filters": [{"id": "delta"}]}, "settings are refused"),
        ({"order": "X"}, "order: must be one of C, F"),
        ({"dimension_separator": "../"}, "dimension_separator"),
        ({"fill_value": 300}, "fill_value: 300 does not fit"),
        ({"fill_value": "NaN"}, "fill_value"),
    ],
)
def test_hostile_metadata_are_refused_with_their_key(tmp_path, changes, words):
    store = _hostile(tmp_path, **changes)
    with pytest.raises(DataError) as raised:
        open_stored(store, "")
    assert words in str(raised.value)
    assert ".zarray" in str(raised.value)


@pytest.mark.parametrize("text", ["[", "[1]", '{"a":' * 100_000, "\udcff"])
def test_metadata_that_are_no_object_are_refused(tmp_path, text):
    (tmp_path / ".zarray").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"\.zarray"):
        open_stored(FolderStore(tmp_path), "")


@pytest.mark.parametrize(
    ("compressor", "content"),
    [
        (None, b"short"),
        (None, b"x" * 65),
        (Zlib().get_config(), zlib.compress(bytes(200_000_000))),
        (Zlib().get_config(), b"nonsense"),
        (GZip().get_config(), GZip().encode(bytes(1000))),
        (BZ2().get_config(), BZ2().encode(bytes(100_000))),
        (LZMA().get_config(), LZMA().encode(bytes(100_000))),
        (LZ4().get_config(), struct.pack("<I", 2**31 - 1) + b"x" * 20),
        (LZ4().get_config(), b""),
        (Zstd().get_config(), Zstd().encode(bytes(10_000_000))),
        (Zstd().get_config(), b"\x28\xb5\x2f\xfdxxxxxxxxxxxx"),
        (Blosc().get_config(), b"\x02\x01\x01\x01" + struct.pack("<III", 2**31 - 1, 64, 30) + b"x" * 14),
        (Blosc().get_config(), b"\x02"),
        (Blosc().get_config(), bytes(Blosc().encode(bytes(64)))[:-3]),
    ],
    ids=lambda value: value["id"] if isinstance(value, dict) else "",  # a gzip holds the time it was made
)
def test_chunks_that_hold_other_than_they_should_are_named_and_never_unpacked_whole(tmp_path, compressor, content):
    array = open_stored(_hostile(tmp_path, compressor=compressor), "")
    (tmp_path / "0.0.0").write_bytes(content)
    with pytest.raises(DataError, match=r"0\.0\.0: broken chunk"):
        _read_all(array)


def test_a_link_out_of_what_was_sent_in_is_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    _write(secret / "a", np.ones((4, 4, 4), "u1"))
    inside = tmp_path / "sent" / "crop1"
    inside.mkdir(parents=True)
    (inside / "mito").symlink_to(secret / "a")
    with pytest.raises(DataError, match="link that leads out"):
        open_stored(open_store(tmp_path / "sent", is_guarded=True), "crop1/mito")
    assert open_stored(open_store(tmp_path / "sent"), "crop1/mito").shape == (4, 4, 4)


def test_a_chunk_that_is_a_link_is_refused(tmp_path):
    _write(tmp_path / "sent" / "a", np.ones((4, 4, 4), "u1"))
    (tmp_path / "secret").write_bytes(b"x" * 64)
    chunk = next(file for file in (tmp_path / "sent" / "a").rglob("*") if file.name.endswith("0"))
    chunk.unlink()
    chunk.symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match="link that leads out"):
        _read_all(open_stored(open_store(tmp_path / "sent", is_guarded=True), "a"))
