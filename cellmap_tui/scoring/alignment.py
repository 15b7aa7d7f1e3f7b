"""Predictions in the voxels of a crop, placed as the official scorer places them.

The rules, as they behave: another voxel size is resampled (see `resampling`); without a voxel size the
array is centred on the crop, cut or padded; the offset is floored to the grid of voxel sizes, though the
crop itself may lie beside it; what is outside is background. Nothing is read before it is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.errors import DataError
from cellmap_tui.scoring.limits import Limits
from cellmap_tui.scoring.resampling import Resampled, resampled_shape
from cellmap_tui.text import triple

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Grid, Shape3, Vec3
    from cellmap_tui.scoring.profiles import Scoring
    from cellmap_tui.scoring.sources import Source, Volume
    from cellmap_tui.volumes.arrays import Voxels


@dataclass(frozen=True, slots=True)
class Aligned:
    """A prediction on the voxels of a crop; a `Volume` itself."""

    volume: Volume
    """The prediction at the crop's voxel size."""
    shape: Shape3
    """Voxels of the crop."""
    shift: Shape3
    """Crop voxel of the prediction's voxel (0, 0, 0); may be negative."""
    window: tuple[Shape3, Shape3]
    """Half-open box of the prediction's voxels that are used; elsewhere the crop is background."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels: as stored, or bool for resampled semantic predictions."""
        return self.volume.dtype

    @property
    def is_inside(self) -> bool:
        """Whether any of its voxels lies in the crop."""
        low, high = self._window_of((0, 0, 0), self.shape)
        return all(b > a for a, b in zip(low, high, strict=True))

    def read(self, start: Shape3, stop: Shape3) -> Voxels:
        """Return the voxels of a half-open box of the crop."""
        low, high = self._window_of(start, stop)
        extent = tuple(b - a for a, b in zip(start, stop, strict=True))
        size = tuple(b - a for a, b in zip(low, high, strict=True))
        if size == extent:
            return self.volume.read(low, high)
        result = np.zeros(extent, self.dtype)
        if min(size) > 0:
            place = [a + s - o for a, s, o in zip(low, self.shift, start, strict=True)]
            result[tuple(slice(a, a + n) for a, n in zip(place, size, strict=True))] = self.volume.read(low, high)
        return result

    def _window_of(self, start: Shape3, stop: Shape3) -> tuple[Shape3, Shape3]:
        """Return the voxels of the prediction that lie in a box of the crop."""
        low, high = [], []
        for axis in range(3):
            low.append(max(start[axis] - self.shift[axis], self.window[0][axis]))
            high.append(max(low[axis], min(stop[axis] - self.shift[axis], self.window[1][axis])))
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def aligned(source: Source, target: Grid, scoring: Scoring, limits: Limits | None = None) -> Aligned:
    """Place a prediction on the voxels of a crop.

    Parameters
    ----------
    source
        The prediction as stored.
    target
        The crop: voxel size, translation, shape.
    scoring
        How the class is scored: instance data are resampled by the nearest voxel, semantic data linearly.
    limits
        How much larger than the crop it may be; None: as the environment says.

    Raises
    ------
    DataError
        If it has too many voxels for this crop.
    """
    _check_size(source, target, limits or Limits.from_environment())
    volume = source.volume
    shape = volume.shape
    start, stop, shift = (0, 0, 0), shape, (0, 0, 0)
    if source.voxel_size_nm is None:
        start, stop, shift = _centred(shape, target.shape)
    elif not np.allclose(source.voxel_size_nm, target.voxel_size_nm):
        scale = np.asarray(source.voxel_size_nm) / np.asarray(target.voxel_size_nm)
        volume = Resampled(volume, resampled_shape(shape, scale), scoring == "instance")
        stop = volume.shape
    if source.translation_nm is not None:
        moved = _offset(source.translation_nm, target)
        shift = (shift[0] + moved[0], shift[1] + moved[1], shift[2] + moved[2])
    return Aligned(volume, target.shape, shift, (start, stop))


def _check_size(source: Source, target: Grid, limits: Limits) -> None:
    ratio = math.prod(source.volume.shape) / target.voxels
    if ratio > limits.max_volume_size_ratio:
        raise DataError(
            f"{source.name} has {triple(source.volume.shape)} voxels, {ratio:.0f} times as many as the crop "
            f"({triple(target.shape)}); the limit is {limits.max_volume_size_ratio:.0f}",
            "write it at the crop's voxel size",
        )


def _centred(shape: Shape3, target: Shape3) -> tuple[Shape3, Shape3, Shape3]:
    """Return window and shift that centre an array of unknown voxel size on the crop."""
    start, stop, shift = [], [], []
    for have, want in zip(shape, target, strict=True):
        first = (have - want) // 2 if have > want else 0
        start.append(first)
        stop.append(min(have, first + want))
        shift.append((want - have) // 2 if have < want else -first)
    return (start[0], start[1], start[2]), (stop[0], stop[1], stop[2]), (shift[0], shift[1], shift[2])


def _offset(translation_nm: Vec3, target: Grid) -> Shape3:
    """Return the offset in voxels: floored to multiples of the voxel size, then cut towards the crop."""
    size = np.asarray(target.voxel_size_nm)
    moved = (np.asarray(translation_nm) // size) * size - np.asarray(target.translation_nm)
    z, y, x = (np.abs(moved) // size * np.sign(moved)).astype(np.int64).tolist()
    return (z, y, x)
