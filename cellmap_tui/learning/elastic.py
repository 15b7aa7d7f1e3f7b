"""A smooth displacement of a patch: random knots on a coarse lattice, cubic B-splines between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3, Vec3

Basis = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
"""Weights ``[voxels, knots]`` along an axis."""

_SPREAD = (315 / 151) ** 1.5
"""Standard deviation of a knot over that between knots: cubic B-splines have a mean square of 151/315 an axis."""


@dataclass(frozen=True, slots=True, eq=False)
class Displacement:
    """How far each voxel of a patch is moved."""

    grid: NDArray[np.float32]
    """Displacements of the knots ``[3, z, y, x]`` in voxels of what is read."""
    bases: tuple[Basis, Basis, Basis]
    """Weights of the knots for each voxel along z, y and x."""

    def dense(self) -> NDArray[np.float32]:
        """Return the displacement of every voxel, ``[3, z, y, x]``."""
        z, y, x = self.bases
        dense: NDArray[np.float32] = np.einsum("kabc,za,yb,xc->kzyx", self.grid, z, y, x, optimize=True)
        return dense


def lattice_shape(extent_nm: Vec3, spacing_nm: float) -> Shape3:
    """Return how many knots along each axis reach over an extent around the middle of a patch."""
    z, y, x = (math.ceil(length / spacing_nm - 1e-9) + 4 for length in extent_nm)
    return (z, y, x)


def bases_of(shape: Shape3, voxel_size_nm: Vec3, knots: Shape3, spacing_nm: float) -> tuple[Basis, Basis, Basis]:
    """Return the weights of the knots along the axes of an array in the middle of the lattice."""
    z, y, x = (
        _basis(count, size / spacing_nm, number)
        for count, size, number in zip(shape, voxel_size_nm, knots, strict=True)
    )
    return z, y, x


def scaled_knots(normal: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Return knots whose displacement has the standard deviation `sigma`, from standard normal numbers."""
    return normal * (sigma * _SPREAD)


@lru_cache(maxsize=64)
def _basis(count: int, step: float, knots: int) -> Basis:
    at = (np.arange(count) - (count - 1) / 2) * step + (knots - 4) / 2
    first = np.clip(np.floor(at), 0, knots - 4).astype(np.int64)
    t = at - first
    parts = ((1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6)
    weights = np.zeros((count, knots), np.float32)
    for offset, part in enumerate(parts):
        weights[np.arange(count), first + offset] = part
    weights.setflags(write=False)
    return weights
