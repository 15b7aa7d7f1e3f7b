"""Probabilities streamed from EM on disk: complete, in place, and the same however the volume is divided."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import RefusedError
from cellmap_tui.learning.ensemble import Tiling, at_voxel_size, covering_grid
from cellmap_tui.learning.grid_map import GridMap
from cellmap_tui.learning.part_plan import part_bytes, plan_parts
from cellmap_tui.volumes.geometry import Box, sub_grid, whole
from cellmap_tui.volumes.write import write_multiscale
from tests.learning.predicting import Same, card, predicted, source

EM = Grid((8.0, 8.0, 8.0), (1004.0, 2004.0, 3004.0), (44, 52, 60))


@pytest.fixture(scope="module")
def em(tmp_path_factory):
    path = tmp_path_factory.mktemp("em") / "em"
    data = np.random.default_rng(0).integers(1, 255, EM.shape).astype(np.uint8)
    write_multiscale(path, data, EM, chunks=(16, 16, 16), levels=2)
    return path, data


@pytest.fixture(scope="module")
def ramps(tmp_path_factory):
    """EM that rises by the same amount per nm along one axis, for each axis."""
    folder = tmp_path_factory.mktemp("ramps")
    grid = Grid((4.0, 4.0, 4.0), (2.0, 2.0, 2.0), (48, 48, 48))
    for axis in range(3):
        line = (np.arange(48) * 4 + 2.0).reshape([-1 if a == axis else 1 for a in range(3)])
        write_multiscale(folder / str(axis), np.broadcast_to(line, grid.shape).astype(np.uint8), grid, levels=3)
    return folder


def test_a_network_that_answers_what_it_sees_gives_the_em_back(em):
    path, data = em
    place = sub_grid(EM, Box((5, 6, 7), (40, 50, 55)))
    found, times = predicted([source(path, place, card())], ("mito",), place)
    assert (times == 1).all()
    np.testing.assert_allclose(found[0] * 255, data[5:40, 6:50, 7:55], atol=1e-3)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_voxel_is_handed_out_once_with_its_own_value(em, data):
    path, grey = em
    start = tuple(data.draw(st.integers(-3, 20), label="start") for _ in range(3))
    shape = tuple(data.draw(st.integers(1 + max(0, -start[axis]), 22), label="shape") for axis in range(3))
    patch = tuple(data.draw(st.sampled_from((4, 8, 12)), label="patch") for _ in range(3))
    if data.draw(st.booleans(), label="flat"):
        patch = (1, patch[1], patch[1])
    tiling = Tiling(
        overlap=data.draw(st.sampled_from((0.0, 0.25, 0.5, 0.7))),
        blending=data.draw(st.sampled_from(("gaussian", "constant"))),
        flips=data.draw(st.booleans()),
    )
    margin = tuple(data.draw(st.integers(0, 3)) for _ in range(3))
    place = sub_grid(EM, Box(start, tuple(a + n for a, n in zip(start, shape, strict=True))))
    made = source(path, place, card(patch), tiling=tiling, margin=margin, batch_size=data.draw(st.integers(1, 5)))
    found, times = predicted([made], ("mito",), place, depth=data.draw(st.sampled_from((1, 4, 16))))
    assert (times == 1).all()
    padded = np.pad(grey, 30)[tuple(slice(a + 30, a + n + 30) for a, n in zip(start, shape, strict=True))]
    np.testing.assert_allclose(found[0] * 255, padded, atol=1e-2)


def test_parts_equal_the_whole_volume(em):
    path, _ = em
    place = sub_grid(EM, Box((2, 2, 2), (42, 50, 58)))
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3, padding=1), torch.nn.Conv3d(2, 1, 3, padding=1))
    made = source(path, place, card(), network=network)
    expected, _ = predicted([made], ("mito",), place)
    together = np.zeros(place.shape, np.float32)
    parts = plan_parts([(made.predictor, made.grid)], place, 1, (16, 16, 16), 10**9, at_least=5)
    assert len(parts) >= 5
    for part in parts:
        found, times = predicted([made], ("mito",), place, part)
        assert times[part.slices].all()
        assert times.sum() == part.voxels
        together[part.slices] = found[0][part.slices]
    np.testing.assert_allclose(together, expected[0], atol=1e-6)


@pytest.mark.parametrize("row", [16, 32])
@pytest.mark.parametrize("shape", [(16, 16, 16), (1, 16, 16)])
def test_what_follows_a_row_is_the_same_bit_by_bit(em, row, shape):
    path, _ = em
    place = sub_grid(EM, Box((2, 2, 2), (42, 40, 45)))
    layer = torch.nn.Conv3d if shape[0] > 1 else torch.nn.Conv2d
    made = source(path, place, card(shape), network=layer(1, 1, 3, padding=1), batch_size=7)
    expected, _ = predicted([made], ("mito",), place)
    found, times = predicted([made], ("mito",), place, first_row=row)
    assert not times[:row].any()
    np.testing.assert_array_equal(found[:, row:], expected[:, row:])


@pytest.mark.parametrize("size", [8.0, (16.0, 8.0, 4.0), (10.0, 12.0, 6.0)])
@pytest.mark.parametrize("first", [32.0, 35.0])
def test_a_ramp_stays_where_it_is_on_any_grid(ramps, size, first):
    sizes = (size,) * 3 if isinstance(size, float) else size
    for axis in range(3):
        for model in (8.0, 16.0):
            place = Grid((4.0, 4.0, 4.0), (first,) * 3, (24, 24, 24))
            target = covering_grid(place, sizes)
            made = source(ramps / str(axis), place, card((8, 8, 8), size=model))
            found, _ = predicted([made], ("mito",), target)
            centres = target.translation_nm[axis] + np.arange(target.shape[axis]) * sizes[axis]
            line = found[0].mean(tuple(a for a in range(3) if a != axis)) * 255
            reach = made.grid
            low = reach.translation_nm[axis]
            high = low + (reach.shape[axis] - 1) * model
            inner = (centres >= low) & (centres <= high)
            # Grey values of a network are whole numbers, and one of them is 1 nm here.
            assert np.abs(line - centres)[inner].max() <= 0.51


def test_a_grid_map_averages_whole_cells_and_interpolates_between_centres():
    source_grid = Grid((4.0, 4.0, 4.0), (2.0, 2.0, 2.0), (8, 8, 8))
    target = Grid((8.0, 8.0, 8.0), (4.0, 4.0, 4.0), (4, 4, 4))
    values = torch.arange(512.0).reshape(1, 8, 8, 8)
    to_target = GridMap(source_grid, target)
    box = to_target.source_box(whole(target))
    assert box == whole(source_grid)
    expected = values.reshape(1, 4, 2, 4, 2, 4, 2).mean((2, 4, 6))
    torch.testing.assert_close(to_target.values(whole(target), values), expected)
    back = GridMap(target, source_grid)
    assert back.values(whole(source_grid), expected)[0, 4, 4, 4] == pytest.approx(
        float(expected[0, 1:3, 1:3, 1:3].flatten() @ torch.tensor([1, 3, 3, 9, 3, 9, 9, 27.0])) / 64
    )


def test_networks_of_different_scales_are_averaged_by_their_weights(em):
    path, _ = em
    place = sub_grid(EM, Box((8, 8, 8), (40, 40, 40)))
    fine, coarse = card(columns=("mito", "er")), card((8, 8, 8), columns=("er",), size=16.0)
    one = source(path, place, fine, Same(2), weights=(("mito", 1.0), ("er", 0.25)))
    other = source(path, place, coarse, Same(1, 0.5), weights=(("er", 0.75),))
    alone, _ = predicted([source(path, place, fine, Same(2))], ("mito", "er"), place)
    second, _ = predicted([source(path, place, coarse, Same(1, 0.5))], ("er",), place)
    found, times = predicted([one, other], ("mito", "er"), place)
    assert (times == 1).all()
    np.testing.assert_allclose(found[0], alone[0], atol=1e-6)
    np.testing.assert_allclose(found[1], 0.25 * alone[1] + 0.75 * second[0], atol=1e-6)


def test_a_network_at_another_scale_sees_its_inputs_there():
    own = card(inputs=2, size=(8.0, 4.0, 4.0))
    other = at_voxel_size(own, (16.0, 16.0, 16.0))
    assert [part.voxel_size_nm for part in other.input_scales] == [(16.0, 16.0, 16.0), (32.0, 32.0, 32.0)]


def test_a_wider_input_is_read_around_the_same_middle(em):
    """The second input has voxels of twice the size; its middle is that of the tile."""
    path, grey = em

    class Wide(torch.nn.Module):
        def forward(self, values):
            return torch.logit(values[:, 1:].clamp(1e-6, 1 - 1e-6))

    place = sub_grid(EM, Box((16, 16, 16), (32, 32, 32)))
    own = card((16, 16, 16), inputs=2)
    found, _ = predicted([source(path, place, own, Wide(), Tiling(overlap=0))], ("mito",), place)
    middle = grey[8:40, 8:40, 8:40].astype(float).reshape(16, 2, 16, 2, 16, 2).mean((1, 3, 5))
    np.testing.assert_allclose(found[0] * 255, middle, atol=0.6)


def test_only_the_wanted_columns_are_kept(em):
    path, _ = em
    place = sub_grid(EM, Box((0, 0, 0), (16, 16, 16)))
    made = source(path, place, card(columns=("a", "b", "c")), Same(3), weights=(("b", 1.0),))
    assert made.predictor.card.columns == ("b",)
    found, _ = predicted([made], ("b",), place)
    assert np.isfinite(found).all()


def test_a_volume_is_divided_until_it_fits_the_memory(em):
    path, _ = em
    made = source(path, EM, card())
    worker = [(made.predictor, made.grid)]
    needed = part_bytes(worker, EM, whole(EM), 1, 16)
    parts = plan_parts(worker, EM, 1, (16, 16, 16), needed // 2)
    assert len(parts) > 1
    assert all(part_bytes(worker, EM, part, 1, 16) <= needed // 2 for part in parts)
    covered = np.zeros(EM.shape, int)
    for part in parts:
        covered[part.slices] += 1
        assert all(start % 16 == 0 for start in part.start)
    assert (covered == 1).all()
    with pytest.raises(RefusedError, match="--memory"):
        plan_parts(worker, EM, 1, (16, 16, 16), 1000)


@pytest.mark.parametrize(
    ("extent", "size", "count"), [(800, 8.0, 100), (804, 8.0, 101), (524, 5.24, 100), (3, 8.0, 1)]
)
def test_a_covering_grid_begins_at_the_lower_corner_and_reaches_the_upper(extent, size, count):
    place = Grid((1.0, 1.0, 1.0), (10.5, 20.5, 30.5), (extent,) * 3)
    grid = covering_grid(place, (size,) * 3)
    assert grid.shape == (count,) * 3
    assert grid.lower_nm == pytest.approx(place.lower_nm)
    assert all(a >= b - 1e-6 for a, b in zip(grid.upper_nm, place.upper_nm, strict=True))
