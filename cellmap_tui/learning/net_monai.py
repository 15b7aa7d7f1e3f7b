"""MONAI's networks by name, with options that fit a patch where MONAI has none of its own.

Each is imported from its own module: the package as a whole costs seconds and imports what need not be there.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.net_levels import Levels, plan_levels
from cellmap_tui.learning.net_options import checked_options, made

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

    from cellmap_tui.learning.model_card import ModelCard

_INSTANCE = ("INSTANCE", {"affine": True})
_MEDNEXT = {
    "S": {"encoder_expansion_ratio": 2, "decoder_expansion_ratio": 2, "blocks_down": (2, 2, 2, 2)},
    "B": {
        "encoder_expansion_ratio": (2, 3, 4, 4),
        "decoder_expansion_ratio": (4, 4, 3, 2),
        "bottleneck_expansion_ratio": 4,
        "blocks_down": (2, 2, 2, 2),
    },
    "M": {
        "encoder_expansion_ratio": (2, 3, 4, 4),
        "decoder_expansion_ratio": (4, 4, 3, 2),
        "bottleneck_expansion_ratio": 4,
        "blocks_down": (3, 4, 4, 4),
        "blocks_bottleneck": 4,
        "blocks_up": (4, 4, 4, 3),
    },
    "L": {
        "encoder_expansion_ratio": (3, 4, 8, 8),
        "decoder_expansion_ratio": (8, 8, 4, 3),
        "bottleneck_expansion_ratio": 8,
        "blocks_down": (3, 4, 8, 8),
        "blocks_bottleneck": 8,
        "blocks_up": (8, 8, 4, 3),
    },
}
"""Expansion and depth of MedNeXt's published sizes (Roy et al. 2023, table 1)."""


@dataclass(frozen=True, slots=True)
class _Source:
    module: str
    """Module below ``monai.networks.nets``."""
    name: str
    """Class."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options that differ from MONAI's defaults."""
    fitted: Callable[[ModelCard], dict[str, Any]] | None = None
    """Options that follow from the card."""


def _image(card: ModelCard) -> dict[str, Any]:
    return {"img_size": card.patch}


def _resolution(card: ModelCard) -> dict[str, Any]:
    """Return the voxel size where it differs along the axes, so that coarse axes are halved later."""
    return {"resolution": card.spacing_nm if max(card.spacing_nm) > min(card.spacing_nm) else None}


def _dropout(card: ModelCard) -> dict[str, Any]:
    return {"dropout_dim": card.dimensions}


SOURCES = {
    "basicunet": _Source("basic_unet", "BasicUNet"),
    "basicunetplusplus": _Source("basic_unetplusplus", "BasicUNetPlusPlus"),
    "segresnet": _Source("segresnet", "SegResNet", {"init_filters": 32}),
    "segresnetds": _Source(
        "segresnet_ds",
        "SegResNetDS",
        {"norm": _INSTANCE, "blocks_down": (1, 2, 2, 4, 4), "dsdepth": 4},
        _resolution,
    ),
    "attentionunet": _Source(
        "attentionunet", "AttentionUnet", {"channels": (32, 64, 128, 256, 512), "strides": (2, 2, 2, 2)}
    ),
    "swinunetr": _Source("swin_unetr", "SwinUNETR", {"feature_size": 48}),
    "unetr": _Source("unetr", "UNETR", {}, _image),
    "vnet": _Source("vnet", "VNet", {}, _dropout),
}
"""Networks that need no more than options."""


def monai_network(name: str, card: ModelCard, options: Mapping[str, Any]) -> nn.Module:
    """Return a network of `SOURCES`.

    Raises
    ------
    RequestError
        If an option is wrong; names the nearest.
    """
    source = SOURCES[name]
    kind = getattr(importlib.import_module(f"monai.networks.nets.{source.module}"), source.name)
    fitted = {} if source.fitted is None else source.fitted(card)
    ends = {"spatial_dims": card.dimensions, "in_channels": card.in_channels, "out_channels": len(card.columns)}
    return made(kind, {**source.options, **fitted, **options}, ends, name)


def mednext(card: ModelCard, options: Mapping[str, Any]) -> nn.Module:
    """Return MedNeXt of a size S, B, M or L (``size``, S by default), with deep supervision and kernels of 3."""
    from monai.networks.nets.mednext import MedNeXt

    chosen = dict(options)
    size = str(chosen.pop("size", "S")).upper()
    if size not in _MEDNEXT:
        raise RequestError(f"model_kwargs: mednext has no size {size!r}", f"there are {', '.join(_MEDNEXT)}")
    settled = {"kernel_size": 3, "use_residual_connection": True, "deep_supervision": True, **_MEDNEXT[size]}
    ends = {"spatial_dims": card.dimensions, "in_channels": card.in_channels, "out_channels": len(card.columns)}
    return made(MedNeXt, {**settled, **chosen}, ends, "mednext")


def dynunet(card: ModelCard, options: Mapping[str, Any]) -> nn.Module:
    """Return a DynUNet whose levels fit the patch; with ``deep_supervision``, its scales come at their own size."""
    from cellmap_tui.learning.net_dynunet import ScaledDynUNet

    chosen = dict(options)
    most = chosen.pop("levels", 6)
    levels = at_least(plan_levels(card.patch, card.spacing_nm, checked_levels(most)), 3)
    settled: dict[str, Any] = {
        "kernel_size": levels.kernels,
        "strides": levels.strides,
        "upsample_kernel_size": levels.strides[1:],
        "deep_supr_num": max(1, len(levels) - 3),
    }
    if "strides" in chosen and "upsample_kernel_size" not in chosen:
        settled["upsample_kernel_size"] = chosen["strides"][1:]
        settled["kernel_size"] = [3] * len(chosen["strides"])
        settled["deep_supr_num"] = max(1, len(chosen["strides"]) - 3)
    ends = {"spatial_dims": card.dimensions, "in_channels": card.in_channels, "out_channels": len(card.columns)}
    allowed = checked_options(ScaledDynUNet, {**settled, **chosen}, ends, "dynunet", extra=("levels",))
    return made(ScaledDynUNet, allowed, ends, "dynunet")


def at_least(levels: Levels, count: int) -> Levels:
    """Return levels with more at the end that do not halve anything, until there are `count`."""
    missing = max(0, count - len(levels))
    flat = ((1,) * len(levels.strides[0]),) * missing
    return Levels(levels.strides + flat, levels.kernels + levels.kernels[-1:] * missing)


def checked_levels(most: object) -> int:
    """Return the option ``levels``.

    Raises
    ------
    RequestError
        If it is no number from 2 to 8.
    """
    if isinstance(most, bool) or not isinstance(most, int) or not 2 <= most <= 8:
        raise RequestError(f"model_kwargs: levels is {most!r}", "give a number from 2 to 8")
    return most
