import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.learning.cores import core_ids, grow_back
from cellmap_tui.scoring.instances import score_instance
from cellmap_tui.scoring.profiles import DEFAULT_PROFILE

NM = (8.0, 8.0, 8.0)


def by_hand(ids):
    """Return core ids by looking at every voxel's neighbours one at a time."""
    around = np.pad(ids, 1)
    out = ids.copy()
    for place in np.argwhere(ids):
        near = around[tuple(slice(i, i + 3) for i in place)]
        if ((near != 0) & (near != ids[tuple(place)])).any():
            out[tuple(place)] = 0
    return out


def packed_vesicles(cells=5, edge=11):
    """Return object ids of balls in a lattice, each a little larger than its cell, cut by its neighbours."""
    shape = (cells * edge,) * 3
    axes = np.indices(shape)
    offset = axes % edge - edge // 2
    inside = (offset**2).sum(axis=0) <= (0.62 * edge) ** 2
    z, y, x = axes // edge
    return (((z * cells + y) * cells + x + 1) * inside).astype(np.uint16)


@settings(max_examples=80)
@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([np.uint8, np.uint16, np.int64]))
def test_cores_are_voxels_without_another_id_around(seed, objects, dtype):
    random = np.random.default_rng(seed)
    ids = random.integers(0, objects + 1, random.integers(1, 7, 3)).astype(dtype)
    assert (core_ids(ids) == by_hand(ids)).all()


def test_an_object_that_touches_no_other_is_its_own_core():
    ids = np.zeros((9, 9, 9), np.uint32)
    ids[1:4, 1:4, 1:4] = 7
    ids[5:8, 5:8, 5:8] = 3
    assert (core_ids(ids) == ids).all()


def test_objects_grow_back_from_their_cores():
    ids = packed_vesicles(3)
    grown = grow_back(core_ids(ids) > 0, ids > 0)
    pairs = {(int(a), int(b)) for a, b in zip(ids[grown > 0], grown[grown > 0], strict=True)}
    assert ((grown > 0) == (ids > 0)).all()
    assert len(np.unique(grown)) == len(np.unique(ids))
    assert len(pairs) < 1.2 * len(np.unique(ids))


def test_objects_of_a_few_voxels_grow_back_and_lone_voxels_are_no_seeds():
    ids = np.zeros((5, 5, 12), np.uint16)
    ids[1:4, 1:4, 1:4], ids[1:4, 1:4, 4:7] = 1, 2
    assert len(np.unique(grow_back(core_ids(ids) > 0, ids > 0))) == 3
    cores = core_ids(ids) > 0
    cores[1:4, 1:4, 5] = False
    cores[1:4, 1:4, 6] = False
    cores[2, 2, 6] = True
    assert len(np.unique(grow_back(cores, ids > 0))) == 2
    assert len(np.unique(grow_back(cores, ids > 0, min_seed_voxels=1))) == 3


def test_small_pieces_are_no_seeds_and_lone_objects_stay():
    mask = np.zeros((8, 8, 20), bool)
    mask[1:7, 1:7, 1:7] = True
    mask[2:4, 2:4, 15:17] = True
    cores = mask.copy()
    grown = grow_back(cores, mask, min_seed_voxels=20)
    assert len(np.unique(grown)) == 3
    assert not grow_back(np.zeros_like(mask), np.zeros_like(mask)).any()


def test_cores_find_touching_objects_that_components_merge():
    ids = packed_vesicles()
    mask = ids > 0
    merged = score_instance(ids, mask.astype(np.uint8), NM, DEFAULT_PROFILE)
    apart = score_instance(ids, grow_back(core_ids(ids) > 0, mask).astype(np.uint16), NM, DEFAULT_PROFILE)
    assert merged.rq < 0.1
    assert apart.rq > 0.95
