"""Cores: objects without the voxels that touch another object, which a network can tell apart.

In a mask, touching objects are one piece. Their cores never touch: two voxels next to each other, also
over edges and corners, are core only if they are of the same object. Owns making cores from object ids
and growing objects back from cores inside a mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.challenge.targets import CORE_SEED_VOXELS
from cellmap_tui.volumes.parts import connected_parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

Ids = np.ndarray[tuple[int, ...], np.dtype[Any]]
"""Object ids, 0 where there is no object."""


def core_ids(ids: Ids) -> Ids:
    """Return object ids without the voxels that have another id among their 26 neighbours.

    Parameters
    ----------
    ids
        Ids ``[z, y, x]`` of any unsigned or signed integer type, 0 for background. What lies beyond the
        edges counts as background.
    """
    if ids.size == 0:
        return ids.copy()
    highest = _extreme(ids, np.maximum)
    # Background must not win the minimum: it counts as larger than every id.
    top = np.iinfo(ids.dtype).max
    lowest = _extreme(np.where(ids == 0, top, ids), np.minimum)
    touches = (highest != ids) | (lowest != ids)
    return np.where(touches, 0, ids)


def grow_back(cores: NDArray[np.bool_], mask: NDArray[np.bool_], min_seed_voxels: int = CORE_SEED_VOXELS) -> Ids:
    """Return objects grown from their cores inside a mask, the nearest core first.

    Parameters
    ----------
    cores
        Voxels ``[z, y, x]`` that are core.
    mask
        Voxels that are of any object.
    min_seed_voxels
        Smaller pieces of core are no seeds.

    Returns
    -------
    Ids
        Numbers from 1, uint32; 0 outside of the mask. A piece of the mask that no seed reaches is an object
        of its own.
    """
    from skimage.segmentation import watershed  # 0.3 s

    seeds = _numbered(cores & mask, min_seed_voxels)
    flat = np.zeros(mask.shape, np.uint8)
    grown: Ids = watershed(flat, seeds, mask=mask, connectivity=np.ones((3, 3, 3)))  # type: ignore[no-untyped-call]
    rest, count = connected_parts(mask & (grown == 0))
    if count:
        grown = np.where(rest > 0, rest.astype(np.uint32) + np.uint32(grown.max(initial=0)), grown)
    return grown.astype(np.uint32)


def _numbered(cores: NDArray[np.bool_], min_voxels: int) -> NDArray[np.int32]:
    parts, count = connected_parts(cores)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    keep = sizes >= min_voxels
    keep[0] = False
    number = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return number[parts]


def _extreme(values: Ids, choose: np.ufunc) -> Ids:
    """Return the extreme over the 26 neighbours and the voxel itself, axis by axis."""
    for axis in range(values.ndim):
        result = values.copy()
        low = [slice(None)] * values.ndim
        high = [slice(None)] * values.ndim
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        choose(result[tuple(low)], values[tuple(high)], out=result[tuple(low)])
        choose(result[tuple(high)], values[tuple(low)], out=result[tuple(high)])
        values = result
    return values
