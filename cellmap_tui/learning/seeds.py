"""Where the present voxels of a crop are: a small sample for each column, to centre patches on.

Positions of common columns are drawn at random places; only for rare ones are all voxels looked at, so
that no list of all positions is ever made.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.learning.codebook import ABSENT, PRESENT, UNKNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.learning.codebook import Rows

_DRAWS_PER_SEED = 64
"""Columns with more than this share of the voxels, turned round, need no look at all of them."""
_PIECE = 2**24
_STATES = (PRESENT, ABSENT, UNKNOWN)


def column_counts(code_counts: NDArray[np.int64], book: Rows) -> NDArray[np.int64]:
    """Return voxels ``[columns, 3]`` that are present, absent and unknown, from the voxels of each code."""
    return np.stack([code_counts @ (book == state) for state in _STATES], axis=1).astype(np.int64)


def seed_positions(codes: NDArray[Any], book: Rows, limit: int, name: str) -> tuple[NDArray[np.int32], ...]:
    """Return positions ``[k, 3]`` of up to `limit` present voxels of each column, in random order.

    Parameters
    ----------
    codes
        Codes ``[z, y, x]``, contiguous.
    book
        Their book.
    limit
        Positions of a column at most; a column with fewer voxels gets them all.
    name
        Name of the crop: the same crop gets the same positions.
    """
    flat = codes.reshape(-1)
    random = np.random.default_rng(zlib.crc32(name.encode()))
    places = random.integers(0, flat.size, min(flat.size, _DRAWS_PER_SEED * limit))
    drawn = flat[places]
    is_present = book == PRESENT
    found = [places[is_present[:, column].take(drawn)] for column in range(book.shape[1])]
    rare = [column for column, hits in enumerate(found) if len(hits) < limit and is_present[:, column].any()]
    if rare:
        found = _with_all(flat, is_present, rare, found)
    # Those drawn are in random order; all there are are not.
    chosen = (random.choice(hits, limit, replace=False) if len(hits) > limit else hits for hits in found)
    return tuple(np.stack(np.unravel_index(hits, codes.shape), axis=1).astype(np.int32) for hits in chosen)


def _with_all(
    flat: NDArray[Any], is_present: NDArray[np.bool_], rare: list[int], found: list[NDArray[np.int64]]
) -> list[NDArray[np.int64]]:
    """Return the hits with those of rare columns replaced by all there are."""
    wanted: NDArray[np.bool_] = np.logical_or.reduce(is_present[:, rare], axis=1)
    places = []
    for start in range(0, flat.size, _PIECE):
        places.append(np.flatnonzero(wanted.take(flat[start : start + _PIECE])) + start)
    every = np.concatenate(places)
    codes = flat[every]
    return [every[is_present[:, c].take(codes)] if c in rare else hits for c, hits in enumerate(found)]
