"""What of a large piece of work is done, kept in a file that survives a kill at any moment.

The first line says what the work is (as JSON); each further line is the number of a finished part.
Lines are only appended, whole; a torn last line is a part that is done once more. A journal of other
work is started over.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


def read_parts(path: Path, work: Mapping[str, object], count: int) -> bytearray:
    """Return a 1 for every finished part of that work; all 0 when the file is not there or of other work."""
    return _parsed(path, _header(work), count)[0]


class PartsJournal:
    """Which of `count` parts of a piece of work are done; safe to use from several threads.

    Parameters
    ----------
    path
        The file; made if it does not exist.
    work
        What the work is. A file that was written for anything else is replaced.
    count
        Number of parts.
    """

    def __init__(self, path: Path, work: Mapping[str, object], count: int) -> None:
        self._path = path
        self._header = _header(work)
        self._guard = threading.Lock()
        self._done, is_whole = _parsed(path, self._header, count)
        self.is_resumed = any(self._done)
        """Whether earlier work goes on."""
        if not is_whole:
            self._write(part for part, is_done in enumerate(self._done) if is_done)
        self._file = path.open("ab", buffering=0)

    @property
    def done(self) -> int:
        """Number of finished parts."""
        return sum(self._done)

    def is_done(self, part: int) -> bool:
        """Return whether a part is finished."""
        return bool(self._done[part])

    def missing(self) -> Iterator[int]:
        """Yield the parts that are not finished, in order."""
        return (part for part, is_done in enumerate(self._done) if not is_done)

    def add(self, *parts: int) -> None:
        """Write down that parts are finished; their data must be safe by then."""
        with self._guard:
            os.write(self._file.fileno(), b"".join(b"%d\n" % part for part in parts))
            for part in parts:
                self._done[part] = 1

    def drop(self, parts: Iterable[int]) -> None:
        """Write down that parts have to be done again."""
        with self._guard:
            for part in parts:
                self._done[part] = 0
            self._file.close()
            self._write(part for part, is_done in enumerate(self._done) if is_done)
            self._file = self._path.open("ab", buffering=0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, parts: Iterable[int]) -> None:
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        temporary.write_bytes(self._header + b"".join(b"%d\n" % part for part in parts))
        temporary.replace(self._path)


def _header(work: Mapping[str, object]) -> bytes:
    return json.dumps(work, sort_keys=True).encode() + b"\n"


def _parsed(path: Path, header: bytes, count: int) -> tuple[bytearray, bool]:
    """Return the finished parts, and whether the file is of this work and ends with a whole line."""
    done = bytearray(count)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return done, False
    if not data.startswith(header):
        return done, False
    *lines, torn = data[len(header) :].split(b"\n")
    for line in lines:
        if line.isdigit() and int(line) < count:
            done[int(line)] = 1
    return done, not torn
