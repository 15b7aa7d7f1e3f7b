"""One request until it is answered: width, back-off, retries and waiting around a single try.

Listing and transferring both go through here, so both narrow the same width and share one outage.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cellmap_tui.storage.faults import Fault, FaultError, Kind, classify
from cellmap_tui.storage.outage import Listener, Outage
from cellmap_tui.storage.retry_after import ask_retry_after
from cellmap_tui.storage.width import WIDEST, Width

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cellmap_tui.storage.bucket import Bucket

T = TypeVar("T")

_FIRST_BACKOFF_S = 0.1
_LONGEST_BACKOFF_S = 8.0
_MOST_SLOWED = 50  # of one object, while others are answered: then the server means this one
_SCOUT_EVERY_S = 5.0
_SCOUT_ANSWERS_S = 1.0
_FINAL = {Kind.ABSENT, Kind.DENIED, Kind.FATAL, Kind.OFFLINE}


class DiskError(Exception):
    """The disk did not take what arrived; no fault of the server, so nothing is asked again."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class GaveUpError(Exception):
    """A request that stays without a good answer."""

    def __init__(self, fault: Fault, tries: int) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.tries = tries


@dataclass(slots=True)
class _Tries:
    """What became of one request so far."""

    counted: int = 0
    slowed: int = 0
    absent: int = 0


class _Sent(NamedTuple):
    """When a request was sent."""

    at: float
    """The time of the monotonic clock."""
    answers: int
    """How many requests had been answered by then."""


class Calls:
    """Makes requests to one bucket until they are answered.

    Parameters
    ----------
    bucket
        The bucket.
    listener
        Who is told of outages.
    widest
        Requests in flight at most.
    retries
        How often a wrong or broken answer is asked for again.
    patience_s
        How long a server that is away is waited for.
    """

    def __init__(
        self,
        bucket: Bucket,
        listener: Listener,
        *,
        widest: int = WIDEST,
        retries: int = 8,
        patience_s: float = 3600.0,
    ) -> None:
        self.bucket = bucket
        self.width = Width(widest)
        self.outage = Outage(bucket.probe, patience_s, listener)
        self.retries = retries
        self.requests = 0
        self._retry_after_s = 0.0
        self._scouts_at = 0.0
        self._scout: asyncio.Task[None] | None = None

    async def run(self, key: str, action: Callable[[], Awaitable[T]], *, confirm_absent: bool = False) -> T:
        """Return what `action` returns once it succeeds.

        Parameters
        ----------
        key
            What it asks for, to be asked for again should the server say *slow down*.
        action
            One try.
        confirm_absent
            Whether an answer *absent* is doubted, because a listing shows the object.

        Raises
        ------
        GaveUpError
            When the answer stays wrong, is *absent* or *denied*, or the run cannot go on (kind ``FATAL``).
        DiskError
            When the disk does not take it.
        """
        tries = _Tries()
        while True:
            answers = self.outage.answers
            await self.width.enter()
            began = time.monotonic()
            self.requests += 1
            try:
                result = await action()
            except DiskError:
                raise
            except (TypeError, AttributeError, LookupError, AssertionError):
                raise  # a mistake of ours, not the server's
            except Exception as error:  # noqa: BLE001 - the client raises many; classified just below
                fault = classify(error)
            else:
                self.width.answered(time.monotonic() - began)
                self.outage.answered()
                return result
            finally:
                self.width.leave()
            try:
                await self._after(fault, key, tries, _Sent(began, answers), confirm_absent)
            except FaultError as error:
                raise GaveUpError(error.fault, tries.counted + 1) from None

    def heed(self, checkpoint: Callable[[], None]) -> None:
        """Let the user have a say; a pause that they want is not held against the server."""
        began = time.monotonic()
        checkpoint()
        self.outage.excuse(time.monotonic() - began)

    async def _after(self, fault: Fault, key: str, tries: _Tries, sent: _Sent, confirm_absent: bool) -> None:
        """Wait as the fault demands, or raise if asking again is of no use."""
        if fault.kind is Kind.SLOW_DOWN:
            await self._slow_down(fault, key, tries, sent)
            return
        if fault.kind is Kind.NETWORK:
            if self.outage.answers == sent.answers and await self.outage.is_confirmed(fault.message):
                return
        else:
            self.outage.answered()
        if fault.kind is Kind.ABSENT and confirm_absent and tries.absent < 2:
            tries.absent += 1
        elif fault.kind in _FINAL or tries.counted >= self.retries:
            raise FaultError(fault)
        tries.counted += 1
        await asyncio.sleep(_backoff_s(tries.counted))

    async def _slow_down(self, fault: Fault, key: str, tries: _Tries, sent: _Sent) -> None:
        self.width.slowed(sent.at)
        await self._ask_how_long(key)
        if self.outage.answers == sent.answers:
            self.outage.check_patience(fault.message)
        else:
            tries.slowed += 1
            if tries.slowed > _MOST_SLOWED:
                raise FaultError(fault)
        await asyncio.sleep(max(_backoff_s(tries.slowed + 1), self._retry_after_s * random.uniform(1, 1.2)))  # noqa: S311

    async def _ask_how_long(self, key: str) -> None:
        now = time.monotonic()
        if now >= self._scouts_at:
            self._scouts_at = now + _SCOUT_EVERY_S
            self._scout = asyncio.create_task(self._learn_retry_after(key))
        if self._scout is not None and not self._scout.done():
            await asyncio.wait({self._scout}, timeout=_SCOUT_ANSWERS_S)

    async def _learn_retry_after(self, key: str) -> None:
        self.requests += 1
        seconds = await asyncio.to_thread(ask_retry_after, self.bucket.address, key)
        self._retry_after_s = seconds or 0.0
        if seconds and self.width.is_over_limit:
            self.width.pause(seconds)


def _backoff_s(tries: int) -> float:
    """Return a random wait that grows with the tries, so that those who failed together do not return together."""
    longest_s = min(_FIRST_BACKOFF_S * 2.0 ** (tries - 1), _LONGEST_BACKOFF_S)
    return random.uniform(0.5, 1) * longest_s  # noqa: S311 - jitter, no secret
