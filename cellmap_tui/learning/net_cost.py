"""What a training step of a network costs, counted without running it: on tensors that have shapes but no values."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.build_network import build_network
from cellmap_tui.learning.model_card import OWN
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cellmap_tui.learning.model_card import ModelCard

OPTIMIZER_BYTES = 8
"""Bytes of the optimiser's state for each weight: two averages, of Adam and its kin."""
WORKSPACE = 1.15
"""What a GPU's allocator and convolutions take beside the tensors, an estimate."""


@dataclass(frozen=True, slots=True)
class StepCost:
    """What a training step costs."""

    parameters: int
    """Weights that are learned."""
    flop: float
    """Additions and multiplications, forward and backward."""
    kept_bytes: int
    """Values kept for the backward pass."""
    weight_bytes: int
    """Weights, their gradients, the optimiser's state and the averaged weights."""
    output_bytes: int
    """Logits of every scale and their gradients."""

    @property
    def total_bytes(self) -> int:
        """Everything together, with what an allocator loses."""
        return int((self.kept_bytes + self.output_bytes) * WORKSPACE) + self.weight_bytes


def step_cost(
    card: ModelCard, batch_size: int, *, value_bytes: int = 2, ema: bool = True, own: nn.Module | None = None
) -> StepCost:
    """Return what a training step of a card's network costs.

    Parameters
    ----------
    card
        The network and its patch.
    batch_size
        Patches in a step.
    value_bytes
        Bytes of a value between layers: 2 for bf16 and fp16, 4 for fp32.
    ema
        Whether averaged weights are kept.
    own
        The configuration's own network.

    Raises
    ------
    RequestError
        If the network cannot be run on its patch: one that is too small for its levels, or a network of one's
        own that takes other channels.
    """
    from torch.utils.flop_counter import FlopCounterMode

    network = without_values(card, own)
    values = torch.bfloat16 if value_bytes == 2 else torch.float32
    network.to(values).train()
    kept = _Kept(network)
    try:
        with (
            FlopCounterMode(display=False) as flops,
            torch.autograd.graph.saved_tensors_hooks(kept.pack, kept.unpack),
        ):
            output = network(torch.empty(batch_size, card.in_channels, *card.patch, dtype=values, device="meta"))
            scales = [output] if isinstance(output, torch.Tensor) else output
            torch.autograd.backward([scale.float().sum() for scale in scales])
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        told = printable(" ".join(str(error).split())[:200])
        patch = "×".join(map(str, card.patch))
        raise RequestError(
            f"{card.architecture} cannot learn from a patch of {patch} voxels: {told}",
            "choose a larger patch, fewer levels or another network",
        ) from error
    wanted = (batch_size, len(card.columns), *card.patch)
    if tuple(scales[0].shape) != wanted:
        raise RequestError(
            f"{card.architecture} answers {tuple(scales[0].shape)}, and the configuration asks for {wanted}",
            "a network has an output channel for each class (and core) and the patch's own shape",
        )
    parameters = sum(part.numel() for part in network.parameters() if part.requires_grad)
    output_bytes = sum(scale.numel() for scale in scales) * value_bytes * 2
    weight_bytes = parameters * (4 + 4 + OPTIMIZER_BYTES + (4 if ema else 0))
    return StepCost(parameters, float(flops.get_total_flops()), kept.bytes, weight_bytes, output_bytes)


def without_values(card: ModelCard, own: nn.Module | None = None) -> nn.Module:
    """Return the network of a card on tensors that have shapes but no values."""
    if own is not None or card.architecture == OWN:
        return copy.deepcopy(build_network(card, own)).to("meta")
    try:
        with torch.device("meta"):
            return build_network(card)
    except RequestError:
        # Swin transformers look at values while they are built.
        return build_network(card).to("meta")


class _Kept:
    """Counts what autograd keeps, each tensor once and weights not at all."""

    def __init__(self, network: nn.Module) -> None:
        self._weights = {part.untyped_storage()._cdata for part in network.parameters()}
        self._alive: list[Tensor] = []  # so that no storage's number is given out twice
        self._seen: set[int] = set()
        self.bytes = 0

    def pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._weights and storage._cdata not in self._seen:
            self._seen.add(storage._cdata)
            self._alive.append(tensor)
            self.bytes += storage.nbytes()
        return tensor

    def unpack(self, tensor: Tensor) -> Tensor:
        return tensor
