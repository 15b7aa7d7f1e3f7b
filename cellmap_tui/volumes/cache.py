"""Decoded chunks kept for the next look: stepping through slices reads each chunk once.

Chunks that are not on disk are one value, never an array: most of a label group is such.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.volumes.arrays import Voxels, chunk_box, chunks_of, has_chunk, open_level, read_inside
from cellmap_tui.volumes.geometry import Box

if TYPE_CHECKING:
    from pathlib import Path

    import zarr

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.ngff import Level

BUDGET_BYTES = 192 * 2**20
_ENTRY_BYTES = 200
"""What an entry without an array costs."""

_Key = tuple["Path", "Shape3"]


class ChunkCache:
    """Reads boxes of levels through a cache of chunks, the least recently used dropped first.

    Threads may share it; they wait for each other.

    Parameters
    ----------
    budget_bytes
        What the cached chunks may hold in memory.
    """

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._budget_bytes = budget_bytes
        self._held_bytes = 0
        self._chunks: OrderedDict[_Key, Voxels] = OrderedDict()
        self._arrays: dict[Path, zarr.Array[Any]] = {}
        self._lock = threading.Lock()

    def read(self, level: Level, box: Box) -> Voxels:
        """Return the voxels of a box that lies inside the array.

        Raises
        ------
        DataError
            If the array or one of its chunks is broken.
        """
        with self._lock:
            return self._read(level, box)

    def clear(self) -> None:
        """Forget everything, for instance because files have changed."""
        with self._lock:
            self._chunks.clear()
            self._arrays.clear()
            self._held_bytes = 0

    def _read(self, level: Level, box: Box) -> Voxels:
        numbers = list(chunks_of(box, level.chunks))
        found = {number: self._held(level, number) for number in numbers}
        missing = [number for number, chunk in found.items() if chunk is None]
        if missing:
            found.update(self._load(level, missing))
        out = np.empty(box.shape, level.dtype)
        for number, chunk in found.items():
            _paste(out, box, chunk, chunk_box(number, level.chunks).clipped(level.shape))
        self._shrink()
        return out

    def _held(self, level: Level, number: Shape3) -> Voxels | None:
        key = (level.path, number)
        chunk = self._chunks.get(key)
        if chunk is not None:
            self._chunks.move_to_end(key)
        elif not has_chunk(level, number):
            chunk = np.asarray(level.fill_value).astype(level.dtype)
            self._keep(key, chunk)
        return chunk

    def _load(self, level: Level, numbers: list[Shape3]) -> dict[Shape3, Voxels]:
        """Read chunks with one call to zarr, which decodes them in its threads."""
        corners = np.array(numbers)
        low, high = corners.min(axis=0), corners.max(axis=0)
        first = chunk_box((int(low[0]), int(low[1]), int(low[2])), level.chunks)
        last = chunk_box((int(high[0]), int(high[1]), int(high[2])), level.chunks)
        around = Box(first.start, last.stop).clipped(level.shape)
        block = read_inside(level, self._array(level), around)
        loaded = {}
        for number in numbers:
            z, y, x = (-a for a in around.start)
            part = block[chunk_box(number, level.chunks).clipped(level.shape).shifted((z, y, x)).slices]
            value = part[0, 0, 0]
            loaded[number] = value.reshape(()) if (part == value).all() else part.copy()
            self._keep((level.path, number), loaded[number])
        return loaded

    def _array(self, level: Level) -> zarr.Array[Any]:
        if level.path not in self._arrays:
            self._arrays[level.path] = open_level(level)
        return self._arrays[level.path]

    def _keep(self, key: _Key, chunk: Voxels) -> None:
        self._chunks[key] = chunk
        self._held_bytes += chunk.nbytes + _ENTRY_BYTES

    def _shrink(self) -> None:
        while self._held_bytes > self._budget_bytes:
            _, chunk = self._chunks.popitem(last=False)
            self._held_bytes -= chunk.nbytes + _ENTRY_BYTES


def _paste(out: Voxels, box: Box, chunk: Voxels | None, place: Box) -> None:
    common = place.intersected(box)
    if chunk is None or common.is_empty:
        return
    z, y, x = (-a for a in box.start)
    target = common.shifted((z, y, x)).slices
    if chunk.ndim == 0:
        out[target] = chunk
    else:
        z, y, x = (-a for a in place.start)
        out[target] = chunk[common.shifted((z, y, x)).slices]
