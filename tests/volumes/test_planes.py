"""Volumes sampled at the pixels of a picture."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.scoring.alignment import aligned
from cellmap_tui.scoring.sources import open_source
from cellmap_tui.scoring.stores import open_store
from cellmap_tui.volumes.comparison import FN, FP, TP, errors, foreground
from cellmap_tui.volumes.planes import PixelPlane, PlaneCache, sample
from cellmap_tui.volumes.write import write_array


class Counted:
    """An array that counts how often it is read."""

    def __init__(self, array):
        self.array, self.reads = array, 0
        self.shape, self.dtype = array.shape, array.dtype

    def read(self, start, stop):
        self.reads += 1
        return self.array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]


def plane_of(grid, axis, index, rows, columns):
    down, across = ((1, 2), (0, 2), (0, 1))[axis]
    at = [grid.translation_nm[i] for i in range(3)]
    size = grid.voxel_size_nm
    return PixelPlane(
        axis,
        at[axis] + index * size[axis],
        [at[down] + r * size[down] for r in rows],
        [at[across] + c * size[across] for c in columns],
    )


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2),
    st.integers(-2, 40),
    st.lists(st.integers(-3, 90), min_size=1, max_size=20, unique=True).map(sorted),
    st.lists(st.integers(-3, 90), min_size=1, max_size=20, unique=True).map(sorted),
)
def test_each_pixel_has_the_voxel_at_its_centre_and_what_is_outside_is_unknown(axis, index, rows, columns):
    grid = Grid((8.0, 4.0, 2.0), (100.0, -20.0, 3.0), (37, 80, 70))
    array = np.random.default_rng(3).integers(1, 1000, grid.shape).astype(np.uint16)
    found = sample(PlaneCache(), "a", Counted(array), grid, plane_of(grid, axis, index, rows, columns))
    down, across = ((1, 2), (0, 2), (0, 1))[axis]
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            place = [0, 0, 0]
            place[axis], place[down], place[across] = index, row, column
            inside = all(0 <= p < n for p, n in zip(place, grid.shape, strict=True))
            assert found.known[i, j] == inside
            assert found.values[i, j] == (array[tuple(place)] if inside else 0)


def test_a_chunk_is_read_once_for_all_its_planes():
    grid = Grid((4.0,) * 3, (0.0,) * 3, (64, 64, 64))
    volume, cache = Counted(np.zeros(grid.shape, np.uint8)), PlaneCache()
    for index in range(16):
        sample(cache, "a", volume, grid, plane_of(grid, 0, index, range(64), range(64)))
    assert volume.reads == 1
    sample(cache, "a", volume, grid, plane_of(grid, 0, 16, range(64), range(64)))
    assert volume.reads == 2


def test_what_is_kept_stays_within_the_budget():
    grid = Grid((4.0,) * 3, (0.0,) * 3, (64, 64, 64))
    volume, cache = Counted(np.zeros(grid.shape, np.uint8)), PlaneCache(budget_bytes=70_000)
    for index in (0, 16, 32, 48, 0):
        sample(cache, "a", volume, grid, plane_of(grid, 0, index, range(64), range(64)))
    assert cache._held_bytes <= 70_000
    assert volume.reads == 5


def test_chunks_on_disk_are_read_by_threads_wherever_the_prediction_lies(tmp_path):
    grid = Grid((4.0,) * 3, (0.0,) * 3, (80, 150, 140))
    stored = Grid((4.0,) * 3, (-40.0, 20.0, 28.0), (100, 130, 150))
    array = np.random.default_rng(3).integers(0, 9, stored.shape).astype(np.uint8)
    write_array(tmp_path / "mito", array, stored)
    volume = aligned(open_source(open_store(tmp_path), "mito", grid.voxel_size_nm), grid, "instance")
    expected = volume.read((0, 0, 0), grid.shape)
    cache = PlaneCache()
    for axis, index in ((0, 0), (0, 53), (0, 54), (1, 7), (2, 139)):
        rows, columns = (range(grid.shape[a]) for a in ((1, 2), (0, 2), (0, 1))[axis])
        found = sample(cache, "a", volume, grid, plane_of(grid, axis, index, rows, columns))
        assert np.array_equal(found.values, expected.take(index, axis=axis)), (axis, index)


def test_a_pixel_is_right_hallucinated_or_missed_and_nothing_where_the_truth_is_unknown():
    truth, predicted = np.array([[5, 5, 0, 0, 5]]), np.array([[9, 0, 9, 0, 0]])
    known = np.array([[True, True, True, True, False]])
    assert errors(truth, predicted, known).tolist() == [[TP, FN, FP, 0, 0]]


def test_probabilities_become_labels_and_ids_stay_ids():
    probable = np.array([0.0, 0.49, 0.5, 1.0, np.nan], np.float32)
    assert foreground(probable).tolist() == [0, 0, 1, 1, 0]
    assert foreground(probable, 0.9).tolist() == [0, 0, 0, 1, 0]
    assert foreground(np.array([0, 3, 700], np.uint16)).tolist() == [0, 3, 700]
    assert foreground(np.array([0, 100, 200], np.uint8), 128).tolist() == [0, 0, 1]
