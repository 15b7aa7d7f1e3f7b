"""The bucket as a plan asks it: retried, counted, and with errors that a user understands."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from cellmap_tui.errors import CellmapError, DataError, MissingDataError
from cellmap_tui.services.fetch_listing import Body
from cellmap_tui.text import count, duration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.storage.bucket import Bucket, BucketAddress, Folder
    from cellmap_tui.storage.calls import Calls, GaveUpError
    from cellmap_tui.storage.ledger import Ledger
    from cellmap_tui.storage.objects import RemoteObject

T = TypeVar("T")

MAX_BODY_BYTES = 16 * 2**20
"""Metadata are a few kilobytes; anything above this is something else under that name."""
_LISTEN_EVERY_S = 0.2


class WaitingWords:
    """Tells a reporter when the server is away and when it is back."""

    def __init__(self, report: Reporter) -> None:
        self._report = report

    def waiting(self, since_s: float, reason: str) -> None:
        """Tell that nothing is answered."""
        import time

        clock = time.strftime("%H:%M:%S", time.localtime(since_s))
        self._report.warning(f"waiting since {clock}: {reason}; everything done stays done")

    def resumed(self, waited_s: float) -> None:
        """Tell that the server answers again."""
        self._report.note(f"the server answers again, after {duration(waited_s)}")


class PatientReader:
    """Reads a bucket through `Calls`; see `BucketReader`.

    Parameters
    ----------
    calls
        What retries and counts.
    ledger
        Small objects that it knows as verified are read from disk, and those it knows as absent are not asked
        for; None: everything is asked.
    """

    def __init__(self, calls: Calls, ledger: Ledger | None = None) -> None:
        self._calls = calls
        self._ledger = ledger

    @property
    def requests(self) -> int:
        """Requests that were sent, retries included."""
        return self._calls.requests

    async def page(self, prefix: str, after: str = "") -> tuple[RemoteObject, ...]:
        """Return up to 1,000 objects below a prefix, those with keys beyond `after`."""
        return await self._asked(prefix, lambda: self._bucket.list_page(prefix, after))

    async def folder(self, prefix: str) -> Folder:
        """Return the objects and folders directly below a prefix."""
        return await self._asked(prefix, lambda: self._bucket.list_folder(prefix))

    async def body(self, key: str) -> Body | None:
        """Return a small object; None where the bucket has none."""
        known = self._known_body(key)
        if known is not None:
            return known
        if self._ledger is not None and self._ledger.is_absent(key):
            return None
        try:
            return await self._asked(key, lambda: self._body(key))
        except MissingDataError:
            return None

    @property
    def _bucket(self) -> Bucket:
        return self._calls.bucket

    def _known_body(self, key: str) -> Body | None:
        from cellmap_tui.storage.objects import RemoteObject, local_path

        if self._ledger is None or not self._ledger.is_verified(key):
            return None
        try:
            content = local_path(self._ledger.data_root, key).read_bytes()
        except OSError:
            return None
        return Body(RemoteObject(key, len(content), None), content)

    async def _body(self, key: str) -> Body:
        import hashlib

        from cellmap_tui.storage.faults import broken
        from cellmap_tui.storage.objects import RemoteObject, md5_of, plain_etag

        answer = await self._bucket.get(key)
        size_bytes = answer.meta["size"]
        if size_bytes > MAX_BODY_BYTES:
            raise DataError(f"{key} has {size_bytes} bytes, more than any metadata")
        content = bytes(await answer.bytes_async())
        etag = plain_etag(answer.meta["e_tag"])
        expected = md5_of(etag)
        if len(content) != size_bytes:
            raise broken(f"{len(content)} of {size_bytes} bytes arrived")
        if expected is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() != expected:
            raise broken("the bytes are not those of the bucket (MD5)")
        return Body(RemoteObject(key, size_bytes, etag), content)

    async def _asked(self, what: str, action: Callable[[], Awaitable[T]]) -> T:
        from cellmap_tui.storage.calls import GaveUpError

        try:
            return await self._calls.run(what, action)
        except GaveUpError as error:
            raise told(what, self._bucket.address, error) from None


def told(what: str, address: BucketAddress, error: GaveUpError) -> CellmapError:
    """Return the error that says what was asked, of whom, and what to do."""
    from cellmap_tui.storage.faults import Kind

    message = f"{address}: {what or 'listing'}: {error.fault.message}"
    kind = error.fault.kind
    if kind is Kind.ABSENT:
        return MissingDataError(message, "check --endpoint-url, --bucket and the manifest")
    if kind is Kind.DENIED:
        return CellmapError(message, "the bucket is read anonymously; check --bucket and --endpoint-url")
    if kind is Kind.FATAL:
        return CellmapError(message, "check --endpoint-url, --bucket and the connection, then start again")
    tries = "1 try" if error.tries == 1 else f"{count(error.tries)} tries"
    return CellmapError(f"{message} ({tries})", "start again; what is done is kept")


def open_reader(
    address: BucketAddress, report: Reporter, ledger: Ledger | None, workers: int | None
) -> PatientReader:
    """Open a bucket for a plan; only inside a running event loop."""
    from cellmap_tui.storage.bucket import open_bucket
    from cellmap_tui.storage.calls import Calls
    from cellmap_tui.storage.width import WIDEST

    calls = Calls(open_bucket(address), WaitingWords(report), widest=workers or WIDEST)
    return PatientReader(calls, ledger)


def bucket_address(request: FetchRequest) -> BucketAddress:
    """Return the bucket that a request names."""
    from cellmap_tui.storage.bucket import BucketAddress

    return BucketAddress(endpoint_url=request.endpoint_url, bucket=request.bucket, profile=request.profile)


def run_asking(work: Callable[[], Coroutine[Any, Any, T]], report: Reporter) -> T:
    """Run asynchronous work to its end, with an ear for the user.

    Raises
    ------
    Stopped
        When the user asked to stop.
    """
    from cellmap_tui.storage.running import run_until_done

    return run_until_done(_beside(work, report))


async def _beside(work: Callable[[], Coroutine[Any, Any, T]], report: Reporter) -> T:
    task = asyncio.create_task(work())
    try:
        while not task.done():
            report.checkpoint()
            await asyncio.wait({task}, timeout=_LISTEN_EVERY_S)
    except BaseException:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    return task.result()
