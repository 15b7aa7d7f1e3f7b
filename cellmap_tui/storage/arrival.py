"""One object on its way: asked for, checked against everything that is known of it, put in its place."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cellmap_tui.storage.calls import DiskError
from cellmap_tui.storage.faults import broken
from cellmap_tui.storage.objects import md5_of, plain_etag
from cellmap_tui.storage.placing import write_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore import GetResult
    from typing_extensions import Buffer

    from cellmap_tui.storage.bucket import Bucket
    from cellmap_tui.storage.placing import Placer
    from cellmap_tui.storage.transfer import Transfer

T = TypeVar("T")

STREAM_FROM_BYTES = 8 << 20
"""Objects from here on pass through memory in pieces."""
_PIECE_BYTES = 1 << 20
_SLOW_DISK_S = 2e-3
_JSON_NAMES = (".zarray", ".zgroup", ".zattrs", ".zmetadata", ".json")


class Arrived(NamedTuple):
    """An object in its place."""

    size_bytes: int
    """Its length."""
    etag: str | None
    """Its ETag, as listed or else as answered."""


class Arrivals:
    """Brings single objects to the disk; each call is one try."""

    def __init__(self, bucket: Bucket, placer: Placer) -> None:
        self._bucket = bucket
        self._placer = placer
        self._write_s = 0.0

    async def receive(self, transfer: Transfer) -> Arrived:
        """Ask for an object, check it and put it in its place.

        Raises
        ------
        FaultError
            If what came is not the object.
        DiskError
            If the disk does not take it.
        Exception
            Whatever the client raises, for `faults.classify`.
        """
        answer = await self._bucket.get(transfer.key)
        meta = answer.meta
        size_bytes, etag = meta["size"], plain_etag(meta["e_tag"])
        _check_head(transfer, size_bytes, etag)
        expected_md5 = md5_of(transfer.etag) or md5_of(etag)
        if size_bytes >= STREAM_FROM_BYTES:
            await self._stream(transfer.key, answer, size_bytes, expected_md5)
        else:
            body = await answer.bytes_async()
            _check_size(len(body), size_bytes)
            if expected_md5 is not None:
                _check_md5(hashlib.md5(body, usedforsecurity=False).hexdigest(), expected_md5)
            elif transfer.key.endswith(_JSON_NAMES):
                _check_json(body)
            await self._place(transfer.key, body)
        return Arrived(size_bytes, transfer.etag or etag)

    async def _place(self, key: str, body: Buffer) -> None:
        began = time.perf_counter()
        try:
            if self._write_s > _SLOW_DISK_S:
                await asyncio.to_thread(self._placer.place, key, body)
            else:
                self._placer.place(key, body)
        except OSError as error:
            raise DiskError(error) from None
        self._write_s += 0.1 * (time.perf_counter() - began - self._write_s)

    async def _stream(self, key: str, answer: GetResult, size_bytes: int, expected_md5: str | None) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        with self._placer.temporary() as path:
            received = 0
            descriptor = _disk(lambda: os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666))
            try:
                async for piece in answer.stream(min_chunk_size=_PIECE_BYTES):
                    received += len(piece)
                    if expected_md5 is not None:
                        digest.update(piece)
                    await asyncio.to_thread(_write_piece, descriptor, piece)
            finally:
                _disk(lambda: os.close(descriptor))
            _check_size(received, size_bytes)
            if expected_md5 is not None:
                _check_md5(digest.hexdigest(), expected_md5)
            _disk(lambda: self._placer.rename(path, key))


def _check_head(transfer: Transfer, size_bytes: int, etag: str | None) -> None:
    if transfer.etag is not None and etag is not None and etag != transfer.etag:
        raise broken("the object is another one than was listed; plan again if this stays so")
    if transfer.size_bytes is not None and size_bytes != transfer.size_bytes:
        raise broken(f"the answer has {size_bytes} bytes, the listing {transfer.size_bytes}")


def _check_size(received: int, size_bytes: int) -> None:
    if received != size_bytes:
        raise broken(f"{received} bytes came in place of {size_bytes}")


def _check_md5(found: str, expected: str) -> None:
    if found != expected:
        raise broken("the bytes that came do not have the MD5 that the bucket says")


def _check_json(body: Buffer) -> None:
    """Refuse a page that something on the way sends with status 200, where nothing else would tell."""
    if not bytes(body).lstrip().startswith((b"{", b"[")):
        raise broken("what came is not JSON")


def _write_piece(descriptor: int, piece: bytes) -> None:
    _disk(lambda: write_all(descriptor, piece))


def _disk(action: Callable[[], T]) -> T:
    try:
        return action()
    except OSError as error:
        raise DiskError(error) from None
