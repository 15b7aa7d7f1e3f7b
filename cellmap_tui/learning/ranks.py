"""Processes that train one network together: which of them this is, and what they say to each other.

`torchrun` starts them and says so in the environment; without it there is one. Gradients travel by
DistributedDataParallel, sums of losses by `losses.summed_over_ranks`; what is said here goes over the
processors' network, so that no device waits for it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed

from cellmap_tui.learning.losses import summed_over_ranks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

_PATIENCE = timedelta(days=2)
"""How long processes wait for the first one, which validates alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """The process and those it trains with."""

    rank: int = 0
    """Its number."""
    count: int = 1
    """How many there are."""
    local_rank: int = 0
    """Its number on this node: that of its GPU."""
    talk: Any = None
    """The group over which they talk; None: this one is alone."""

    @property
    def is_first(self) -> bool:
        """Whether this one validates, writes and speaks."""
        return self.rank == 0

    @property
    def reduce(self) -> Callable[[Tensor], Tensor] | None:
        """What adds the sums of a loss over all processes; None: there are none to add."""
        return summed_over_ranks if self.count > 1 else None

    def told(self, numbers: Sequence[float]) -> list[float]:
        """Return the first process' numbers in every process."""
        if self.count == 1:
            return list(numbers)
        said = torch.tensor(numbers, dtype=torch.float64)
        distributed.broadcast(said, 0, group=self.talk)
        return [float(number) for number in said]

    def synchronous(self, network: nn.Module) -> nn.Module:
        """Return the network with batch norms that look at the batches of all processes, where GPUs can."""
        if self.count == 1 or next(network.parameters()).device.type != "cuda":
            return network
        converted: nn.Module = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return converted

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Return the network with gradients that are averaged over all processes."""
        if self.count == 1:
            return network
        device = next(network.parameters()).device
        ids = [device.index] if device.type == "cuda" else None
        return torch.nn.parallel.DistributedDataParallel(network, device_ids=ids)


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes that `torchrun` started, for as long as the context lasts.

    A group that exists already is used as it is.
    """
    count = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
    if count == 1:
        yield Ranks()
        return
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    was_there = distributed.is_initialized()
    if not was_there:
        on_gpu = torch.cuda.is_available() and torch.cuda.device_count() > local_rank
        if on_gpu:
            torch.cuda.set_device(local_rank)
        distributed.init_process_group("nccl" if on_gpu else "gloo")
    talk = distributed.new_group(backend="gloo", timeout=_PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size(), local_rank, talk)
    finally:
        if not was_there:
            distributed.destroy_process_group()
