"""Whether the server is there at all, so that a cable out for a minute fails nothing.

A request that fails while others are answered is that request's own trouble. When nothing is answered,
the server is asked for next to nothing until it answers again, and whoever failed waits for that.
"""

from __future__ import annotations

import asyncio
import random
import time
from itertools import count
from typing import TYPE_CHECKING, Protocol

from cellmap_tui.storage.faults import Fault, FaultError, Kind, classify
from cellmap_tui.text import duration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 10.0
_FIRST_CONTACT_S = 120.0  # a mistyped address should not wait as long as a cable that was pulled


class Listener(Protocol):
    """Who is told that the work waits."""

    def waiting(self, since_s: float, reason: str) -> None:
        """Tell that nothing is answered since this Unix time, and why."""

    def resumed(self, waited_s: float) -> None:
        """Tell that the server answers again."""


class Outage:
    """Watches whether anything is answered; shared by all requests to a server."""

    def __init__(self, probe: Callable[[], Awaitable[None]], patience_s: float, listener: Listener) -> None:
        self.answers = 0
        self.waited_s = 0.0
        self._probe = probe
        self._patience_s = patience_s
        self._listener = listener
        self._watch: asyncio.Task[bool] | None = None
        self._answered_at = time.monotonic()

    def answered(self) -> None:
        """Count an answer, whatever it said."""
        self.answers += 1
        self._answered_at = time.monotonic()

    def excuse(self, paused_s: float) -> None:
        """Leave a pause of our own out of the time that the server was silent."""
        self._answered_at += paused_s

    def check_patience(self, message: str) -> None:
        """Raise once nothing of use was answered for longer than anybody waits.

        Raises
        ------
        FaultError
            Of kind ``OFFLINE``.
        """
        silent_s = time.monotonic() - self._answered_at
        if silent_s > self._limit_s():
            raise FaultError(Fault(Kind.OFFLINE, f"{message}, for {duration(silent_s)} by now"))

    async def is_confirmed(self, reason: str) -> bool:
        """Ask the server until it answers; return whether it was away.

        Raises
        ------
        FaultError
            Of kind ``OFFLINE``, when it stayed away for longer than anybody waits.
        """
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._wait_for_answer(reason))
            # Whoever waited may have been stopped; then nobody hears how it ended, and nobody has to.
            self._watch.add_done_callback(lambda watch: watch.cancelled() or watch.exception())
        return await asyncio.shield(self._watch)

    async def _wait_for_answer(self, reason: str) -> bool:
        began, since_s = time.monotonic(), time.time()
        was_away = False
        for attempt in count():
            wait_s = min(_FIRST_WAIT_S * 2**attempt, _LONGEST_WAIT_S)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - jitter, no secret
            message = await self._unanswered()
            if message is None:
                break
            if not was_away:
                self._listener.waiting(since_s, f"{message or reason}, waited for until {self._until()}")
            was_away = True
            self.check_patience(message)
        if was_away:
            waited_s = time.monotonic() - began
            self.waited_s += waited_s
            self._listener.resumed(waited_s)
        self._answered_at = time.monotonic()
        return was_away

    async def _unanswered(self) -> str | None:
        try:
            await self._probe()
        except Exception as error:  # noqa: BLE001 - the client raises many; all that matters is whether an answer came
            fault = classify(error)
            return fault.message if fault.kind is Kind.NETWORK else None
        return None

    def _until(self) -> str:
        left_s = self._limit_s() - (time.monotonic() - self._answered_at)
        return time.strftime("%H:%M:%S", time.localtime(time.time() + left_s))

    def _limit_s(self) -> float:
        return self._patience_s if self.answers else min(_FIRST_CONTACT_S, self._patience_s)
