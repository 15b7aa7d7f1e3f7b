from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cellmap_tui.errors import DataError, RequestError, UnknownNameError
from cellmap_tui.learning.build_network import build_network, parameters_of
from cellmap_tui.learning.config_python import python_facts
from cellmap_tui.learning.model_card import OWN, InputScale, ModelCard, OwnModel
from cellmap_tui.learning.net_cost import step_cost
from cellmap_tui.learning.net_levels import plan_levels
from cellmap_tui.learning.net_sizes import SIZES, resenc_size, size_for
from cellmap_tui.learning.networks import NETWORKS, known_network

torch.set_num_threads(1)
LIGHT = {
    "2d_unet": {"features": 8},
    "3d_unet": {"features": 4},
    "2d_resnet": {"ngf": 8},
    "3d_resnet": {"ngf": 4, "n_blocks": 1},
    "vitnet": {"hidden_size": 24, "num_layers": 1, "mlp_dim": 32},
    "dynunet": {"filters": [8, 12, 16, 16, 16], "levels": 5},
    "basicunet": {"features": [8, 8, 8, 16, 16, 8]},
    "basicunetplusplus": {"features": [8, 8, 8, 16, 16, 8]},
    "segresnet": {"init_filters": 8},
    "segresnetds": {"init_filters": 4, "blocks_down": [1, 1, 1, 1, 1]},
    "attentionunet": {"channels": [4, 8, 8, 8, 8]},
    "swinunetr": {"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2]},
    "unetr": {"hidden_size": 24, "mlp_dim": 32, "num_heads": 2, "feature_size": 4},
    "mednext": {"init_filters": 4},
    "vnet": {},
    "resencunet": {"size": "s", "features": 8},
    "plainconvunet": {"features": 8},
}
"""Options that make each network small enough to be tried in a second."""
KINDS = [(network.name, dimensions) for network in NETWORKS for dimensions in network.dimensions]


def card_for(name, dimensions=3, columns=("a", "b", "c"), edge=None, **changes):
    edge = edge or (64 if dimensions == 2 or name in ("vitnet", "swinunetr") else 32)
    shape = (edge,) * 3 if dimensions == 3 else (1, edge, edge)
    told = {
        "architecture": name,
        "columns": columns,
        "dimensions": dimensions,
        "shape": shape,
        "voxel_size_nm": (8.0, 8.0, 8.0),
        "model_kwargs": LIGHT.get(name, {}),
    }
    return ModelCard(**{**told, **changes})


@pytest.mark.parametrize(("name", "dimensions"), KINDS)
def test_every_network_answers_a_logit_for_each_column_and_voxel(name, dimensions):
    torch.manual_seed(0)
    card = card_for(name, dimensions, in_channels=2)
    network = build_network(card)
    batch = torch.rand(2, 2, *card.patch)
    network.eval()
    with torch.no_grad():
        assert network(batch).shape == (2, 3, *card.patch)
    network.train()
    output = network(batch)
    scales = output if isinstance(output, list) else [output]
    assert scales[0].shape == (2, 3, *card.patch)
    assert all(part.shape[1] == 3 for part in scales)
    sizes = [part[0, 0].numel() for part in scales]
    assert sizes == sorted(sizes, reverse=True)
    sum(part.mean() for part in scales).backward()
    idle = [word for word, part in network.named_parameters() if part.requires_grad and part.grad is None]
    assert not idle, "several processes would wait for these"


@pytest.mark.parametrize("name", ["resencunet", "dynunet", "basicunetplusplus", "segresnetds", "mednext"])
def test_a_network_can_be_copied_after_a_step(name):
    card = card_for(name)
    options = {"deep_supervision": True} if name in ("dynunet", "basicunetplusplus") else {}
    card = card_for(name, model_kwargs={**card.model_kwargs, **options})
    network = build_network(card).train()
    output = network(torch.rand(1, 1, *card.patch))
    assert isinstance(output, list)
    other = copy.deepcopy(network).eval()
    network.eval()
    batch = torch.rand(1, 1, *card.patch)
    with torch.no_grad():
        assert torch.equal(network(batch), other(batch))


@pytest.mark.parametrize("name", ["2d_unet", "3d_unet"])
def test_the_official_unets_have_the_parameters_and_names_of_the_toolbox(name):
    dimensions = int(name[0])
    card = card_for(name, dimensions, columns=("a",), model_kwargs={})
    with torch.device("meta"):
        network = build_network(card)
    assert parameters_of(network) == {"2d_unet": 31_036_481, "3d_unet": 90_298_561}[name]
    names = set(network.state_dict())
    assert {"inc.double_conv.0.weight", "down4.maxpool_conv.1.double_conv.4.running_mean"} <= names
    assert {"up1.up.weight", "up4.conv.double_conv.3.weight", "outc.conv.bias"} <= names


def test_the_official_resnet_and_transformer_have_the_names_of_the_toolbox():
    with torch.device("meta"):
        resnet = build_network(card_for("2d_resnet", 2, model_kwargs={}))
        transformer = build_network(card_for("vitnet", model_kwargs={}))
    assert {"model.1.weight", "model.10.conv_block.1.weight", "model.23.bias"} <= set(resnet.state_dict())
    assert {
        "transformer.embeddings.position_embeddings",
        "transformer.embeddings.hybrid_model.down2.maxpool_conv.1.double_conv.2.bias",
        "transformer.encoder.layer.11.attn.query.weight",
        "transformer.encoder.encoder_norm.bias",
        "decoder.blocks.4.conv2.1.running_var",
        "decoder.conv_more.0.weight",
        "reg_head.0.bias",
    } <= set(transformer.state_dict())


def test_the_first_weights_follow_from_torchs_random_numbers():
    card = card_for("resencunet")
    made = []
    for _ in range(2):
        torch.manual_seed(3)
        made.append(build_network(card).state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


@given(st.lists(st.integers(1, 300), min_size=2, max_size=3), st.data())
def test_levels_halve_what_can_be_halved(edges, data):
    spacing = data.draw(st.lists(st.floats(1, 128), min_size=len(edges), max_size=len(edges)))
    levels = plan_levels(edges, spacing)
    assert all(edge % by == 0 for edge, by in zip(edges, levels.multiple, strict=True))
    assert all(edge // by >= 4 or by == 1 for edge, by in zip(edges, levels.multiple, strict=True))
    assert len(levels) == len(levels.kernels) <= 6
    assert all(max(stride) == 2 for stride in levels.strides[1:])


def test_a_coarse_axis_is_halved_and_mixed_later():
    levels = plan_levels((32, 128, 128), (32.0, 8.0, 8.0))
    assert levels.strides[:4] == ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2))
    assert levels.kernels[:3] == ((1, 3, 3), (1, 3, 3), (3, 3, 3))


def test_an_anisotropic_patch_goes_through_the_networks_that_plan_their_levels():
    for name in ("resencunet", "plainconvunet", "dynunet", "segresnetds"):
        options = {} if name == "dynunet" else LIGHT[name]
        card = card_for(name, shape=(16, 64, 64), voxel_size_nm=(32.0, 8.0, 8.0), model_kwargs=options)
        network = build_network(card).eval()
        with torch.no_grad():
            assert network(torch.rand(1, 1, 16, 64, 64)).shape == (1, 3, 16, 64, 64)


def test_an_unknown_network_option_or_size_names_the_nearest():
    with pytest.raises(UnknownNameError, match="basicunet"):
        build_network(card_for("basicunit"))
    with pytest.raises(RequestError, match="init_filters"):
        build_network(card_for("segresnet", model_kwargs={"init_filter": 8}))
    with pytest.raises(RequestError, match="deep_supervision"):
        build_network(card_for("resencunet", model_kwargs={"deep_supervison": False}))
    with pytest.raises(RequestError, match="no size"):
        build_network(card_for("resencunet", model_kwargs={"size": "huge"}))
    with pytest.raises(RequestError, match="no size"):
        build_network(card_for("mednext", model_kwargs={"size": "Q"}))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("basicunet", {"features": [8, 8]}),
        ("basicunet", {"features": "wide"}),
        ("segresnet", {"init_filters": 7}),
        ("2d_resnet", {"padding_type": "valid"}),
        ("resencunet", {"features": 0}),
        ("resencunet", {"levels": 1}),
        ("resencunet", {"n_blocks_per_stage": [1]}),
        ("dynunet", {"strides": [1, 2]}),
    ],
)
def test_an_option_that_cannot_be_is_told_without_a_traceback(name, options):
    dimensions = 2 if name.startswith("2d") else 3
    with pytest.raises(RequestError):
        build_network(card_for(name, dimensions, model_kwargs=options))


def test_the_channels_follow_from_the_configuration():
    network = build_network(card_for("2d_unet", 2, model_kwargs={"n_classes": 3, "features": 4}))
    assert network.outc.conv.out_channels == 3
    with pytest.raises(RequestError, match="out_channels"):
        build_network(card_for("basicunet", model_kwargs={"out_channels": 7}))


def test_an_impossible_patch_is_refused_before_anything_is_built():
    with pytest.raises(RequestError, match="multiples of 16"):
        build_network(card_for("basicunet", shape=(20, 32, 32)))
    with pytest.raises(RequestError, match="works in 2D"):
        build_network(card_for("2d_unet", 3))


def test_inputs_of_different_shapes_are_refused():
    inputs = (InputScale("near", (32, 32, 32), (8, 8, 8)), InputScale("far", (16, 16, 16), (32, 32, 32)))
    with pytest.raises(RequestError, match="far has 16×16×16"):
        build_network(card_for("basicunet", in_channels=2, input_scales=inputs))


def test_sizes_grow_with_the_gpu_they_are_made_for():
    assert [size_for(gb).name for gb in (2, 10, 16, 24, 40, 48, 80, 141)] == [
        "s", "m", "m", "l", "xl", "xl", "xxl", "xxl",
    ]  # fmt: skip
    assert [size.memory_gb for size in SIZES] == sorted(size.memory_gb for size in SIZES)
    widths = []
    for size in SIZES[:4]:
        with torch.device("meta"):
            network = build_network(card_for(f"resenc_{size.name}", edge=32, model_kwargs={}))
        widths.append(parameters_of(network))
    assert widths == sorted(set(widths))


@pytest.mark.parametrize("size", [size.name for size in SIZES])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_size_fits_the_gpu_it_is_made_for(size, dimensions):
    fact = resenc_size(size)
    edge, batch = (fact.edge_3d, fact.batch_3d) if dimensions == 3 else (fact.edge_2d, fact.batch_2d)
    shape = (edge,) * 3 if dimensions == 3 else (1, edge, edge)
    columns = tuple(str(number) for number in range(48))
    card = card_for("resencunet", dimensions, columns, shape=shape, model_kwargs={"size": size})
    assert 0.45 < step_cost(card, batch).total_bytes / 2**30 / fact.memory_gb < 0.95


def test_a_counted_cost_is_that_of_the_facts():
    columns = tuple(str(number) for number in range(48))
    for name in ("dynunet", "resencunet", "basicunet"):
        cost = known_network(name).cost(is_flat=False)
        counted = step_cost(card_for(name, 3, columns, shape=(128, 128, 128), model_kwargs={}), 1)
        assert counted.parameters == pytest.approx(cost.parameters, rel=0.02)
        assert counted.flop / 1e12 == pytest.approx(cost.train_tflop, rel=0.02)
        assert counted.kept_bytes / 2 / 128**3 == pytest.approx(cost.kept_channels, rel=0.05)


def test_a_network_that_looks_at_values_while_it_is_built_is_counted_too():
    assert step_cost(card_for("swinunetr"), 1).flop > 0


def test_a_patch_too_small_for_the_levels_is_told_before_training():
    with pytest.raises(RequestError, match="16×16×16 voxels"):
        step_cost(card_for("basicunet", edge=16), 1)


class Doubled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(1, 3, 1)

    def forward(self, x):
        return {"aux": self.conv(x)[:, :, ::2, ::2, ::2], "out": self.conv(x)}


def test_a_configurations_own_network_works_as_any_other():
    network = build_network(card_for(OWN, model_kwargs={}), Doubled())
    assert network(torch.rand(1, 1, 8, 8, 8)).shape == (1, 3, 8, 8, 8)
    assert step_cost(card_for(OWN, model_kwargs={}), 1, own=Doubled()).parameters == 6
    with pytest.raises(RequestError, match=r"\(1, 3, 16, 16, 16\)"):
        step_cost(card_for(OWN, columns=("a",), edge=16), 1, own=Doubled())
    with pytest.raises(RequestError, match="not a torch module"):
        build_network(card_for(OWN), "network")


def test_a_configurations_own_network_is_built_from_its_file_while_that_is_unchanged(tmp_path):
    path = tmp_path / "config.py"
    path.write_text("import torch\nmodel = torch.nn.Conv3d(1, 3, 3, padding=1)\n")
    own = OwnModel(str(path), python_facts(path).sha256, "model")
    network = build_network(card_for(OWN, own_model=own))
    assert network(torch.rand(1, 1, 8, 8, 8)).shape == (1, 3, 8, 8, 8)
    path.write_text("model = None\n")
    with pytest.raises(DataError, match=r"config\.py"):
        build_network(card_for(OWN, own_model=own))
    with pytest.raises(DataError, match="own"):
        build_network(card_for(OWN))
