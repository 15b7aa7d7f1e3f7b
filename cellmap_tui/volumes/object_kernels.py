"""Compiled passes over blocks of object numbers: sizes and places of objects, and growing from seeds."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

UNSET = np.uint64(2**63)
"""A voxel that no seed has reached; more than any key, and what a way adds does not carry it over."""
_ONE = np.uint64(2**32)
"""Keys below it are seeds."""
_STRETCH = 16
"""Voxels of a row that are looked at together."""


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
def looked_up(table: Any, numbers: Any, found: Any) -> None:
    """Write ``table[numbers]`` into `found`; all are flat, and every number is in the table."""
    for place in range(numbers.size):
        found[place] = table[numbers[place]]


@numba.njit(nogil=True, cache=True)
def fill_keys(stored: Any, numbers: Any, low: Any, keys: Any) -> None:
    """Fill the keys that `relax` begins with.

    Parameters
    ----------
    stored
        Keys of a block with what is around it, uint64 ``[z, y, x]``; 0 where no seed has been yet.
    numbers
        Seeds of the block itself, uint32 ``[z, y, x]``, 0 where there is none; empty: none anywhere.
    low
        Where `stored` begins in `keys`, int64 ``[3]``.
    keys
        uint64, a voxel larger than the block on each side.
    """
    keys[:] = UNSET
    for z in range(stored.shape[0]):
        for y in range(stored.shape[1]):
            for x in range(stored.shape[2]):
                if stored[z, y, x] != 0:
                    keys[z + low[0], y + low[1], x + low[2]] = stored[z, y, x]
    for z in range(numbers.shape[0]):
        for y in range(numbers.shape[1]):
            for x in range(numbers.shape[2]):
                if numbers[z, y, x] != 0:
                    keys[z + 1, y + 1, x + 1] = numbers[z, y, x]


@numba.njit(nogil=True, cache=True)
def compare_keys(stored: Any, keys: Any, changed: Any) -> Any:
    """Turn `UNSET` of a block's keys into 0, and tell which and whether any are others than stored."""
    any_changed = False
    for z in range(keys.shape[0]):
        for y in range(keys.shape[1]):
            for x in range(keys.shape[2]):
                if keys[z, y, x] == UNSET:
                    keys[z, y, x] = 0
                changed[z, y, x] = keys[z, y, x] != stored[z, y, x]
                any_changed |= changed[z, y, x]
    return any_changed


@numba.njit(nogil=True, cache=True)
def relax(keys: Any, mask: Any, steps: Any, weights: Any) -> Any:
    """Let every seed reach further inside a mask until nothing changes; tell whether anything did.

    A key is the length of the way from a seed, times 2**32, plus the seed's number. Each voxel ends with
    the least key that any way inside the mask gives it, which does not depend on the order of the work.

    Parameters
    ----------
    keys
        uint64 ``[z, y, x]``, contiguous; `UNSET` where no seed has been yet. The outermost layer is given and stays.
    mask
        bool of the same shape, contiguous.
    steps, weights
        Half of the 26 neighbours, those that come first in the order of voxels, int64 ``[13, 3]``, and how
        long the way to each is, uint64 ``[13]``.
    """
    depth, height, width = keys.shape
    ways = (steps[:, 0] * height + steps[:, 1]) * width + steps[:, 2]
    # In which turn a stretch of a row was last lowered: one that nothing has changed beside is not looked at again.
    lowered = np.zeros((depth, height, (width - 3) // _STRETCH + 3), np.int64)
    turn = 1
    while _sweep(keys, mask, ways, weights, lowered, turn, 1) | _sweep(
        keys, mask, -ways, weights, lowered, turn + 1, -1
    ):
        turn += 2
    return turn > 1


@numba.njit(nogil=True, cache=True)
def _sweep(keys: Any, mask: Any, ways: Any, weights: Any, lowered: Any, turn: Any, sign: Any) -> Any:
    """Lower every voxel once, from the first to the last (`sign` 1) or back; tell whether any changed."""
    changed = False
    depth, height, width = keys.shape
    values, inside = keys.ravel(), mask.ravel()
    stretches = lowered.shape[2] - 2
    for i in range(1, depth - 1):
        z = i if sign > 0 else depth - 1 - i
        for j in range(1, height - 1):
            y = j if sign > 0 else height - 1 - j
            for k in range(1, stretches + 1):
                part = k if sign > 0 else stretches + 1 - k
                if turn > 2 and not _is_near(lowered, z, y, part, turn - 2):
                    continue
                first = 1 + (part - 1) * _STRETCH
                last = min(first + _STRETCH, width - 1) - 1
                start = (z * height + y) * width + (first if sign > 0 else last)
                if _lower(values, inside, start, last - first + 1, sign, ways, weights):
                    lowered[z, y, part] = turn
                    changed = True
    return changed


@numba.njit(nogil=True, cache=True, inline="always")
def _is_near(lowered: Any, z: Any, y: Any, part: Any, since: Any) -> Any:
    """Tell whether a stretch or one beside it was lowered in this turn or later ones."""
    for a in range(z - 1, z + 2):
        for b in range(y - 1, y + 2):
            for c in range(part - 1, part + 2):
                if lowered[a, b, c] >= since:
                    return True
    return False


@numba.njit(nogil=True, cache=True, inline="always")
def _lower(values: Any, inside: Any, start: Any, length: Any, sign: Any, ways: Any, weights: Any) -> Any:
    """Give the voxels of a stretch the least key that half of their neighbours offer; tell whether any changed.

    Neighbours are written out and places are unsigned, so that there is no jump and no check within a voxel:
    three times as quick as a loop.
    """
    changed = False
    w = weights
    for k in range(length):
        at = start + sign * k
        # A seed is as near to itself as can be.
        if not inside[np.uintp(at)] or values[np.uintp(at)] < _ONE:
            continue
        # Ways are longer than nothing, and what no seed has reached is not less than anything.
        least = min(values[np.uintp(at + ways[0])] + w[0], values[np.uintp(at + ways[1])] + w[1])
        least = min(least, values[np.uintp(at + ways[2])] + w[2])
        least = min(least, values[np.uintp(at + ways[3])] + w[3])
        least = min(least, values[np.uintp(at + ways[4])] + w[4])
        least = min(least, values[np.uintp(at + ways[5])] + w[5])
        least = min(least, values[np.uintp(at + ways[6])] + w[6])
        least = min(least, values[np.uintp(at + ways[7])] + w[7])
        least = min(least, values[np.uintp(at + ways[8])] + w[8])
        least = min(least, values[np.uintp(at + ways[9])] + w[9])
        least = min(least, values[np.uintp(at + ways[10])] + w[10])
        least = min(least, values[np.uintp(at + ways[11])] + w[11])
        least = min(least, values[np.uintp(at + ways[12])] + w[12])
        if least < values[np.uintp(at)]:
            values[np.uintp(at)] = least
            changed = True
    return changed
