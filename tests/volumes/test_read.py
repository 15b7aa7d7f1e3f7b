import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cellmap_tui.volumes.read as read
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError
from cellmap_tui.volumes.cache import ChunkCache
from cellmap_tui.volumes.geometry import Box, sub_grid, whole
from cellmap_tui.volumes.ngff import open_volume
from cellmap_tui.volumes.read import read_box, read_region
from cellmap_tui.volumes.resample import cells_for
from cellmap_tui.volumes.write import write_array, write_multiscale

from .builders import grids, ramp

GRID = Grid((5.24, 4.0, 4.0), (100.0, 2.0, 0.0), (48, 60, 60))


@pytest.fixture(scope="module")
def ramps(tmp_path_factory):
    """A linear ramp in world space, with its pyramid."""
    path = tmp_path_factory.mktemp("ramps") / "em"
    write_multiscale(path, ramp(GRID), GRID, chunks=(16, 16, 16), levels=3)
    return open_volume(path)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    path = tmp_path_factory.mktemp("noise") / "em"
    grid = Grid((4.0,) * 3, (0.0,) * 3, (20, 21, 22))
    data = np.random.default_rng(1).integers(1, 255, grid.shape).astype(np.uint8)
    write_multiscale(path, data, grid, chunks=(8, 8, 8), levels=1)
    return open_volume(path), data


boxes = st.builds(
    lambda start, shape: Box(start, tuple(a + n for a, n in zip(start, shape, strict=True))),
    st.tuples(*[st.integers(-30, 30)] * 3),
    st.tuples(*[st.integers(1, 40)] * 3),
)


@settings(max_examples=60)
@given(boxes)
def test_any_box_is_read_and_what_is_outside_is_marked(noise, box):
    volume, data = noise
    array, valid = read_box(volume.finest, box, pad=True, fill_value=0)
    assert array.shape == valid.shape == box.shape
    padded = np.pad(data, 80)
    expected = padded[tuple(slice(a + 80, b + 80) for a, b in zip(box.start, box.stop, strict=True))]
    assert np.array_equal(array, expected)
    assert np.array_equal(valid, expected != 0)
    inside, all_valid = read_box(volume.finest, box)
    assert inside.shape == box.clipped(volume.finest.shape).shape
    assert all_valid.all()
    assert np.array_equal(inside, data[box.clipped(data.shape).slices])


@settings(max_examples=60)
@given(st.lists(boxes, min_size=1, max_size=5), st.integers(0, 4000))
def test_a_cache_of_any_size_reads_what_is_there(noise, wanted, budget_bytes):
    volume, data = noise
    cache = ChunkCache(budget_bytes)
    for box in wanted:
        inside = box.clipped(data.shape)
        assert np.array_equal(cache.read(volume.finest, inside), data[inside.slices])


# The interior of the ramps: 100..350 nm, 2..240 nm, 0..240 nm, less a coarse voxel at each side.
@settings(max_examples=60)
@given(
    st.tuples(*[st.sampled_from([2.0, 3.3, 4.0, 5.24, 8.0, 10.48, 13.0, 16.0, 20.96, 21.0])] * 3),
    st.tuples(st.floats(150, 180), st.floats(50, 80), st.floats(50, 80)),
    st.tuples(*[st.integers(1, 5)] * 3),
)
def test_a_ramp_is_reproduced_on_any_grid_without_a_shift(ramps, size, place, shape):
    target = Grid(size, place, shape)
    region = read_region(ramps, target, "em")
    assert region.valid.all()
    assert np.abs(region.array - ramp(target)).max() < 1e-6


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_stored_level_is_returned_as_it_is(ramps, level):
    stored = ramps.levels[level]
    region = read_region(ramps, stored.grid, "em")
    assert region.choice.level is stored
    assert np.array_equal(region.array, read_box(stored, whole(stored.grid))[0])


def test_half_voxel_shifts_between_labels_and_em_are_kept(ramps):
    # Labels at half the voxel size start a quarter of an EM voxel lower.
    size = tuple(s / 2 for s in GRID.voxel_size_nm)
    first = tuple(t + 10 * s - s / 4 for t, s in zip(GRID.translation_nm, GRID.voxel_size_nm, strict=True))
    target = Grid(size, first, (20, 20, 20))
    region = read_region(ramps, target, "em")
    assert region.choice.must_upsample
    assert np.abs(region.array - ramp(target)).max() < 1e-6


def test_em_of_whole_numbers_is_rounded_once(tmp_path):
    grid = Grid((4.0,) * 3, (0.0,) * 3, (4, 4, 4))
    data = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
    write_array(tmp_path / "em", data, grid)
    target = Grid((8.0,) * 3, (2.0,) * 3, (2, 2, 2))
    found = read_region(open_volume(tmp_path / "em"), target, "em").array
    means = data.reshape(2, 2, 2, 2, 2, 2).mean(axis=(1, 3, 5))
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.rint(means))


def test_each_label_reaches_to_the_edge_of_its_voxel_and_no_further(tmp_path):
    grid = Grid((4.0,) * 3, (0.0,) * 3, (1, 1, 4))
    write_array(tmp_path / "label", np.array([[[1, 2, 3, 4]]], np.uint16), grid)
    volume = open_volume(tmp_path / "label")
    # Voxel i covers [4i - 2, 4i + 2): an edge belongs to the upper voxel.
    for x, expected in [(-2.0, 1), (1.999, 1), (2.0, 2), (5.9, 2), (6.0, 3), (10.0, 4), (13.99, 4)]:
        region = read_region(volume, Grid((4.0, 4.0, 1.0), (0.0, 0.0, x), (1, 1, 1)), "label")
        assert (region.array.item(), region.valid.item()) == (expected, True), x
    for x in (-2.01, 14.0):
        region = read_region(volume, Grid((4.0, 4.0, 1.0), (0.0, 0.0, x), (1, 1, 1)), "label", fill_value=9)
        assert (region.array.item(), region.valid.item()) == (9, False), x


def test_finer_labels_are_put_to_the_vote(tmp_path):
    grid = Grid((2.0,) * 3, (0.0,) * 3, (4, 4, 4))
    data = np.zeros((4, 4, 4), np.uint8)
    data[:2, :2, :2].flat[:5] = 3
    data[2:, 2:, 2:].flat[:3] = 3
    write_array(tmp_path / "label", data, grid)
    found = read_region(open_volume(tmp_path / "label"), Grid((4.0,) * 3, (1.0,) * 3, (2, 2, 2)), "label").array
    assert found[0, 0, 0] == 3
    assert found.sum() == 3


def test_a_semantic_mask_is_smooth_where_nearest_would_have_steps(tmp_path):
    grid = Grid((8.0,) * 3, (0.0,) * 3, (8, 8, 8))
    _, y, x = np.indices(grid.shape)
    write_array(tmp_path / "mask", ((x + y) < 8).astype(np.uint8) * 255, grid)
    target = sub_grid(Grid((2.0,) * 3, (-3.0,) * 3, (32, 32, 32)), Box((8, 8, 8), (24, 24, 24)))
    found = read_region(open_volume(tmp_path / "mask"), target, "semantic").array
    positions = [t + 2.0 * np.arange(16) for t in target.translation_nm]
    plane = positions[1][:, None] + positions[2][None, :] - 8 * 7.5
    assert set(np.unique(found)) == {0, 1}
    assert found[3][plane < -4].all()
    assert not found[3][plane > 4].any()


def test_a_region_that_does_not_meet_the_volume_is_all_fill(ramps):
    region = read_region(ramps, Grid((4.0,) * 3, (1e6,) * 3, (3, 3, 3)), "em", fill_value=-1)
    assert not region.valid.any()
    assert (region.array == -1).all()


@settings(max_examples=100)
@given(grids, grids)
def test_cells_hold_whole_voxels_and_tile_the_source(source, target):
    cells = cells_for(source, target)
    for axis in range(3):
        assert -cells.factor[axis] < cells.phase[axis] <= 0
        assert cells.factor[axis] == 1 or cells.grid.voxel_size_nm[axis] <= target.voxel_size_nm[axis] * 1.0101
    covered = cells.voxels(whole(cells.grid))
    assert covered.contains(whole(source))
    assert all(b - n < f for b, n, f in zip(covered.stop, source.shape, cells.factor, strict=True))


@pytest.mark.parametrize("kind", ["em", "label", "semantic"])
def test_reading_in_pieces_gives_what_reading_at_once_gives(noise, monkeypatch, kind):
    volume, _ = noise
    target = Grid((9.0, 8.5, 13.0), (1.0, -7.0, 3.0), (9, 13, 7))
    at_once = read_region(volume, target, kind)
    monkeypatch.setattr(read, "PIECE_VOXELS", 40)
    in_pieces = read_region(volume, target, kind)
    assert np.array_equal(at_once.array, in_pieces.array)
    assert np.array_equal(at_once.valid, in_pieces.valid)


def test_a_broken_chunk_is_named(tmp_path):
    grid = Grid((4.0,) * 3, (0.0,) * 3, (32, 32, 32))
    write_array(tmp_path / "em", np.ones(grid.shape, np.uint8), grid, chunks=(16, 16, 16))
    (tmp_path / "em" / "1" / "0" / "1").write_bytes(b"<html>Service Unavailable</html>")
    volume = open_volume(tmp_path / "em")
    for reading in (lambda: read_region(volume, grid, "em"), lambda: ChunkCache().read(volume.finest, whole(grid))):
        with pytest.raises(DataError, match="broken chunk") as caught:
            reading()
        assert str(tmp_path / "em" / "1" / "0" / "1") in caught.value.message


def test_an_unknown_compressor_is_told_with_its_file(tmp_path):
    grid = Grid((4.0,) * 3, (0.0,) * 3, (4, 4, 4))
    write_array(tmp_path / "em", np.ones(grid.shape, np.uint8), grid)
    metadata = tmp_path / "em" / ".zarray"
    metadata.write_text(metadata.read_text().replace('"blosc"', '"banana"'))
    with pytest.raises(DataError, match="cannot be opened") as caught:
        read_box(open_volume(tmp_path / "em").finest, whole(grid))
    assert str(metadata) in caught.value.message


def test_the_cache_forgets_on_demand_and_stays_in_its_budget(tmp_path):
    grid = Grid((4.0,) * 3, (0.0,) * 3, (64, 16, 16))
    write_array(tmp_path / "em", np.indices(grid.shape)[0].astype(np.uint8), grid, chunks=(16, 16, 16))
    level = open_volume(tmp_path / "em").finest
    cache = ChunkCache(budget_bytes=10_000)
    cache.read(level, whole(grid))
    assert cache._held_bytes <= 10_000
    (tmp_path / "em" / "3" / "0" / "0").unlink()
    cache.clear()
    assert not cache.read(level, Box((48, 0, 0), (64, 16, 16))).any()
