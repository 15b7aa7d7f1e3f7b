"""Probabilities of a part of a volume, slab by slab, from one or several networks at once.

Each network works on its own grid; its rows are brought to the grid that is written as they come, and what no
later slab needs is forgotten. Memory is that of the networks' open rows and of one slab. Where the slabs lie
depends on nothing but the part, so work that was cut off goes on with the same values, bit by bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from cellmap_tui.learning.grid_map import GridMap
from cellmap_tui.learning.rolling_em import RollingEm, ratios_of, widened
from cellmap_tui.volumes.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import ExitStack

    from torch import Tensor

    from cellmap_tui.challenge.grid import Grid, Shape3
    from cellmap_tui.learning.bank_em import CropEm
    from cellmap_tui.learning.ensemble import Member
    from cellmap_tui.learning.model_card import ModelCard
    from cellmap_tui.learning.predictor import Predictor

LOGIT_EDGE = 1e-7
"""Probabilities nearer to 0 and 1 have the logit of this one: float32 holds no finer ones near 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One member at work on a volume."""

    member: Member
    """Which columns are taken and how much they count."""
    predictor: Predictor
    """Predicts them."""
    em: CropEm
    """Where grey values come from."""
    grid: Grid
    """Its own grid over the volume."""
    before: Callable[[Grid], None] | None = None
    """Brings the EM under a grid."""


def stream_part(
    sources: Sequence[Source],
    columns: Sequence[str],
    target: Grid,
    part: Box,
    depth: int,
    closing: ExitStack,
    *,
    first_row: int | None = None,
    told: Callable[[int], None] | None = None,
) -> Iterator[tuple[Box, Tensor]]:
    """Yield the probabilities of a part of a volume; each voxel once.

    Parameters
    ----------
    sources
        The networks.
    columns
        What is wanted, in this order.
    target
        The grid that is written.
    part
        Voxels of it.
    depth
        Rows along z of a slab; slabs begin at multiples of it.
    closing
        Closes what was opened.
    first_row
        Row of the target from which on slabs are wanted; the first row of a slab.
    told
        Called with the number of tiles after each batch; may raise to give up.

    Yields
    ------
    Box, Tensor
        Voxels of the target, and float32 ``[columns, z, y, x]`` on the device of the first network.
    """
    row = part.start[0] if first_row is None else first_row
    slabs = list(_slabs(part, depth, row))
    if not slabs:
        return
    members = [_MemberRows(source, target, part, slabs[0], closing, told) for source in sources]
    for box in slabs:
        if len(members) == 1 and members[0].is_all(columns):
            yield box, members[0].values(box)
            continue
        total: Tensor | None = None
        for rows in members:
            values = rows.values(box)
            if total is None:
                total = torch.zeros((len(columns), *box.shape), device=values.device)
            _add(total, columns, rows.source.member, values)
        if total is not None:
            yield box, total


def reach_of(predictor: Predictor, card: ModelCard, shape: Shape3, box: Box) -> Box:
    """Return the voxels that the tiles of a box ask for, those beyond the volume included."""
    low, high = list(box.start), list(box.stop)
    for plan, ratio in product(predictor.plans(shape), ratios_of(card)):
        # A flat patch may be laid along any axis, and its wider view with it.
        widest = ratio if card.dimensions == 3 else np.full(3, ratio.max())
        for axis in range(3):
            edge = plan.patch[axis]
            touching = [s for s in plan.starts[axis] if s < box.stop[axis] and s + edge > box.start[axis]]
            for start in (touching[0], touching[-1]):
                tile = Box((start,) * 3, (start + edge,) * 3)
                wide = widened(tile, np.full(3, widest[axis]))
                low[axis], high[axis] = min(low[axis], wide.start[axis]), max(high[axis], wide.stop[axis])
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def logits(probabilities: Tensor) -> Tensor:
    """Return the logits of probabilities, finite ones."""
    return torch.logit(probabilities, LOGIT_EDGE)


class _MemberRows:
    """The rows of one member that are still needed."""

    def __init__(
        self,
        source: Source,
        target: Grid,
        part: Box,
        first: Box,
        closing: ExitStack,
        told: Callable[[int], None] | None,
    ) -> None:
        self.source = source
        self._map = GridMap(source.grid, target)
        self._box = self._map.source_box(part)
        self._held: list[tuple[int, Tensor]] = []
        self._row = self._map.source_box(first).start[0]
        card = source.predictor.card
        region = reach_of(source.predictor, card, source.grid.shape, self._box)
        reader = closing.enter_context(RollingEm(source.em, source.grid, card, region, source.before))
        self._coming = source.predictor.stream(reader, self._box, told=told, first_row=self._row)
        closing.callback(self._coming.close)  # type: ignore[attr-defined]

    def is_all(self, columns: Sequence[str]) -> bool:
        """Return whether its columns are the wanted ones, alone and in order."""
        return self.source.member.columns == tuple(columns)

    def values(self, box: Box) -> Tensor:
        """Return its columns on a slab of the target; slabs come in order."""
        wanted = self._map.source_box(box)
        while self._row < wanted.stop[0]:
            rows, values = next(self._coming)
            self._held.append((rows.start[0], values))
            self._row = rows.stop[0]
        self._held = [(start, rows) for start, rows in self._held if start + rows.shape[1] > wanted.start[0]]
        return self._map.values(box, self._taken(wanted))

    def _taken(self, wanted: Box) -> Tensor:
        parts = []
        for start, rows in self._held:
            low, high = max(wanted.start[0], start), min(wanted.stop[0], start + rows.shape[1])
            if low < high:
                parts.append(rows[:, low - start : high - start])
        joined = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        y, x = (slice(wanted.start[axis] - self._box.start[axis], wanted.stop[axis] - self._box.start[axis])
                for axis in (1, 2))  # fmt: skip
        return joined[:, :, y, x]


def _add(total: Tensor, columns: Sequence[str], member: Member, values: Tensor) -> None:
    for number, (name, weight) in enumerate(member.weights):
        total[columns.index(name)].add_(values[number].to(total.device), alpha=weight)


def _slabs(part: Box, depth: int, row: int) -> Iterator[Box]:
    start = part.start[0]
    while start < part.stop[0]:
        stop = min((start // depth + 1) * depth, part.stop[0])
        if start >= row:
            yield Box((start, *part.start[1:]), (stop, *part.stop[1:]))
        start = stop
