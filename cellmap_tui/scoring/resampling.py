"""Resampling exactly as scikit-image's `rescale` does it, but box by box.

The official scorer brings predictions of another voxel size to the crop's with `rescale`, in one piece:
a Gaussian filter against aliasing, then linear interpolation (semantic) or the nearest voxel (instance),
zeros beyond the border, and a final clip to the range of the input. Here every box of the result is
computed from the part of the source it needs, operation by operation in the same order, so that not
one bit differs and memory is bounded.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.scoring.sources import Volume
    from cellmap_tui.volumes.arrays import Voxels

THRESHOLD = 0.5
"""A resampled semantic value above it is foreground."""

PIECE_VOXELS = 4 * 2**20
"""Source voxels worked on at once; as doubles, with two copies, about 100 MB."""


@dataclass(frozen=True)
class Resampled:
    """A volume at another voxel size.

    Parameters
    ----------
    source
        The volume as stored.
    shape
        Of the result; see `resampled_shape`.
    is_instance
        True: the nearest voxel, same dtype. False: bool, linear and above `THRESHOLD`.
    """

    source: Volume
    shape: Shape3
    is_instance: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the result."""
        return self.source.dtype if self.is_instance else np.dtype(np.bool_)

    def read(self, start: Shape3, stop: Shape3) -> Voxels:
        """Return a box of the result."""
        if self.is_instance and self.source.dtype.kind != "f":
            return self._assembled(start, stop, np.empty(_extent(start, stop), self.dtype), self._nearest)
        result = np.empty(_extent(start, stop), self.dtype)
        return self._assembled(start, stop, result, self._smoothed if self.is_instance else self._linear)

    def _assembled(self, start: Shape3, stop: Shape3, result: Voxels, compute: Any) -> Voxels:
        for low, high in self._pieces(start, stop):
            place = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
            result[place] = compute(low, high)
        return result

    def _pieces(self, start: Shape3, stop: Shape3) -> list[tuple[Shape3, Shape3]]:
        """Return boxes that tile a box of the result and need little of the source at once."""
        longest = max(range(3), key=lambda axis: stop[axis] - start[axis])
        length = stop[longest] - start[longest]
        low, high = self._needed(start, stop)
        if length <= 1 or math.prod(_extent(low, high)) <= PIECE_VOXELS:
            return [(start, stop)]
        middle = start[longest] + length // 2
        upper = [*stop]
        lower = [*start]
        upper[longest] = lower[longest] = middle
        first = (upper[0], upper[1], upper[2])
        second = (lower[0], lower[1], lower[2])
        return self._pieces(start, first) + self._pieces(second, stop)

    def _needed(self, start: Shape3, stop: Shape3) -> tuple[Shape3, Shape3]:
        """Return the source voxels that a box of the result depends on."""
        low, high = [], []
        for axis in range(3):
            positions = self._positions(axis, start[axis], stop[axis])
            halo = self._radius(axis) + 1
            low.append(max(0, math.floor(positions[0]) - halo))
            high.append(min(self.source.shape[axis], math.floor(positions[-1]) + 2 + halo))
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    def _positions(self, axis: int, start: int, stop: int) -> NDArray[np.float64]:
        """Return where the centres of result voxels lie among the source voxels of an axis."""
        zoom = np.float64(self.source.shape[axis]) / np.float64(self.shape[axis])
        positions: NDArray[np.float64] = (np.arange(start, stop, dtype=np.float64) + 0.5) * zoom - 0.5
        return positions

    @cached_property
    def _sigma(self) -> tuple[float, float, float]:
        z, y, x = (max(0.0, (n / m - 1) / 2) for n, m in zip(self.source.shape, self.shape, strict=True))
        return (z, y, x)

    def _radius(self, axis: int) -> int:
        is_filtered = self.source.dtype.kind == "f" or not self.is_instance
        return int(4.0 * self._sigma[axis] + 0.5) if is_filtered and self._sigma[axis] > 1e-15 else 0

    def _nearest(self, start: Shape3, stop: Shape3) -> Voxels:
        low, high = self._needed(start, stop)
        return self._taken(self.source.read(low, high), low, start, stop)

    def _taken(self, values: Voxels, low: Shape3, start: Shape3, stop: Shape3) -> Voxels:
        for axis in range(3):
            index = np.floor(self._positions(axis, start[axis], stop[axis]) + 0.5).astype(np.intp)
            is_inside = (index >= 0) & (index < self.source.shape[axis])
            values = values.take(np.clip(index - low[axis], 0, values.shape[axis] - 1), axis=axis)
            if not is_inside.all():
                shape = [1, 1, 1]
                shape[axis] = len(index)
                values = np.where(is_inside.reshape(shape), values, values.dtype.type(0))
        return values

    def _smoothed(self, start: Shape3, stop: Shape3) -> Voxels:
        """Return the nearest voxel of float ids, which the official scorer blurs before."""
        low, high = self._needed(start, stop)
        values = self._taken(self._filtered(low, high), low, start, stop)
        bottom, top = self._range
        return np.clip(values, bottom, top).astype(self.dtype)

    def _linear(self, start: Shape3, stop: Shape3) -> Voxels:
        low, high = self._needed(start, stop)
        values = _interpolated(self._filtered(low, high), low, self._axes(start, stop))
        if self._is_all_above:
            return ~np.isnan(values)
        if self._is_all_below:
            return np.zeros(values.shape, np.bool_)
        return values > THRESHOLD

    def _axes(self, start: Shape3, stop: Shape3) -> list[NDArray[np.float64]]:
        return [self._positions(axis, start[axis], stop[axis]) for axis in range(3)]

    def _filtered(self, low: Shape3, high: Shape3) -> Voxels:
        from scipy import ndimage

        values = self.source.read(low, high).astype(_float_of(self.source.dtype))
        if not any(n > m for n, m in zip(self.source.shape, self.shape, strict=True)):
            return values
        result: Voxels = ndimage.gaussian_filter(values, self._sigma, mode="grid-constant")
        return result

    # The final clip: a result above the input's maximum by a rounding error, or below its minimum because
    # zeros were mixed in at the border, is moved into the input's range.

    @cached_property
    def _is_all_above(self) -> bool:
        """Whether no source value is at or below the threshold, so that the clip lifts the border."""
        return not any(bool((block <= THRESHOLD).any()) for block in _blocks(self.source))

    @cached_property
    def _is_all_below(self) -> bool:
        """Whether no source value is above the threshold, so that the clip holds rounding errors down."""
        is_float = self.source.dtype.kind == "f"
        return is_float and not any(bool((block > THRESHOLD).any()) for block in _blocks(self.source))

    @cached_property
    def _range(self) -> tuple[float, float]:
        bottom, top = np.float64(np.inf), np.float64(-np.inf)
        for block in _blocks(self.source):
            bottom = np.fmin(bottom, np.fmin.reduce(block, axis=None))
            top = np.fmax(top, np.fmax.reduce(block, axis=None))
        return float(bottom), float(top)


def resampled_shape(shape: Shape3, scale: NDArray[np.float64]) -> Shape3:
    """Return the shape that `rescale` gives for scale factors (stored voxel size / wanted voxel size)."""
    z, y, x = (max(1, int(n)) for n in np.round(scale * np.asarray(shape)))
    return (z, y, x)


def _interpolated(values: Voxels, low: Shape3, axes: list[NDArray[np.float64]]) -> Voxels:
    """Return linear interpolation between voxel centres, zeros beyond the border.

    The eight corners are weighted and added in the order of SciPy's loop, so that rounding is the same.
    """
    indices, weights = [], []
    for axis, positions in enumerate(axes):
        below = np.floor(positions).astype(np.intp)
        first = 1.0 - (positions - below)
        indices.append(below - low[axis] + 1)
        weights.append((first, 1.0 - first))
    padded = np.pad(values, [(1, max(1, int(i[-1]) + 1 - n)) for i, n in zip(indices, values.shape, strict=True)])
    total = np.zeros([len(positions) for positions in axes], np.float64)
    for z, y, x in itertools.product((0, 1), repeat=3):
        corner = padded[np.ix_(indices[0] + z, indices[1] + y, indices[2] + x)].astype(np.float64)
        corner *= weights[0][z][:, None, None]
        corner *= weights[1][y][None, :, None]
        corner *= weights[2][x]
        total += corner
    return total.astype(values.dtype)


def _float_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that `rescale` computes in."""
    is_single = dtype in (np.float16, np.float32, np.bool_)
    return np.dtype(np.float32 if is_single else np.float64)


def _blocks(volume: Volume) -> Any:
    planes = max(1, PIECE_VOXELS // max(1, volume.shape[1] * volume.shape[2]))
    for start in range(0, volume.shape[0], planes):
        yield volume.read((start, 0, 0), (min(start + planes, volume.shape[0]), *volume.shape[1:]))


def _extent(start: Shape3, stop: Shape3) -> Shape3:
    z, y, x = (b - a for a, b in zip(start, stop, strict=True))
    return (z, y, x)
