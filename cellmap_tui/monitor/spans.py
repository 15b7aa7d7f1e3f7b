"""A growing file read from its newest end: the last stretch first, then backwards, then what is added.

Knows bytes and where whole items (lines, records) begin and end; not what they mean. The file is opened
anew for every look, since network disks show fresh bytes only then.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

BLOCK_BYTES = 192 * 1024
"""What is read at once: about 10 ms of decoding, so that a poll ends in time."""
MOST_ITEM_BYTES = 64 * 1024 * 1024
"""A longer item is none of ours and is passed over."""
_HEAD_BYTES = 256

Place = Literal["newest", "older", "newer"]


class Framing(Protocol):
    """Where the items of a kind of file begin and end."""

    def first(self, data: bytes) -> int | None:
        """Return where the first whole item begins in bytes from the middle of a file; None: nowhere."""

    def whole(self, data: bytes) -> int:
        """Return how many bytes whole items take, from the beginning of the data."""


class Lines:
    """Items are lines; the last one is whole with its line break."""

    def first(self, data: bytes) -> int | None:
        """Return the offset behind the first line break."""
        return data.find(b"\n") + 1 or None

    def whole(self, data: bytes) -> int:
        """Return the offset behind the last line break."""
        return data.rfind(b"\n") + 1


@dataclass(frozen=True, slots=True)
class Span:
    """Whole items of a file."""

    data: bytes
    """The items."""
    place: Place
    """Where they belong: ``newest`` comes once, before all others."""


class Spans:
    """Hands out the whole items of a file.

    Parameters
    ----------
    path
        The file; it need not be there yet.
    framing
        Where its items begin and end.
    is_forward
        Read from the beginning instead: for logs whose rows mean nothing without those before.
    """

    def __init__(self, path: Path, framing: Framing, *, is_forward: bool = False) -> None:
        self._path, self._framing, self._is_forward = path, framing, is_forward
        self._offset, self._older_stop, self._head = 0, 0, b""
        self._is_opened = self._at_end = self._is_lost = False
        self.restarts = 0
        """How often the file was found truncated or replaced; what was handed out before is void."""
        self.passed_over = 0
        """Bytes in which no item was found."""
        self.problem = ""
        """Why the file cannot be read; empty: it can, or it is not there yet."""
        self.was_seen = False
        """Whether the file was ever there."""

    @property
    def at_end(self) -> bool:
        """Whether everything that was there at the last look was handed out."""
        return self._at_end and self._older_stop == 0

    def read(self) -> Span | None:
        """Return the next whole items: those that were added first, else older ones; None: nothing now."""
        try:
            with self._path.open("rb") as stream:
                self.problem = ""
                return self._read(stream.fileno())
        except FileNotFoundError:
            self.problem = "it is gone" if self.was_seen else ""
        except OSError as error:
            self.problem = error.strerror or str(error)
        self._at_end, self._older_stop = True, 0 if not self._is_opened else self._older_stop
        return None

    def _read(self, descriptor: int) -> Span | None:
        self.was_seen = True
        size = os.fstat(descriptor).st_size
        self._start_over_if_replaced(descriptor, size)
        if not self._is_opened:
            return self._open(descriptor, size)
        span = self._newer(descriptor, size)
        return span if span is not None else self._older(descriptor)

    def _open(self, descriptor: int, size: int) -> Span | None:
        if size == 0:
            self._at_end = True
            return None
        self._is_opened = True
        self._head = os.pread(descriptor, _HEAD_BYTES, 0)
        if self._is_forward:
            return self._newer(descriptor, size, "newest")
        start, data = self._from(descriptor, size)
        length = self._framing.whole(data)
        self._older_stop, self._offset = start, start + length
        self._at_end = True
        return Span(data[:length], "newest") if length else self._older(descriptor)

    def _newer(self, descriptor: int, size: int, place: Place = "newer") -> Span | None:
        room = BLOCK_BYTES
        while True:
            data = os.pread(descriptor, room, self._offset)
            skip = self._framing.first(data) if self._is_lost else 0
            length = 0 if skip is None else self._framing.whole(data[skip:])
            if skip is not None and length:
                self._offset += skip + length
                self._is_lost = False
                self._at_end = self._offset + len(data) - skip - length >= size
                return Span(data[skip : skip + length], place)
            if self._offset + len(data) >= size and len(data) < MOST_ITEM_BYTES:
                self._at_end = True
                return None
            if len(data) >= MOST_ITEM_BYTES:
                self._offset += len(data)
                self.passed_over += len(data)
                self._is_lost, room = True, BLOCK_BYTES
            else:
                room *= 4

    def _older(self, descriptor: int) -> Span | None:
        while self._older_stop:
            self._older_stop, data = self._from(descriptor, self._older_stop)
            if data:
                return Span(data, "older")
        return None

    def _from(self, descriptor: int, stop: int) -> tuple[int, bytes]:
        """Return whole items that end at `stop`, and where they begin."""
        room = BLOCK_BYTES
        while True:
            start = max(0, stop - room)
            data = os.pread(descriptor, stop - start, start)
            first = 0 if start == 0 else self._framing.first(data)
            if first is not None and (first < len(data) or start == 0):
                return start + first, data[first:]
            if room >= MOST_ITEM_BYTES:
                self.passed_over += len(data)
                return start, b""
            room *= 4

    def _start_over_if_replaced(self, descriptor: int, size: int) -> None:
        if not self._is_opened:
            return
        is_other = size < self._offset or os.pread(descriptor, len(self._head), 0) != self._head
        if is_other:
            self._start_over()
            self.restarts += 1
        elif len(self._head) < _HEAD_BYTES:
            self._head = os.pread(descriptor, _HEAD_BYTES, 0)

    def _start_over(self) -> None:
        self._offset, self._older_stop, self._head = 0, 0, b""
        self._is_opened = self._at_end = self._is_lost = False
