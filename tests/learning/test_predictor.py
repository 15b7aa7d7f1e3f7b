"""A predictor answers as one pass over the whole volume would, and as MONAI's sliding window does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from cellmap_tui.errors import DataError, RefusedError, RequestError
from cellmap_tui.learning.em_reader import CropReader, array_reader
from cellmap_tui.learning.model_card import InputScale, ModelCard
from cellmap_tui.learning.predictor import Predictor, all_flips
from cellmap_tui.volumes.geometry import Box
from tests.learning.synthetic_bank import crop_of

torch.set_num_threads(1)
SHAPES = [(40, 50, 37), (10, 8, 33), (16, 12, 20), (70, 13, 21)]
CUBE = (8.0, 8.0, 8.0)


def card(shape=(16, 12, 20), dimensions=3, columns=("a", "b"), **more) -> ModelCard:
    return ModelCard(
        architecture="x", columns=columns, dimensions=dimensions, shape=shape,
        voxel_size_nm=more.pop("voxel_size_nm", CUBE), **more,
    )  # fmt: skip


def volume(shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def network(seed=0, kernel=5) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Conv3d(1, 2, kernel, padding=kernel // 2)


def whole(net, em) -> np.ndarray:
    with torch.no_grad():
        return torch.sigmoid(net(torch.from_numpy(em)[None, None].float() / 255))[0].numpy()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("blending", ["constant", "gaussian"])
def test_a_sliding_window_of_monai_gives_the_same(shape, overlap, blending):
    from monai.inferers import sliding_window_inference

    net, em, facts = network(), volume(shape), card()
    found = Predictor(net, facts, batch_size=3, overlap=overlap, blending=blending).predict_array(em)
    profiles = [np.exp(-0.5 * ((np.arange(e) - (e - 1) / 2) / (0.125 * e)) ** 2) for e in facts.shape]
    weights = torch.from_numpy(profiles[0][:, None, None] * profiles[1][:, None] * profiles[2]).float()
    with torch.no_grad():
        expected = sliding_window_inference(
            torch.from_numpy(em)[None, None].float() / 255, facts.shape, 3, lambda x: torch.sigmoid(net(x)),
            overlap=overlap, roi_weight_map=weights if blending == "gaussian" else None,
        )  # fmt: skip
    np.testing.assert_allclose(found, expected[0].numpy(), atol=2e-6)


@pytest.mark.parametrize("shape", [*SHAPES, (1, 1, 1)])
@pytest.mark.parametrize("axes", ["z", "x", "yz", None])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_every_voxel_is_predicted_once_whichever_way_slices_are_cut(shape, axes, batch_size):
    torch.manual_seed(1)
    flat = torch.nn.Conv2d(1, 2, 1)
    em = volume(shape)
    predictor = Predictor(flat, card((1, 12, 20), 2), batch_size=batch_size, axes=axes, flips=all_flips(2))
    solid = torch.nn.Conv3d(1, 2, 1)
    solid.load_state_dict({"weight": flat.weight[:, :, None], "bias": flat.bias})
    np.testing.assert_allclose(predictor.predict_array(em), whole(solid, em), atol=1e-6)


def test_slices_across_an_axis_see_the_other_two_in_order():
    flat = torch.nn.Conv2d(1, 1, (1, 3), padding=(0, 1), bias=False)
    with torch.no_grad():
        flat.weight.copy_(torch.tensor([[[[1.0, 0, -1]]]]))
    em = volume((9, 12, 20))
    for axis, word in enumerate("zyx"):
        found = Predictor(flat, card((1, 20, 20), 2, ("a",)), axes=word, overlap=0).predict_array(em)
        last = 1 if axis == 2 else 2
        padded = np.pad(em.astype(np.float32) / 255, [(1, 1) if a == last else (0, 0) for a in range(3)])
        before = np.take(padded, range(em.shape[last]), last)
        after = np.take(padded, range(2, em.shape[last] + 2), last)
        np.testing.assert_allclose(found[0], 1 / (1 + np.exp(after - before)), atol=1e-6)


def test_a_tile_as_large_as_the_volume_equals_the_network_and_tiles_of_a_pointwise_network_do_too():
    em = volume((24, 24, 24))
    same = Predictor(network(), card((24, 24, 24))).predict_array(em)
    np.testing.assert_allclose(same, whole(network(), em), atol=1e-6)
    point = network(kernel=1)
    np.testing.assert_allclose(Predictor(point, card()).predict_array(em), whole(point, em), atol=1e-6)


def test_context_around_the_volume_is_seen_where_tiles_reach_beyond_it():
    em = volume((30, 30, 30))
    net, wide = network(), card((24, 24, 24))
    found = Predictor(net, wide).predict_array(em, (8, 8, 8))
    assert found.shape == (2, 14, 14, 14)
    np.testing.assert_allclose(found, whole(net, em)[:, 8:-8, 8:-8, 8:-8], atol=1e-6)
    margined = Predictor(net, card((12, 12, 12)), overlap=0.75, margin=(8, 8, 8)).predict_array(em, (8, 8, 8))
    plain = Predictor(net, card((12, 12, 12)), overlap=0.75).predict_array(em, (8, 8, 8))
    exact = whole(net, em)[:, 8:-8, 8:-8, 8:-8]
    assert np.abs(margined - exact).mean() < np.abs(plain - exact).mean()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_part_predicted_alone_equals_that_part_of_the_whole(dimensions):
    net = network() if dimensions == 3 else torch.nn.Conv2d(1, 2, 3, padding=1)
    predictor = Predictor(net, card((16, 12, 20) if dimensions == 3 else (1, 12, 20), dimensions), batch_size=1)
    em = volume((40, 30, 35))
    full = predictor.predict_array(em)
    box = Box((7, 3, 11), (38, 21, 30))
    reader = array_reader(em, predictor.card)
    parts = list(predictor.stream(reader, box))
    assert [part.start[0] for part, _ in parts] == sorted({part.start[0] for part, _ in parts})
    joined = np.concatenate([values.numpy() for _, values in parts], axis=1)
    np.testing.assert_array_equal(joined, full[(slice(None), *box.slices)])


def test_memory_that_is_stated_holds_all_rows_that_are_open():
    predictor = Predictor(network(), card((16, 12, 20)))
    tall = (400, 30, 20)
    assert predictor.buffer_bytes(tall) == 2 * 4 * 24 * 30 * 20
    slabs = [box.shape[0] for box, _ in predictor.stream(array_reader(volume(tall), predictor.card))]
    assert sum(slabs) == 400
    assert max(slabs) <= 24


def test_flips_average_the_mirrored_answers():
    net, em = network(), volume((16, 12, 20))
    found = Predictor(net, card(), flips=((), (2,))).predict_array(em)
    mirrored = whole(net, em[:, :, ::-1].copy())[..., ::-1]
    np.testing.assert_allclose(found, (whole(net, em) + mirrored) / 2, atol=1e-6)


class Hungry(torch.nn.Module):
    """Runs out of memory above so many samples."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.net, self.most, self.sizes = network(), most, []

    def forward(self, x):
        self.sizes.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.net(x)


def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost():
    em = volume((40, 30, 35))
    hungry = Hungry(2)
    predictor = Predictor(hungry, card(), batch_size=8)
    np.testing.assert_allclose(predictor.predict_array(em), Predictor(network(), card()).predict_array(em), atol=1e-6)
    assert predictor.batch_size == 2
    assert hungry.sizes[:3] == [8, 4, 2]


def test_a_tile_that_does_not_fit_at_all_is_refused():
    with pytest.raises(RefusedError, match="16×12×20"):
        Predictor(Hungry(0), card(), batch_size=2).predict_array(volume((16, 12, 20)))


def test_a_network_that_answers_another_shape_is_named():
    shrinks = torch.nn.Conv3d(1, 2, 3)
    with pytest.raises(DataError, match="answers"):
        Predictor(shrinks, card()).predict_array(volume((16, 12, 20)))


@pytest.mark.parametrize(
    "change", [{"axes": "q"}, {"axes": "zz"}, {"flips": ()}, {"flips": ((5,),)}, {"precision": "int3"}]
)
def test_wrong_options_are_refused(change):
    with pytest.raises(RequestError):
        Predictor(torch.nn.Conv2d(1, 2, 1), card((1, 12, 20), 2), **change)


def test_voxels_that_are_no_cubes_are_sliced_as_in_training_alone():
    flat = card((1, 12, 20), 2, voxel_size_nm=(40.0, 8.0, 8.0))
    assert len(Predictor(torch.nn.Conv2d(1, 2, 1), flat).plans((9, 9, 9))) == 1
    with pytest.raises(RequestError, match="slice across z"):
        Predictor(torch.nn.Conv2d(1, 2, 1), flat, axes="x")


def test_the_mode_of_the_network_is_what_it_was_before():
    net = torch.nn.Sequential(network(), torch.nn.Dropout(0.9)).train()
    predictor = Predictor(net, card())
    first, second = (predictor.predict_array(volume((16, 12, 20))) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert net.training


def test_changes_of_grey_values_that_a_card_names_are_made_and_unknown_ones_refused():
    contrast = {"name": "GainOffset", "gain_range": 0.5, "offset_range": 0.0, "probability": 1.0}
    em = volume((16, 12, 20))
    net = network(kernel=1)
    found = Predictor(net, card(value_transforms=(contrast,))).predict_array(em)
    with torch.no_grad():
        grey = (torch.from_numpy(em)[None, None].float() / 255 - 0.5) * 0.5 + 0.5
        np.testing.assert_allclose(found, torch.sigmoid(net(grey))[0].numpy(), atol=1e-6)
    with pytest.raises(RequestError, match="Python file"):
        Predictor(net, card(value_transforms=({"$object": "mine"},)))


def test_inputs_of_two_scales_share_their_middle():
    ramp = np.broadcast_to(np.arange(96, dtype=np.uint8)[:, None, None] * 2, (96, 96, 96)).copy()
    crop = crop_of(ramp, np.ones((64, 64, 64), np.uint8))
    scales = (InputScale("fine", (16, 16, 16), CUBE), InputScale("coarse", (16, 16, 16), (16.0, 16.0, 16.0)))
    facts = card((16, 16, 16), in_channels=2, input_scales=scales)
    out = np.zeros((2, 16, 16, 16), np.uint8)
    assert CropReader(crop, facts).read(Box((20, 20, 20), (36, 36, 36)), None, out)
    lines = out[:, :, 8, 8].astype(float)
    assert lines[0].mean() == pytest.approx(lines[1].mean(), abs=0.6)
    assert np.diff(lines[1]).mean() == pytest.approx(2 * np.diff(lines[0]).mean())


def test_a_network_of_coarser_voxels_covers_the_crop_on_its_own_grid():
    crop = crop_of(volume((48, 48, 48)), np.ones((32, 32, 32), np.uint8))
    reader = CropReader(crop, card(voxel_size_nm=(16.0, 16.0, 16.0)))
    assert reader.shape == (16, 16, 16)
    assert reader.grid.lower_nm == crop.grid.lower_nm
    assert reader.codes(Box((0, 0, 0), (16, 16, 16))).all()


def test_tiles_where_nothing_is_known_are_passed_over():
    codes = np.zeros((32, 32, 32), np.uint8)
    codes[:4, :4, :4] = 1
    calls = Hungry(100)
    reader = CropReader(crop_of(volume((32, 32, 32)), codes), card((16, 16, 16)), only_known=True)
    probabilities = Predictor(calls, card((16, 16, 16)), batch_size=1, overlap=0).predict(reader)
    assert len(calls.sizes) == 1
    assert probabilities[:, :16, :16, :16].all()
    assert not probabilities[:, 16:].any()


def test_values_of_more_than_a_byte_are_refused():
    with pytest.raises(RequestError, match="uint8"):
        array_reader(np.zeros((8, 8, 8), np.float32), card())
    assert dataclasses.replace(card(), in_channels=1).axes == (0, 1, 2)
