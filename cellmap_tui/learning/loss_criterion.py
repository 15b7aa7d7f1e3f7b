"""A loss of torch or of one's own in place of the built-in ones, held to the same rule: unknown voxels never count.

A criterion that can answer element by element (``reduction="none"``) is averaged over known voxels here. One
that answers a single number sees the known voxels only as far as it can: where something is unknown it gets
a target of 0 and a logit that says 0, without a gradient.
"""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.batch import PatchBatch
from cellmap_tui.learning.loss_labels import StateLabels, labels_of, precise
from cellmap_tui.learning.loss_sums import KNOWN, PRESENT_LOSS, SUMS
from cellmap_tui.learning.losses import LossSpec, LossValue, loss_of_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from cellmap_tui.learning.loss_labels import Labels

SURE = -30.0
"""A logit whose probability is 0 in float32 arithmetic, and small enough for every criterion."""


class CriterionLoss:
    """A criterion with a mask; call it as `MaskedLoss`.

    Parameters
    ----------
    criterion
        Takes logits and targets ``[n, columns, (z,) y, x]``.
    ignore_padding
        Whether voxels beyond the EM count as unknown.
    """

    def __init__(self, criterion: Callable[[Tensor, Tensor], Tensor], *, ignore_padding: bool = True) -> None:
        self.criterion = criterion
        self.ignore_padding = ignore_padding

    def __call__(
        self,
        output: Tensor | Sequence[Tensor],
        labels: PatchBatch | Labels | Tensor,
        *,
        reduce: Callable[[Tensor], Tensor] | None = None,
    ) -> LossValue:
        """Return the loss over the scales of an output, each coarser one with half the weight."""
        known = self._labels(labels)
        scales = [output] if isinstance(output, torch.Tensor) else list(output)
        factors = [0.5**scale for scale in range(len(scales))]
        parts = [self._scale(logits, known.at(logits.shape[2:]), reduce) for logits in scales]
        total = sum(
            (part.loss * (factor / sum(factors)) for part, factor in zip(parts[1:], factors[1:], strict=True)),
            start=parts[0].loss * (factors[0] / sum(factors)),
        )
        return LossValue(total, parts[0].by_column, parts[0].sums)

    def _labels(self, labels: PatchBatch | Labels | Tensor) -> Labels:
        if isinstance(labels, PatchBatch):
            return labels_of(labels, ignore_padding=self.ignore_padding)
        return StateLabels(labels) if isinstance(labels, torch.Tensor) else labels

    def _scale(self, logits: Tensor, labels: Labels, reduce: Callable[[Tensor], Tensor] | None) -> LossValue:
        known, target = dense(labels, logits)
        values = self.criterion(torch.where(known, logits, SURE).to(torch.float32), target)
        if not isinstance(values, torch.Tensor) or not values.is_floating_point():
            raise RequestError("the criterion answers no tensor of numbers", "let it return its loss")
        if values.shape == logits.shape:
            sums = (values * known).sum(dim=(0, *range(2, values.ndim)))
            return _averaged(sums, labels.counts(), reduce)
        if values.shape == labels.shape:
            everywhere = known.all(dim=1)
            counts = everywhere.sum().reshape(1, 1).expand(1, 2)
            joint = _averaged((values * everywhere).sum().reshape(1), counts.to(precise(logits)), reduce)
            return LossValue(joint.loss, torch.full_like(target[0, :, 0].flatten(1)[:, 0], torch.nan), joint.sums)
        if values.numel() == 1:
            sums = torch.zeros(labels.columns, SUMS, dtype=precise(logits), device=logits.device)
            sums[:, -2:] = labels.counts()
            return LossValue(values.reshape(()), torch.full_like(sums[:, 0], torch.nan, dtype=torch.float32), sums)
        raise RequestError(
            f"the criterion answers {tuple(values.shape)} for logits of {tuple(logits.shape)}",
            "let it return one number, or one for each voxel",
        )


def made_criterion(given: Any, options: Mapping[str, Any], pos_weight: Tensor | None) -> Any:
    """Return a criterion from a name of torch or MONAI, a class, a function or an instance.

    Parameters
    ----------
    given
        What the configuration gives.
    options
        ``criterion_kwargs``; of a class only.
    pos_weight
        Weight of present voxels by column, for a class that takes one.

    Raises
    ------
    RequestError
        If its options are wrong.
    """
    kind = _named(given) if isinstance(given, str) else given
    if not isinstance(kind, type):
        if _is_of_torch(type(kind)) and hasattr(kind, "reduction"):
            kind = copy.copy(kind)
            kind.reduction = "none"
        return kind
    takes = inspect.signature(kind).parameters
    wanted = dict(options)
    if "reduction" in takes and _is_of_torch(kind):
        wanted["reduction"] = "none"
    if pos_weight is not None and "pos_weight" in takes:
        wanted.setdefault("pos_weight", pos_weight)
    try:
        return kind(**wanted)
    except (TypeError, ValueError) as error:
        raise RequestError(f"criterion {kind.__name__}: {error}", "check criterion_kwargs") from None


def dense(labels: Labels, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return where labels are known, bool, and the target, float32 of 0 and 1, both shaped as the logits."""
    one = torch.ones(labels.columns, device=logits.device)
    known_table, present_table = labels.table(one, one), labels.table(one * 0, one)
    samples, voxels = labels.shape[0], logits[0, 0].numel()

    def filled(table: Tensor) -> Tensor:
        parts = [labels.take(table, sample, 0, voxels, columns_last=False) for sample in range(samples)]
        return torch.stack(parts).reshape(logits.shape)

    return filled(known_table) > 0, filled(present_table)


def _averaged(loss_sums: Tensor, counts: Tensor, reduce: Callable[[Tensor], Tensor] | None) -> LossValue:
    sums = torch.zeros(len(loss_sums), SUMS, dtype=counts.dtype, device=counts.device)
    sums = sums.index_copy(1, torch.tensor([PRESENT_LOSS], device=sums.device), loss_sums[:, None].to(sums.dtype))
    sums = torch.cat([sums[:, : KNOWN - 1], counts], dim=1)
    sums = sums if reduce is None else reduce(sums)
    loss, by_column = loss_of_sums(sums, LossSpec("bce"))
    return LossValue(loss.to(torch.float32), by_column.to(torch.float32), sums.detach())


def _is_of_torch(kind: type) -> bool:
    return kind.__module__.startswith("torch.nn.")


def _named(name: str) -> Any:
    found = getattr(nn, name, None)
    if found is None:
        import monai.losses  # loads all of MONAI, a second or two

        found = getattr(monai.losses, name, None)
    if not isinstance(found, type):
        raise RequestError(f"no loss of torch or MONAI is called {name!r}", "give one, or leave criterion out")
    return found
