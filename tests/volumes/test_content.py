"""Looking through label arrays: every count against a plain count of the whole array in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.volumes import content
from cellmap_tui.volumes.content import scan_label, touching_ids
from cellmap_tui.volumes.write import write_multiscale

if TYPE_CHECKING:
    from pathlib import Path

GRID = Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), (40, 40, 40))


def _touching_by_force(ids: np.ndarray[Any, Any]) -> set[int]:
    found = set()
    for z, y, x in np.argwhere(ids):
        near = ids[max(0, z - 1) : z + 2, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        if ((near != 0) & (near != ids[z, y, x])).any():
            found.add(int(ids[z, y, x]))
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.integers(1, 7)] * 3),
    st.sampled_from([np.uint8, np.uint16, np.int16, np.int32, np.uint64, np.int64]),
    st.floats(0.0, 0.6),
)
def test_touching_ids_are_those_that_a_look_at_every_voxel_finds(
    seed: int, shape: tuple[int, int, int], dtype: type, density: float
) -> None:
    random = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    ids = random.choice(np.array([1, 2, 3, top - 1, top], dtype), shape)
    ids[random.random(shape) > density] = 0
    assert touching_ids(ids) == _touching_by_force(ids)


def test_blocks_of_any_size_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    ids = np.zeros(GRID.shape, np.uint16)
    for number in range(1, 40):
        z, y, x = random.integers(0, 36, 3)
        ids[z : z + 4, y : y + 4, x : x + 4] = number
    path = tmp_path / "mito"
    write_multiscale(path, ids, GRID, kind="label", chunks=(8, 8, 8))
    whole = scan_label(path)
    numbers, sizes = np.unique(ids[ids > 0], return_counts=True)
    assert whole.kind == "instance"
    assert whole.objects == len(numbers)
    assert whole.foreground_voxels == int(sizes.sum())
    assert whole.touching_objects == len(_touching_by_force(ids))
    assert whole.object_voxels is not None
    assert whole.object_voxels[1] == round(float(np.median(sizes)))
    for limit in (1024, 8 * 8 * 40 * 2, 40 * 40 * 8 * 2):
        monkeypatch.setattr(content, "BLOCK_BYTES", limit)
        assert scan_label(path) == whole


def test_the_parts_of_a_mask_are_counted_when_asked(tmp_path: Path) -> None:
    mask = np.zeros(GRID.shape, np.uint8)
    mask[2:6, 2:6, 2:6] = 1
    mask[6:8, 6:8, 6:8] = 1  # meets the first by a corner
    mask[20:30, 20:30, 20:30] = 1
    path = tmp_path / "nuc"
    write_multiscale(path, mask, GRID, kind="label")
    assert scan_label(path).objects is None
    found = scan_label(path, with_objects=True)
    assert found.kind == "binary"
    assert found.objects == ndimage.label(mask, np.ones((3, 3, 3)))[1] == 2
    assert found.touching_objects is None
    assert found.touching_share is None
    assert found.foreground_um3 == pytest.approx(int(mask.sum()) * 8**3 / 1e9)


def test_unknown_voxels_are_neither_foreground_nor_a_neighbour(tmp_path: Path) -> None:
    ids = np.zeros(GRID.shape, np.uint8)
    ids[:10] = 255
    ids[10:12] = 1
    ids[20:22] = 2
    path = tmp_path / "mito"
    write_multiscale(
        path, ids, GRID, kind="label", attributes={"cellmap_tui": {"kind": "instance", "unknown_value": 255}}
    )
    found = scan_label(path)
    assert (found.objects, found.touching_objects, found.unknown_voxels) == (2, 0, 10 * 1600)
    assert found.foreground_share == pytest.approx(4 / 30)


def test_an_array_without_chunks_is_empty_and_one_object_with_an_id_is_an_instance(tmp_path: Path) -> None:
    write_multiscale(tmp_path / "empty", np.zeros(GRID.shape, np.uint8), GRID, kind="label")
    found = scan_label(tmp_path / "empty")
    assert (found.kind, found.objects, found.is_present, found.foreground_share) == ("empty", 0, False, 0.0)
    one = np.zeros(GRID.shape, np.uint8)
    one[3, 3, 3] = 7
    write_multiscale(tmp_path / "one", one, GRID, kind="label")
    assert scan_label(tmp_path / "one").kind == "instance"


def test_what_is_no_label_array_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="does not exist"):
        scan_label(tmp_path / "none")
    (tmp_path / "file").mkdir()
    with pytest.raises(DataError, match="not a Zarr"):
        scan_label(tmp_path / "file")


def test_what_is_too_large_is_estimated_from_a_coarser_level(tmp_path: Path) -> None:
    mask = np.zeros(GRID.shape, np.uint8)
    mask[:20] = 1
    path = tmp_path / "pm"
    write_multiscale(path, mask, GRID, kind="label", levels=3, chunks=(16, 16, 16))
    found = scan_label(path, max_voxels=20**3)
    assert found.is_estimate
    assert found.voxels == 40**3
    assert found.foreground_voxels == pytest.approx(20 * 1600, rel=0.05)
