"""What the training loop says and hears: steps, validations, what was asked of it, and how it ended.

The loop knows no run directory and no service; whoever starts it hands in a `TrainListener`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from cellmap_tui.learning.listener import Listener, Silence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch
    from torch import Tensor, nn

Ending = Literal["finished", "early stop", "max hours", "stop after epoch"]


class AskLike(Protocol):
    """Something a person asked of a running training; `services.report.Ask` is one."""

    @property
    def action(self) -> str:
        """``checkpoint``, ``validate``, ``lr`` or ``stop_after_epoch``."""

    @property
    def by(self) -> str:
        """Who asked."""

    @property
    def value(self) -> float | None:
        """The new step size, of ``lr``."""


@dataclass(frozen=True, slots=True, eq=False)
class StepRecord:
    """One batch, as it was learned from; its tensors are still on the device and nobody has waited for them."""

    step: int
    """Batches learned from so far, this one included."""
    epoch: int
    """Number of the epoch, from 1."""
    loss: Tensor
    """The undivided loss, a detached scalar; of all processes."""
    by_column: Tensor
    """Loss of each column, detached ``[columns]``; NaN where nothing was known."""
    grad_norm: Tensor | None
    """Length of the gradient before clipping, a detached scalar; None between steps of the optimiser."""
    lr: float
    """Step size of the first group of weights."""
    samples: int
    """Samples in the batch, of all processes."""
    data_s: float
    """Seconds in which the loop waited for the batch."""
    step_s: float
    """Seconds from the end of the batch before to the end of this one, the waiting included."""


class TrainListener(Listener, Protocol):
    """Who hears how training goes, and says what is asked of it."""

    def step(self, record: StepRecord) -> None:
        """Hear of a batch; must not wait for the device."""

    def validating(self) -> None:
        """Hear that a validation begins; it waits for the device anyway, so this may too."""

    def validated(self, epoch: int, step: int, values: Mapping[str, float], *, is_best: bool) -> None:
        """Hear what a validation found, by names of events (``val/dice``, ``val/dice/mito`` …)."""

    def epoch_ended(self, epoch: int, step: int) -> None:
        """Hear that an epoch is over, its checkpoint written."""

    def artefact(self, path: Path, kind: str) -> None:
        """Hear of a new file: ``checkpoint``."""

    def asked(self) -> Sequence[AskLike]:
        """Return what was asked since the last call."""


class TrainSilence(Silence):
    """Nobody listens, nobody asks."""

    def step(self, record: StepRecord) -> None:
        """Ignore it."""

    def validating(self) -> None:
        """Ignore it."""

    def validated(self, epoch: int, step: int, values: Mapping[str, float], *, is_best: bool) -> None:
        """Ignore it."""

    def epoch_ended(self, epoch: int, step: int) -> None:
        """Ignore it."""

    def artefact(self, path: Path, kind: str) -> None:
        """Ignore it."""

    def asked(self) -> Sequence[AskLike]:
        """Return nothing."""
        return ()


@dataclass(frozen=True, slots=True, eq=False)
class ValidationCall:
    """What a validation is given."""

    network: nn.Module
    """In evaluation mode, with the weights to use (averaged ones where averaging is on)."""
    device: torch.device
    """Where it is."""
    autocast: torch.autocast
    """The arithmetic of training; a context."""
    epoch: int
    """Number of the epoch, from 1."""
    step: int
    """Batches learned from so far."""
    folder: Path
    """The run's folder."""
    checkpoint: Callable[[], None]
    """To be called between tiles: raises Stopped when the user asked to stop."""
    progress: Callable[[float, float, str], None] = field(default=lambda _done, _total, _unit: None)
    """To be called between tiles with what is done, of how much, in which unit."""


Validate = Callable[[ValidationCall], Mapping[str, float]]
"""Measures a network: returns values by their names in events."""


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """How training ended."""

    ending: Ending
    """Why it ended."""
    epoch: int
    """Finished epochs, over all its stops."""
    step: int
    """Batches learned from, over all its stops."""
    seconds: float
    """How long it took, this time."""
    last: Path | None
    """Weights of the last checkpoint."""
    best: Path | None
    """Weights of the best checkpoint; None: never validated."""
    best_epoch: int | None
    """Its epoch."""
    best_score: float | None
    """Its score."""
    batch_parts: int = 1
    """In how many parts a batch had to be computed, for memory."""
    values: dict[str, float] = field(default_factory=dict)
    """What the last validation found."""
