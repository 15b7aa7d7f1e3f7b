"""From a card to the network it describes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from cellmap_tui.errors import DataError, RequestError
from cellmap_tui.learning.model_card import OWN
from cellmap_tui.learning.net_outputs import with_plain_outputs
from cellmap_tui.learning.networks import known_network
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from cellmap_tui.learning.model_card import ModelCard

SIZED_ALIASES = {
    "resencs": "s",
    "resencm": "m",
    "resencl": "l",
    "resencxl": "xl",
    "resencxxl": "xxl",
    "mednexts": "S",
    "mednextb": "B",
    "mednextm": "M",
    "mednextl": "L",
}
"""Size that another name of a network says, without regard to case, hyphens and underscores."""

_IDLE = {
    "basicunetplusplus": ("final_conv_0_1", "final_conv_0_2", "final_conv_0_3"),
    "unetr": ("norm_cross_attn", "cross_attn"),
}
"""Parts of MONAI's networks that their forward pass leaves out."""


def build_network(card: ModelCard, own: nn.Module | None = None) -> nn.Module:
    """Return the network of a card, with fresh weights from torch's random numbers.

    Parameters
    ----------
    card
        What to build.
    own
        The configuration's own network, where the card's architecture is ``custom``; without it the file
        that the card names is run, if it still is the one that the card knows.

    Returns
    -------
    nn.Module
        Takes ``[n, in_channels, (z,) y, x]`` of 0 to 1 and returns logits ``[n, columns, (z,) y, x]``;
        while training perhaps a list of them, finest first (deep supervision).

    Raises
    ------
    RequestError
        If an option is wrong or unknown, names the nearest; or if the inputs differ in shape.
    DataError
        If the configuration's own network cannot be had.
    """
    _check_inputs(card)
    if card.architecture == OWN:
        return with_plain_outputs(_own_network(card) if own is None else _checked_own(own))
    name = known_network(card.architecture).name
    _check_patch(card)
    network = _made(name, card, _options(card))
    _freeze_idle(name, network)
    return with_plain_outputs(network, last_is_finest=name == "basicunetplusplus")


def parameters_of(network: nn.Module) -> int:
    """Return how many numbers a network learns."""
    return sum(part.numel() for part in network.parameters() if part.requires_grad)


def _made(name: str, card: ModelCard, options: dict[str, Any]) -> nn.Module:
    if name == "resencunet":
        from cellmap_tui.learning.net_nnunet import resenc

        return resenc(card, options)
    if name == "plainconvunet":
        from cellmap_tui.learning.net_nnunet import plain

        return plain(card, options)
    if name in ("2d_unet", "3d_unet", "2d_resnet", "3d_resnet", "vitnet"):
        from cellmap_tui.learning.net_official import official_network

        return official_network(name, card, options)
    if name in ("dynunet", "mednext"):
        from cellmap_tui.learning import net_monai

        return net_monai.dynunet(card, options) if name == "dynunet" else net_monai.mednext(card, options)
    from cellmap_tui.learning.net_monai import monai_network

    return monai_network(name, card, options)


def _freeze_idle(name: str, network: nn.Module) -> None:
    """Take weights that no output depends on out of learning: several processes would wait for their gradients."""
    idle = _IDLE.get(name, ())
    if name == "basicunetplusplus" and getattr(network, "deep_supervision", False):
        return
    for word, part in network.named_parameters():
        if any(piece in word for piece in idle):
            part.requires_grad_(False)


def _options(card: ModelCard) -> dict[str, Any]:
    plain = card.architecture.lower().replace("-", "").replace("_", "")
    size = SIZED_ALIASES.get(plain)
    return dict(card.model_kwargs) if size is None else {"size": size, **card.model_kwargs}


def _check_inputs(card: ModelCard) -> None:
    for part in card.input_scales:
        if part.shape != card.input_scales[0].shape:
            first, other = ("×".join(map(str, shape)) for shape in (card.input_scales[0].shape, part.shape))
            raise RequestError(
                f"input_array_info: {part.name} has {other} voxels, {card.input_scales[0].name} {first}",
                "inputs are channels of one patch: give them the same shape; their voxel sizes may differ",
            )


def _check_patch(card: ModelCard) -> None:
    network = known_network(card.architecture)
    if card.dimensions not in network.dimensions:
        raise RequestError(
            f"{network.name} works in {network.dimensions[0]}D, the patch is {card.dimensions}D",
            "choose another patch or another network",
        )
    odd = [edge for edge in card.patch if edge % network.multiple]
    if odd:
        raise RequestError(
            f"{network.name} needs edges that are multiples of {network.multiple}, and {odd[0]} voxels is none",
            "choose another patch or another network",
        )


def _own_network(card: ModelCard) -> nn.Module:
    from pathlib import Path

    from cellmap_tui.learning.config_python import load_python_namespace

    source = card.own_model
    if source is None or not source.path or not source.sha256:
        raise DataError(
            "the network is one of a Python configuration's own, and the card does not say of which",
            "give the configuration that it was trained with",
        )
    names = load_python_namespace(Path(source.path), expected_sha256=source.sha256)
    if source.variable not in names:
        raise DataError(f"{source.path} has no {source.variable}", "give the configuration that it was trained with")
    return _checked_own(names[source.variable])


def _checked_own(own: Any) -> nn.Module:
    made = _called(own) if isinstance(own, type) and issubclass(own, nn.Module) else own
    if not isinstance(made, nn.Module):
        raise RequestError(f"model is {printable(type(own).__name__)}, not a torch module", "give a torch.nn.Module")
    return made


def _called(kind: type[nn.Module]) -> nn.Module:
    try:
        return kind()
    except TypeError as error:
        raise RequestError(
            f"model is the class {kind.__name__}, which needs arguments: {error}", "give an object of it"
        ) from None
