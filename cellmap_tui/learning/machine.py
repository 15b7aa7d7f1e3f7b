"""What training runs on: the device, its arithmetic, and how tensors lie in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from cellmap_tui.errors import RequestError
from cellmap_tui.text import count

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cellmap_tui.learning.config_model import TrainConfig

AMPERE = 8
"""First generation of CUDA devices that compute bfloat16."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A device and how it computes."""

    device: torch.device
    """Where the network is."""
    dtype: torch.dtype
    """float32, bfloat16 or float16: of convolutions and products; weights, norms and loss stay float32."""
    channels_last: bool
    """Whether the values of a voxel's channels lie side by side."""

    @property
    def autocast(self) -> torch.autocast:
        """The arithmetic as a context."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    def scaler(self) -> torch.amp.GradScaler:
        """Return what keeps small gradients from vanishing; it does nothing but for float16."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def placed(self, network: nn.Module) -> nn.Module:
        """Return the network on the device, its tensors laid out for it."""
        network = network.to(self.device)
        if self.channels_last:
            for part in network.parameters():
                if part.ndim in (4, 5):
                    part.data = part.data.contiguous(memory_format=_format(part))
        return network

    def laid_out(self, values: Tensor) -> Tensor:
        """Return network input in the layout of the weights."""
        return values.contiguous(memory_format=_format(values)) if self.channels_last else values

    def words(self) -> str:
        """Return it for people."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device)
        layout = ", channels last" if self.channels_last else ""
        return f"{name}, {str(self.dtype).removeprefix('torch.')}{layout}"


def machine_of(config: TrainConfig, local_rank: int = 0) -> Machine:
    """Return the machine of a configuration.

    Parameters
    ----------
    config
        A checked configuration.
    local_rank
        Number of this process among those on this node; each takes a GPU.

    Raises
    ------
    RequestError
        If the device is not there, or cannot compute what is asked.
    """
    device = chosen_device(config.device, local_rank)
    return Machine(
        device,
        _dtype(config.precision, device),
        channels_last=device.type == "cuda" or config.input_array_info[0].is_flat,
    )


def chosen_device(name: str, local_rank: int = 0) -> torch.device:
    """Return a device by name; ``auto`` is the first there is of cuda, mps and cpu.

    Raises
    ------
    RequestError
        If it is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        number = device.index if device.index is not None else local_rank
        if number >= there:
            raise RequestError(
                f"device {name}: this machine has {count(there)} CUDA devices that torch can use",
                "see `cellmap-tui doctor`; device = auto takes what there is",
            )
        return torch.device("cuda", number)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise RequestError("device mps is not on this machine", "device = auto takes what there is")
    return device


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    has_bf16 = device.type == "cpu" or (
        device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= AMPERE
    )
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if has_bf16 else torch.float16
    if precision == "bf16" and not has_bf16:
        raise RequestError(f"precision bf16: {device} does not compute it", "precision = auto takes what it computes")
    if precision == "fp16" and device.type == "cpu":
        raise RequestError("precision fp16: a CPU does not train with it", "precision = auto, or bf16")
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]


def _format(values: Tensor) -> torch.memory_format:
    return torch.channels_last_3d if values.ndim == 5 else torch.channels_last
