"""Stored arrays for those who look at single planes: of a chunk only the part that holds them is unpacked."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.scoring.alignment import Aligned
from cellmap_tui.scoring.stored import StoredArray

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.scoring.sources import Volume
    from cellmap_tui.scoring.stores import Store
    from cellmap_tui.volumes.arrays import Voxels

LEAST_PLANES = 4
"""Planes that are unpacked together at least: reading a file costs as much as unpacking a few."""

SCRATCH_BYTES = 2**20
"""Memory of a thread for what it unpacks; larger parts get their own."""


@dataclass(frozen=True, slots=True)
class StoredPlanes:
    """An array that is read a few planes across z at a time; threads may share it."""

    array: StoredArray
    """The array."""
    planes_at_once: int
    """Planes that cost no more than one; a part of the planes of a chunk."""
    _own: threading.local = field(default_factory=threading.local)

    @property
    def shape(self) -> Shape3:
        """Voxels on each axis."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its voxels."""
        return self.array.dtype

    @property
    def chunks(self) -> Shape3:
        """Voxels of a chunk on each axis."""
        return self.array.chunks

    @property
    def store(self) -> Store:
        """Where its files are."""
        return self.array.store

    def read(self, start: Shape3, stop: Shape3) -> Voxels:
        """Return the voxels of a half-open box that lies inside; they are good until this thread reads again."""
        scratch = getattr(self._own, "scratch", None)
        if scratch is None:
            scratch = self._own.scratch = np.empty(SCRATCH_BYTES, np.uint8)
        return self.array.read_once(start, stop, scratch)


def by_planes(volume: Volume) -> Volume:
    """Return a volume such that planes across z are read at least cost, with the same voxels."""
    if isinstance(volume, Aligned):
        return replace(volume, volume=by_planes(volume.volume))
    if not isinstance(volume, StoredArray) or not (together := volume.planes_a_block()):
        return volume
    depth = volume.chunks[0]
    least = min(LEAST_PLANES, depth)
    planes = max((n for n in range(1, depth + 1) if depth % n == 0 and n <= max(least, together)), default=depth)
    return StoredPlanes(volume, planes)
