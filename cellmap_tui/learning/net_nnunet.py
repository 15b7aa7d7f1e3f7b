"""nnU-Net's networks: the U-Net with a residual encoder, in sizes, and the plain one.

Levels follow from the patch (`net_levels`); depth and width are nnU-Net's, the larger sizes are wider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.net_levels import plan_levels
from cellmap_tui.learning.net_monai import at_least, checked_levels
from cellmap_tui.learning.net_options import checked_options, made
from cellmap_tui.learning.net_sizes import DEFAULT_SIZE, ResencSize, resenc_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellmap_tui.learning.model_card import ModelCard
    from cellmap_tui.learning.net_levels import Levels


_CONV = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
_SHARED = ("features", "levels", "size", "deep_supervision")


def resenc(card: ModelCard, options: Mapping[str, Any]) -> nn.Module:
    """Return the U-Net with a residual encoder; ``size`` is one of `net_sizes`, m by default.

    Raises
    ------
    RequestError
        If an option is wrong; names the nearest.
    """
    from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet

    chosen = dict(options)
    size = resenc_size(chosen.pop("size", DEFAULT_SIZE))
    levels = _levels(card, chosen)
    settled = {
        **_stages(card, levels, chosen, size),
        "n_blocks_per_stage": [size.blocks[min(at, len(size.blocks) - 1)] for at in range(len(levels))],
        "n_conv_per_stage_decoder": 1,
    }
    return _built(ResidualEncoderUNet, card, {**settled, **chosen}, "resencunet")


def plain(card: ModelCard, options: Mapping[str, Any]) -> nn.Module:
    """Return nnU-Net's plain U-Net, two convolutions to a level.

    Raises
    ------
    RequestError
        If an option is wrong; names the nearest.
    """
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    chosen = dict(options)
    levels = _levels(card, chosen)
    stages = _stages(card, levels, chosen, resenc_size(DEFAULT_SIZE))
    settled = {**stages, "n_conv_per_stage": 2, "n_conv_per_stage_decoder": 2}
    return _built(PlainConvUNet, card, {**settled, **chosen}, "plainconvunet")


def _built(kind: type[nn.Module], card: ModelCard, options: Mapping[str, Any], name: str) -> nn.Module:
    ends = {"input_channels": card.in_channels, "num_classes": len(card.columns)}
    network = made(kind, checked_options(kind, options, ends, name, extra=_SHARED), ends, name)
    network.apply(network.initialize)  # type: ignore[arg-type]
    return network


def _stages(card: ModelCard, levels: Levels, chosen: dict[str, Any], size: ResencSize) -> dict[str, Any]:
    most = size.most if card.dimensions == 3 else size.most * 8 // 5
    first = chosen.pop("features", size.features)
    if isinstance(first, bool) or not isinstance(first, int) or not 1 <= first <= 1024:
        raise RequestError(f"model_kwargs: features is {first!r}", "give the channels at full resolution, 1 to 1024")
    return {
        "n_stages": len(levels),
        "features_per_stage": [min(first * 2**level, max(most, first)) for level in range(len(levels))],
        "conv_op": _CONV[card.dimensions],
        "kernel_sizes": [list(kernel) for kernel in levels.kernels],
        "strides": [list(stride) for stride in levels.strides],
        "conv_bias": True,
        "norm_op": _NORM[card.dimensions],
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
        "deep_supervision": True,
    }


def _levels(card: ModelCard, chosen: dict[str, Any]) -> Levels:
    return at_least(plan_levels(card.patch, card.spacing_nm, checked_levels(chosen.pop("levels", 6))), 2)
