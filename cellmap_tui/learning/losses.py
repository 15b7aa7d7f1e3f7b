"""Losses that count known voxels only: BCE, Dice, their sum, focal and Tversky.

Of each column the mean is over its known voxels; then the mean over the columns that have any. With
several processes the sums are added before any of it is divided. A configuration's own criterion is the
business of `loss_criterion`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from cellmap_tui.learning.batch import PatchBatch
from cellmap_tui.learning.loss_labels import CodedLabels, StateLabels, labels_of
from cellmap_tui.learning.loss_sums import ABSENT_LOSS, KNOWN, OVERLAP, PREDICTED, PRESENT, PRESENT_LOSS, column_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from cellmap_tui.learning.loss_labels import Labels

KINDS = ("bce", "dice", "dice_bce", "focal", "tversky")
WEIGHTS = (1 / 50, 50.0)
"""Bounds of the weight of present voxels."""


@dataclass(frozen=True, slots=True)
class LossSpec:
    """Which loss, and its options."""

    kind: str = "dice_bce"
    """One of `KINDS`."""
    bce_weight: float = 1.0
    """Factor of the cross-entropy in ``dice_bce``."""
    dice_weight: float = 1.0
    """Factor of the Dice loss in ``dice_bce``."""
    smooth: float = 1.0
    """Added to both sides of the ratio of Dice and Tversky, in voxels."""
    gamma: float = 2.0
    """Exponent of the focal weight."""
    alpha: float = 0.3
    """Tversky: weight of false positives."""
    beta: float = 0.7
    """Tversky: weight of false negatives."""


@dataclass(frozen=True, slots=True, eq=False)
class LossValue:
    """A loss and what it is made of; nothing here has waited for the device."""

    loss: Tensor
    """What to call ``backward`` on, a scalar."""
    by_column: Tensor
    """Loss of each column at full resolution, detached ``[columns]``; NaN where nothing is known."""
    sums: Tensor
    """The sums at full resolution, detached ``[columns, 6]``, of all processes; see `loss_sums`."""

    @property
    def known(self) -> Tensor:
        """Known voxels of each column, ``[columns]``."""
        return self.sums[:, KNOWN]


def masked_loss(
    output: Tensor | Sequence[Tensor],
    labels: PatchBatch | Labels | Tensor,
    spec: LossSpec | None = None,
    *,
    pos_weight: Tensor | None = None,
    reduce: Callable[[Tensor], Tensor] | None = None,
    ignore_padding: bool = True,
) -> LossValue:
    """Return the loss of a network's output over the voxels that are known.

    Parameters
    ----------
    output
        Logits ``[n, columns, (z,) y, x]``, or several, finest first (deep supervision): each coarser
        scale has half the weight of the one before, and labels of the nearest voxel.
    labels
        A batch, `CodedLabels`, `StateLabels`, or states uint8 ``[n, columns, (z,) y, x]``.
    spec
        Which loss; BCE + Dice by default.
    pos_weight
        Weight of present voxels, float ``[columns]``; see `pos_weight_of`.
    reduce
        Adds the sums of all processes: `summed_over_ranks`.
    ignore_padding
        Whether voxels beyond the EM count as unknown, where `labels` is a batch.

    Returns
    -------
    LossValue
        The loss; 0 with a gradient of zero if nothing is known.
    """
    spec = spec or LossSpec()
    known = _labels(labels, ignore_padding=ignore_padding)
    scales = [output] if isinstance(output, torch.Tensor) else list(output)
    total: Tensor | None = None
    finest: tuple[Tensor, Tensor] | None = None
    factors = [0.5**scale for scale in range(len(scales))]
    for logits, factor in zip(scales, factors, strict=True):
        here = known.at(logits.shape[2:])
        sums = column_sums(logits, here, spec.gamma if spec.kind == "focal" else 0.0)
        sums = sums if reduce is None else reduce(sums)
        loss, by_column = loss_of_sums(sums, spec, pos_weight)
        finest = finest or (by_column.detach(), sums.detach())
        part = loss * (factor / sum(factors))
        total = part if total is None else total + part
    if total is None or finest is None:
        raise ValueError("a network that answers nothing")
    return LossValue(total.to(torch.float32), finest[0].to(torch.float32), finest[1])


def loss_of_sums(sums: Tensor, spec: LossSpec, pos_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the loss of sums ``[columns, 6]``, and that of each column, NaN where nothing is known."""
    known, present = sums[:, KNOWN], sums[:, PRESENT]
    has_known, has_present = known > 0, present > 0
    if spec.kind in ("bce", "focal"):
        by_column = _cross_entropy(sums, pos_weight)
        loss = _mean(by_column, has_known)
    elif spec.kind == "dice_bce":
        entropy, dice = _cross_entropy(sums, pos_weight), _tversky(sums, spec.smooth, 0.5, 0.5)
        loss = spec.bce_weight * _mean(entropy, has_known) + spec.dice_weight * _mean(dice, has_present)
        by_column = spec.bce_weight * entropy + spec.dice_weight * torch.where(has_present, dice, 0)
    elif spec.kind in ("dice", "tversky"):
        alpha, beta = (0.5, 0.5) if spec.kind == "dice" else (spec.alpha, spec.beta)
        # Without a present voxel the ratio has no slope worth the name: there the mean probability is made small.
        false_share = sums[:, PREDICTED] / known.clamp(min=1)
        by_column = torch.where(has_present, _tversky(sums, spec.smooth, alpha, beta), false_share)
        loss = _mean(by_column, has_known)
    else:
        raise ValueError(f"no loss is called {spec.kind!r}")
    return loss, torch.where(has_known, by_column.detach(), torch.nan)


def pos_weight_of(counts: Any) -> Tensor:
    """Return the weight of present voxels: absent to present ones, within `WEIGHTS`; 1 where none is present.

    Parameters
    ----------
    counts
        Voxels ``[columns, 3]`` or ``[crops, columns, 3]`` that are present, absent and unknown, over the
        training crops, as `BankCrop.counts` has them.

    Returns
    -------
    Tensor
        float32 ``[columns]``.
    """
    voxels = torch.as_tensor(counts).to(torch.float64)
    voxels = voxels.sum(dim=0) if voxels.ndim == 3 else voxels
    present, absent = voxels[:, 0], voxels[:, 1]
    ratio = (absent / present.clamp(min=1)).clamp(*WEIGHTS)
    return torch.where(present > 0, ratio, 1.0).to(torch.float32)


def summed_over_ranks(sums: Tensor) -> Tensor:
    """Return sums of all processes, with a gradient as DistributedDataParallel's averaging wants it."""
    summed: Tensor = _SummedOverRanks.apply(sums)  # type: ignore[no-untyped-call]
    return summed


class _SummedOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, sums: Tensor) -> Tensor:
        ctx.ranks = torch.distributed.get_world_size()
        out = sums.clone()
        torch.distributed.all_reduce(out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Every process computes the same loss of the same sums; the averaging of gradients divides by the
        # processes, so each process' own share is multiplied by them.
        return gradients[0] * float(ctx.ranks)


def _labels(labels: PatchBatch | Labels | Tensor, *, ignore_padding: bool) -> Labels:
    if isinstance(labels, PatchBatch):
        return labels_of(labels, ignore_padding=ignore_padding)
    return StateLabels(labels) if isinstance(labels, torch.Tensor) else labels


def _cross_entropy(sums: Tensor, pos_weight: Tensor | None) -> Tensor:
    present = sums[:, PRESENT_LOSS]
    if pos_weight is not None:
        present = present * pos_weight.to(sums)
    return (sums[:, ABSENT_LOSS] + present) / sums[:, KNOWN].clamp(min=1)


def _tversky(sums: Tensor, smooth: float, alpha: float, beta: float) -> Tensor:
    overlap = sums[:, OVERLAP]
    wrong = alpha * (sums[:, PREDICTED] - overlap) + beta * (sums[:, PRESENT] - overlap)
    return 1 - (overlap + smooth / 2) / (overlap + wrong + smooth / 2)


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    return torch.where(counted, values, 0).sum() / counted.sum().clamp(min=1)


__all__ = [
    "KINDS", "CodedLabels", "LossSpec", "LossValue", "StateLabels", "labels_of", "loss_of_sums", "masked_loss",
    "pos_weight_of", "summed_over_ranks",
]  # fmt: skip
