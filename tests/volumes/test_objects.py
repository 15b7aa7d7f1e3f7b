"""Objects found, grown and split block by block, against one pass and against the libraries."""

from __future__ import annotations

import heapq
import itertools
import math
import shutil
from typing import TYPE_CHECKING

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi
from skimage.segmentation import watershed

from cellmap_tui.errors import RefusedError
from cellmap_tui.volumes.blocks import Computed, Held, Workspace, block_for
from cellmap_tui.volumes.geometry import Box
from cellmap_tui.volumes.object_grow import grown_from_cores
from cellmap_tui.volumes.object_labels import find_objects, sized, without_holes
from cellmap_tui.volumes.object_split import Split, split_objects
from cellmap_tui.volumes.voxel_steps import Reshape, Smooth, Threshold, stepped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

VOXEL = (4.0, 4.0, 4.0)


def _field(seed: int, shape: tuple[int, int, int], sigma: float = 1.5) -> NDArray[np.float64]:
    return ndi.gaussian_filter(np.random.default_rng(seed).random(shape), sigma)


def _mask(seed: int, shape: tuple[int, int, int], share: float = 0.2) -> NDArray[np.bool_]:
    field = _field(seed, shape)
    return np.asarray(field > np.quantile(field, 1 - share))


def _whole(shape: tuple[int, ...]) -> Box:
    z, y, x = shape
    return Box((0, 0, 0), (z, y, x))


def _is_renumbered(one: NDArray[np.integer], other: NDArray[np.integer]) -> bool:
    """Whether two labellings are the same but for the numbers."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.tuples(*[st.integers(1, 150)] * 3), st.floats(0.02, 0.6), st.booleans())
def test_objects_across_blocks_are_those_of_one_pass(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    shape: tuple[int, int, int],
    share: float,
    by_faces: bool,
) -> None:
    mask = _mask(seed, shape, share)
    connectivity = 6 if by_faces else 26
    expected, count = cc3d.connected_components(mask, connectivity=connectivity, return_N=True)
    work = Workspace(tmp_path_factory.mktemp("blocks"), 64)
    found = find_objects(Held(mask), work, "a", connectivity=connectivity)
    labels = found.read(_whole(shape))
    assert found.count == count
    assert _is_renumbered(labels, expected)
    one_pass = find_objects(Held(mask), Workspace(), "a", connectivity=connectivity)
    assert np.array_equal(labels, one_pass.read(_whole(shape)))
    assert np.array_equal(np.bincount(labels.ravel(), minlength=count + 1)[1:], found.facts.sizes[1:])


def test_objects_are_numbered_in_the_order_of_their_first_voxels(tmp_path: Path) -> None:
    mask = _mask(3, (70, 80, 130))
    labels = find_objects(Held(mask), Workspace(tmp_path, 64), "a").read(_whole(mask.shape))
    values, first = np.unique(labels[labels > 0], return_index=True)
    assert np.array_equal(values[np.argsort(first)], np.arange(1, len(values) + 1))


def test_objects_touch_only_over_corners_of_blocks_and_are_one(tmp_path: Path) -> None:
    mask = np.zeros((130, 130, 130), bool)
    for z, y, x in ((63, 63, 63), (64, 64, 64), (63, 64, 65), (64, 63, 62), (65, 62, 63)):
        mask[z, y, x] = True
    assert (
        find_objects(Held(mask), Workspace(tmp_path, 64), "a").count
        == cc3d.connected_components(mask, connectivity=26, return_N=True)[1]
    )


def test_more_objects_than_16_bits_hold_are_told_apart(tmp_path: Path) -> None:
    mask = np.zeros((64, 96, 128), bool)
    mask[::2, ::2, ::2] = True
    mask[63:, 95:, 127:] = False
    found = find_objects(Held(mask), Workspace(tmp_path, 64), "a")
    assert found.count == mask.sum() == 98_304
    assert len(np.unique(found.read(_whole(mask.shape)))) == found.count + 1


def test_small_and_large_objects_are_removed_and_the_rest_is_renumbered(tmp_path: Path) -> None:
    mask = _mask(5, (80, 90, 70))
    found = find_objects(Held(mask), Workspace(tmp_path, 64), "a")
    kept = sized(found, 30, 200)
    sizes = np.bincount(kept.read(_whole(mask.shape)).ravel())[1:]
    assert len(sizes) == kept.count
    assert sizes.min() >= 30
    assert sizes.max() <= 200
    assert kept.count == ((found.facts.sizes[1:] >= 30) & (found.facts.sizes[1:] <= 200)).sum()


@pytest.mark.parametrize("limit", [None, 40])
def test_holes_are_filled_across_blocks_and_bays_stay_open(tmp_path: Path, limit: int | None) -> None:
    field = _field(7, (90, 100, 80))
    mask = np.asarray(field > np.quantile(field, 0.25))
    filled = without_holes(Held(mask), Workspace(tmp_path, 64), "h", limit).read(_whole(mask.shape))
    expected = ndi.binary_fill_holes(mask)
    if limit is not None:
        holes, _ = cc3d.connected_components(expected & ~mask, connectivity=6, return_N=True)
        sizes = np.bincount(holes.ravel())
        expected = mask | ((holes > 0) & (sizes[holes] <= limit))
    assert np.array_equal(filled, expected)
    assert filled.sum() > mask.sum()


def test_smoothing_opening_and_closing_do_not_show_where_blocks_met(tmp_path: Path) -> None:
    values = _field(1, (100, 75, 140)).astype(np.float32)
    above = float(np.quantile(values, 0.7))
    steps = [Smooth((1.5, 1.0, 1.0)), Threshold(above), Reshape("open", 9.0, VOXEL), Reshape("close", 8.0, VOXEL)]
    done = stepped(Held(values), steps)
    parts = np.zeros(values.shape, bool)
    for box in Workspace(tmp_path, 64).blocks((100, 75, 140)):
        parts[box.slices] = done.read(box)
    assert np.array_equal(parts, done.read(_whole(values.shape)))
    smooth = ndi.gaussian_filter(values, (1.5, 1, 1), mode="nearest", truncate=3)
    ball = np.linalg.norm(np.indices((5, 5, 5)) - 2, axis=0) * 4 <= 9
    opened = ndi.binary_dilation(ndi.binary_erosion(smooth > np.float32(above), ball, border_value=1), ball)
    inner = (slice(6, -6),) * 3
    assert np.array_equal(done_open(values, above)[inner], opened[inner])


def done_open(values: NDArray[np.float32], above: float) -> NDArray[np.bool_]:
    """Smoothed, cut and opened by the steps."""
    steps = [Smooth((1.5, 1.0, 1.0)), Threshold(above), Reshape("open", 9.0, VOXEL)]
    return stepped(Held(values), steps).read(_whole(values.shape))


def test_opening_does_not_eat_what_the_faces_of_the_volume_cut() -> None:
    mask = np.zeros((20, 20, 20), bool)
    mask[:, 6:14, 6:14] = True
    opened = Reshape("open", 8.0, VOXEL).apply(mask, _whole(mask.shape))
    assert opened[0].any()
    assert np.array_equal(opened[0], opened[10])


@pytest.mark.parametrize("size", [(4.0, 4.0, 4.0), (16.0, 4.0, 4.0)])
def test_objects_grow_from_cores_across_blocks_as_in_one_pass(
    tmp_path: Path, size: tuple[float, float, float]
) -> None:
    field = _field(2, (110, 90, 150), 2.5)
    mask = np.asarray(field > np.quantile(field, 0.6))
    core = ndi.binary_erosion(mask, iterations=2)
    one = grown_from_cores(Held(core), Held(mask), Workspace(), "g", size)
    many = grown_from_cores(Held(core), Held(mask), Workspace(tmp_path, 64), "g", size)
    labels = one.read(_whole(mask.shape))
    assert np.array_equal(labels, many.read(_whole(mask.shape)))
    assert np.array_equal(labels > 0, mask)
    assert one.count > cc3d.connected_components(mask, connectivity=26, return_N=True)[1]
    assert all(cc3d.connected_components(labels == n, connectivity=26, return_N=True)[1] == 1 for n in range(1, 9))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.tuples(*[st.integers(1, 24)] * 2, st.integers(1, 60)), st.floats(0.3, 0.9))
def test_every_voxel_goes_to_the_seed_with_the_shortest_way(
    seed: int, shape: tuple[int, int, int], share: float
) -> None:
    rng, size = np.random.default_rng(seed), (10.0, 4.0, 6.0)
    mask = rng.random(shape) < share
    core = mask & (rng.random(shape) < 0.05)
    seeds = cc3d.connected_components(core, connectivity=26)
    found = grown_from_cores(Held(core), Held(mask), Workspace(), "g", size, 1).read(_whole(shape))
    nearest = _nearest_seeds(np.asarray(seeds), mask, size)
    reached = nearest > 0
    assert np.array_equal(found > 0, mask)
    assert _is_renumbered(found[reached], nearest[reached])


def _nearest_seeds(seeds: NDArray[np.integer], mask: NDArray[np.bool_], size: tuple[float, ...]) -> NDArray[np.int64]:
    """Return the number of the seed with the shortest way to each voxel, by a queue of voxels."""
    steps = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]
    lengths = [round(16 * math.dist((0, 0, 0), np.multiply(step, size)) / min(size)) for step in steps]
    owner = np.zeros(mask.shape, np.int64)
    waiting = [(0, int(seeds[place]), place) for place in map(tuple, np.argwhere(seeds))]
    heapq.heapify(waiting)
    while waiting:
        length, number, place = heapq.heappop(waiting)
        if owner[place]:
            continue
        owner[place] = number
        for step, way in zip(steps, lengths, strict=True):
            to = tuple(int(a + b) for a, b in zip(place, step, strict=True))
            if all(0 <= a < n for a, n in zip(to, mask.shape, strict=True)) and mask[to] and not owner[to]:
                heapq.heappush(waiting, (length + way, number, to))
    return owner


def test_touching_boxes_are_cut_halfway_between_their_cores() -> None:
    mask = np.zeros((20, 20, 40), bool)
    mask[4:16, 4:16, 2:38] = True
    core = np.zeros_like(mask)
    core[7:13, 7:13, 6:14] = core[7:13, 7:13, 26:34] = True
    found = grown_from_cores(Held(core), Held(mask), Workspace(), "g", VOXEL)
    labels = found.read(_whole(mask.shape))
    assert found.count == 2
    assert (labels[10, 10, 2:20] == 1).all()
    assert (labels[10, 10, 20:38] == 2).all()


def test_a_piece_without_a_seed_is_an_object_and_a_tiny_core_is_no_seed() -> None:
    mask = np.zeros((20, 20, 40), bool)
    mask[4:16, 4:16, 2:14] = mask[4:16, 4:16, 20:32] = True
    core = np.zeros_like(mask)
    core[6:14, 6:14, 4:12] = True
    core[5, 5, 3] = core[10, 10, 25] = True
    found = grown_from_cores(Held(core), Held(mask), Workspace(), "g", VOXEL)
    assert found.count == 2
    assert set(found.facts.sizes[1:]) == {12**3}


@pytest.mark.parametrize("by", ["distance", "boundary"])
def test_objects_are_split_across_blocks_as_in_one_pass(tmp_path: Path, by: str) -> None:
    field = _field(4, (100, 90, 130), 2.0)
    mask = np.asarray(field > np.quantile(field, 0.8))
    field = (field - field.min()) / (field.max() - field.min())
    how = Split("distance" if by == "distance" else "boundary", VOXEL, 24.0, 0.4, 5)
    boundary = Held((1 - field).astype(np.float32))
    results = []
    for work in (Workspace(), Workspace(tmp_path, 64)):
        found = find_objects(Held(mask), work, "a")
        split = split_objects(found, how, work, "s", boundary=boundary)
        assert split.count > found.count
        results.append(split.read(_whole(mask.shape)))
    assert np.array_equal(*results)
    assert np.array_equal(results[0] > 0, mask)


def test_a_dumbbell_is_split_at_its_neck_as_scikit_image_splits_it() -> None:
    z, y, x = np.indices((30, 30, 60))
    mask = np.hypot(np.hypot(z - 15, y - 15), x - 17) < 11
    mask |= np.hypot(np.hypot(z - 15, y - 15), x - 41) < 11
    mask |= (np.hypot(z - 15, y - 15) < 4) & (x > 17) & (x < 41)
    one = find_objects(Held(mask), Workspace(), "a")
    found = split_objects(one, Split("distance", VOXEL, 60.0), Workspace(), "s")
    labels = found.read(_whole(mask.shape))
    assert found.count == 2
    distance = ndi.distance_transform_edt(mask)
    seeds = np.zeros(mask.shape, np.int32)
    seeds[15, 15, 17], seeds[15, 15, 41] = 1, 2
    expected = watershed(-distance, seeds, mask=mask, connectivity=np.ones((3, 3, 3)))
    assert (labels == expected).mean() > 0.999
    assert (labels[..., :28][mask[..., :28]] == 1).mean() > 0.99


def test_an_object_that_does_not_fit_stays_whole_and_is_told() -> None:
    mask = np.zeros((30, 30, 60), bool)
    mask[5:25, 5:25, 5:55] = True
    told: list[str] = []
    found = find_objects(Held(mask), Workspace(), "a")
    split = split_objects(found, Split("distance", VOXEL, 20.0), Workspace(), "s", limit_voxels=100, warn=told.append)
    assert split.count == 1
    assert "too large" in told[0]


class Killed(BaseException):
    """What a test uses in place of a kill."""


def _dying(after: int) -> Callable[[], None]:
    left = [after]

    def checkpoint() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    return checkpoint


@pytest.mark.parametrize("method", ["components", "cores", "watershed"])
def test_work_that_was_killed_anywhere_goes_on_to_the_same_objects(tmp_path: Path, method: str) -> None:
    field = _field(6, (100, 70, 140), 2.0)
    mask = np.asarray(field > np.quantile(field, 0.7))
    core = ndi.binary_erosion(mask)
    read: list[Box] = []

    def counted(box: Box) -> NDArray[np.bool_]:
        read.append(box)
        return mask[box.slices]

    def run(work: Workspace) -> NDArray[np.integer]:
        source = Computed((100, 70, 140), counted)
        if method == "cores":
            found = grown_from_cores(Held(core), source, work, "g", VOXEL)
        else:
            found = find_objects(source, work, "a")
            if method == "watershed":
                found = split_objects(found, Split("distance", VOXEL, 24.0), work, "s")
        return found.read(_whole(mask.shape))

    expected = run(Workspace())
    for attempt in range(60):
        try:
            labels = run(Workspace(tmp_path / "w", 64, checkpoint=_dying(7 + 3 * attempt)))
            break
        except Killed:
            continue
    else:
        pytest.fail("it never came to its end")
    assert attempt > 0
    assert np.array_equal(labels, expected)


def test_a_torn_line_of_what_is_done_is_done_again(tmp_path: Path) -> None:
    mask = _mask(8, (100, 70, 140))
    expected = find_objects(Held(mask), Workspace(tmp_path / "w", 64), "a").read(_whole(mask.shape))
    done = tmp_path / "w" / "a" / "done.jsonl"
    (tmp_path / "w" / "a" / "joined.npz").unlink()
    lines = done.read_text().splitlines(keepends=True)
    done.write_text("".join(lines[:2]) + lines[2][:9])
    again = find_objects(Held(mask), Workspace(tmp_path / "w", 64), "a").read(_whole(mask.shape))
    assert np.array_equal(again, expected)


def test_several_blocks_at_once_give_the_same(tmp_path: Path) -> None:
    mask = _mask(9, (130, 130, 130))
    one = find_objects(Held(mask), Workspace(tmp_path / "one", 64, 1), "a").read(_whole(mask.shape))
    two = find_objects(Held(mask), Workspace(tmp_path / "two", 64, 3), "a").read(_whole(mask.shape))
    assert np.array_equal(one, two)
    shutil.rmtree(tmp_path / "two")


def test_blocks_fit_the_memory_or_are_refused() -> None:
    assert block_for(10**10, 2) == 256
    assert block_for(10**9, 2) == 192
    with pytest.raises(RefusedError):
        block_for(10**6, 1)
