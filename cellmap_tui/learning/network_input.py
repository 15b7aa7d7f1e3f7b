"""What a network is fed: the inputs of a batch as the channels of one tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from cellmap_tui.learning.batch import PatchBatch


def network_input(batch: PatchBatch) -> Tensor:
    """Return the inputs of a batch, float32 ``[n, inputs, (z,) y, x]`` from 0 to 1, a channel each.

    Raises
    ------
    ValueError
        If the inputs differ in shape; `build_network` refuses such a card.
    """
    parts = [batch.input(name) for name in batch.em]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
