"""How a volume is divided into parts that are predicted one after another, each within a budget of memory.

A part reaches through all rows, since rows are streamed; it is as wide as the budget allows, because tiles at
the edge between two parts go through the network twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.errors import RefusedError
from cellmap_tui.learning.grid_map import GridMap
from cellmap_tui.learning.rolling_em import AHEAD, ROWS
from cellmap_tui.learning.stream_predict import reach_of
from cellmap_tui.text import size
from cellmap_tui.volumes.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cellmap_tui.challenge.grid import Grid, Shape3
    from cellmap_tui.learning.predictor import Predictor

_QUEUED = 3
"""Slabs on their way to the disk at a time."""

Worker = tuple["Predictor", "Grid"]
"""A network and its grid over the volume."""


def plan_parts(
    workers: Sequence[Worker], target: Grid, columns: int, chunks: Shape3, budget_bytes: int, at_least: int = 1
) -> tuple[Box, ...]:
    """Return parts of whole chunks that tile a volume.

    Parameters
    ----------
    workers
        The networks that work on it together.
    target
        The grid that is written.
    columns
        Columns that are written.
    chunks
        Voxels of a chunk.
    budget_bytes
        Memory of a part at most.
    at_least
        Number of parts at least, if there are as many chunks; for several devices.

    Raises
    ------
    RefusedError
        If one column of chunks takes more.
    """
    counts = [-(-n // c) for n, c in zip(target.shape, chunks, strict=True)]
    pieces = [1, 1, 1]
    while True:
        first = next(_boxes(target.shape, chunks, counts, pieces))
        needed = part_bytes(workers, target, first, columns, chunks[0])
        if needed <= budget_bytes:
            break
        axis = 1 if first.shape[1] >= first.shape[2] else 2
        axis = axis if pieces[axis] < counts[axis] else 3 - axis
        if pieces[axis] >= counts[axis]:
            raise RefusedError(
                f"predicting {columns} columns takes {size(needed)} of memory, {size(budget_bytes)} are allowed",
                "allow more with --memory, or predict fewer classes at a time with --classes",
            )  # fmt: skip
        pieces[axis] += 1
    while pieces[0] * pieces[1] * pieces[2] < at_least and any(p < c for p, c in zip(pieces, counts, strict=True)):
        axis = max((0, 1, 2), key=lambda a: counts[a] / pieces[a] if pieces[a] < counts[a] else 0)
        pieces[axis] += 1
    return tuple(_boxes(target.shape, chunks, counts, pieces))


def part_bytes(workers: Sequence[Worker], target: Grid, part: Box, columns: int, depth: int) -> int:
    """Return about how much memory a part takes, that of the network's own layers aside."""
    _, height, width = part.shape
    slab = columns * depth * height * width * 4
    total = slab + _QUEUED * slab // 4
    for predictor, grid in workers:
        to_target = GridMap(grid, target)
        box = to_target.source_box(part)
        rows = to_target.source_box(Box(part.start, (min(part.start[0] + depth, part.stop[0]), *part.stop[1:])))
        # The open rows are copied when some of them are handed out.
        total += 2 * predictor.buffer_bytes(grid.shape, box)
        held = len(predictor.card.columns) * 4 * rows.voxels
        total += held * (2 if to_target.is_copy else 3)
        region = reach_of(predictor, predictor.card, grid.shape, box)
        tallest = max(plan.patch[0] for plan in predictor.plans(grid.shape))
        total += (tallest + (AHEAD + 2) * ROWS) * region.shape[1] * region.shape[2]
    return total


def part_tiles(workers: Sequence[Worker], target: Grid, parts: Sequence[Box]) -> int:
    """Return how many tiles go through the networks for some parts."""
    return sum(
        predictor.tiles(grid.shape, GridMap(grid, target).source_box(part))
        for predictor, grid in workers
        for part in parts
    )


def _boxes(shape: Shape3, chunks: Shape3, counts: Sequence[int], pieces: Sequence[int]) -> Iterator[Box]:
    """Yield boxes of whole chunks, `pieces` along each axis, the largest first."""
    cuts = []
    for axis in range(3):
        share, more = divmod(counts[axis], pieces[axis])
        edges = [0]
        for number in range(pieces[axis]):
            edges.append(edges[-1] + (share + (number < more)) * chunks[axis])
        cuts.append([min(edge, shape[axis]) for edge in edges])
    for y in range(pieces[1]):
        for x in range(pieces[2]):
            for z in range(pieces[0]):
                start = (cuts[0][z], cuts[1][y], cuts[2][x])
                yield Box(start, (cuts[0][z + 1], cuts[1][y + 1], cuts[2][x + 1]))
