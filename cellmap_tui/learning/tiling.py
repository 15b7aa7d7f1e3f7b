"""Where the tiles of a prediction lie and how much each counts at each voxel.

Tiles form a regular grid whose last ones are moved back to the edge; a volume thinner than a tile lies in
the tile's middle. The weights of a tile are a product of three numbers, one for each axis, and they are
divided by the sum over all tiles before anything is predicted: at every voxel the weights of its tiles add
up to 1, so a prediction needs no second volume to divide by, and a part of a volume that is predicted
alone equals that part of the whole. Owns positions and weights; reading and predicting is done elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from cellmap_tui.errors import RequestError
from cellmap_tui.volumes.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3

Blending = Literal["gaussian", "constant"]
"""How tiles that overlap are joined: the middle of a tile counts most, or all its voxels count the same."""
Weights = np.ndarray[tuple[int, int], np.dtype[np.float32]]
"""Weights of the tiles along an axis, ``[tiles, voxels of a tile]``."""

OVERLAP = 0.25
"""Share of a tile that it has in common with the next one."""
SIGMA = 0.125
"""Standard deviation of Gaussian weights in tiles: nnU-Net's and MONAI's."""


@dataclass(frozen=True)
class TilePlan:
    """The tiles of a volume."""

    shape: Shape3
    """Voxels of the volume."""
    patch: Shape3
    """Voxels of a tile."""
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    """Along each axis, the first voxel of each tile; negative where it reaches beyond the volume."""
    blending: Blending = "gaussian"
    """How tiles that overlap are joined."""

    def __len__(self) -> int:
        z, y, x = (len(starts) for starts in self.starts)
        return z * y * x

    @cached_property
    def weights(self) -> tuple[Weights, Weights, Weights]:
        """Weights along each axis; at every voxel of the volume those of its tiles add up to 1."""
        z, y, x = (
            axis_weights(count, edge, starts, self.blending)
            for count, edge, starts in zip(self.shape, self.patch, self.starts, strict=True)
        )
        return (z, y, x)

    def box(self, tile: Shape3) -> Box:
        """Return the voxels of a tile that lie in the volume."""
        return self.reach(tile).clipped(self.shape)

    def reach(self, tile: Shape3) -> Box:
        """Return all voxels of a tile, those beyond the volume included."""
        start = self.start(tile)
        z, y, x = (first + edge for first, edge in zip(start, self.patch, strict=True))
        return Box(start, (z, y, x))

    def start(self, tile: Shape3) -> Shape3:
        """Return the first voxel of a tile, given by its number along each axis."""
        z, y, x = (starts[number] for starts, number in zip(self.starts, tile, strict=True))
        return (z, y, x)

    def weight(self, tile: Shape3) -> NDArray[np.float32]:
        """Return what a tile counts at each of its voxels, float32 of `patch`; 0 beyond the volume."""
        z, y, x = (weights[number] for weights, number in zip(self.weights, tile, strict=True))
        product: NDArray[np.float32] = z[:, None, None] * y[:, None] * x
        return product

    def tiles(self, box: Box | None = None) -> Iterator[Shape3]:
        """Yield the tiles that touch a box, by their numbers along each axis, z slowest; without one, all."""
        z, y, x = (self._touching(axis, box) for axis in range(3))
        for first in z:
            for second in y:
                for third in x:
                    yield (first, second, third)

    def count(self, box: Box | None = None) -> int:
        """Return how many tiles touch a box."""
        z, y, x = (len(self._touching(axis, box)) for axis in range(3))
        return z * y * x

    def _touching(self, axis: int, box: Box | None) -> list[int]:
        starts, edge = self.starts[axis], self.patch[axis]
        if box is None:
            return list(range(len(starts)))
        low, high = box.start[axis], box.stop[axis]
        return [number for number, start in enumerate(starts) if start < high and start + edge > low]


def plan_tiles(
    shape: Shape3,
    patch: Shape3,
    overlap: float = OVERLAP,
    *,
    blending: Blending = "gaussian",
    margin: Shape3 = (0, 0, 0),
) -> TilePlan:
    """Return tiles that cover every voxel of a volume.

    Parameters
    ----------
    shape
        Voxels of the volume, z, y, x.
    patch
        Voxels of a tile; 1 along the axis that slices are cut across.
    overlap
        Share of a tile that it has in common with the next one, from 0 to below 1.
    blending
        How tiles that overlap are joined.
    margin
        How far tiles reach beyond the volume on both sides, where there is EM: voxels at the edge of the
        volume then lie further inside a tile.

    Raises
    ------
    RequestError
        If a shape is empty or the overlap is no such share.
    """
    if min(shape) < 1 or min(patch) < 1:
        raise RequestError(f"tiles of {patch} voxels for a volume of {shape}", "no axis may be empty")
    if not 0 <= overlap < 1:
        raise RequestError(f"an overlap of {overlap:g}", "give a share of the tile from 0 to below 1")
    z, y, x = (
        tile_starts(count, edge, overlap, reach) for count, edge, reach in zip(shape, patch, margin, strict=True)
    )
    return TilePlan(shape, patch, (z, y, x), blending)


def tile_starts(count: int, edge: int, overlap: float = OVERLAP, margin: int = 0) -> tuple[int, ...]:
    """Return the first voxel of each tile along an axis.

    Parameters
    ----------
    count
        Voxels of the volume.
    edge
        Voxels of a tile.
    overlap
        Share of a tile that it has in common with the next one.
    margin
        How far tiles reach beyond the volume.
    """
    # With a margin of a tile or more some tiles would not touch the volume; slices have none.
    margin = min(margin, edge - 1)
    length = count + 2 * margin
    if length <= edge:
        return (-((edge - count) // 2),)
    step = max(1, int(edge * (1 - overlap) + 1e-9))
    last = length - edge
    tiles = -(-last // step) + 1
    return tuple(min(number * step, last) - margin for number in range(tiles))


def axis_weights(count: int, edge: int, starts: tuple[int, ...], blending: Blending = "gaussian") -> Weights:
    """Return what each tile counts along an axis, ``[tiles, edge]``; the tiles of a voxel add up to 1.

    Parameters
    ----------
    count
        Voxels of the volume; beyond it weights are 0.
    edge
        Voxels of a tile.
    starts
        First voxel of each tile.
    blending
        How tiles that overlap are joined.
    """
    profile = np.ones(edge)
    if blending == "gaussian":
        profile = np.exp(-0.5 * ((np.arange(edge) - (edge - 1) / 2) / (SIGMA * edge)) ** 2)
    total = np.zeros(count)
    inside = [(max(start, 0), min(start + edge, count)) for start in starts]
    for start, (low, high) in zip(starts, inside, strict=True):
        total[low:high] += profile[low - start : high - start]
    weights = np.zeros((len(starts), edge), np.float32)
    for number, (start, (low, high)) in enumerate(zip(starts, inside, strict=True)):
        weights[number, low - start : high - start] = profile[low - start : high - start] / total[low:high]
    return weights
