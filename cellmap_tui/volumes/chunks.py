"""Chunks of a level decoded without zarr: a third of the time for small chunks, and threads do not wait.

Only what the challenge's own data use: Zarr v2, one compressor that says how much it unpacks to, no
filters. Whatever else a level is, it is read by `arrays`, so the answer is always the same.
"""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.errors import DataError
from cellmap_tui.text import printable
from cellmap_tui.volumes.arrays import chunk_box, chunk_file, chunks_of, open_level, read_inside
from cellmap_tui.volumes.metadata import read_json

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.geometry import Box
    from cellmap_tui.volumes.ngff import Level

KEPT_BYTES = 32 * 2**20
"""Decoded chunks kept for the next box: one that cuts a chunk decodes it once."""
_COMPRESSORS = ("blosc", "zstd", "gzip", "zlib")


class ChunkReader:
    """Reads boxes of one level; not to be shared by threads.

    Parameters
    ----------
    level
        The level.
    kept_bytes
        Decoded chunks that are kept.
    """

    def __init__(self, level: Level, kept_bytes: int = KEPT_BYTES) -> None:
        self.level = level
        self._codec: Any = None
        self._is_open = False
        self._kept: OrderedDict[Shape3, Voxels | None] = OrderedDict()
        self._room = max(1, kept_bytes // self._chunk_bytes)

    @property
    def _chunk_bytes(self) -> int:
        return math.prod(self.level.chunks) * self.level.dtype.itemsize

    def read(self, box: Box) -> Voxels | None:
        """Return the voxels of a box that lies inside the level; None where no chunk of it is on disk.

        The array may be read-only.

        Raises
        ------
        DataError
            If a chunk is broken; names its file.
        """
        numbers = list(chunks_of(box, self.level.chunks))
        chunks = {number: self._chunk(number) for number in numbers}
        if all(chunk is None for chunk in chunks.values()):
            return None
        if len(numbers) == 1:
            return _part(chunks[numbers[0]], numbers[0], self.level.chunks, box)
        found = np.full(box.shape, self.level.fill_value, self.level.dtype)
        for number, chunk in chunks.items():
            if chunk is not None:
                piece = chunk_box(number, self.level.chunks).intersected(box)
                z, y, x = (-a for a in box.start)
                found[piece.shifted((z, y, x)).slices] = _part(chunk, number, self.level.chunks, piece)
        return found

    def _chunk(self, number: Shape3) -> Voxels | None:
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        chunk = self._load(number)
        self._kept[number] = chunk
        while len(self._kept) > self._room:
            self._kept.popitem(last=False)
        return chunk

    def _load(self, number: Shape3) -> Voxels | None:
        if not self._is_open:
            self._codec = _codec(self.level)
            self._is_open = True
        try:
            data = chunk_file(self.level, number).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(printable(f"{chunk_file(self.level, number)}: {error.strerror}")) from None
        buffer = self._unpacked(data) if self._codec is not None else None
        # What is broken goes to zarr, which says what is wrong with it.
        if buffer is None or len(buffer) != self._chunk_bytes:
            return self._by_zarr(number)
        return np.frombuffer(buffer, self.level.dtype).reshape(self.level.chunks)

    def _unpacked(self, data: bytes) -> Any:
        if self._codec.codec_id == "blosc" and _declared_bytes(data) != self._chunk_bytes:
            return None
        try:
            return self._codec.decode(data)
        except Exception:  # noqa: BLE001 - a codec raises whatever it likes on a broken chunk
            return None

    def _by_zarr(self, number: Shape3) -> Voxels:
        inside = chunk_box(number, self.level.chunks).clipped(self.level.shape)
        found = read_inside(self.level, open_level(self.level), inside)
        if found.shape == self.level.chunks:
            return found
        chunk = np.zeros(self.level.chunks, self.level.dtype)
        chunk[tuple(slice(0, n) for n in found.shape)] = found
        return chunk


def _part(chunk: Voxels | None, number: Shape3, chunks: Shape3, box: Box) -> Voxels | None:
    if chunk is None:
        return None
    z, y, x = (-a for a in chunk_box(number, chunks).start)
    return chunk[box.shifted((z, y, x)).slices]


def _codec(level: Level) -> Any:
    """Return the decoder of a level whose chunks need nothing else, else None."""
    from numcodecs import get_codec

    array = read_json(level.path / ".zarray").value
    if not isinstance(array, dict):
        return None
    compressor = array.get("compressor")
    is_plain = not array.get("filters") and array.get("order", "C") == "C" and level.dtype.isnative
    if not is_plain or not isinstance(compressor, dict) or compressor.get("id") not in _COMPRESSORS:
        return None
    try:
        return get_codec(dict(compressor))
    except Exception:  # noqa: BLE001 - numcodecs raises what it likes on foreign settings; zarr says it in words
        return None


def _declared_bytes(data: bytes) -> int | None:
    """Return what a Blosc chunk unpacks to; None if it is cut off, which the library would read beyond."""
    if len(data) < 16 or struct.unpack_from("<I", data, 12)[0] > len(data):
        return None
    return int(struct.unpack_from("<I", data, 4)[0])
