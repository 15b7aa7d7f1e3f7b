"""Planes of stored arrays: a part of a chunk holds what the whole chunk holds there."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import LZ4, Blosc, Zstd

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError
from cellmap_tui.scoring.alignment import aligned
from cellmap_tui.scoring.blosc_blocks import blocks_with, packed_together, unpacked_bytes
from cellmap_tui.scoring.sources import open_source
from cellmap_tui.scoring.stored import open_stored
from cellmap_tui.scoring.stored_planes import StoredPlanes, by_planes
from cellmap_tui.scoring.stores import open_store
from cellmap_tui.volumes.planes import PixelPlane, PlaneCache, sample
from cellmap_tui.volumes.write import write_array

MANY = {"deadline": None, "max_examples": 150}


def voxels(shape, dtype, largest, seed=0):
    return np.random.default_rng(seed).integers(0, largest, shape).astype(dtype)


@settings(**MANY)
@given(
    st.integers(1, 400_000),
    st.sampled_from(["u1", "u2", "u4", "u8"]),
    st.sampled_from(["zstd", "lz4", "blosclz", "zlib", "lz4hc"]),
    st.integers(0, 9),
    st.sampled_from([Blosc.NOSHUFFLE, Blosc.SHUFFLE, Blosc.BITSHUFFLE]),
    st.sampled_from([0, 1024, 5000, 65536]),
    st.sampled_from([2, 40, 250]),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_some_blocks_hold_what_the_whole_chunk_holds(n, dtype, name, level, shuffle, block, largest, where):
    codec = Blosc(name, level, shuffle, block)
    whole = voxels(n // 8 + 1, dtype, largest).tobytes()
    start, stop = sorted(int(share * len(whole)) for share in where)
    data = codec.encode(np.frombuffer(whole, dtype))
    found = blocks_with(data, start, stop + 1, len(whole)) if stop < len(whole) else None
    if found is None:
        return
    part, first = found
    assert len(part) <= len(data)
    unpacked = bytes(codec.decode(part))
    assert len(unpacked) == unpacked_bytes(part) < len(whole)
    assert unpacked[start - first : stop + 1 - first] == whole[start : stop + 1]


def test_a_plane_of_a_chunk_is_a_small_part_of_it():
    chunk = voxels((64, 64, 64), "u2", 9)
    data = Blosc("zstd", 3, Blosc.SHUFFLE).encode(chunk)
    part, first = blocks_with(data, 2 * 4096 * 20, 2 * 4096 * 21, chunk.nbytes)
    assert (unpacked_bytes(part), first) == (packed_together(data), 2 * 4096 * 16)
    assert len(part) < len(data) / 3


@settings(**MANY)
@given(st.binary(max_size=200), st.integers(0, 2**20), st.integers(1, 2**20), st.integers(1, 2**20))
def test_what_is_no_chunk_has_no_blocks(data, start, count, chunk_bytes):
    found = blocks_with(data, start, min(start + count, chunk_bytes), chunk_bytes)
    assert found is None or len(found[0]) <= len(data) + 16


@settings(**MANY)
@given(st.integers(0, 200), st.integers(0, 255))
def test_a_damaged_header_is_left_to_the_reading_of_the_whole_chunk(at, value):
    chunk = voxels((64, 32, 32), "u2", 9)
    data = bytearray(Blosc("zstd", 3, Blosc.SHUFFLE, 16384).encode(chunk))
    data[at] = value
    found = blocks_with(bytes(data), 40_000, 50_000, chunk.nbytes)
    assert found is None or len(found[0]) <= len(data)


def stored(path, array, chunks, compressor, **more):
    group = zarr.open_group(path, mode="w", zarr_format=2)
    made = group.create_array(
        "mito", shape=array.shape, chunks=chunks, dtype=array.dtype, compressors=compressor, fill_value=0, **more
    )
    made[:] = array
    return open_stored(open_store(path), "mito")


@pytest.mark.parametrize(
    "compressor", [Blosc("zstd", 3), Blosc("lz4", 5), Blosc("zstd", 1, blocksize=3000), Zstd(), LZ4()]
)
@pytest.mark.parametrize("dtype", ["u1", "f4", "u8"])
def test_boxes_are_the_same_whatever_the_chunks_are_packed_with(tmp_path, compressor, dtype):
    array = voxels((50, 70, 40), dtype, 200)
    array[:20, :32] = 0
    volume = stored(tmp_path, array, (20, 32, 32), compressor)
    planes = by_planes(volume)
    for start, stop in (((3, 0, 0), (4, 32, 32)), ((25, 40, 1), (30, 60, 9)), ((18, 0, 0), (22, 70, 40)),
                        ((0, 0, 0), (20, 32, 32)), ((49, 64, 32), (50, 70, 40))):  # fmt: skip
        box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        assert np.array_equal(planes.read(start, stop), array[box])
    assert isinstance(planes, StoredPlanes) == isinstance(compressor, Blosc)


def test_planes_that_are_unpacked_together_are_a_part_of_a_chunk(tmp_path):
    array = voxels((64, 64, 64), "u2", 9)
    planes = by_planes(stored(tmp_path, array, (64, 64, 64), Blosc("zstd", 3)))
    assert planes.planes_at_once == 16
    assert by_planes(stored(tmp_path, array, (64, 64, 64), Blosc("zstd", 3), order="F")) is not planes


def test_pixels_are_the_same_across_every_axis_wherever_the_prediction_lies(tmp_path):
    grid = Grid((4.0,) * 3, (0.0,) * 3, (80, 150, 140))
    place = Grid((4.0,) * 3, (-40.0, 20.0, 28.0), (100, 130, 150))
    write_array(tmp_path / "mito", voxels(place.shape, "u2", 900), place)
    volume = aligned(open_source(open_store(tmp_path), "mito", grid.voxel_size_nm), grid, "instance")
    expected = volume.read((0, 0, 0), grid.shape)
    cache, planes = PlaneCache(), by_planes(volume)
    for axis, index in ((0, 0), (0, 5), (0, 6), (0, 53), (0, 54), (0, 79), (1, 7), (2, 139)):
        down, across = ((1, 2), (0, 2), (0, 1))[axis]
        pixels = PixelPlane(
            axis,
            4.0 * index,
            [4.0 * i for i in range(1, grid.shape[down], 3)],
            [4.0 * i for i in range(0, grid.shape[across], 2)],
        )
        found = sample(cache, "a", planes, grid, pixels).values
        assert np.array_equal(found, expected.take(index, axis=axis)[1::3, ::2]), (axis, index)


def test_a_broken_chunk_is_named(tmp_path):
    volume = by_planes(stored(tmp_path, voxels((64, 64, 64), "u2", 9), (64, 64, 64), Blosc("zstd", 3)))
    chunk = tmp_path / "mito" / "0.0.0"
    data = bytearray(chunk.read_bytes())
    data[60:4000] = b"\xff" * 3940
    chunk.write_bytes(data)
    with pytest.raises(DataError, match="broken chunk"):
        volume.read((2, 0, 0), (3, 64, 64))
