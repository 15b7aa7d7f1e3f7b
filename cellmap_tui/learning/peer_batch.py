"""Batches as the official toolbox has them: dense floats, NaN where nothing is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.learning.decode import float_targets

if TYPE_CHECKING:
    from torch import Tensor

    from cellmap_tui.learning.batch import PatchBatch


def to_peer_batch(batch: PatchBatch) -> dict[str, Tensor]:
    """Return a batch in the shapes of ``cellmap-data``.

    Returns
    -------
    dict[str, Tensor]
        ``input`` float32 ``[n, 1, ...]`` from 0 to 1 (one input; several stand under their own names) and
        ``output`` float32 ``[n, columns, ...]`` with NaN where nothing is known. An axis of a single voxel
        is dropped.
    """
    names = list(batch.em)
    inputs = {("input" if len(names) == 1 else name): batch.input(name) for name in names}
    output = float_targets(batch.codes, batch.first_code, batch.book)
    axis = batch.flat_axis
    return inputs | {"output": output if axis is None else output.squeeze(axis + 2)}
