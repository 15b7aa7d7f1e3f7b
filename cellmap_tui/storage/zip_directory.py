"""Read the central directory of a zip archive, entry by entry, from a file or over the network.

The standard library's `zipfile` keeps every entry in memory, about 1 kB each; the archives here have
millions. What is read is only taken apart here; whether an entry may be unpacked is decided in
`zip_members`. Zip64 is understood, archives on several disks and prefixed ones are not.

Format: PKWARE APPNOTE 6.3.10, sections 4.3.7 to 4.5.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cellmap_tui.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = 0xFFFF
_ZIP64_FIELD = 1


class BrokenArchiveError(DataError):
    """The bytes are not those of a whole zip archive; fetching them again may help."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory lies and how much it lists."""

    offset: int
    """Its first byte."""
    size_bytes: int
    """Its size."""
    members: int
    """Number of entries."""


class Entry(NamedTuple):
    """What the central directory says of one member; a tuple, because archives have millions."""

    name: str
    """Its name as stored."""
    raw_name: bytes
    """The bytes of its name."""
    flags: int
    """General purpose bits."""
    method: int
    """Compression: 0 stored, 8 deflated."""
    crc: int
    """CRC-32 of the unpacked bytes."""
    packed_bytes: int
    """Size in the archive."""
    size_bytes: int
    """Size unpacked."""
    header_offset: int
    """First byte of its local header."""
    made_on: int
    """System that it was made on; 3 is Unix."""
    attributes: int
    """External attributes; on Unix the upper half is the mode."""


def find_directory(read_at: Callable[[int, int], bytes], size_bytes: int) -> Directory:
    """Find the central directory from the end of an archive.

    Raises
    ------
    BrokenArchiveError
        If it is no zip archive, is cut off, lies on several disks, or has something in front of it.
    """
    tail_start = max(0, size_bytes - _END.size - _LONGEST_COMMENT)
    tail = read_at(tail_start, size_bytes - tail_start)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise _broken("its end record is missing")
    _, disk, first_disk, here, members, size, offset, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment != len(tail):
        raise _broken("its end record does not end the file")
    end = tail_start + at
    wide = _zip64_end(read_at, end)
    if wide is not None:
        end, disk, first_disk, here, members, size, offset = wide
    if disk or first_disk or here != members:
        raise _broken("it is one of several volumes")
    if offset + size != end:
        raise _broken("its directory is not where the end record says")
    return Directory(offset, size, members)


def read_entries(
    read_at: Callable[[int, int], bytes], directory: Directory, *, block_bytes: int = 4 << 20
) -> Iterator[Entry]:
    """Yield the entries of the central directory, in its order.

    Raises
    ------
    BrokenArchiveError
        If it is damaged or does not list as many entries as announced.
    """
    at, end = directory.offset, directory.offset + directory.size_bytes
    rest = b""
    seen = 0
    while True:
        block = read_at(at, min(block_bytes, end - at))
        at += len(block)
        data, position = rest + block, 0
        while (parsed := _entry(data, position)) is not None:
            entry, position = parsed
            seen += 1
            yield entry
        rest = data[position:]
        if at >= end or not block:
            break
    if rest or seen != directory.members:
        raise _broken(f"its directory lists {seen} members of {directory.members}")


def first_entries(read_at: Callable[[int, int], bytes], directory: Directory, count_bytes: int) -> list[Entry]:
    """Return the whole entries among the first bytes of the central directory: a sample, for an estimate."""
    data, position = read_at(directory.offset, min(count_bytes, directory.size_bytes)), 0
    entries = []
    while (parsed := _entry(data, position)) is not None:
        entry, position = parsed
        entries.append(entry)
    return entries


def data_offset(read_at: Callable[[int, int], bytes], entry: Entry) -> int:
    """Return where the packed bytes of a member begin.

    Raises
    ------
    BrokenArchiveError
        If its local header is damaged or names another member than the directory does.
    """
    header = read_at(entry.header_offset, _LOCAL.size + len(entry.raw_name))
    if len(header) < _LOCAL.size + len(entry.raw_name) or not header.startswith(b"PK\3\4"):
        raise _broken(f"member {entry.name!r} has no local header")
    fields = _LOCAL.unpack_from(header)
    flags, method, name_bytes, extra_bytes = fields[2], fields[3], fields[9], fields[10]
    if header[_LOCAL.size :] != entry.raw_name or name_bytes != len(entry.raw_name) or method != entry.method:
        raise _broken(f"member {entry.name!r} has another local header")
    if (flags ^ entry.flags) & 1:
        raise _broken(f"member {entry.name!r} is encrypted in one place only")
    return int(entry.header_offset + len(header) + extra_bytes)


def _zip64_end(read_at: Callable[[int, int], bytes], end: int) -> tuple[int, int, int, int, int, int, int] | None:
    """Return the zip64 end record: its place, then its fields; None when the archive has none."""
    locator = read_at(max(0, end - _END64_LOCATOR.size), min(end, _END64_LOCATOR.size))
    if len(locator) < _END64_LOCATOR.size or not locator.startswith(b"PK\6\7"):
        return None
    at = _END64_LOCATOR.unpack(locator)[2]
    record = read_at(at, _END64.size) if at < end else b""
    if len(record) < _END64.size or not record.startswith(b"PK\6\6"):
        raise _broken("its zip64 end record is missing")
    return at, *_END64.unpack(record)[4:]


def _entry(data: bytes, at: int) -> tuple[Entry, int] | None:
    """Return the entry at a place and where the next begins; None when it is not whole."""
    if len(data) - at < _ENTRY.size:
        return None
    fields = _ENTRY.unpack_from(data, at)
    if fields[0] != b"PK\1\2":
        raise _broken("its directory is damaged")
    name_bytes, extra_bytes, comment_bytes = fields[10:13]
    name_at = at + _ENTRY.size
    extra_at = name_at + name_bytes
    after = extra_at + extra_bytes + comment_bytes
    if after > len(data):
        return None
    raw = data[name_at:extra_at]
    flags, sizes = fields[3], (fields[9], fields[8], fields[16])
    if 0xFFFFFFFF in sizes:
        sizes = _zip64_sizes(sizes, data[extra_at : extra_at + extra_bytes])
    entry = Entry(
        name=raw.decode("utf-8" if flags & 0x800 else "cp437", errors="replace"),
        raw_name=raw,
        flags=flags,
        method=fields[4],
        crc=fields[7],
        size_bytes=sizes[0],
        packed_bytes=sizes[1],
        header_offset=sizes[2],
        made_on=fields[1] >> 8,
        attributes=fields[15],
    )
    return entry, after


def _zip64_sizes(sizes: tuple[int, int, int], extra: bytes) -> tuple[int, int, int]:
    """Return size, packed size and offset with those that did not fit taken from the zip64 field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == _ZIP64_FIELD:
            wide = extra[at + 4 : at + 4 + length]
            break
        at += 4 + length
    else:
        raise _broken("a member has a zip64 size and no zip64 field")
    values = list(sizes)
    position = 0
    for index, value in enumerate(values):
        if value == 0xFFFFFFFF:
            if position + 8 > len(wide):
                raise _broken("a zip64 field is too short")
            (values[index],) = struct.unpack_from("<Q", wide, position)
            position += 8
    return values[0], values[1], values[2]


def _broken(why: str) -> BrokenArchiveError:
    return BrokenArchiveError(f"not a usable zip archive: {why}")
