"""Answers of the bucket are kept for a while, so that trying options costs no requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from cellmap_tui.services.listing_cache import KEPT_S, MOST_OBJECTS, ListingCache

if TYPE_CHECKING:
    from cellmap_tui.services.fetch_bucket import PatientReader


class CountingReader:
    """A bucket of one object that counts what it is asked."""

    def __init__(self) -> None:
        self.requests = 0

    async def page(self, prefix: str, after: str = "") -> tuple[str, ...]:
        self.requests += 1
        return (f"{prefix}a",)

    async def folder(self, prefix: str) -> str:
        self.requests += 1
        return prefix

    async def body(self, key: str) -> None:
        self.requests += 1


def reader_over(cache: ListingCache, reader: CountingReader, address: str = "s3://b"):
    return cache.over(cast("PatientReader", reader), address)


def ask(reader) -> list[object]:
    async def work() -> list[object]:
        return [await reader.page("p/"), await reader.folder("p/"), await reader.body("p/.zattrs")]

    return asyncio.run(work())


def test_the_same_is_asked_once_absent_things_included() -> None:
    cache, bucket = ListingCache(), CountingReader()
    first, second = (ask(reader_over(cache, bucket)) for _ in range(2))

    assert first == second == [("p/a",), "p/", None]
    assert bucket.requests == 3


def test_another_bucket_is_asked_itself() -> None:
    cache, bucket = ListingCache(), CountingReader()
    ask(reader_over(cache, bucket))
    ask(reader_over(cache, bucket, "s3://c"))

    assert bucket.requests == 6


def test_answers_grow_old() -> None:
    now = [0.0]
    cache, bucket = ListingCache(lambda: now[0]), CountingReader()
    ask(reader_over(cache, bucket))
    now[0] = KEPT_S + 1
    ask(reader_over(cache, bucket))

    assert bucket.requests == 6


def test_a_huge_plan_does_not_fill_the_memory() -> None:
    cache = ListingCache()
    cache.keep(("a",), tuple(range(MOST_OBJECTS)))
    cache.keep(("b",), (1,))

    assert cache.get(("a",)) is None
    assert cache.get(("b",)) == ((1,),)
