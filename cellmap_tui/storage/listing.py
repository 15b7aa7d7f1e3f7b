"""Listings of many prefixes at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cellmap_tui.errors import CellmapError, MissingDataError
from cellmap_tui.storage.bucket import PAGE
from cellmap_tui.storage.calls import Calls, GaveUpError
from cellmap_tui.storage.faults import Fault, Kind
from cellmap_tui.storage.running import run_until_done, work_side_by_side
from cellmap_tui.storage.transfer import SilentTransferReport, TransferReport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from cellmap_tui.storage.bucket import Bucket, Folder
    from cellmap_tui.storage.objects import RemoteObject

R = TypeVar("R")

_WIDTH = 64
_PATIENCE_S = 3600.0


def list_prefixes(
    bucket: Bucket,
    prefixes: Iterable[str],
    report: TransferReport | None = None,
    width: int = _WIDTH,
    patience_s: float = _PATIENCE_S,
    listed: Callable[[int], None] | None = None,
) -> dict[str, list[RemoteObject]]:
    """Return every object below each prefix, however deep, listing many prefixes at a time.

    Parameters
    ----------
    bucket
        The bucket.
    prefixes
        Folders, without their last slash. A prefix without objects is in the result, empty.
    report
        Told of outages; its checkpoint is heeded.
    width
        Requests in flight at most.
    patience_s
        How long a server that is away is waited for.
    listed
        Told now and then how many prefixes are done.

    Raises
    ------
    CellmapError
        If the server does not list; says the endpoint, the bucket and the prefix.
    """
    listing = _Listing(bucket, report, width, patience_s, listed)
    return run_until_done(listing.each(prefixes, listing.deep))


def list_folders(
    bucket: Bucket,
    prefixes: Iterable[str],
    report: TransferReport | None = None,
    width: int = _WIDTH,
    patience_s: float = _PATIENCE_S,
) -> dict[str, Folder]:
    """Return what lies directly below each prefix; otherwise as `list_prefixes`."""
    listing = _Listing(bucket, report, width, patience_s, None)
    return run_until_done(listing.each(prefixes, listing.shallow))


def refusal(bucket: Bucket, key: str, fault: Fault) -> CellmapError:
    """Return the error of a request that no retry helps."""
    message = f"{bucket.address}, {key or 'the whole bucket'}: {fault.message}"
    if fault.kind is Kind.ABSENT:
        return MissingDataError(message, "check the name")
    if fault.kind is Kind.DENIED:
        return CellmapError(message, "check the endpoint, the bucket and whether it may be read without an account")
    return CellmapError(message, "check the endpoint and the network, then run it again")


class _Listing:
    """Lists prefixes side by side over one gate."""

    def __init__(
        self,
        bucket: Bucket,
        report: TransferReport | None,
        width: int,
        patience_s: float,
        listed: Callable[[int], None] | None,
    ) -> None:
        self._bucket = bucket
        self._report = report or SilentTransferReport()
        self._listed = listed
        self._widest = width
        self._patience_s = patience_s

    async def each(self, prefixes: Iterable[str], list_one: Callable[[str], Awaitable[R]]) -> dict[str, R]:
        """Return what `list_one` finds for each prefix, in the order of the prefixes."""
        self._calls = Calls(self._bucket, self._report, widest=self._widest, patience_s=self._patience_s)
        found: dict[str, R] = {}
        wanted = list(dict.fromkeys(prefixes))
        rest = iter(wanted)

        async def work() -> None:
            for prefix in rest:
                found[prefix] = await list_one(prefix)

        def tick() -> bool:
            self._calls.heed(self._report.checkpoint)
            if self._listed is not None:
                self._listed(len(found))
            return True

        await work_side_by_side((work() for _ in range(min(self._widest, len(wanted)))), tick)
        return {prefix: found[prefix] for prefix in wanted}

    async def deep(self, prefix: str) -> list[RemoteObject]:
        """Return every object below a prefix; a page that fails is asked for again alone."""
        objects: list[RemoteObject] = []
        page: tuple[RemoteObject, ...] = ()

        async def next_page() -> tuple[RemoteObject, ...]:
            return await self._bucket.list_page(prefix, objects[-1].key if objects else "")

        while not objects or len(page) == PAGE:
            page = await self._call(prefix, next_page)
            objects += page
            if not page:
                break
        return objects

    async def shallow(self, prefix: str) -> Folder:
        """Return what lies directly below a prefix."""
        return await self._call(prefix, lambda: self._bucket.list_folder(prefix))

    async def _call(self, prefix: str, action: Callable[[], Awaitable[R]]) -> R:
        try:
            return await self._calls.run(prefix, action)
        except GaveUpError as error:
            raise refusal(self._bucket, prefix, error.fault) from None
