"""Steps that need no more than the surroundings of a voxel: smoothing, thresholds, opening and closing.

Each says how far it looks. A block that is read with that much of its neighbours comes out as it would in
one pass over the volume; at the volume's own faces nothing is made up: what lies beyond is neither
foreground nor background.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from cellmap_tui.errors import DataError
from cellmap_tui.volumes.blocks import Computed, around

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.blocks import Readable
    from cellmap_tui.volumes.geometry import Box

TRUNCATE = 3.0
"""Smoothing looks this many of its widths far."""


class VoxelStep(Protocol):
    """Turns the voxels of a block into others."""

    @property
    def reach(self) -> Shape3:
        """How many voxels it looks far on each axis."""

    def apply(self, values: Voxels, box: Box) -> Voxels:
        """Return the new voxels of a box; what depends on voxels beyond its faces is wrong."""


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """Logits to probabilities."""

    @property
    def reach(self) -> Shape3:
        """It looks at the voxel alone."""
        return (0, 0, 0)

    def apply(self, values: Voxels, box: Box) -> Voxels:
        """Return probabilities, float32."""
        from scipy.special import expit

        return np.asarray(expit(values.astype(np.float32)))


@dataclass(frozen=True, slots=True)
class Scaled:
    """Stored values to probabilities."""

    factor: float
    """What a stored value is multiplied by."""

    @property
    def reach(self) -> Shape3:
        """It looks at the voxel alone."""
        return (0, 0, 0)

    def apply(self, values: Voxels, box: Box) -> Voxels:
        """Return probabilities, float32."""
        return values.astype(np.float32) * np.float32(self.factor)


@dataclass(frozen=True, slots=True)
class Smooth:
    """A Gaussian."""

    sigma_voxels: Vec3
    """Its width on each axis."""

    @property
    def reach(self) -> Shape3:
        """As far as the Gaussian is cut off."""
        z, y, x = (int(TRUNCATE * sigma + 0.5) for sigma in self.sigma_voxels)
        return (z, y, x)

    def apply(self, values: Voxels, box: Box) -> Voxels:
        """Return smoothed values, float32."""
        from scipy.ndimage import gaussian_filter

        smoothed = gaussian_filter(
            values.astype(np.float32, copy=False), self.sigma_voxels, mode="nearest", truncate=TRUNCATE
        )
        return np.asarray(smoothed)


@dataclass(frozen=True, slots=True)
class Threshold:
    """Foreground is above a value."""

    above: float
    """The value."""

    @property
    def reach(self) -> Shape3:
        """It looks at the voxel alone."""
        return (0, 0, 0)

    def apply(self, values: Voxels, box: Box) -> Voxels:
        """Return a mask."""
        if values.dtype.kind == "f":
            return np.asarray(values > values.dtype.type(self.above))
        return np.asarray(values > self.above)


@dataclass(frozen=True, slots=True)
class Reshape:
    """Opening or closing with a ball."""

    what: Literal["open", "close"]
    """``open`` removes what is thinner than the ball, ``close`` fills gaps that are."""
    radius_nm: float
    """Radius of the ball."""
    voxel_size_nm: Vec3
    """Edges of a voxel."""

    @property
    def reach(self) -> Shape3:
        """Twice the radius: it shrinks and grows."""
        z, y, x = (2 * math.ceil(self.radius_nm / size) for size in self.voxel_size_nm)
        return (z, y, x)

    def apply(self, values: Voxels, box: Box) -> Voxels:
        """Return the new mask."""
        mask = values != 0
        if self.what == "open":
            return self._grown(self._shrunk(mask))
        return self._shrunk(self._grown(mask))

    def _shrunk(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return ~self._grown(~mask)

    def _grown(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        from scipy.ndimage import distance_transform_edt

        if not mask.any() or mask.all():
            return mask
        distance = distance_transform_edt(~mask, sampling=self.voxel_size_nm)
        return np.asarray(distance <= self.radius_nm * (1 + 1e-9))


@dataclass(frozen=True, slots=True)
class Without:
    """Voxels that belong to others are taken out."""

    others: tuple[Readable, ...]
    """Volumes of the same shape: foreground where not 0."""

    @property
    def reach(self) -> Shape3:
        """It looks at the voxel alone."""
        return (0, 0, 0)

    def apply(self, values: Voxels, box: Box) -> Voxels:
        """Return the values, 0 where another volume has foreground."""
        taken = np.zeros(box.shape, np.bool_)
        for other in self.others:
            taken |= other.read(box) != 0
        return np.where(taken, values.dtype.type(0), values)


@dataclass(frozen=True, slots=True)
class Beaten:
    """Voxels where another class is more probable are taken out."""

    own: Readable
    """Probabilities of the class."""
    others: tuple[Readable, ...]
    """Probabilities of the other classes."""

    @property
    def reach(self) -> Shape3:
        """It looks at the voxel alone."""
        return (0, 0, 0)

    def apply(self, values: Voxels, box: Box) -> Voxels:
        """Return the values, 0 where another class is more probable."""
        own = self.own.read(box)
        beaten = np.zeros(box.shape, np.bool_)
        for other in self.others:
            beaten |= other.read(box) > own
        return np.where(beaten, values.dtype.type(0), values)


@dataclass(frozen=True, slots=True)
class Checked:
    """Values have to be probabilities."""

    name: str
    """Where they are from."""

    @property
    def reach(self) -> Shape3:
        """It looks at the voxel alone."""
        return (0, 0, 0)

    def apply(self, values: Voxels, box: Box) -> Voxels:
        """Return the values; DataError where they are none."""
        if values.size and not (values.min() >= -0.01 and values.max() <= 1.01):
            found = "no numbers" if np.isnan(values).any() else f"from {values.min():.3g} to {values.max():.3g}"
            raise DataError(
                f"{self.name}: values are {found}, not probabilities",
                "if they are logits, begin with a step sigmoid",
            )
        return values


def joined(volumes: Sequence[Readable]) -> Readable:
    """Return a mask of what is not 0 in any of several volumes of the same shape."""

    def read(box: Box) -> Voxels:
        found = np.zeros(box.shape, np.bool_)
        for volume in volumes:
            found |= volume.read(box) != 0
        return found

    return Computed(volumes[0].shape, read)


def stepped(source: Readable, steps: Sequence[VoxelStep]) -> Readable:
    """Return what steps make of a volume, worked out wherever it is read.

    Parameters
    ----------
    source
        The volume.
    steps
        One after the other.
    """
    if not steps:
        return source
    z, y, x = (sum(step.reach[axis] for step in steps) for axis in range(3))

    def read(box: Box) -> Voxels:
        wide, place = around(box, (z, y, x), source.shape)
        values = source.read(wide)
        for step in steps:
            values = step.apply(values, wide)
        return values[place]

    return Computed(source.shape, read)
