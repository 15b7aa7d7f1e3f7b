"""Follow a file of lines that another process is writing, on any disk, at any size.

The file is opened anew for every look, since network disks show fresh bytes only then. What follows
the last line break is kept until its line is whole.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CHUNK_BYTES = 1024 * 1024
"""About 4,000 events: a tenth of a second to read and draw."""

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A longer line is no event; it is passed over without being kept."""

_HEAD_BYTES = 256


class LineTail:
    """Hands out the whole lines that were added since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""
        self._head = b""
        self._is_passing_over = False
        self.at_end = False
        """Whether the last look reached the end of the file."""
        self.restarts = 0
        """How often the file was found truncated or replaced; lines handed out before belong to another file."""
        self.overlong = 0
        """Lines passed over because of their length."""

    @property
    def rest(self) -> bytes:
        """The unterminated end of the file so far; a torn line when its writer is dead."""
        return self._rest

    def read(self, max_bytes: int = CHUNK_BYTES) -> list[bytes]:
        """Return new whole lines without their line breaks, from at most `max_bytes` of the file."""
        try:
            with self._path.open("rb") as stream:
                self._start_over_if_replaced(stream.fileno())
                stream.seek(self._offset)
                data = stream.read(max_bytes)
                self.at_end = stream.tell() >= os.fstat(stream.fileno()).st_size
        except OSError:
            # Not there yet, or a network disk that is away for a moment: nothing new.
            self.at_end = True
            return []
        self._offset += len(data)
        if len(self._head) < _HEAD_BYTES:
            self._head += data[: _HEAD_BYTES - len(self._head)]
        return self._split(data)

    def _start_over_if_replaced(self, descriptor: int) -> None:
        if self._offset == 0:
            return
        is_shorter = os.fstat(descriptor).st_size < self._offset
        if is_shorter or os.pread(descriptor, len(self._head), 0) != self._head:
            self._offset, self._rest, self._head, self._is_passing_over = 0, b"", b"", False
            self.restarts += 1

    def _split(self, data: bytes) -> list[bytes]:
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = self._rest + lines[0]
            self._rest = rest
            if self._is_passing_over:
                self._is_passing_over = False
                del lines[0]
        else:
            self._rest += rest
        if len(self._rest) > MAX_LINE_BYTES:
            self.overlong += not self._is_passing_over
            self._rest, self._is_passing_over = b"", True
        return lines


def read_last_lines(path: Path, max_bytes: int) -> list[bytes]:
    """Return the whole lines in the last `max_bytes` of a file; none when there is no such file."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            start = stream.seek(max(0, size - max_bytes))
            data = stream.read(max_bytes)
    except OSError:
        return []
    lines = data.split(b"\n")
    # The last piece is unterminated or empty, the first one the end of a line unless it begins the file.
    return lines[1 if start > 0 else 0 : -1]
