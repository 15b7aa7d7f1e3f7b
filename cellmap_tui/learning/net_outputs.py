"""One form of output for every network: logits alone, and a list of them, finest first, while training.

Done by a hook that changes what a network's ``forward`` returns, so that names of weights stay those of
the package that brings the network.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def with_plain_outputs(network: nn.Module) -> nn.Module:
    """Return the network, its outputs a tensor, or while training a list of tensors, finest first."""
    network.register_forward_hook(_plain)
    return network


def _plain(network: nn.Module, inputs: Any, output: Any) -> Tensor | list[Tensor]:
    if isinstance(output, Tensor):
        return output
    if isinstance(output, dict):
        output = [output["out"]] if "out" in output else list(output.values())
    scales = sorted((part for part in output if isinstance(part, Tensor)), key=_voxels, reverse=True)
    if not scales:
        raise TypeError(f"{type(network).__name__} answers no tensor")
    return scales if network.training and len(scales) > 1 else scales[0]


def _voxels(part: Tensor) -> int:
    return part[0, 0].numel()
