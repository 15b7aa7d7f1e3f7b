"""The label codes of a bank's crop: all its classes read block by block, one small number a voxel.

Blocks are those of the labels' own chunks, so that a class without a chunk costs nothing and no array
larger than a block is made besides the result, which is written straight into its file.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.learning.codebook import UNKNOWN, BookBuilder, combinations
from cellmap_tui.learning.derivation import Derivation
from cellmap_tui.learning.label_states import CoreReader, StateReader
from cellmap_tui.learning.seeds import column_counts, seed_positions
from cellmap_tui.volumes.geometry import Box, is_aligned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid, Shape3
    from cellmap_tui.learning.bank import BankRequest
    from cellmap_tui.learning.bank_sources import CropPlan
    from cellmap_tui.learning.codebook import States
    from cellmap_tui.learning.exclusion import Evidence
    from cellmap_tui.volumes.ngff import Level

CODES = "codes.npy"
BOOK = "book.npy"
COUNTS = "counts.npy"
SEEDS = "seeds.npy"
_CACHE_BYTES = 256 * 2**20
"""Decoded chunks that the classes of a crop keep together."""


class CodeSource:
    """Reads the states of a crop's classes and cores, and knows what follows from them.

    Parameters
    ----------
    plan
        The crop.
    request
        The bank it is for.
    """

    def __init__(self, plan: CropPlan, request: BankRequest) -> None:
        kept = _CACHE_BYTES // max(1, len(plan.labels) + len(plan.cores))
        self.grid = plan.grid
        self._classes = [StateReader(labels, plan.grid, kept) for labels in plan.labels]
        self._cores = [CoreReader(ids, plan.grid, kept) if ids is not None else None for _, ids in plan.cores]
        self.derivation = Derivation(
            [labels.name for labels in plan.labels],
            request.targets,
            labels=request.labels,
            evidence=self._evidence(plan) if request.use_mutual_exclusion else None,
            cores=[name for name, _ in plan.cores],
        )

    @property
    def levels(self) -> list[Level]:
        """Every level that is read."""
        cores = [reader.level for reader in self._cores if reader is not None]
        return [reader.level for reader in self._classes] + cores

    def states(self, box: Box) -> list[States | int]:
        """Return the states of each class, then of each core, in a box of the grid."""
        classes = [reader.read(box) for reader in self._classes]
        cores = [reader.read(box) if reader is not None else UNKNOWN for reader in self._cores]
        return classes + cores

    def blocks(self) -> Iterator[Box]:
        """Yield boxes that tile the grid, of about the chunks of the labels."""
        edges = [_edge(length) for length in self._classes[0].level.chunks]
        for z in range(0, self.grid.shape[0], edges[0]):
            for y in range(0, self.grid.shape[1], edges[1]):
                for x in range(0, self.grid.shape[2], edges[2]):
                    start: Shape3 = (z, y, x)
                    yield Box(start, (z + edges[0], y + edges[1], x + edges[2])).clipped(self.grid.shape)

    def _evidence(self, plan: CropPlan) -> Evidence:
        is_one_lattice = all(is_aligned(labels.grid, plan.labels[0].grid) for labels in plan.labels)
        is_voted = any(reader.is_voted for reader in self._classes)
        return "voxels" if is_one_lattice and not is_voted else "votes"


def write_codes(
    source: CodeSource, name: str, seeds: int, folder: Path, step: Callable[[int], None]
) -> dict[str, Any]:
    """Write the codes, book, counts and seeds of a crop.

    Parameters
    ----------
    source
        What is read.
    name
        The crop's name, which chooses its seeds.
    seeds
        Positions that are remembered for each column.
    folder
        Where the files go.
    step
        Called with the number of voxels done since the last call; may raise to give up.

    Returns
    -------
    dict
        What is to be noted: ``contradictions``, the voxels whose annotations exclude each other.
    """
    builder = BookBuilder(len(source.derivation.columns), source.derivation.project)
    codes = _create(folder / CODES, np.uint8, source.grid)
    counts = np.zeros(0, np.int64)
    contradictions = 0
    for box in source.blocks():
        keys, rows = combinations(source.states(box), box.shape)
        found = builder.codes_of(rows)
        if len(builder) > np.iinfo(codes.dtype).max + 1:
            codes = _widened(codes, folder / CODES)
        codes[box.slices] = found.astype(codes.dtype).take(keys)
        voxels = np.bincount(keys.ravel(), minlength=len(rows))
        counts = _added(counts, found, voxels, len(builder))
        contradictions += int(voxels[source.derivation.contradictory(rows)].sum())
        step(box.voxels)
    codes.flush()
    _write_rest(folder, codes, builder, counts, name, seeds)
    return {"contradictions": contradictions}


def _write_rest(
    folder: Path, codes: NDArray[Any], builder: BookBuilder, counts: NDArray[np.int64], name: str, seeds: int
) -> None:
    book = builder.book
    positions = seed_positions(codes, book, seeds, name)
    with_column = [np.column_stack([np.full(len(p), n, np.int32), p]) for n, p in enumerate(positions)]
    np.save(folder / BOOK, book)
    np.save(folder / COUNTS, column_counts(counts, book))
    np.save(folder / SEEDS, np.concatenate(with_column).astype(np.int32))


def split_seeds(seeds: NDArray[np.int32], columns: int) -> tuple[NDArray[np.int32], ...]:
    """Return the positions ``[k, 3]`` of each column from rows of column and position."""
    ends = np.searchsorted(seeds[:, 0], np.arange(columns + 1))
    return tuple(seeds[a:b, 1:] for a, b in itertools.pairwise(ends))


def _create(file: Path, dtype: type[np.generic], grid: Grid) -> np.memmap[Any, np.dtype[Any]]:
    return np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=grid.shape)


def _widened(codes: np.memmap[Any, np.dtype[Any]], file: Path) -> np.memmap[Any, np.dtype[Any]]:
    """Return the codes in a file of two bytes a voxel: few crops have more than 256."""
    wide = np.lib.format.open_memmap(file.with_suffix(".wide"), mode="w+", dtype=np.uint16, shape=codes.shape)
    for z in range(codes.shape[0]):
        wide[z] = codes[z]
    file.with_suffix(".wide").replace(file)
    return wide


def _added(
    counts: NDArray[np.int64], codes: NDArray[np.uint16], voxels: NDArray[np.int64], length: int
) -> NDArray[np.int64]:
    total = np.zeros(length, np.int64)
    total[: len(counts)] = counts
    np.add.at(total, codes, voxels)
    return total


def _edge(chunk: int) -> int:
    return chunk if 32 <= chunk <= 128 else 64
