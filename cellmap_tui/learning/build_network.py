"""From a card to the network it describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.model_card import OWN
from cellmap_tui.learning.net_levels import plan_levels
from cellmap_tui.learning.net_outputs import with_plain_outputs
from cellmap_tui.learning.networks import known_network

if TYPE_CHECKING:
    from torch import nn

    from cellmap_tui.learning.model_card import ModelCard


def build_network(card: ModelCard, own: nn.Module | None = None) -> nn.Module:
    """Return the network of a card, with fresh weights from torch's random numbers.

    Parameters
    ----------
    card
        What to build.
    own
        The configuration's own network, where the card's architecture is ``custom``.

    Returns
    -------
    nn.Module
        Takes ``[n, in_channels, (z,) y, x]`` of 0 to 1 and returns logits ``[n, columns, (z,) y, x]``;
        while training perhaps a list of them, finest first (deep supervision).
    """
    if own is not None:
        return with_plain_outputs(own)
    if card.architecture == OWN:
        raise RequestError("the network is a configuration's own", "give the Python configuration that holds it")
    name = known_network(card.architecture).name
    if name == "dynunet":
        from monai.networks.nets.dynunet import DynUNet

        levels = plan_levels(card.patch, card.spacing_nm)
        return with_plain_outputs(
            DynUNet(
                card.dimensions,
                card.in_channels,
                len(card.columns),
                levels.kernels,
                levels.strides,
                levels.strides[1:],
                **card.model_kwargs,
            )
        )
    from monai.networks.nets.basic_unet import BasicUNet

    return with_plain_outputs(BasicUNet(card.dimensions, card.in_channels, len(card.columns), **card.model_kwargs))
