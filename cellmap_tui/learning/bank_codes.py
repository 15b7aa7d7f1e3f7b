"""The label codes of a bank's crop, one small number a voxel, with their book, counts and seeds.

Made block by block and written straight into their file: no array larger than a block is held.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.learning.codebook import BookBuilder, combinations
from cellmap_tui.learning.seeds import column_counts, seed_positions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.learning.bank_states import StateSource

CODES = "codes.npy"
BOOK = "book.npy"
COUNTS = "counts.npy"
SEEDS = "seeds.npy"


def write_codes(
    source: StateSource, name: str, seeds: int, folder: Path, step: Callable[[int], None]
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
    builder = BookBuilder(len(source.columns), source.project)
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
        contradictions += int(voxels[source.contradictory(rows)].sum())
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
