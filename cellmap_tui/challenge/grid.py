"""Where an array lies in the world: voxel size, translation and shape, in z, y, x order."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cellmap_tui.errors import RequestError
from cellmap_tui.text import triple

Vec3 = tuple[float, float, float]
"""Three lengths or positions in nanometres, z, y, x."""

Shape3 = tuple[int, int, int]
"""Three sizes in voxels, z, y, x."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A regular lattice of voxels in world space.

    Raises
    ------
    RequestError
        If a voxel size is not positive and finite, a position is not finite or a shape is below 1.
    """

    voxel_size_nm: Vec3
    """Edge lengths of one voxel."""
    translation_nm: Vec3
    """World position of the *centre* of voxel (0, 0, 0)."""
    shape: Shape3
    """Number of voxels on each axis."""

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) and v > 0 for v in self.voxel_size_nm):
            raise RequestError(f"voxel size {triple(self.voxel_size_nm, ' ')} nm is not three positive numbers")
        if not all(math.isfinite(v) for v in self.translation_nm):
            raise RequestError(f"translation {self.translation_nm} nm is not three finite numbers")
        if not all(n >= 1 for n in self.shape):
            raise RequestError(f"shape {self.shape} has an axis without voxels")

    @property
    def lower_nm(self) -> Vec3:
        """Lower corner of the box that the voxels cover, half a voxel below the translation."""
        z, y, x = (t - s / 2 for t, s in zip(self.translation_nm, self.voxel_size_nm, strict=True))
        return (z, y, x)

    @property
    def upper_nm(self) -> Vec3:
        """Upper corner of the box that the voxels cover."""
        z, y, x = (
            t + s * (n - 0.5) for t, s, n in zip(self.translation_nm, self.voxel_size_nm, self.shape, strict=True)
        )
        return (z, y, x)

    @property
    def extent_nm(self) -> Vec3:
        """Edge lengths of the box that the voxels cover."""
        z, y, x = (s * n for s, n in zip(self.voxel_size_nm, self.shape, strict=True))
        return (z, y, x)

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def is_anisotropic(self) -> bool:
        """Whether the axes differ in voxel size."""
        return len(set(self.voxel_size_nm)) > 1
