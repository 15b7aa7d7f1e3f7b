"""How good probabilities are where something is known: counts for Dice and its kin, and the sums of the loss.

Everything is a sum over voxels, so that slabs, crops and parts of crops add up to what one pass over all of
them would give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cellmap_tui.learning.loss_labels import CodedLabels, precise
from cellmap_tui.learning.loss_sums import SUMS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

CORRECT, PREDICTED, PRESENT, KNOWN = range(4)
"""Places in a row of counts: voxels rightly predicted, predicted, present, known; all over known voxels."""
COUNTS = 4
THRESHOLD = 0.5
"""From this probability on a voxel counts as predicted."""
METRICS = ("dice", "iou", "precision", "recall")
_CPU_PIECE = 2**18  # values and their temporaries stay in the second cache
_DEVICE_PIECE = 2**24
_LEAST = 2.0**-24  # of a probability in float32, so that no logarithm is infinite


@dataclass(frozen=True, slots=True, eq=False)
class BlockSums:
    """Sums over some voxels, on the device."""

    loss: Tensor
    """As `loss_sums.column_sums` gives them, float64 ``[columns, 6]``."""
    counts: Tensor
    """float64 ``[columns, 4]``: see `CORRECT` and the others."""

    def __add__(self, other: BlockSums) -> BlockSums:
        return BlockSums(self.loss + other.loss, self.counts + other.counts)


def block_sums(probabilities: Tensor, labels: CodedLabels, gamma: float = 0.0) -> BlockSums:
    """Return the sums over a block of voxels.

    Parameters
    ----------
    probabilities
        float32 ``[columns, z, y, x]``.
    labels
        What is known of the block, as one sample.
    gamma
        Exponent of the focal weight; 0: plain cross-entropy.
    """
    columns = labels.columns
    flat = probabilities.reshape(columns, -1)
    total = torch.zeros(columns, SUMS, dtype=precise(flat), device=flat.device)
    one = torch.ones(columns, device=flat.device)
    absent_table, present_table = labels.table(one, one * 0), labels.table(one * 0, one)
    length = max(1, (_CPU_PIECE if flat.device.type == "cpu" else _DEVICE_PIECE) // columns)
    for start in range(0, flat.shape[1], length):
        stop = min(start + length, flat.shape[1])
        absent = labels.take(absent_table, 0, start, stop, columns_last=False)
        present = labels.take(present_table, 0, start, stop, columns_last=False)
        total += _piece(flat[:, start:stop], absent, present, gamma)
    have = labels.counts()
    soft, hard = total[:, :4], total[:, 4:]
    return BlockSums(torch.cat([soft, have], dim=1), torch.cat([hard, have], dim=1))


def metric_values(counts: NDArray[np.int64], metric: str) -> NDArray[np.float64]:
    """Return a metric of counts ``[..., 4]``; NaN where the class is not present, or nothing is known.

    Raises
    ------
    KeyError
        If the metric is none of `METRICS`.
    """
    correct, predicted, present = (counts[..., place].astype(np.float64) for place in (CORRECT, PREDICTED, PRESENT))
    above, below = {
        "dice": (2 * correct, predicted + present),
        "iou": (correct, predicted + present - correct),
        "precision": (correct, predicted),
        "recall": (correct, present),
    }[metric]
    # What is never predicted has no precision of its own; as nothing of it was found, it counts as 0.
    values: NDArray[np.float64] = np.where(present > 0, above / np.maximum(below, 1), np.nan)
    return values


def _piece(p: Tensor, absent: Tensor, present: Tensor, gamma: float) -> Tensor:
    of_present = -torch.log(p.clamp(min=_LEAST))
    of_absent = -torch.log((1 - p).clamp(min=_LEAST))
    if gamma:
        of_absent, of_present = of_absent * p**gamma, of_present * (1 - p) ** gamma
    known = absent + present
    predicted = (p >= THRESHOLD).to(p.dtype)
    parts = [
        absent * of_absent,
        present * of_present,
        present * p,
        known * p,
        present * predicted,
        known * predicted,
    ]
    return torch.stack([part.sum(dim=1, dtype=torch.float32) for part in parts], dim=1).to(precise(p))
