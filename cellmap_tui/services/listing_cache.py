"""What a bucket has answered lately, so that a plan with another option asks only for what it has not seen.

For a screen on which options are tried out. A fetch itself always asks the bucket.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cellmap_tui.services.fetch_bucket import PatientReader
    from cellmap_tui.services.fetch_listing import Body
    from cellmap_tui.storage.bucket import Folder
    from cellmap_tui.storage.objects import RemoteObject

T = TypeVar("T")

KEPT_S = 600.0
"""An answer is taken for true this long; the published data change a few times a year."""
MOST_OBJECTS = 200_000
"""Objects that are kept, about 60 MB; beyond them everything is asked again."""


class ListingCache:
    """Answers of buckets, by what was asked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[tuple[str, ...], tuple[float, Any]] = {}
        self._objects = 0

    def over(self, reader: PatientReader, address: str) -> CachedReader:
        """Return a reader that asks only for what is not known."""
        return CachedReader(reader, self, address)

    def get(self, asked: tuple[str, ...]) -> tuple[Any] | None:
        """Return an answer, in a tuple since None is one; None where there is none that is young enough."""
        known = self._answers.get(asked)
        if known is None or self._clock() - known[0] > KEPT_S:
            return None
        return (known[1],)

    def keep(self, asked: tuple[str, ...], answer: Any) -> None:
        """Keep an answer."""
        size = len(answer) if isinstance(answer, tuple) else 1
        if self._objects + size > MOST_OBJECTS:
            self.clear()
        self._objects += size
        self._answers[asked] = (self._clock(), answer)

    def clear(self) -> None:
        """Forget everything."""
        self._answers.clear()
        self._objects = 0


class CachedReader:
    """Reads a bucket, each thing once; see `BucketReader`."""

    def __init__(self, reader: PatientReader, cache: ListingCache, address: str) -> None:
        self._reader = reader
        self._cache = cache
        self._address = address

    @property
    def requests(self) -> int:
        """Requests that were sent."""
        return self._reader.requests

    async def page(self, prefix: str, after: str = "") -> tuple[RemoteObject, ...]:
        """Return up to 1,000 objects below a prefix, those with keys beyond `after`."""
        return await self._once(("page", prefix, after), lambda: self._reader.page(prefix, after))

    async def folder(self, prefix: str) -> Folder:
        """Return the objects and folders directly below a prefix."""
        return await self._once(("folder", prefix), lambda: self._reader.folder(prefix))

    async def body(self, key: str) -> Body | None:
        """Return a small object; None where the bucket has none."""
        return await self._once(("body", key), lambda: self._reader.body(key))

    async def _once(self, asked: tuple[str, ...], ask: Callable[[], Awaitable[T]]) -> T:
        place = (self._address, *asked)
        known = self._cache.get(place)
        if known is not None:
            answer: T = known[0]
            return answer
        found = await ask()
        self._cache.keep(place, found)
        return found
