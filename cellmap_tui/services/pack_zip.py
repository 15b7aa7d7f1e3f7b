"""Zips of parts: stored members with fixed times, so that the same content gives the same bytes.

A part is a file of finished members without a directory, and the list of where they are; an archive is
parts behind one another and the directory at the end. Members are not compressed here: chunks are
compressed already. Sizes of members stay below 4 GiB, the archive may be larger (zip64).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

DOS_DATE = 0x0021
"""1 January 1980, the first day that a zip can name."""
UNIX_FILE = 0o100644 << 16
_MADE_BY = (3 << 8) | 20
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64 = struct.Struct("<4sIQI")
_MAX32 = 0xFFFFFFFF
_COPY_BYTES = 4 * 2**20

Member = tuple[str, int, int, int]
"""Name, checksum, size in bytes and offset of the local header in its part."""


@dataclass(slots=True)
class PartWriter:
    """Writes members one after the other into an open file.

    Parameters
    ----------
    file
        Opened for writing, at its start.
    """

    file: IO[bytes]
    members: list[Member] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, name: str, data: bytes) -> None:
        """Append one member."""
        checksum = zlib.crc32(data)
        header = local_header(name, checksum, len(data))
        self.file.write(header)
        self.file.write(data)
        self.members.append((name, checksum, len(data), self.size_bytes))
        self.size_bytes += len(header) + len(data)


class ZipAssembler:
    """Puts parts behind one another and writes the directory at the end.

    Parameters
    ----------
    file
        Opened for writing, at its start.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._members: list[Member] = []
        self._offset = 0
        self._hash = hashlib.sha256()

    def add(self, name: str, data: bytes) -> None:
        """Append one member."""
        checksum = zlib.crc32(data)
        self._members.append((name, checksum, len(data), self._offset))
        self._write(local_header(name, checksum, len(data)) + data)

    def add_part(self, part: Path, members: Iterable[Member]) -> None:
        """Append a part."""
        start = self._offset
        with part.open("rb") as source:
            while piece := source.read(_COPY_BYTES):
                self._write(piece)
        self._members += [(name, checksum, size, start + offset) for name, checksum, size, offset in members]

    def finish(self) -> str:
        """Write the directory and return the hash of the whole file."""
        start = self._offset
        for member in self._members:
            self._write(_central_header(member))
        self._write(_end(len(self._members), start, self._offset - start))
        return self._hash.hexdigest()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._offset += len(data)


def local_header(name: str, checksum: int, size_bytes: int) -> bytes:
    """Return the header that stands before a stored member."""
    encoded, flags = _encoded(name)
    fields = (b"PK\3\4", 20, flags, 0, 0, DOS_DATE, checksum, size_bytes, size_bytes, len(encoded), 0)
    return _LOCAL.pack(*fields) + encoded


def _central_header(member: Member) -> bytes:
    name, checksum, size_bytes, offset = member
    encoded, flags = _encoded(name)
    extra = struct.pack("<2HQ", 1, 8, offset) if offset >= _MAX32 else b""
    needed = 45 if extra else 20
    fields = (
        b"PK\1\2", _MADE_BY, needed, flags, 0, 0, DOS_DATE, checksum, size_bytes, size_bytes,
        len(encoded), len(extra), 0, 0, 0, UNIX_FILE, min(offset, _MAX32),
    )  # fmt: skip
    return _CENTRAL.pack(*fields) + encoded + extra


def _end(count: int, start: int, size_bytes: int) -> bytes:
    """Return the end of the directory, with what zip64 puts before it where the archive is that large."""
    plain = _END.pack(
        b"PK\5\6", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF), min(size_bytes, _MAX32), min(start, _MAX32), 0
    )
    if count < 0xFFFF and start < _MAX32 and size_bytes < _MAX32:
        return plain
    end64 = _END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, size_bytes, start)
    return end64 + _LOCATOR64.pack(b"PK\6\7", 0, start + size_bytes, 1) + plain


def _encoded(name: str) -> tuple[bytes, int]:
    """Return a name as it is stored, and the flag that says it is UTF-8."""
    return name.encode(), 0 if name.isascii() else 0x800
