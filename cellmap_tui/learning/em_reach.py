"""How far the EM of a crop reaches: mostly a box, which needs no mask to be looked at voxel by voxel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.learning.bank import BankCrop

_NO_MASK = np.zeros((0, 0, 0), np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class EmReach:
    """Where a crop's array of EM holds EM."""

    low: NDArray[np.int64]
    """First voxel of the box that holds all of it, ``[3]``."""
    high: NDArray[np.int64]
    """First voxel beyond the box, ``[3]``."""
    mask: NDArray[np.bool_]
    """Which voxels are EM, ``[z, y, x]`` of the whole array; of size 0 where the whole box is."""

    @property
    def is_box(self) -> bool:
        """Whether every voxel of the box is EM."""
        return self.mask.size == 0


def em_reach(crop: BankCrop) -> EmReach:
    """Return where a crop has EM; looks at its mask once, a plane at a time."""
    shape = np.array(crop.em.shape, np.int64)
    if crop.em_valid is None:
        return EmReach(np.zeros(3, np.int64), shape, _NO_MASK)
    mask = np.asarray(crop.em_valid)
    planes = np.array([plane.any() for plane in mask])
    if not planes.any():
        return EmReach(np.zeros(3, np.int64), np.zeros(3, np.int64), _NO_MASK)
    flat = np.zeros(mask.shape[1:], np.bool_)
    for plane in mask:
        flat |= plane
    rows = np.array([row.any() for row in flat])
    columns = np.array([column.any() for column in flat.T])
    edges = [_ends(line) for line in (planes, rows, columns)]
    low, high = np.array(edges, np.int64).T.copy()
    inside = mask[tuple(slice(first, last) for first, last in edges)]
    return EmReach(low, high, _NO_MASK if all(plane.all() for plane in inside) else mask)


def _ends(line: NDArray[np.bool_]) -> tuple[int, int]:
    occurring = np.flatnonzero(line)
    return int(occurring[0]), int(occurring[-1]) + 1
