"""Batches as the official toolbox has them: dense floats, NaN where nothing is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cellmap_tui.learning.decode import float_targets, to_unit

if TYPE_CHECKING:
    from torch import Tensor

    from cellmap_tui.learning.batch import PatchBatch
    from cellmap_tui.learning.buffers import BufferPool


def to_peer_batch(batch: PatchBatch, pool: BufferPool | None = None) -> dict[str, Tensor]:
    """Return a batch in the shapes of ``cellmap-data``.

    Parameters
    ----------
    batch
        The batch.
    pool
        Memory for floats on the host; without it they are allocated anew each time.

    Returns
    -------
    dict[str, Tensor]
        ``input`` float32 ``[n, 1, ...]`` from 0 to 1 (one input; several stand under their own names) and
        ``output`` float32 ``[n, columns, ...]`` with NaN where nothing is known. An axis of a single voxel
        is dropped.
    """
    names = list(batch.em)
    inputs = {("input" if len(names) == 1 else name): _input(batch, name, pool) for name in names}
    shape = (len(batch), len(batch.columns), *batch.codes.shape[1:])
    output = float_targets(batch.codes, batch.first_code, batch.book, out=_taken(batch, shape, pool))
    axis = batch.flat_axis
    return inputs | {"output": output if axis is None else output.squeeze(axis + 2)}


def _input(batch: PatchBatch, name: str, pool: BufferPool | None) -> Tensor:
    if pool is None or name in batch.augmented:
        return batch.input(name)
    grey = batch.em[name][:, None]
    values = to_unit(grey, _taken(batch, tuple(grey.shape), pool))
    axis = batch.flat_axis
    return values if axis is None else values.squeeze(axis + 2)


def _taken(batch: PatchBatch, shape: tuple[int, ...], pool: BufferPool | None) -> Tensor | None:
    if pool is None or batch.codes.device.type != "cpu":
        return None
    return torch.from_numpy(pool.take(shape, np.float32))
