"""One form of output for every network: logits alone, and a list of them, finest first, while training.

Done by a hook that changes what a network's ``forward`` returns, so that names of weights stay those of
the package that brings the network.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn


def with_plain_outputs(network: nn.Module, *, last_is_finest: bool = False) -> nn.Module:
    """Return the network, its outputs a tensor, or while training a list of tensors, finest first.

    Parameters
    ----------
    network
        Its outputs may be a tensor, a list or tuple of tensors, or a table with one under ``out``.
    last_is_finest
        Of outputs of the same shape, whether the last is the best one rather than the first.
    """
    network.register_forward_hook(partial(_plain, last_is_finest))
    return network


def _plain(last_is_finest: bool, network: nn.Module, inputs: Any, output: Any) -> Tensor | list[Tensor]:
    if isinstance(output, Tensor):
        return output
    if isinstance(output, dict):
        output = [output["out"]] if "out" in output else list(output.values())
    parts = [part for part in output if isinstance(part, Tensor)]
    if not parts:
        raise TypeError(f"{type(network).__name__} answers no tensor")
    scales = sorted(reversed(parts) if last_is_finest else parts, key=_voxels, reverse=True)
    return scales if network.training and len(scales) > 1 else scales[0]


def _voxels(part: Tensor) -> int:
    return part.shape[2:].numel()
