"""The pixels of a slice: where they lie in the world.

Pixels are square in nanometres, whatever the voxels are, so that anisotropic data are not squashed.
The picture never shows more than the crop and its margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.grid import Grid, Vec3
from cellmap_tui.volumes.geometry import TOLERANCE_VOXELS, to_voxel, to_world

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Shape3

PLANES = ((1, 2), (0, 2), (0, 1))
"""Axes down and across the picture, for slices across z, y and x."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """The pixel grid of a slice."""

    grid: Grid
    """The pixels in the world: one voxel thick on the slice's axis."""
    axis: int
    """Axis across the slice: 0 z, 1 y, 2 x."""
    nm_per_pixel: float
    """Edge length of a pixel."""
    top_left_voxel: tuple[float, float]
    """Upper left corner in the plane, in crop voxels; voxel i reaches from i to i + 1."""
    voxels_per_pixel: tuple[float, float]
    """Crop voxels that a pixel is long, down and across."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        down, across = PLANES[self.axis]
        return self.grid.shape[down], self.grid.shape[across]

    def pixel_of(self, voxel: Shape3) -> tuple[int, int] | None:
        """Return row and column of the pixel that shows a crop voxel's centre, None outside the picture."""
        place = [
            math.floor((voxel[a] + 0.5 - first) / step + TOLERANCE_VOXELS)
            for a, first, step in zip(PLANES[self.axis], self.top_left_voxel, self.voxels_per_pixel, strict=True)
        ]
        is_inside = all(0 <= i < n for i, n in zip(place, self.shape, strict=True))
        return (place[0], place[1]) if is_inside else None


def pixels_for(
    crop: Grid,
    axis: int,
    voxel: Shape3,
    *,
    height_px: int,
    width_px: int,
    voxels_per_pixel: float | None = None,
    margin_voxels: int = 0,
) -> Pixels:
    """Return the pixels of a slice through a crop.

    Parameters
    ----------
    crop
        Grid of the crop.
    axis
        Axis across the slice: 0 z, 1 y, 2 x.
    voxel
        Crop voxel that is looked at; its `axis` part is the slice.
    height_px, width_px
        Largest size of the picture; it is smaller where the crop ends or is not of that shape.
    voxels_per_pixel
        How many of the plane's smallest voxel edges a pixel is long; None: the whole crop fits.
    margin_voxels
        Crop voxels shown around the crop in the plane.
    """
    plane = PLANES[axis]
    margin = [margin_voxels * crop.voxel_size_nm[a] for a in plane]
    lower = [crop.lower_nm[a] - m for a, m in zip(plane, margin, strict=True)]
    extent = [crop.extent_nm[a] + 2 * m for a, m in zip(plane, margin, strict=True)]
    if voxels_per_pixel is None:
        pixel = max(extent[0] / height_px, extent[1] / width_px)
    else:
        pixel = voxels_per_pixel * min(crop.voxel_size_nm[a] for a in plane)
    centre = to_world(crop, voxel)
    size = list(crop.voxel_size_nm)
    # Across the slice a coarse picture may take a coarse level, but never skip sections of an anisotropic volume.
    size[axis] = max(pixel, crop.voxel_size_nm[axis])
    origin = list(centre)
    shape = [1, 1, 1]
    for a, low, long, most in zip(plane, lower, extent, (height_px, width_px), strict=True):
        count, start = _window(low, long, pixel, most, centre[a])
        size[a], origin[a], shape[a] = pixel, start + pixel / 2, count
    grid = Grid((size[0], size[1], size[2]), (origin[0], origin[1], origin[2]), (shape[0], shape[1], shape[2]))
    return _described(grid, axis, pixel, crop)


def _window(lower: float, extent: float, pixel: float, most: int, centre: float) -> tuple[int, float]:
    """Return the number of pixels on an axis and where the first begins; whole pixels from the lower edge."""
    available = max(1, math.ceil(extent / pixel - TOLERANCE_VOXELS))
    count = min(most, available)
    first = round((centre - lower) / pixel - count / 2)
    return count, lower + max(0, min(first, available - count)) * pixel


def _described(grid: Grid, axis: int, pixel: float, crop: Grid) -> Pixels:
    corner: Vec3 = to_voxel(crop, grid.lower_nm)
    down, across = PLANES[axis]
    steps = (pixel / crop.voxel_size_nm[down], pixel / crop.voxel_size_nm[across])
    return Pixels(grid, axis, pixel, (corner[down] + 0.5, corner[across] + 0.5), steps)
