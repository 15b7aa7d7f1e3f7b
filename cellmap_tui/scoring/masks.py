"""Volumes with voxels taken out: outside a mask, or where the truth was not annotated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.scoring.sources import Volume
    from cellmap_tui.volumes.arrays import Voxels


@dataclass(frozen=True, slots=True)
class Masked:
    """A volume that is background where a mask is 0."""

    volume: Volume
    """Its voxels."""
    mask: Volume
    """Of the same shape."""

    @property
    def shape(self) -> Shape3:
        """Voxels on each axis."""
        return self.volume.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its voxels."""
        return self.volume.dtype

    def read(self, start: Shape3, stop: Shape3) -> Voxels:
        """Return the voxels of a box."""
        block = self.volume.read(start, stop)
        return np.where(self.mask.read(start, stop) != 0, block, block.dtype.type(0))


@dataclass(frozen=True, slots=True)
class Known:
    """A mask: where a truth volume does not hold the value for "not annotated"."""

    truth: Volume
    """The truth."""
    unknown_value: int
    """What it holds where nobody looked."""

    @property
    def shape(self) -> Shape3:
        """Voxels on each axis."""
        return self.truth.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the mask."""
        return np.dtype(np.bool_)

    def read(self, start: Shape3, stop: Shape3) -> Voxels:
        """Return the mask of a box."""
        return np.asarray(self.truth.read(start, stop) != self.unknown_value)


@dataclass(frozen=True, slots=True)
class Both:
    """A mask: where two masks are not 0."""

    first: Volume
    second: Volume

    @property
    def shape(self) -> Shape3:
        """Voxels on each axis."""
        return self.first.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the mask."""
        return np.dtype(np.bool_)

    def read(self, start: Shape3, stop: Shape3) -> Voxels:
        """Return the mask of a box."""
        return np.asarray((self.first.read(start, stop) != 0) & (self.second.read(start, stop) != 0))
