"""Where whole volumes are put while a pair is scored: in memory, or in files that look like memory."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import DTypeLike

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.scoring.sources import Volume
    from cellmap_tui.volumes.arrays import Voxels

SLAB_VOXELS = 4 * 2**20
"""Voxels read at once."""


class Room:
    """Gives arrays, and takes their files away at the end.

    Parameters
    ----------
    in_files
        True: arrays are files in a temporary folder, which the system keeps in memory as it likes.
    scratch
        Where that folder is made; None: where the system makes temporary files.
    """

    def __init__(self, *, in_files: bool, scratch: str | None = None) -> None:
        self.in_files = in_files
        self._scratch = scratch
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._count = 0

    def __enter__(self) -> Self:
        if self.in_files:
            self._folder = tempfile.TemporaryDirectory(prefix="cellmap-tui-score-", dir=self._scratch)
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def empty(self, shape: Shape3, dtype: DTypeLike) -> Voxels:
        """Return an array whose values are not set."""
        if self._folder is None:
            return np.empty(shape, dtype)
        self._count += 1
        file = Path(self._folder.name) / f"{self._count}.bin"
        array: np.memmap[Any, Any] = np.memmap(file, dtype, mode="w+", shape=shape)
        return array

    def loaded(self, volume: Volume) -> Voxels:
        """Return all voxels of a volume."""
        array = self.empty(volume.shape, volume.dtype)
        for start, slab in slabs(volume):
            array[start : start + len(slab)] = slab
        return array


def planes_of(volume: Volume) -> int:
    """Return how many planes to read at once: whole chunks, where the volume has any."""
    _, height, width = volume.shape
    planes = max(1, SLAB_VOXELS // (height * width))
    chunk = int(getattr(volume, "chunks", (1,))[0])
    return max(chunk, planes // chunk * chunk)


def slabs(volume: Volume) -> Iterator[tuple[int, Voxels]]:
    """Yield the first plane and the voxels of slabs that tile a volume."""
    depth, height, width = volume.shape
    planes = planes_of(volume)
    for start in range(0, depth, planes):
        yield start, volume.read((start, 0, 0), (min(start + planes, depth), height, width))


def voxel_count(volume: Volume) -> int:
    """Return how many voxels a volume has."""
    return math.prod(volume.shape)
