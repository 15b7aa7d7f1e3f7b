"""Compiled passes over blocks of object numbers: sizes and places of objects, and growing from seeds."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

UNSET = np.uint64(0xFFFFFFFFFFFFFFFF)
"""A voxel that no seed has reached."""
_ONE = np.uint64(2**32)
"""Keys below it are seeds."""


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
    # In which turn a row was last lowered: rows that nothing has changed beside are not looked at again.
    lowered = np.zeros(keys.shape[:2], np.int64)
    turn = 1
    while _sweep(keys, mask, steps, weights, lowered, turn, 1) | _sweep(
        keys, mask, steps, weights, lowered, turn + 1, -1
    ):
        turn += 2
    return turn > 1


@numba.njit(nogil=True, cache=True)
def _sweep(keys: Any, mask: Any, steps: Any, weights: Any, lowered: Any, turn: Any, sign: Any) -> Any:
    """Lower every voxel once, from the first to the last (`sign` 1) or back; tell whether any changed."""
    changed = False
    depth, height, width = keys.shape
    for i in range(1, depth - 1):
        z = i if sign > 0 else depth - 1 - i
        for j in range(1, height - 1):
            y = j if sign > 0 else height - 1 - j
            if turn > 2 and not _is_near(lowered, z, y, turn - 2):
                continue
            for k in range(1, width - 1):
                x = k if sign > 0 else width - 1 - k
                # A seed is as near to itself as can be.
                if mask[z, y, x] and keys[z, y, x] >= _ONE and _lower(keys, z, y, x, sign, steps, weights):
                    lowered[z, y] = turn
                    changed = True
    return changed


@numba.njit(nogil=True, cache=True, inline="always")
def _is_near(lowered: Any, z: Any, y: Any, since: Any) -> Any:
    """Tell whether a row or one beside it was lowered in this turn or later ones."""
    for a in range(z - 1, z + 2):
        for b in range(y - 1, y + 2):
            if lowered[a, b] >= since:
                return True
    return False


@numba.njit(nogil=True, cache=True, inline="always")
def _lower(keys: Any, z: Any, y: Any, x: Any, sign: Any, steps: Any, weights: Any) -> Any:
    """Give a voxel the least key that half of its neighbours offer."""
    least = keys[z, y, x]
    for k in range(13):
        other = keys[z + sign * steps[k, 0], y + sign * steps[k, 1], x + sign * steps[k, 2]]
        # Ways are longer than nothing, and what no seed has reached is not less than anything.
        if other < least and other + weights[k] < least:
            least = other + weights[k]
    if least == keys[z, y, x]:
        return False
    keys[z, y, x] = least
    return True
