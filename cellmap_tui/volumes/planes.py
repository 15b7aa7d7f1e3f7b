"""Planes of volumes that are looked at: read some at a time and kept, sampled at the pixels of a picture."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid, Shape3

PLANES = ((1, 2), (0, 2), (0, 1))
"""Axes down and across a plane, for planes across z, y and x."""
BUDGET_BYTES = 128 * 2**20
SLAB_BYTES = 24 * 2**20
"""Neighbouring planes are read together: the chunks that they are cut from are decoded anyway."""
SLAB_PLANES = 16


@dataclass(frozen=True, slots=True)
class PixelPlane:
    """Where the pixels of a picture lie."""

    axis: int
    """Axis across the picture: 0 z, 1 y, 2 x."""
    at_nm: float
    """Where the picture lies on that axis."""
    down_nm: Sequence[float]
    """Centres of the rows."""
    across_nm: Sequence[float]
    """Centres of the columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """What a volume holds at the pixels of a picture."""

    values: NDArray[Any]
    """Values ``[rows, columns]``, 0 outside the volume."""
    known: NDArray[np.bool_]
    """Which pixels lie inside the volume and are not declared unknown."""


class Volume(Protocol):
    """A three-dimensional array that is read box by box."""

    @property
    def shape(self) -> Shape3:
        """Voxels on each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its voxels."""

    def read(self, start: Shape3, stop: Shape3) -> NDArray[Any]:
        """Return the voxels of a half-open box that lies inside."""


class Predicted(Protocol):
    """The predictions of one crop, and the truth that they are compared with."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that are predicted."""

    def prediction(self, label: str, plane: PixelPlane) -> Sampled | None:
        """Return what was predicted at each pixel; None where the class is not predicted."""

    def truth(self, label: str, plane: PixelPlane) -> Sampled | None:
        """Return what is there, on the very voxels that `prediction` uses; None where it is not known."""


class PlaneCache:
    """Slabs of volumes, the least recently used dropped first; threads may share it."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._budget_bytes = budget_bytes
        self._held_bytes = 0
        self._slabs: OrderedDict[tuple[str, int, int], NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def plane(self, key: str, volume: Volume, axis: int, index: int) -> NDArray[Any]:
        """Return one plane ``[rows, columns]`` of a volume that is called `key`; do not write into it."""
        with self._lock:
            return self._plane(key, volume, axis, index)

    def _plane(self, key: str, volume: Volume, axis: int, index: int) -> NDArray[Any]:
        count = _slab_planes(volume, axis)
        place = (key, axis, index // count)
        slab = self._slabs.get(place)
        if slab is None:
            start, stop = [0, 0, 0], list(volume.shape)
            start[axis] = index // count * count
            stop[axis] = min(start[axis] + count, volume.shape[axis])
            slab = volume.read((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
            self._slabs[place] = slab
            self._held_bytes += slab.nbytes
        self._slabs.move_to_end(place)
        while self._held_bytes > self._budget_bytes and len(self._slabs) > 1:
            self._held_bytes -= self._slabs.popitem(last=False)[1].nbytes
        plane: NDArray[Any] = slab.take(index % count, axis=axis)
        return plane


def sample(cache: PlaneCache, key: str, volume: Volume, grid: Grid, plane: PixelPlane) -> Sampled:
    """Return the voxel of a volume at the centre of each pixel.

    Parameters
    ----------
    cache, key
        Keeps what was read under this name.
    volume
        Voxels on `grid`.
    grid
        Where they lie.
    plane
        The pixels.
    """
    import numpy as np

    index = int(_indices(grid, plane.axis, [plane.at_nm])[0])
    on_down, on_across = PLANES[plane.axis]
    rows, columns = _indices(grid, on_down, plane.down_nm), _indices(grid, on_across, plane.across_nm)
    inside = np.zeros((len(rows), len(columns)), np.bool_)
    values = np.zeros(inside.shape, volume.dtype)
    if not 0 <= index < grid.shape[plane.axis]:
        return Sampled(values, inside)
    in_rows = (rows >= 0) & (rows < grid.shape[on_down])
    in_columns = (columns >= 0) & (columns < grid.shape[on_across])
    read = cache.plane(key, volume, plane.axis, index)
    values[np.ix_(in_rows, in_columns)] = read[np.ix_(rows[in_rows], columns[in_columns])]
    inside[np.ix_(in_rows, in_columns)] = True
    return Sampled(values, inside)


def _slab_planes(volume: Volume, axis: int) -> int:
    down, across = PLANES[axis]
    plane_bytes = max(1, volume.shape[down] * volume.shape[across] * volume.dtype.itemsize)
    return max(1, min(SLAB_PLANES, SLAB_BYTES // plane_bytes))


def _indices(grid: Grid, axis: int, positions_nm: Sequence[float]) -> NDArray[np.int64]:
    """Return the voxel of a grid's axis at each position; outside of it, one that does not exist."""
    import numpy as np

    offset_nm = np.asarray(positions_nm, np.float64) - grid.translation_nm[axis]
    return np.floor(offset_nm / grid.voxel_size_nm[axis] + 0.5 + 1e-6).astype(np.int64)
