"""Limits of bytes: a second, for links that others need too, and in memory."""

from __future__ import annotations

import asyncio
import time
from collections import deque

_BURST_S = 0.25


class Pace:
    """Lets bytes through at a rate; each request waits its turn before it is sent."""

    def __init__(self, bytes_per_s: float | None) -> None:
        self._rate = bytes_per_s
        self._free_at = 0.0

    async def take(self, size_bytes: int) -> None:
        """Wait until `size_bytes` more may be asked for."""
        if self._rate is None:
            return
        now = time.monotonic()
        begins = max(now - _BURST_S, self._free_at)
        self._free_at = begins + size_bytes / self._rate
        if begins > now:
            await asyncio.sleep(begins - now)


class MemoryGate:
    """Lets so many bytes be on their way at a time; one object always passes, however large."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._used = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    async def enter(self, size_bytes: int) -> None:
        """Wait until `size_bytes` fit; to be followed by a `leave` of as many."""
        while self._used and self._used + size_bytes > self._most:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.append(place)
            await place
        self._used += size_bytes

    def leave(self, size_bytes: int) -> None:
        """Give the bytes back."""
        self._used -= size_bytes
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
