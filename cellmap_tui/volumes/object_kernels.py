"""Compiled passes over blocks of object numbers: sizes and places of objects, and growing from seeds."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

UNSET = np.uint64(0xFFFFFFFFFFFFFFFF)
"""A voxel that no seed has reached."""


@numba.njit(nogil=True, cache=True)
def survey(labels: Any, count: Any, start: Any, shape: Any, sizes: Any, first: Any, boxes: Any) -> None:
    """Add a block of numbers 1 to `count` to the facts of objects.

    Parameters
    ----------
    labels
        uint32 ``[z, y, x]``.
    count
        Highest number.
    start, shape
        Where the block starts in the volume, and the volume's shape; int64 ``[3]``.
    sizes, first
        Voxels, and lowest place in the order of the volume's voxels; int64 ``[count + 1]``.
    boxes
        Lowest and highest voxel on each axis, int32 ``[count + 1, 6]``.
    """
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            row = ((z + start[0]) * shape[1] + y + start[1]) * shape[2] + start[2]
            for x in range(labels.shape[2]):
                label = labels[z, y, x]
                if label == 0:
                    continue
                sizes[label] += 1
                if row + x < first[label]:
                    first[label] = row + x
                place = (z + start[0], y + start[1], x + start[2])
                for axis in range(3):
                    boxes[label, axis] = min(boxes[label, axis], place[axis])
                    boxes[label, 3 + axis] = max(boxes[label, 3 + axis], place[axis])


@numba.njit(nogil=True, cache=True)
def relax(keys: Any, mask: Any, steps: Any, weights: Any) -> Any:
    """Let every seed reach further inside a mask until nothing changes; tell whether anything did.

    A key is the length of the way from a seed, times 2**32, plus the seed's number. Each voxel ends with
    the least key that any way inside the mask gives it, which does not depend on the order of the work.

    Parameters
    ----------
    keys
        uint64 ``[z, y, x]``; `UNSET` where no seed has been yet. The outermost layer is given and stays.
    mask
        bool of the same shape.
    steps, weights
        Half of the 26 neighbours, those that come first in the order of voxels, int64 ``[13, 3]``, and how
        long the way to each is, uint64 ``[13]``.
    """
    ever = False
    while _forward(keys, mask, steps, weights) | _backward(keys, mask, steps, weights):
        ever = True
    return ever


@numba.njit(nogil=True, cache=True)
def _forward(keys: Any, mask: Any, steps: Any, weights: Any) -> Any:
    changed = False
    for z in range(1, keys.shape[0] - 1):
        for y in range(1, keys.shape[1] - 1):
            for x in range(1, keys.shape[2] - 1):
                if mask[z, y, x]:
                    changed |= _lower(keys, z, y, x, 1, steps, weights)
    return changed


@numba.njit(nogil=True, cache=True)
def _backward(keys: Any, mask: Any, steps: Any, weights: Any) -> Any:
    changed = False
    for z in range(keys.shape[0] - 2, 0, -1):
        for y in range(keys.shape[1] - 2, 0, -1):
            for x in range(keys.shape[2] - 2, 0, -1):
                if mask[z, y, x]:
                    changed |= _lower(keys, z, y, x, -1, steps, weights)
    return changed


@numba.njit(nogil=True, cache=True, inline="always")
def _lower(keys: Any, z: Any, y: Any, x: Any, sign: Any, steps: Any, weights: Any) -> Any:
    """Give a voxel the least key that half of its neighbours offer."""
    unset = np.uint64(0xFFFFFFFFFFFFFFFF)
    least = keys[z, y, x]
    for k in range(13):
        other = keys[z + sign * steps[k, 0], y + sign * steps[k, 1], x + sign * steps[k, 2]]
        if other != unset and other + weights[k] < least:
            least = other + weights[k]
    if least == keys[z, y, x]:
        return False
    keys[z, y, x] = least
    return True
