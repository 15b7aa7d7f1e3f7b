"""The records of TensorBoard event files: where they begin, and which of them are whole.

A record is its length (8 bytes), the length's checksum, the data, and the data's checksum. The `tensorboard`
package checks these byte by byte in Python and only from a file's beginning; here checksums of a whole stretch
are computed side by side, so that a file can be read from its end and what is damaged is passed over.
"""

from __future__ import annotations

import struct
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES, FOOTER_BYTES = 12, 4
MOST_CHECKED_BYTES = 1024
"""Longer records hold no scalars but pictures and histograms, of which only the names would be looked at."""
MOST_RECORD_BYTES = 2**31
_MASK = 0xA282EAD8
_SCAN_BYTES = 16 * 1024
_header = struct.Struct("<QI")
_footer = struct.Struct("<I")

Bytes = NDArray[np.uint8]


class EventRecords:
    """Framing of event files, for `spans.Spans`."""

    def first(self, data: bytes) -> int | None:
        """Return the offset of the first record."""
        return next_record(data, 0)

    def whole(self, data: bytes) -> int:
        """Return the offset behind the last whole record; damaged stretches before it are taken with it."""
        records = record_places(data)
        return sum(records[-1]) + FOOTER_BYTES if records else 0


def whole_records(data: bytes) -> tuple[list[bytes], int]:
    """Return the data of records whose checksums hold, and how many were passed over."""
    places = record_places(data)
    if not places:
        return [], 0
    good = _are_whole(np.frombuffer(data, np.uint8), places, data)
    records = [data[start : start + length] for (start, length), is_good in zip(places, good, strict=True) if is_good]
    return records, len(places) - len(records)


def record_places(data: bytes) -> list[tuple[int, int]]:
    """Return where the data of each record begins, and its length; what cannot be framed is passed over."""
    found, offset, stop = [], 0, len(data)
    while offset + HEADER_BYTES <= stop:
        length, told = _header.unpack_from(data, offset)
        if told != _length_checksum(length):
            after = next_record(data, offset + 1)
            if after is None:
                break
            offset = after
            continue
        begin = offset + HEADER_BYTES
        if begin + length + FOOTER_BYTES > stop:
            break
        found.append((begin, length))
        offset = begin + length + FOOTER_BYTES
    return found


def next_record(data: bytes, start: int) -> int | None:
    """Return where the next record begins, at `start` or behind it; None: nowhere."""
    array = np.frombuffer(data, np.uint8)
    for begin in range(start, len(data) - HEADER_BYTES + 1, _SCAN_BYTES):
        part = array[begin : begin + _SCAN_BYTES + HEADER_BYTES - 1]
        for offset in _header_offsets(part):
            if _goes_on(data, begin + offset):
                return begin + offset
    return None


def _goes_on(data: bytes, offset: int) -> bool:
    """Return whether what follows a seeming record is one too, as far as there is more."""
    length, _ = _header.unpack_from(data, offset)
    if length > MOST_RECORD_BYTES:
        return False
    after = offset + HEADER_BYTES + length + FOOTER_BYTES
    if after + HEADER_BYTES > len(data):
        return True
    length, told = _header.unpack_from(data, after)
    return told == _length_checksum(length) or offset == 0


def _header_offsets(part: Bytes) -> list[int]:
    count = len(part) - HEADER_BYTES + 1
    if count <= 0:
        return []
    checksums = np.full(count, 0xFFFFFFFF, np.uint32)
    for index in range(8):
        checksums = _table()[(checksums ^ part[index : index + count]) & 0xFF] ^ (checksums >> np.uint32(8))
    told = np.zeros(count, np.uint32)
    for index in range(4):
        told |= part[8 + index : 8 + index + count].astype(np.uint32) << np.uint32(8 * index)
    return [int(offset) for offset in np.flatnonzero(_masked(checksums ^ np.uint32(0xFFFFFFFF)) == told)]


def _are_whole(array: Bytes, places: list[tuple[int, int]], data: bytes) -> list[bool]:
    """Return which records have the checksum that they tell; longer ones than are checked count as whole."""
    starts, lengths = (np.array(column, np.int64) for column in zip(*places, strict=True))
    order = np.argsort(-np.where(lengths > MOST_CHECKED_BYTES, 0, lengths), kind="stable")
    starts, lengths = starts[order], np.where(lengths > MOST_CHECKED_BYTES, 0, lengths)[order]
    checksums = np.full(len(starts), 0xFFFFFFFF, np.uint32)
    counts = np.searchsorted(-lengths, -np.arange(1, int(lengths[0]) + 1), side="right")
    for index, count in enumerate(counts.tolist()):
        here = checksums[:count]
        checksums[:count] = _table()[(here ^ array[starts[:count] + index]) & 0xFF] ^ (here >> np.uint32(8))
    computed = _masked(checksums ^ np.uint32(0xFFFFFFFF)).tolist()
    good = [True] * len(places)
    for place, length, checksum in zip(order.tolist(), lengths.tolist(), computed, strict=True):
        start, whole = places[place]
        if whole == length:
            good[place] = _footer.unpack_from(data, start + length)[0] == checksum
    return good


def checksum(data: bytes) -> int:
    """Return the masked CRC-32C of a few bytes, as event files hold it."""
    table, found = _plain_table(), 0xFFFFFFFF
    for byte in data:
        found = table[(found ^ byte) & 0xFF] ^ (found >> 8)
    found ^= 0xFFFFFFFF
    return (((found >> 15) | (found << 17)) + _MASK) & 0xFFFFFFFF


@lru_cache(maxsize=4096)
def _length_checksum(length: int) -> int:
    return checksum(length.to_bytes(8, "little"))


@cache
def _plain_table() -> list[int]:
    return [int(entry) for entry in _table()]


def _masked(checksums: NDArray[np.uint32]) -> NDArray[np.uint32]:
    rotated = (checksums >> np.uint32(15)) | (checksums << np.uint32(17))
    return rotated + np.uint32(_MASK)


@cache
def _table() -> NDArray[np.uint32]:
    """Return the table of CRC-32C (Castagnoli), reflected polynomial 0x82F63B78."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1).astype(np.uint32)
    return table
