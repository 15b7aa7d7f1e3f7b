"""Looks whether losses are numbers, without making the device wait: a GPU's are looked at some steps later."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from torch import Tensor

    from cellmap_tui.learning.batch import PatchBatch
    from cellmap_tui.learning.config_model import TrainConfig

MOST_WAITING = 64
"""Steps that may be ahead of the look; then it waits for the oldest."""


class NotANumberError(CellmapError):
    """Training ran into a loss or into weights that are no numbers."""

    kind = "nan"


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    loss: Tensor
    ready: torch.cuda.Event | None
    step: int
    epoch: int
    crops: tuple[str, ...]


class LossWatch:
    """Looks at the loss of every batch.

    Parameters
    ----------
    remedy
        What to do about a loss that is no number.
    """

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy
        self._waiting: deque[_Waiting] = deque()

    def put(self, loss: Tensor, step: int, epoch: int, batch: PatchBatch) -> None:
        """Have a loss looked at."""
        ready = None
        if loss.device.type == "cuda":
            host = torch.empty((), dtype=loss.dtype, pin_memory=True)
            loss = host.copy_(loss, non_blocking=True)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record()
        crops = tuple(dict.fromkeys(note.crop for note in batch.notes))
        self._waiting.append(_Waiting(loss, ready, step, epoch, crops))

    def look(self, *, at_all: bool = False) -> None:
        """Look at the losses that have arrived, or wait for all.

        Raises
        ------
        NotANumberError
            If one is none; says at which step and on which crops.
        """
        while self._waiting:
            first = self._waiting[0]
            if first.ready is not None and not first.ready.query():  # type: ignore[no-untyped-call]
                if not at_all and len(self._waiting) < MOST_WAITING:
                    return
                first.ready.synchronize()
            self._waiting.popleft()
            value = float(first.loss)
            if value != value or abs(value) == float("inf"):
                raise NotANumberError(
                    f"the loss is {value} at step {first.step} (epoch {first.epoch}), "
                    f"on patches of {', '.join(first.crops) or 'no named crop'}",
                    self._remedy,
                )


def calmer(config: TrainConfig) -> str:
    """Return what keeps a loss a number, beside what the configuration does already."""
    ways = ["lower learning_rate"]
    if config.max_grad_norm is None or config.max_grad_norm > 1:
        ways.append("set max_grad_norm = 1")
    else:
        ways.append(f"raise warmup_epochs ({config.warmup_epochs})")
    if config.precision != "fp32":
        ways.append("set precision = fp32")
    return f"{', '.join(ways[:-1])} or {ways[-1]}; then resume"


def has_only_numbers(tensors: list[Tensor]) -> bool:
    """Return whether every value is finite; waits for the device once."""
    if not tensors:
        return True
    norms = torch._foreach_norm([tensor.detach().to(torch.float32) for tensor in tensors])
    return bool(torch.isfinite(torch.stack(norms)).all())
