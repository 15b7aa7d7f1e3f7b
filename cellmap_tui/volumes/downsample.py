"""Halving a block of voxels: area mean for EM, majority for labels.

Blocks that do not fill at the upper end of an axis count only the voxels that exist, so an odd
count is rounded up and nothing is lost.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.arrays import Voxels

Kind = Literal["em", "label"]
"""What the voxels are: grey values that may be averaged, or ids that must not."""


def halved(block: Voxels, kind: Kind) -> Voxels:
    """Return a block at twice the voxel size on every axis, same dtype.

    Parameters
    ----------
    block
        Voxels ``[z, y, x]`` that start at an even index.
    kind
        ``em``: mean, rounded half to even for integers. ``label``: the most frequent value.
    """
    return reduced(block, (2, 2, 2), kind)


def reduced(block: Voxels, factor: Shape3, kind: Kind) -> Voxels:
    """Return a block at `factor` times the voxel size of each axis, same dtype; see `halved`."""
    if factor == (1, 1, 1):
        return block
    return area_mean(block, factor) if kind == "em" else majority(block, factor)


def area_mean(block: Voxels, factor: Shape3) -> Voxels:
    """Return the mean over cells of `factor` voxels; integers are rounded half to even."""
    is_narrow = block.dtype.itemsize <= 2 or block.dtype == np.float32
    wide = np.dtype(np.float32 if is_narrow else np.float64)
    parts = _parts(_filled(block, factor, mode="constant"), factor)
    total = parts[0].astype(wide)
    for part in parts[1:]:
        total += part
    total /= _counts(block.shape, factor).astype(wide)
    if block.dtype.kind in "ui":
        np.rint(total, out=total)
    return total.astype(block.dtype)


def majority(block: Voxels, factor: Shape3) -> Voxels:
    """Return the most frequent value of each cell of `factor` voxels.

    On a tie the greatest value wins: thin structures are kept rather than lost to background, and
    the answer does not depend on the direction of the axes.
    """
    # The last voxel stands in for missing ones: with a factor of 2 that is the majority of those that exist.
    cells = np.stack(_parts(_filled(block, factor, mode="edge"), factor))
    low: Voxels = cells.min(axis=0)
    best: Voxels = cells.max(axis=0)
    mixed = low != best
    if mixed.any():
        best[mixed] = _mode(cells[:, mixed])
    return best


def _filled(block: Voxels, factor: Shape3, mode: Literal["constant", "edge"]) -> Voxels:
    """Return the block with the voxels missing in its last cells added."""
    missing = [(0, -n % f) for n, f in zip(block.shape, factor, strict=True)]
    return np.pad(block, missing, mode=mode) if any(after for _, after in missing) else block


def _parts(block: Voxels, factor: Shape3) -> list[Voxels]:
    """Return, for each place in a cell, the voxels of all cells at that place."""
    fz, fy, fx = factor
    return [block[z::fz, y::fy, x::fx] for z in range(fz) for y in range(fy) for x in range(fx)]


def _counts(shape: tuple[int, ...], factor: Shape3) -> Voxels:
    """Return how many voxels exist in each cell, broadcastable to the cells."""
    lengths = []
    for length, by in zip(shape, factor, strict=True):
        starts = np.arange(0, length, by)
        lengths.append(np.minimum(starts + by, length) - starts)
    z, y, x = lengths
    return z[:, None, None] * y[None, :, None] * x[None, None, :]


def _mode(values: Voxels) -> Voxels:
    """Return the most frequent value of each column of ``[n, columns]``, the greatest on a tie."""
    values = np.sort(values, axis=0)
    best: Voxels = values[0].copy()
    best_run = np.ones(values.shape[1], np.int32)
    run = np.ones(values.shape[1], np.int32)
    for before, value in itertools.pairwise(values):
        run = np.where(value == before, run + 1, 1)
        better = run >= best_run
        best = np.where(better, value, best)
        best_run = np.where(better, run, best_run)
    return best
