"""The average of a network's weights over the last updates: what is validated, predicted with and saved for use."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from cellmap_tui.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn


class AveragedWeights:
    """An exponential moving average of a network's learned weights.

    At the beginning it forgets faster than `decay` says, so that the first weights, which are noise, do not
    stay in it: after ``n`` updates the decay is at most ``(1 + n) / (10 + n)``.

    Parameters
    ----------
    network
        The network itself, without wrappers, on its device.
    decay
        Share of the average that stays at an update.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._network = network
        self._weights = [part for part in network.parameters() if part.is_floating_point()]
        self._averages = [part.detach().clone() for part in self._weights]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(self._averages, [part.detach() for part in self._weights], 1 - decay)

    @contextmanager
    @torch.no_grad()
    def applied(self) -> Iterator[None]:
        """Have the averages in the network for a while; afterwards its own weights, bit by bit."""
        own = [part.detach().clone() for part in self._weights]
        torch._foreach_copy_([part.detach() for part in self._weights], self._averages)
        try:
            yield
        finally:
            torch._foreach_copy_([part.detach() for part in self._weights], own)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the network's ``state_dict`` with averages for the learned weights, without copying."""
        averages = {id(part): average for part, average in zip(self._weights, self._averages, strict=True)}
        named = self._network.state_dict(keep_vars=True)
        return {name: averages.get(id(part), part).detach() for name, part in named.items()}

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Take over averages by the names of a ``state_dict``.

        Raises
        ------
        DataError
            If one is missing or of another shape.
        """
        for name, average in self.state_dict().items():
            given = weights.get(name)
            if given is None or given.shape != average.shape:
                raise DataError(f"the averaged weights of a checkpoint lack {name}", "resume from another checkpoint")
            average.copy_(given)
        self.updates = updates
