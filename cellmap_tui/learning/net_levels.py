"""How often a U-Net halves a patch, axis by axis: the levels follow from the patch and its voxel size.

The rule is nnU-Net's: an axis is halved while it keeps at least four voxels and its voxels are not yet more
than twice as coarse as the finest ones; an axis that is not halved yet is not mixed along either. Nothing here
imports torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALLEST_EDGE = 4
"""An axis is not halved below so many voxels."""
SAME_WITHIN = 2.0
"""Voxel sizes that differ by less than this factor count as equal."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of a U-Net, the finest first."""

    strides: tuple[tuple[int, ...], ...]
    """Of each level along each axis; the first is 1 along each."""
    kernels: tuple[tuple[int, ...], ...]
    """Of each level along each axis, 1 or 3."""

    def __len__(self) -> int:
        return len(self.strides)

    @property
    def multiple(self) -> tuple[int, ...]:
        """What each edge of a patch must be a multiple of."""
        return tuple(math.prod(axis) for axis in zip(*self.strides, strict=True))


def plan_levels(patch: Sequence[int], spacing_nm: Sequence[float], most: int = 6) -> Levels:
    """Return the levels for a patch.

    Parameters
    ----------
    patch
        Voxels along each axis.
    spacing_nm
        Voxel size along each axis.
    most
        No more levels than this.
    """
    edges, sizes = list(patch), list(spacing_nm)
    strides: list[tuple[int, ...]] = [(1,) * len(edges)]
    kernels: list[tuple[int, ...]] = []
    mixed = [False] * len(edges)
    while True:
        finest = min(sizes)
        mixed = [was or size / finest < SAME_WITHIN for was, size in zip(mixed, sizes, strict=True)]
        kernels.append(tuple(3 if axis else 1 for axis in mixed))
        step = _step(edges, sizes)
        if len(strides) >= most or max(step) == 1:
            return Levels(tuple(strides), tuple(kernels))
        strides.append(step)
        edges = [edge // by for edge, by in zip(edges, step, strict=True)]
        sizes = [size * by for size, by in zip(sizes, step, strict=True)]


def _step(edges: Sequence[int], sizes: Sequence[float]) -> tuple[int, ...]:
    """Return by how much each axis shrinks to the next level."""
    may = [edge % 2 == 0 and edge // 2 >= SMALLEST_EDGE for edge in edges]
    finest = min((size for size, free in zip(sizes, may, strict=True) if free), default=0.0)
    return tuple(2 if free and size / finest < SAME_WITHIN else 1 for size, free in zip(sizes, may, strict=True))
