from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.target_ids import IdMeaning
from cellmap_tui.challenge.targets import parse_targets, targets_of
from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.volumes import label_volumes
from cellmap_tui.volumes.geometry import Box, whole
from cellmap_tui.volumes.target_instances import watershed_parts
from cellmap_tui.volumes.target_labels import Instancing, Labels, open_labels, open_target
from cellmap_tui.volumes.write import write_multiscale

GRID = Grid((8.0, 8.0, 8.0), (100.0, 200.0, 300.0), (6, 10, 12))
ROOM = {"unknown_value": 255, "kind": "binary"}


class Given:
    """A volume in memory."""

    def __init__(self, values, *, unknown_value=None, has_ids=False, grid=None):
        self.values, self.unknown_value, self.has_ids = values, unknown_value, has_ids
        self.name, self.dtype = "given", values.dtype
        self.grid = grid or Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), values.shape)

    def read(self, grid, box):
        assert grid == self.grid
        inside = box.clipped(self.values.shape)
        found = np.zeros(box.shape, self.dtype)
        valid = np.zeros(box.shape, bool)
        place = inside.shifted(tuple(-i for i in box.start)).slices
        if not inside.is_empty:
            found[place], valid[place] = self.values[inside.slices], True
        return found, valid


def blank(value=0, dtype=np.uint8):
    return np.full(GRID.shape, value, dtype)


def crop(tmp_path, classes, annotated=None, **how):
    for name, (values, attributes) in classes.items():
        write_multiscale(
            tmp_path / name,
            values,
            GRID,
            kind="label",
            attributes={"cellmap_tui": attributes} if attributes else None,
        )
    return open_labels(tmp_path, GRID, annotated or [name for name in classes if name != "all"], **how)


def read(labels, text, name="t", **how):
    targets = parse_targets(text, "targets.toml")
    reader = open_target(labels, targets.get(name), targets.ignored, **how)
    reader.prepare()
    return (reader, *reader.read(whole(reader.grid)))


def of_ids(values, text, labels=(), **how):
    own = Given(np.asarray(values), **how)
    meaning = IdMeaning(labels=dict(labels))
    targets = parse_targets(text, "targets.toml", labels=tuple(dict(labels)))
    return Labels(own.grid, None, meaning, {}, own), targets


def test_a_target_is_the_union_of_its_classes(tmp_path):
    mem, lum = blank(), blank()
    mem[0], lum[1] = 1, 1
    labels = crop(tmp_path, {"er_mem": (mem, None), "er_lum": (lum, None)})
    _, values, known = read(labels, '[targets]\nt = ["er_mem", "er_lum"]')
    assert known.all()
    assert (values == (mem | lum)).all()
    assert values.dtype == np.uint8


def test_an_ignored_class_and_an_unknown_value_are_unknown_and_not_background(tmp_path):
    mem, ribo = blank(), blank()
    mem[0], mem[5], ribo[0, 0] = 1, 255, 1
    labels = crop(tmp_path, {"mito_mem": (mem, ROOM), "mito_ribo": (ribo, None)})
    reader, values, known = read(labels, 'ignore = ["mito_ribo"]\n[targets]\nt = ["mito_mem"]')
    assert not known[5].any()
    assert not known[0, 0].any()
    assert known[1:5].all()
    assert known[0, 1:].all()
    assert not values[~known].any()
    stored = reader.read_with_unknown(whole(GRID))
    assert set(np.unique(stored)) == {0, 1, 255}


def test_a_class_that_is_not_annotated_leaves_the_background_unknown(tmp_path):
    mem = blank()
    mem[0] = 1
    labels = crop(tmp_path, {"er_mem": (mem, None)})
    _, values, known = read(labels, '[targets]\nt = ["er_mem", "er_lum"]')
    assert (known == (mem == 1)).all()
    assert (values == mem).all()


def test_a_target_of_which_nothing_is_annotated_has_no_reader(tmp_path):
    labels = crop(tmp_path, {"er_mem": (blank(), None)})
    assert open_target(labels, targets_of(["nuc"]).targets[0]) is None


def test_a_group_is_known_from_its_parts_and_unknown_outside_of_them_while_some_are_missing(tmp_path):
    mem = blank()
    mem[0] = 1
    labels = crop(tmp_path, {"golgi_mem": (mem, None)})
    _, values, known = read(labels, '[targets]\nt = ["golgi"]')
    assert (known == (values == 1)).all()
    labels = crop(tmp_path, {"golgi_lum": (blank(), None)}, ["golgi_mem", "golgi_lum"])
    _, values, known = read(labels, '[targets]\nt = ["golgi"]')
    assert known.all()
    assert (values == mem).all()


def test_annotated_arrays_that_are_not_on_disk_are_named(tmp_path):
    labels = crop(tmp_path, {"er_mem": (blank(), None)}, ["er_mem", "nuc"])
    with pytest.raises(MissingDataError, match="nuc is annotated, and its array is not on disk"):
        open_target(labels, targets_of(["nuc"]).targets[0])


def test_an_array_that_is_missing_is_made_up_for_by_all(tmp_path):
    ids = blank()
    ids[2], ids[3] = 24, 60
    labels = crop(tmp_path, {"all": (ids, None)}, ["hchrom", "nuc"])
    _, values, known = read(labels, '[targets]\nt = ["nuc"]', kind="semantic")
    assert known.all()
    assert (values != 0).sum() == GRID.shape[1] * GRID.shape[2]
    with pytest.raises(MissingDataError):
        read(crop(tmp_path / "other", {}, ["nuc"]), '[targets]\nt = ["nuc"]')


def test_a_coarser_id_leaves_a_class_that_is_not_annotated_unknown(tmp_path):
    ids = blank()
    ids[0], ids[1] = 50, 3
    labels = crop(tmp_path, {"all": (ids, None)}, ["mito"])
    _, values, known = read(labels, '[targets]\nt = ["mito_mem"]')
    assert (values[1] == 1).all()
    assert not known[0].any()
    assert not known[2:].any()
    _, values, known = read(labels, '[targets]\nt = ["mito"]', kind="semantic")
    assert known.all()
    assert (values[:2] == 1).all()


def test_class_arrays_and_all_say_the_same(tmp_path):
    rng = np.random.default_rng(3)
    ids = rng.choice([0, 2, 3, 4, 5, 16, 17], GRID.shape).astype(np.uint8)
    names = {"pm": 2, "mito_mem": 3, "mito_lum": 4, "mito_ribo": 5, "er_mem": 16, "er_lum": 17}
    classes = {name: ((ids == i).astype(np.uint8), None) for name, i in names.items()}
    crop(tmp_path, {**classes, "all": (ids, None)})
    text = 'ignore = ["pm"]\n[targets]\na = ["mito"]\nb = ["er_mem"]\nc = { classes = ["er"], kind = "semantic" }'
    for name in "abc":
        both = [
            read(open_labels(tmp_path, GRID, list(names), origin=origin), text, name) for origin in ("classes", "all")
        ]
        assert (both[0][1] == both[1][1]).all()
        assert (both[0][2] == both[1][2]).all()


def test_ids_that_no_table_knows_are_unknown_and_counted():
    labels, targets = of_ids(np.array([[[0, 3, 99, 70_000]]], np.uint32), '[targets]\nt = ["mito_mem"]')
    values, known = open_target(labels, targets.targets[0]).read(whole(labels.grid))
    assert values.tolist() == [[[0, 1, 0, 0]]]
    assert known.tolist() == [[[True, True, False, False]]]
    assert labels.id_counts() == {3: 1, 99: 1, 70_000: 1}


def test_names_of_ones_own_give_ids_their_meaning():
    labels, targets = of_ids(
        np.array([[[0, 7, 100_000, 3]]], np.int64),
        '[targets]\nt = ["axon", "glia"]',
        {"axon": 7, "glia": 100_000, "rest": 3},
    )
    values, known = open_target(labels, targets.targets[0]).read(whole(labels.grid))
    assert values.tolist() == [[[0, 1, 1, 0]]]
    assert known.all()


def test_what_lies_outside_the_labels_is_unknown(tmp_path):
    labels = crop(tmp_path, {"er_mem": (blank(1), None)})
    reader = open_target(labels, targets_of(["er_mem"]).targets[0])
    values, known = reader.read(Box((-2, 0, 0), (2, 3, 14)))
    assert values.shape == (4, 3, 14)
    assert not known[:2].any()
    assert not known[:, :, 12:].any()
    assert values[2:, :, :12].all()


def test_labels_at_another_voxel_size_are_brought_to_the_grid(tmp_path):
    coarse = Grid((16.0, 16.0, 16.0), (104.0, 204.0, 304.0), (3, 5, 6))
    values = np.zeros(coarse.shape, np.uint8)
    values[1] = 1
    write_multiscale(tmp_path / "er_mem", values, coarse, kind="label")
    labels = open_labels(tmp_path, GRID, ["er_mem"])
    found, known = open_target(labels, targets_of(["er_mem"]).targets[0]).read(whole(GRID))
    assert known.all()
    assert found[2:4].all()
    assert not found[:2].any()
    assert not found[4:].any()


def test_object_ids_are_kept_as_they_are_at_any_width(tmp_path):
    ids = blank(dtype=np.uint32)
    ids[0], ids[3], ids[5] = 7, 70_000, 300
    labels = crop(tmp_path, {"mito": (ids, {"kind": "instance"})})
    reader, values, _ = read(labels, '[targets]\nt = ["mito"]', kind="instance")
    assert (values == ids).all()
    assert reader.dtype == np.uint32
    assert (reader.max_id, reader.objects) == (70_000, 3)


def test_a_target_of_a_groups_parts_takes_the_groups_ids(tmp_path):
    mito = blank()
    mito[:, :5], mito[:, 5:] = 1, 2
    whole_mask = (blank(1), None)
    labels = crop(
        tmp_path,
        {
            "mito": (mito, {"kind": "instance"}),
            "mito_mem": whole_mask,
            "mito_lum": (blank(), None),
            "mito_ribo": (blank(), None),
        },
    )
    reader, values, _ = read(labels, '[targets]\nt = ["mito_mem", "mito_lum", "mito_ribo"]', kind="instance")
    assert (values == mito).all()
    assert reader.words == "ids of mito"
    reader, values, _ = read(labels, '[targets]\nt = ["mito_mem", "mito_lum"]', kind="instance")
    assert reader.objects == 1


def test_ids_of_several_arrays_do_not_meet(tmp_path):
    nuc, mito = blank(), blank()
    nuc[0], mito[2], mito[4] = 2, 1, 3
    classes = {"nuc": (nuc, {"kind": "instance"}), "mito": (mito, {"kind": "instance"})}
    reader, values, _ = read(crop(tmp_path, classes), '[targets]\nt = ["nuc", "mito"]', kind="instance")
    assert [int(values[z, 0, 0]) for z in range(6)] == [2, 0, 3, 0, 5, 0]
    assert reader.objects == 3


masks = arrays.arrays(np.bool_, st.tuples(*[st.integers(1, 9)] * 3), elements=st.booleans())


@given(masks, st.integers(1, 200), st.data())
@settings(max_examples=150)
def test_parts_found_slab_by_slab_are_those_of_the_whole(mask, slab_voxels, data):
    before = label_volumes.SLAB_VOXELS
    label_volumes.SLAB_VOXELS = slab_voxels
    try:
        labels, targets = of_ids(mask.astype(np.uint8) * 3, '[targets]\nt = ["mito_mem"]')
        reader = open_target(labels, targets.targets[0], kind="instance")
        reader.prepare()
        found, _ = reader.read(whole(labels.grid))
        low = tuple(data.draw(st.integers(-2, n)) for n in mask.shape)
        high = tuple(data.draw(st.integers(a + 1, n + 2)) for a, n in zip(low, mask.shape, strict=True))
        part, known = reader.read(Box(low, high))
    finally:
        label_volumes.SLAB_VOXELS = before
    expected, count = ndimage.label(mask, np.ones((3, 3, 3)))
    assert reader.objects == count
    assert (found == expected).all()
    inside = Box(low, high).clipped(mask.shape)
    place = inside.shifted(tuple(-i for i in low)).slices
    if not inside.is_empty:
        assert (part[place] == expected[inside.slices]).all()
        assert known.sum() == inside.voxels
    assert part.astype(bool).sum() == (expected[inside.slices] > 0).sum()


def test_a_watershed_parts_two_balls_that_touch_and_keeps_every_part():
    z, y, x = np.ogrid[:40, :40, :70]
    balls = ((z - 20) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 < 15**2) | (
        (z - 20) ** 2 + (y - 20) ** 2 + (x - 46) ** 2 < 15**2
    )
    balls[0, 0, 0] = True
    ids, count = watershed_parts(balls, (8.0, 8.0, 8.0))
    assert count == 3
    assert ((ids != 0) == balls).all()
    assert ids[20, 20, 20] != ids[20, 20, 46]
    labels, targets = of_ids(balls.astype(np.uint8) * 3, '[targets]\nt = ["mito_mem"]')
    reader = open_target(labels, targets.targets[0], kind="instance", instancing=Instancing("watershed"))
    reader.prepare()
    assert (reader.read(whole(labels.grid))[0] == ids).all()
    assert reader.memory_bytes > balls.size


def test_a_box_is_cut_by_the_watershed_as_a_ball_is_not():
    z, y, x = np.ogrid[:30, :30, :30]
    _, count = watershed_parts((z - 15) ** 2 + (y - 15) ** 2 + (x - 15) ** 2 < 14**2, (8.0, 8.0, 8.0))
    assert count == 1


def test_an_empty_mask_has_no_objects():
    assert watershed_parts(np.zeros((3, 3, 3), bool), (8.0, 8.0, 8.0))[1] == 0
    labels, targets = of_ids(np.zeros((3, 3, 3), np.uint8), '[targets]\nt = ["mito_mem"]')
    reader = open_target(labels, targets.targets[0], kind="instance")
    reader.prepare()
    assert reader.objects == 0
    assert not reader.read(whole(labels.grid))[0].any()


def test_negative_labels_are_refused(tmp_path):
    labels = crop(tmp_path, {"er_mem": (blank(-4, np.int16), None)})
    with pytest.raises(DataError, match="negative values down to -4"):
        read(labels, '[targets]\nt = ["er_mem"]')
