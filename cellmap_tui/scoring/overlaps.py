"""How truth objects and predicted components lie on each other: sizes, boxes and shared voxels.

Counted over runs of equal voxels along x, of which there are some fifty times fewer than voxels, a few
planes at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cellmap_tui.scoring.components import Labels
    from cellmap_tui.volumes.arrays import Voxels

SLAB_VOXELS = 4 * 2**20
"""Voxels counted at once."""

MAX_DIRECT_ID = 2**24
"""Up to this truth id, tables are indexed by id; beyond, ids are renumbered first."""

Box = tuple[slice, slice, slice]
"""The smallest box around an object."""


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Sizes, and voxels shared by pairs."""

    truth_ids: NDArray[np.int64]
    """Ids in the truth, rising, without 0."""
    truth_sizes: NDArray[np.int64]
    """Voxels of each of `truth_ids`."""
    component_sizes: NDArray[np.int64]
    """Voxels of components 1, 2, …, at index 0, 1, …."""
    rows: NDArray[np.int64]
    """Truth id of each pair; pairs rise by row, then column."""
    columns: NDArray[np.int64]
    """Component number of each pair."""
    shared: NDArray[np.int64]
    """Voxels of each pair."""

    @property
    def largest_id(self) -> int:
        """The largest truth id; 0 without any."""
        return int(self.truth_ids[-1]) if len(self.truth_ids) else 0

    def iou(self) -> NDArray[np.float64]:
        """Return the intersection over union of each pair."""
        sizes = self.truth_sizes[np.searchsorted(self.truth_ids, self.rows)]
        union = sizes + self.component_sizes[self.columns - 1] - self.shared
        found: NDArray[np.float64] = self.shared / union
        return found


def count_overlaps(truth: Voxels, labels: Labels, count: int) -> Overlaps:
    """Count the voxels of truth objects, of components, and those that they share.

    Parameters
    ----------
    truth
        Ids ``[z, y, x]``, integers; 0 is background.
    labels
        Component numbers of the same shape, from 1 to `count`.
    count
        How many components there are.

    Raises
    ------
    DataError
        If the truth has negative ids.
    """
    ids = truth_ids(truth)
    truth_sizes = np.zeros(len(ids) + 1, np.int64)
    component_sizes = np.zeros(count + 1, np.int64)
    codes: list[NDArray[np.int64]] = []
    shared: list[NDArray[np.int64]] = []
    index_of = _index_of(ids)
    for rows, columns, lengths in _runs(truth, labels):
        index = index_of(rows)
        truth_sizes += _sums(index, lengths, len(ids) + 1)
        component_sizes += _sums(columns, lengths, count + 1)
        both = (index > 0) & (columns > 0)
        code, inverse = np.unique(index[both] * (count + 1) + columns[both], return_inverse=True)
        codes.append(code)
        shared.append(_sums(inverse, lengths[both], len(code)))
    code, inverse = np.unique(np.concatenate(codes), return_inverse=True)
    total = _sums(inverse, np.concatenate(shared), len(code))
    return Overlaps(
        ids, truth_sizes[1:], component_sizes[1:], ids[code // (count + 1) - 1], code % (count + 1), total
    )


def truth_ids(truth: Voxels) -> NDArray[np.int64]:
    """Return the ids of a truth volume without 0, rising; DataError for negative ones and fractions."""
    import fastremap

    found = [fastremap.unique(slab) for slab in _slabs(truth)]
    ids = np.unique(np.concatenate(found))
    if ids.dtype.kind == "f" and not (ids == np.floor(ids)).all():
        raise DataError("the truth holds ids that are not whole numbers")
    if len(ids) and (ids[0] < 0 or ids[-1] > np.iinfo(np.int64).max):
        raise DataError(f"the truth holds ids out of range: {ids[0]} to {ids[-1]}")
    whole: NDArray[np.int64] = ids[ids != 0].astype(np.int64)
    return whole


def boxes(labels: Voxels) -> list[Box | None]:
    """Return the smallest box around each object, that of object 1 first; None for numbers not in use."""
    from scipy import ndimage

    found: list[Box | None] = ndimage.find_objects(labels)
    return found


def numbered(truth: Voxels, ids: NDArray[np.int64]) -> tuple[Voxels, NDArray[np.int64]]:
    """Return a truth volume whose numbers are small enough for tables, and the number of each of `ids`."""
    if not len(ids) or (ids[-1] <= MAX_DIRECT_ID and truth.dtype.kind in "ui"):
        return truth, ids
    known = np.concatenate(([0], ids))
    small = np.empty(truth.shape, np.uint32)
    for start in range(len(truth)):
        small[start] = np.searchsorted(known, truth[start].astype(np.int64))
    return small, np.arange(1, len(ids) + 1)


def _slabs(array: Voxels) -> Iterator[Voxels]:
    planes = max(1, SLAB_VOXELS // max(1, array.shape[1] * array.shape[2]))
    for start in range(0, array.shape[0], planes):
        yield np.asarray(array[start : start + planes])


def _runs(truth: Voxels, labels: Labels) -> Iterator[tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]]:
    """Yield truth ids, component numbers and lengths of runs of equal voxels."""
    for here, there in zip(_slabs(truth), _slabs(labels), strict=True):
        rows, columns = here.reshape(-1), there.reshape(-1)
        changes = np.empty(rows.size, np.bool_)
        changes[0] = True
        np.not_equal(rows[1:], rows[:-1], out=changes[1:])
        changes[1:] |= columns[1:] != columns[:-1]
        starts = np.flatnonzero(changes)
        lengths = np.diff(starts, append=rows.size)
        yield rows[starts], columns[starts].astype(np.int64), lengths


def _index_of(ids: NDArray[np.int64]) -> Any:
    """Return a function from truth ids to 1 + their place in `ids`, 0 for background."""
    largest = int(ids[-1]) if len(ids) else 0
    if largest > MAX_DIRECT_ID:
        known = np.concatenate(([0], ids))
        return lambda values: np.searchsorted(known, values.astype(np.int64))
    table = np.zeros(largest + 1, np.int64)
    table[ids] = np.arange(1, len(ids) + 1)
    return lambda values: table[values.astype(np.int64)]


def _sums(index: NDArray[np.int64], lengths: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.bincount(index, weights=lengths, minlength=size).astype(np.int64)
    return found
