"""The blocks of a Blosc chunk: a chunk is packed in pieces, and a few of them are a chunk of their own.

A plane of a 64³ chunk lies in one block of four or more, so that looking at it need not unpack the others.
Version 2 of the format: https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst
"""

from __future__ import annotations

import struct

_HEADER = struct.Struct("<BBBBIII")
_VERSION = 2
_IS_COPIED = 0x2
_RESERVED = 0x8


def packed_together(data: bytes) -> int:
    """Return how many bytes are packed together in each piece of a chunk; 0 where it does not say."""
    return int(_HEADER.unpack_from(data)[5]) if len(data) >= _HEADER.size else 0


def unpacked_bytes(data: bytes) -> int:
    """Return how many bytes a chunk holds, as it says."""
    return int(_HEADER.unpack_from(data)[4])


def blocks_with(data: bytes, start: int, stop: int, chunk_bytes: int) -> tuple[bytes, int] | None:
    """Return the part of a chunk that holds some of its bytes, as a chunk, and the byte at which it begins.

    Parameters
    ----------
    data
        A chunk as it is stored.
    start, stop
        Unpacked bytes that are wanted.
    chunk_bytes
        Unpacked bytes of the whole chunk.

    Returns
    -------
    tuple[bytes, int] or None
        None where only the whole chunk will do, or will say what is wrong with it.
    """
    if len(data) < _HEADER.size:
        return None
    version, library, flags, type_bytes, all_bytes, block, stored = _HEADER.unpack_from(data)
    is_known = version == _VERSION and not flags & (_IS_COPIED | _RESERVED) and all_bytes == chunk_bytes
    if not is_known or stored > len(data) or not 0 < block <= all_bytes:
        return None
    count = -(-all_bytes // block)
    first, last = start // block, -(-stop // block)
    # A last block that is shorter is packed in another way.
    if last * block > all_bytes or last - first == count or _HEADER.size + 4 * count > stored:
        return None
    starts = struct.unpack_from(f"<{count}I", data, _HEADER.size)
    pieces = _pieces(data, starts, first, last, stored)
    if pieces is None:
        return None
    at, places = _HEADER.size + 4 * len(pieces), []
    for piece in pieces:
        places.append(at)
        at += len(piece)
    header = _HEADER.pack(version, library, flags, type_bytes, block * len(pieces), block, at)
    return b"".join((header, struct.pack(f"<{len(places)}I", *places), *pieces)), first * block


def _pieces(data: bytes, starts: tuple[int, ...], first: int, last: int, stored: int) -> list[bytes] | None:
    """Return the packed blocks; they may lie in any order."""
    after = dict(zip(ordered := sorted({*starts, stored}), ordered[1:], strict=False))
    low = _HEADER.size + 4 * len(starts)
    if len(ordered) != len(starts) + 1 or ordered[0] < low or ordered[-1] != stored:
        return None
    return [data[start : after[start]] for start in starts[first:last]]
