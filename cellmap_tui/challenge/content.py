"""What a label array holds, as a scan found it: how much of the class, how many objects, how many of them touch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001 - the cache reads models by their annotations

ContentKind = Literal["empty", "binary", "instance"]
"""Nothing but background, a mask of 0 and 1, or a number for each object."""


@dataclass(frozen=True, slots=True)
class LabelContent:
    """What one label array holds; counts are in voxels of its finest level."""

    kind: ContentKind
    """What its values mean."""
    voxel_size_nm: Vec3
    """Voxel size of its finest level."""
    shape: Shape3
    """Voxels of its finest level."""
    foreground_voxels: int
    """Voxels of the class."""
    unknown_voxels: int
    """Voxels that the array marks as not annotated."""
    is_estimate: bool = False
    """Whether a coarser level was looked at, because the finest is too large."""
    objects: int | None = None
    """Objects: different ids, or parts of a mask connected over faces, edges and corners; None: not counted."""
    touching_objects: int | None = None
    """Objects with a voxel next to another object's (26 neighbours); None for masks: their parts never touch."""
    object_voxels: tuple[int, int, int] | None = None
    """Sizes of the objects: tenth, fiftieth and ninetieth percentile; None where there is none or not counted."""

    @property
    def voxels(self) -> int:
        """Voxels of the array."""
        return math.prod(self.shape)

    @property
    def known_voxels(self) -> int:
        """Voxels that were annotated."""
        return max(0, self.voxels - self.unknown_voxels)

    @property
    def foreground_share(self) -> float:
        """Share of the known voxels that is of the class, 0 to 1."""
        return self.foreground_voxels / self.known_voxels if self.known_voxels else 0.0

    @property
    def is_present(self) -> bool:
        """Whether there is a voxel of the class."""
        return self.foreground_voxels > 0

    @property
    def touching_share(self) -> float | None:
        """Share of the objects that touch another one, 0 to 1; None where it is not known."""
        if self.touching_objects is None or not self.objects:
            return None
        return self.touching_objects / self.objects

    @property
    def voxel_volume_nm3(self) -> float:
        """Volume of one voxel."""
        return math.prod(self.voxel_size_nm)

    @property
    def foreground_um3(self) -> float:
        """Volume of the class in cubic micrometres."""
        return self.foreground_voxels * self.voxel_volume_nm3 / 1e9

    @property
    def object_diameters_nm(self) -> tuple[float, float, float] | None:
        """Diameters of balls as large as the objects: tenth, fiftieth and ninetieth percentile."""
        if self.object_voxels is None:
            return None
        low, middle, high = ((6 * size * self.voxel_volume_nm3 / math.pi) ** (1 / 3) for size in self.object_voxels)
        return (low, middle, high)
