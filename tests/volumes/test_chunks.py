import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError
from cellmap_tui.volumes.chunks import ChunkReader
from cellmap_tui.volumes.geometry import Box
from cellmap_tui.volumes.ngff import open_volume
from cellmap_tui.volumes.write import write_array

SHAPE = (20, 33, 41)
DATA = np.random.default_rng(0).integers(0, 500, SHAPE).astype(np.uint16)
DATA[:8, :8, :16] = 0


def stored(path, **options):
    """Write `DATA` as an array of chunks of 8 × 8 × 16 and return its level."""
    array = zarr.create_array(
        path,
        shape=SHAPE,
        chunks=(8, 8, 16),
        dtype=options.pop("dtype", "<u2"),
        zarr_format=2,
        fill_value=0,
        config={"write_empty_chunks": False},
        attributes={"voxel_size": [8, 8, 8], "translation": [0, 0, 0]},
        **options,
    )
    array[:] = DATA
    return open_volume(path).finest


@pytest.fixture(scope="module")
def level(tmp_path_factory):
    path = tmp_path_factory.mktemp("chunks") / "a"
    write_array(path, DATA, Grid((8.0,) * 3, (0.0,) * 3, SHAPE), chunks=(8, 8, 16))
    return open_volume(path).finest


boxes = st.tuples(*[st.tuples(st.integers(0, n - 1), st.integers(1, n)).map(sorted) for n in SHAPE])


@settings(max_examples=60)
@given(boxes, st.sampled_from([1, 5_000, 2**20]))
def test_any_box_holds_what_was_written(level, ends, kept_bytes):
    start, stop = zip(*((a, max(b, a + 1)) for a, b in ends), strict=True)
    box = Box(start, stop)
    found = ChunkReader(level, kept_bytes).read(box)
    expected = DATA[box.slices]
    assert (expected == (0 if found is None else found)).all()
    assert found is None or found.shape == box.shape


def test_a_box_without_any_chunk_is_none(level):
    assert ChunkReader(level).read(Box((0, 0, 0), (8, 8, 16))) is None
    assert ChunkReader(level).read(Box((0, 0, 0), (8, 8, 17))) is not None


@pytest.mark.parametrize(
    "options",
    [
        {"compressors": numcodecs.Zstd(level=3)},
        {"compressors": numcodecs.GZip()},
        {"compressors": numcodecs.BZ2()},
        {"compressors": None},
        {"compressors": numcodecs.Blosc(cname="lz4", shuffle=numcodecs.Blosc.BITSHUFFLE)},
        {"compressors": numcodecs.Zstd(), "filters": [numcodecs.Delta("<u2")]},
        {"compressors": numcodecs.Blosc(), "order": "F"},
        {"compressors": numcodecs.Blosc(), "dtype": ">u2"},
        {"compressors": numcodecs.Blosc(), "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    ],
    ids=["zstd", "gzip", "bz2", "none", "bitshuffle", "filter", "fortran", "big-endian", "nested"],
)
def test_every_way_of_storing_gives_the_same(tmp_path, options):
    level = stored(tmp_path / "a", **options)
    found = ChunkReader(level).read(Box((1, 2, 3), SHAPE))
    assert (found == DATA[1:, 2:, 3:]).all()


def test_a_chunk_is_decoded_once(level, monkeypatch):
    reader = ChunkReader(level)
    reader.read(Box((8, 8, 16), (16, 16, 32)))
    monkeypatch.setattr(reader, "_load", lambda _: pytest.fail("read again"))
    assert (reader.read(Box((9, 9, 17), (10, 10, 18))) == DATA[9:10, 9:10, 17:18]).all()


@pytest.mark.parametrize("compressor", [numcodecs.Blosc(), numcodecs.Zstd()], ids=["blosc", "zstd"])
@pytest.mark.parametrize("damage", [lambda data: data[:20], lambda _: b"", lambda data: b"\xff" * len(data)])
def test_a_broken_chunk_is_named(tmp_path, compressor, damage):
    level = stored(tmp_path / "a", compressors=compressor)
    chunk = level.path / "1.1.1"
    chunk.write_bytes(damage(chunk.read_bytes()))
    with pytest.raises(DataError, match=r"1\.1\.1: broken chunk"):
        ChunkReader(level).read(Box((8, 8, 16), (16, 16, 32)))


def test_a_chunk_of_another_size_is_refused(tmp_path):
    level = stored(tmp_path / "a", compressors=numcodecs.Blosc())
    (level.path / "1.1.1").write_bytes(numcodecs.Blosc().encode(np.zeros(7, np.uint16)))
    with pytest.raises(DataError, match=r"1\.1\.1"):
        ChunkReader(level).read(Box((8, 8, 16), (16, 16, 32)))
