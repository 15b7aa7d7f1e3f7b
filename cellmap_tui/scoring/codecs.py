"""Decoding chunks of foreign arrays: known codecs only, and never more bytes than the chunk declares.

A codec of Python objects would run foreign code, and a small chunk may unpack to gigabytes: both are
refused before anything is unpacked.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cellmap_tui.errors import DataError
from cellmap_tui.scoring.blosc_blocks import blocks_with, packed_together, unpacked_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellmap_tui.volumes.metadata import Node

COMPRESSORS = ("blosc", "zlib", "gzip", "bz2", "lzma", "zstd", "lz4")
FILTERS = ("shuffle", "delta", "fixedscaleoffset", "bitround", "quantize", "astype")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class _Codec(Protocol):
    def decode(self, data: Any, out: Any = None) -> Any:
        """Return the decoded buffer."""

    def encode(self, data: Any) -> Any:
        """Return the encoded buffer."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How the chunks of one array are unpacked."""

    compressor: str | None
    """Name of the compressor; None: not compressed."""
    _decoder: _Codec | None
    _filters: tuple[_Codec, ...]

    def decode(self, data: bytes, chunk_bytes: int) -> Any:
        """Return a buffer with the `chunk_bytes` bytes of a chunk.

        Raises
        ------
        ValueError
            If the chunk is broken or holds another number of bytes.
        """
        buffer: Any = data if self.compressor is None else self._unpacked(data, chunk_bytes)
        for item in reversed(self._filters):
            buffer = item.decode(buffer)
        if self._filters:
            buffer = np.ascontiguousarray(buffer).reshape(-1).view(np.uint8)
        if len(buffer) != chunk_bytes:
            raise ValueError(f"holds {len(buffer)} bytes in place of {chunk_bytes}")
        return buffer

    @property
    def has_blocks(self) -> bool:
        """Whether a part of a chunk can be unpacked without the rest."""
        return self.compressor == "blosc" and not self._filters

    def decode_part(
        self, data: bytes, start: int, stop: int, chunk_bytes: int, scratch: NDArray[np.uint8] | None = None
    ) -> Any:
        """Return a buffer with the bytes from `start` to `stop` of a chunk, as `decode` does with all of them.

        Parts are unpacked into `scratch`, where they fit: fresh memory costs more than the unpacking.
        """
        part = blocks_with(data, start, stop, chunk_bytes) if self.has_blocks else None
        if part is None:
            whole = self.decode(data, chunk_bytes)
            return whole if (start, stop) == (0, chunk_bytes) else memoryview(whole)[start:stop]
        packed, first = part
        count = unpacked_bytes(packed)
        if scratch is None or len(scratch) < count:
            return self._unpacked(packed, count)[start - first : stop - first]
        assert self._decoder is not None
        self._decoder.decode(packed, scratch[:count])
        return scratch[start - first : stop - first]

    def block_bytes(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
        """Return how many bytes of a chunk of this shape are packed together."""
        assert self._decoder is not None
        return packed_together(self._decoder.encode(np.zeros(shape, dtype)))

    def _unpacked(self, data: bytes, chunk_bytes: int) -> Any:
        # Filters may change the size of elements, so allow for the widest.
        limit = chunk_bytes * 8 if self._filters else chunk_bytes
        stream = _STREAMS.get(self.compressor or "")
        if stream is not None:
            return _bounded(stream, data, limit)
        declared = _declared_bytes(self.compressor or "", data)
        if declared is not None and (declared > limit or (not self._filters and declared != chunk_bytes)):
            raise ValueError(f"declares {declared} bytes in place of {chunk_bytes}")
        out = np.empty(limit if declared is None else declared, np.uint8)
        if self._decoder is None:  # pragma: no cover - every compressor that is not a stream has a decoder
            raise ValueError("no decoder")
        self._decoder.decode(data, out)
        return out


def read_codec(array: Node) -> Codec:
    """Return the codec that the ``.zarray`` of an array names.

    Raises
    ------
    DataError
        If it is not one of the known codecs; names file and key.
    """
    node = array.find("compressor")
    name, decoder = None, None
    if node is not None and node.value is not None:
        name = _name(node, COMPRESSORS)
        decoder = None if name in _STREAMS else _numcodec(node)
    filters = array.find("filters")
    if filters is None or filters.value is None:
        return Codec(name, decoder, ())
    items = []
    for item in filters.items():
        _name(item, FILTERS)
        items.append(_numcodec(item))
    return Codec(name, decoder, tuple(items))


def _name(node: Node, known: tuple[str, ...]) -> str:
    name = node.get("id").text()
    if name not in known:
        raise node.get("id").wrong(f"codec {name!r} is not among {', '.join(known)}")
    return name


def _numcodec(node: Node) -> _Codec:
    from numcodecs import get_codec

    if not isinstance(node.value, dict):
        raise node.wrong("must be an object")
    try:
        codec: _Codec = get_codec(dict(node.value))
    except Exception as error:  # noqa: BLE001 - numcodecs raises whatever its constructors do on foreign settings
        raise DataError(node.wrong(f"settings are refused: {str(error)[:100]}").message) from None
    return codec


def _bounded(start: Callable[[], Any], data: bytes, limit: int) -> bytes:
    unpacker = start()
    found: bytes = unpacker.decompress(data, limit + 1)
    if len(found) > limit:
        raise ValueError(f"unpacks to more than {limit} bytes")
    return found


_STREAMS: dict[str, Callable[[], Any]] = {
    "zlib": lambda: zlib.decompressobj(),
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "bz2": bz2.BZ2Decompressor,
    "lzma": lzma.LZMADecompressor,
}
"""Compressors that the standard library unpacks piece by piece."""


def _declared_bytes(compressor: str, data: bytes) -> int | None:
    """Return the size that a compressed chunk declares in its header, None where it does not say."""
    if compressor == "blosc":
        # The library trusts the header: without this check it reads beyond the end of the chunk.
        if len(data) < 16 or struct.unpack_from("<I", data, 12)[0] > len(data):
            raise ValueError("is cut off")
        return int(struct.unpack_from("<I", data, 4)[0])
    if compressor == "lz4":
        if len(data) < 4:
            raise ValueError("is cut off")
        return int(struct.unpack_from("<I", data, 0)[0])
    return _zstd_bytes(data)


def _zstd_bytes(data: bytes) -> int | None:
    # Frame header of RFC 8878, section 3.1.1.1.
    if len(data) < 6 or data[:4] != _ZSTD_MAGIC:
        raise ValueError("is not a Zstandard frame")
    descriptor = data[4]
    is_single = bool(descriptor & 0x20)
    width = (1 if is_single else 0, 2, 4, 8)[descriptor >> 6]
    start = 5 + (not is_single) + (0, 1, 2, 4)[descriptor & 3]
    if width == 0:
        return None
    value = int.from_bytes(data[start : start + width], "little")
    return value + 256 if width == 2 else value
