"""How many requests are in flight, and how many are sent a second: as many as the server takes.

The width follows the shortest latency seen, because more requests in flight than rate times latency only
cost memory. A server that answers *slow down* to more than a tenth of the requests is over its limit:
the rate then falls to what it did answer, creeps up again, and is let go once it no longer binds.
A few such answers at any rate are noise, and change nothing.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WIDEST = 256
_START = 64  # doubles with each round of answers: a server with a low limit is not met by the full width
_MOST_AT_START = 128
_FIRST_RATE = 50.0  # requests a second, from where the rate that a server takes is searched
_LEAST_RATE = 5.0
_BINDS_FROM = 0.7
_SEARCH_FACTOR = 2.0
_SEARCH_WINDOW_S = 0.3
_SEARCH_ANSWERS = 5
_NARROWEST = 64
_OBJECTS_PER_S = 3000  # more than two cores carry; with the latency it gives the width that is of use
_WINDOW_S = 0.5
_WINDOW_ANSWERS = 20
_LONGEST_WINDOW_S = 3.0
_ALARM_ANSWERS = 8
_ALARM_S = 0.005
_SHARE_OVER_LIMIT = 0.1
_SHARE_NOISE = 0.02
_LONGEST_PAUSE_S = 10.0


class Width:
    """The gate that every request passes; one for all requests to a server."""

    def __init__(self, widest: int = WIDEST, clock: Callable[[], float] = time.monotonic) -> None:
        self.widest = max(1, widest)
        self.limit = min(_START, self.widest)
        self.rate: float | None = None
        """Requests a second; None while the server has not complained."""
        self.in_flight = 0
        self._clock = clock
        self._queue: deque[asyncio.Future[None]] = deque()
        self._paused_until = 0.0
        self._next_at = 0.0
        self._ok = self._slow = 0
        self._began = clock()
        self._latency_s = math.inf
        self._latencies: deque[float] = deque(maxlen=8)
        self._windows: deque[tuple[float, int]] = deque(maxlen=8)
        self._is_starting = True
        self._most_at_start = min(_MOST_AT_START, self.widest)
        self._narrowed_at = -math.inf
        self._ceiling = math.inf
        self._quiet = 0
        self._unbound = 0
        self._silent = 0

    async def enter(self) -> None:
        """Wait for a place and a turn; every `enter` is followed by a `leave`."""
        while self.in_flight >= self.limit:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.append(place)
            try:
                await place
            except asyncio.CancelledError:
                self._wake()
                raise
        self.in_flight += 1
        if self.rate is not None or self._paused_until:
            try:
                await self._turn()
            except asyncio.CancelledError:
                self.leave()
                raise

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        if self._queue:
            self._wake()

    def answered(self, latency_s: float) -> None:
        """Count a request that the server answered."""
        self._ok += 1
        if self._is_starting and self.limit < self._most_at_start:
            self.limit += 1
            self._wake()
        if latency_s < self._latency_s:
            self._latency_s = latency_s
        if self._clock() - self._began >= self._window_s:
            self._close_window()

    def slowed(self, sent_at: float) -> None:
        """Count a request, sent at this time of the clock, that the server answered with *slow down*."""
        if sent_at < self._narrowed_at:
            return  # it was on its way already when the last such answer narrowed the width
        self._slow += 1
        self._is_starting = False
        elapsed_s = self._clock() - self._began
        is_alarm = self._slow >= _ALARM_ANSWERS and self._slow > self._ok and elapsed_s >= _ALARM_S
        if is_alarm or elapsed_s >= self._window_s:
            self._close_window(is_alarm=is_alarm)

    def pause(self, seconds: float) -> None:
        """Send nothing for a while."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    @property
    def is_over_limit(self) -> bool:
        """Whether most of the latest answers were *slow down*."""
        return self._slow > self._ok

    @property
    def _is_searching(self) -> bool:
        return self.rate is not None and self._ceiling == math.inf

    @property
    def _window_s(self) -> float:
        return _SEARCH_WINDOW_S if self._is_searching else _WINDOW_S

    async def _turn(self) -> None:
        now = self._clock()
        if self.rate is not None:
            at = max(now, self._next_at)
            self._next_at = at + 1 / self.rate
            if at > now:
                await asyncio.sleep(at - now)
        while (left_s := self._paused_until - self._clock()) > 0:
            await asyncio.sleep(left_s * random.uniform(1, 1.1))  # noqa: S311 - jitter, no secret
        if self._paused_until and self._clock() > self._paused_until + 1:
            self._paused_until = 0.0

    def _wake(self) -> None:
        free = self.limit - self.in_flight
        while free > 0 and self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                free -= 1

    def _close_window(self, *, is_alarm: bool = False) -> None:
        now = self._clock()
        elapsed_s = max(now - self._began, 1e-3)
        answers = self._ok + self._slow
        fewest = _SEARCH_ANSWERS if self._is_searching else _WINDOW_ANSWERS
        if not is_alarm and answers < fewest and elapsed_s < _LONGEST_WINDOW_S:
            return
        self._windows.append((elapsed_s, self._ok))
        self._latencies.append(self._latency_s)
        self._silent = 0 if self._ok else self._silent + 1
        share = self._slow / answers
        # One and a half standard deviations more, or a few answers of a small window would look like a limit.
        expected = _SHARE_OVER_LIMIT * answers
        if self._slow > expected + 1.5 * math.sqrt(expected):
            self._narrow(pause_s=0.1 * 2**self._silent if share > 0.5 else 0.0)
        elif self.rate is not None:
            self._widen(self._ok / elapsed_s, is_quiet=share <= _SHARE_NOISE)
        self._set_limit()
        self._is_starting = False
        self._began, self._ok, self._slow, self._latency_s = now, 0, 0, math.inf

    def _narrow(self, pause_s: float) -> None:
        recent_rate = self._recent_rate()
        if self.rate is None:
            self.rate = max(_FIRST_RATE, recent_rate)
        elif not recent_rate:
            # Not a limit but an outage: pauses keep the requests few, and the rate is searched anew after it.
            self.rate, self._ceiling = max(_LEAST_RATE, self.rate / 2), math.inf
        else:
            self.rate = self._ceiling = max(1.0, recent_rate)
        self._quiet = self._unbound = 0
        self._narrowed_at = self._clock()
        # Whoever waits for a turn at the old rate would keep the next one waiting.
        self._next_at = min(self._next_at, self._clock() + 1 / self.rate)
        if pause_s:
            self.pause(random.uniform(0.5, 1) * min(pause_s, _LONGEST_PAUSE_S))  # noqa: S311 - jitter

    def _widen(self, used_rate: float, *, is_quiet: bool) -> None:
        assert self.rate is not None
        self._unbound = self._unbound + 1 if used_rate < _BINDS_FROM * self.rate else 0
        if self._unbound >= 10:
            self.rate = None
            return
        if self._unbound:
            return
        self._quiet = self._quiet + 1 if is_quiet else 0
        if self._is_searching:
            self.rate *= _SEARCH_FACTOR
        elif self.rate < 0.9 * self._ceiling:
            self.rate = min(1.25 * self.rate, 0.95 * self._ceiling)
        else:
            self.rate *= 1 + min(0.5, 0.02 * 2 ** max(0, (self._quiet - 4) // 2))

    def _recent_rate(self) -> float:
        seconds = answers = 0.0
        for elapsed_s, ok in reversed(self._windows):
            seconds += elapsed_s
            answers += ok
            if seconds >= 1:
                break
        return answers / max(seconds, 0.25)

    def _set_limit(self) -> None:
        shortest_s = min(self._latencies)
        if not math.isfinite(shortest_s):
            shortest_s = 0.05
        useful, least = _OBJECTS_PER_S * shortest_s, _NARROWEST
        if self.rate is not None:
            useful, least = min(useful, 2 * self.rate * max(shortest_s, 0.02)), 2
        self.limit = max(1, min(self.widest, max(least, math.ceil(useful))))
        self._wake()
