"""The sums that every loss is made of, column by column, with a gradient, in a fraction of the logits' memory.

Both passes walk over a few voxels at a time and decode their labels on the way: nothing as large as the
logits exists but the logits and their gradient. A loss is a small formula on the sums, so sums of several
processes can be added before it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.loss_labels import precise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from cellmap_tui.learning.loss_labels import Labels

ABSENT_LOSS, PRESENT_LOSS, OVERLAP, PREDICTED, PRESENT, KNOWN = range(6)
"""Places in a row of sums: cross-entropy over absent and over present voxels, probability over present and
over known voxels, present voxels, known voxels."""
SUMS = 6
CPU_PIECE = 2**18  # of the values of a piece and its temporaries, most stay in the second cache
DEVICE_PIECES = 32  # so that temporaries stay below a fifth of the logits
DEVICE_PIECE = 2**22  # below this a GPU spends its time on starting kernels


def column_sums(logits: Tensor, labels: Labels, gamma: float = 0.0) -> Tensor:
    """Return the sums of each column over the voxels where something is known about it.

    Parameters
    ----------
    logits
        ``[n, columns, (z,) y, x]``, any floating type and layout.
    labels
        What is known; unknown voxels take no part and get a gradient of zero.
    gamma
        Exponent of the focal weight; 0: plain cross-entropy.

    Raises
    ------
    RequestError
        If the shapes differ.

    Returns
    -------
    Tensor
        float64 ``[columns, 6]``: see `ABSENT_LOSS` and the others. Differentiable in the logits, once.
    """
    if tuple(logits.shape) != (labels.shape[0], labels.columns, *labels.shape[1:]):
        wanted = (labels.shape[0], labels.columns, *labels.shape[1:])
        raise RequestError(
            f"the network answers logits of shape {tuple(logits.shape)}, and the labels are {wanted}",
            "a network has an output channel for each column and the patch's own shape",
        )
    sums: Tensor = _ColumnSums.apply(logits, labels, gamma)  # type: ignore[no-untyped-call]
    return torch.cat([sums, labels.counts()], dim=1)


class _ColumnSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Labels, gamma: float) -> Tensor:
        ctx.save_for_backward(logits)
        ctx.labels, ctx.gamma = labels, gamma
        out = torch.zeros(labels.columns, 4, dtype=precise(logits), device=logits.device)
        one = torch.ones(labels.columns, device=logits.device)
        nought = torch.zeros_like(one)
        absent, present = labels.table(one, nought), labels.table(nought, one)
        with torch.autocast(logits.device.type, enabled=False):
            for sample, start, stop, last in _pieces(logits):
                a = labels.take(absent, sample, start, stop, columns_last=last)
                t = labels.take(present, sample, start, stop, columns_last=last)
                out += _piece_sums(_values(logits, sample, start, stop), a, t, gamma)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (logits,) = ctx.saved_tensors
        labels: Labels = ctx.labels
        gradient = torch.empty_like(logits)
        by_sum = gradients[0].to(torch.float32)
        with torch.autocast(logits.device.type, enabled=False):
            step = _focal_step(labels, by_sum, ctx.gamma) if ctx.gamma else _plain_step(labels, by_sum)
            for sample, start, stop, last in _pieces(logits):
                x = _values(logits, sample, start, stop)
                _flat(gradient[sample])[:, start:stop] = step(x, sample, start, stop, last)
        return gradient, None, None


def _piece_sums(x: Tensor, absent: Tensor, present: Tensor, gamma: float) -> Tensor:
    x = _known_only(x, absent + present) if _may_hide_nan(x) else x
    p = torch.sigmoid(x)
    of_absent = functional.softplus(x)
    of_present = of_absent - x
    if gamma:
        of_absent, of_present = of_absent * p**gamma, of_present * (1 - p) ** gamma
    overlap = _dot(present, p)
    return torch.stack(
        [_dot(absent, of_absent), _dot(present, of_present), overlap, overlap + _dot(absent, p)], dim=1
    )


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """Return the sum of products of each row; elsewhere than on the CPU not by a matrix product, which rounds."""
    return torch.linalg.vecdot(first, second) if first.device.type == "cpu" else (first * second).sum(dim=1)


def _known_only(x: Tensor, known: Tensor) -> Tensor:
    """Return logits, 0 where nothing is known, so that not even NaN or infinity comes through from there."""
    return torch.where(known > 0, x, 0)


def _may_hide_nan(x: Tensor) -> bool:
    """Whether logits may not be finite; on a GPU nobody waits for the answer."""
    return x.device.type != "cpu" or not math.isfinite(float(x.sum()))


def _plain_step(labels: Labels, by_sum: Tensor) -> Any:
    """Return what computes the gradient of a piece: by state it is a0 + a1 p + a2 p (1 - p)."""
    of_absent, of_present, of_overlap, of_predicted = by_sum.unbind(1)
    nought = torch.zeros_like(of_absent)
    tables = [
        labels.table(nought, -of_present),
        labels.table(of_absent, of_present),
        labels.table(of_predicted, of_overlap + of_predicted),
    ]
    known = labels.table(nought + 1, nought + 1)

    def step(x: Tensor, sample: int, start: int, stop: int, last: bool) -> Tensor:
        constant, linear, slope = (labels.take(table, sample, start, stop, columns_last=last) for table in tables)
        if _may_hide_nan(x):
            x = _known_only(x, labels.take(known, sample, start, stop, columns_last=last))
        p = torch.sigmoid(x)
        return constant.addcmul_(p, linear.addcmul_(slope, 1 - p))

    return step


def _focal_step(labels: Labels, by_sum: Tensor, gamma: float) -> Any:
    of_absent, of_present, of_overlap, of_predicted = by_sum.unbind(1)
    nought = torch.zeros_like(of_absent)
    tables = [
        labels.table(of_absent, nought),
        labels.table(nought, of_present),
        labels.table(of_predicted, of_overlap + of_predicted),
        labels.table(nought + 1, nought + 1),
    ]

    def step(x: Tensor, sample: int, start: int, stop: int, last: bool) -> Tensor:
        a, b, c, k = (labels.take(table, sample, start, stop, columns_last=last) for table in tables)
        x = _known_only(x, k)
        p = torch.sigmoid(x)
        q = 1 - p
        high = functional.softplus(x)
        up = p**gamma * (gamma * q * high + p)
        down = q**gamma * (gamma * p * (high - x) + q)
        return a * up - b * down + c * (p * q)

    return step


def _pieces(logits: Tensor) -> Iterator[tuple[int, int, int, bool]]:
    """Yield sample, first and last voxel of each piece, and whether a voxel's columns lie side by side."""
    samples, columns = logits.shape[:2]
    voxels = logits[0, 0].numel()
    values = CPU_PIECE * max(1, torch.get_num_threads())
    if logits.device.type != "cpu":
        values = max(DEVICE_PIECE, logits.numel() // DEVICE_PIECES)
    length = max(1, values // columns)
    last = columns > 1 and logits.stride(1) == 1
    for sample in range(samples):
        for start in range(0, voxels, length):
            yield sample, start, min(start + length, voxels), last


def _flat(values: Tensor) -> Tensor:
    """Return ``[columns, voxels]`` of ``[columns, (z,) y, x]`` without copying, whichever lies side by side."""
    return values.movedim(0, -1).reshape(-1, len(values)).T if values.stride(0) == 1 else values.flatten(1)


def _values(logits: Tensor, sample: int, start: int, stop: int) -> Tensor:
    return _flat(logits[sample])[:, start:stop].to(torch.float32)
