"""Smooth random fields in world space: the unevenness of the synthetic cell.

A field is a uniform cubic B-spline through a lattice of random numbers. It has a value at every
world position, so EM and labels of any voxel size see the same shapes, whatever part is asked for
and in whatever order. Evaluation uses no linear-algebra library: its results would depend on the
number of threads, and the demo promises the same bytes every time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cellmap_tui.challenge.grid import Grid, Vec3

    Floats = npt.NDArray[np.floating[Any]]
    """Single precision throughout."""
    Axes = tuple[Floats, Floats, Floats]
    """World positions (nm) along z, y and x; an array per axis, so a lattice is their product."""

# A B-spline of white noise has, per axis, 0.4792 of its variance (mean of the sum of squared weights).
_UNIT_VARIANCE = 0.4792**-1.5
_TAPS = 4


@dataclass(frozen=True, slots=True)
class NoiseField:
    """A smooth random field of zero mean and unit variance."""

    lattice: Floats
    """Random coefficients, z, y, x."""
    origin_nm: Vec3
    """World position of coefficient (0, 0, 0)."""
    spacing_nm: float
    """Distance between coefficients: about the size of the features."""

    def on(self, axes: Axes) -> Floats:
        """Return the values on the product of three axes, float32 [z, y, x]."""
        values: Any = self.lattice
        for axis in range(3):
            values = self._along(values, axes[axis], axis)
        return values  # type: ignore[no-any-return]

    def at(self, points_nm: Floats) -> Floats:
        """Return the values at single positions [n, 3] as float32 [n]."""
        import numpy as np

        (fz, wz), (fy, wy), (fx, wx) = (self._taps(points_nm[:, axis], axis) for axis in range(3))
        taps = np.arange(_TAPS)
        z, y, x = (first[:, None] + taps for first in (fz, fy, fx))
        around = self.lattice[z[:, :, None, None], y[:, None, :, None], x[:, None, None, :]]
        weight = (
            np.stack(wz, 1)[:, :, None, None] * np.stack(wy, 1)[:, None, :, None] * np.stack(wx, 1)[:, None, None, :]
        )
        return (around * weight).reshape(len(points_nm), -1).sum(axis=1)  # type: ignore[no-any-return]

    def _along(self, values: Floats, positions_nm: Floats, axis: int) -> Floats:
        import numpy as np

        first, weights = self._taps(positions_nm, axis)
        shape = [1, 1, 1]
        shape[axis] = len(positions_nm)
        total = np.take(values, first, axis=axis)
        total *= weights[0].reshape(shape)
        for k in range(1, _TAPS):
            part = np.take(values, first + k, axis=axis)
            part *= weights[k].reshape(shape)
            total += part
        return total

    def _taps(self, positions_nm: Floats, axis: int) -> tuple[npt.NDArray[np.intp], list[Floats]]:
        import numpy as np

        place = (np.asarray(positions_nm, np.float64) - self.origin_nm[axis]) / self.spacing_nm
        cell = np.clip(np.floor(place), 1, self.lattice.shape[axis] - 3)
        t = np.clip(place - cell, 0, 1)
        weights = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
        return cell.astype(np.intp) - 1, [(w / 6).astype(np.float32) for w in weights]


def noise_field(box: Grid, spacing_nm: float, rng: np.random.Generator) -> NoiseField:
    """Draw a field that covers `box` with a margin of one coefficient."""
    import numpy as np

    shape = tuple(math.ceil(n / spacing_nm) + 5 for n in box.extent_nm)
    z, y, x = (lower - 2 * spacing_nm for lower in box.lower_nm)
    lattice = rng.standard_normal(shape, np.float32) * np.float32(_UNIT_VARIANCE)
    return NoiseField(lattice, (z, y, x), spacing_nm)


def axes_of(grid: Grid) -> Axes:
    """Return the voxel centres of a grid along each axis, in nm."""
    import numpy as np

    z, y, x = (
        (t + s * np.arange(n)).astype(np.float32)
        for t, s, n in zip(grid.translation_nm, grid.voxel_size_nm, grid.shape, strict=True)
    )
    return (z, y, x)


def opened(axes: Axes) -> Axes:
    """Return the axes shaped so that they broadcast against each other as [z, y, x]."""
    z, y, x = axes
    return (z[:, None, None], y[None, :, None], x[None, None, :])
