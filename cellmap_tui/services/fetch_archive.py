"""`fetch-data --zip`: all crops at once, from one of the published archives.

The front ends turn the options of `fetch-data` into a request with `archive_request`, show what
`plan_fetch_archive` says, and run `fetch_archive` (in the registry as ``fetch-archive``). It can be
stopped, paused and killed at any time; the same request goes on.
"""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError, RefusedError, RequestError
from cellmap_tui.services.fetch_archive_model import FetchArchivePlan, FetchArchiveRequest, FetchArchiveResult
from cellmap_tui.text import size

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.storage.archive_client import ArchiveClient, ArchiveHead
    from cellmap_tui.storage.archive_place import ArchivePlace
    from cellmap_tui.storage.archives import ArchiveOutcome

__all__ = [
    "FetchArchivePlan",
    "FetchArchiveRequest",
    "FetchArchiveResult",
    "archive_request",
    "fetch_archive",
    "plan_fetch_archive",
]

CONNECTIONS = 16
"""Parts in flight where nothing else is asked."""
MARGIN = 1.02
"""More disk than the plan says: folders, and what other programs write meanwhile."""
_RESTARTS = 2


def archive_request(request: FetchRequest, *, keep_archive: bool = False) -> FetchArchiveRequest:
    """Return what ``fetch-data --zip`` means with these options.

    Raises
    ------
    RequestError
        If an option asks for a part of what an archive holds, or for what no archive holds.
    """
    asks_for_part = {
        "--crops": request.crops != "all",
        "--classes": bool(request.classes),
        "--levels": bool(request.levels),
        "--raw-padding-nm": request.raw_padding_nm > 0,
        "--manifest": request.manifest is not None,
        "--train-manifest": request.train_manifest is not None,
        "--test-manifest": request.test_manifest is not None,
        "--make-levels": request.make_levels,
    }
    for flag, is_given in asks_for_part.items():
        if is_given:
            raise RequestError(
                f"--zip and {flag} do not go together", "the archives hold all crops; leave one of them out"
            )
    return FetchArchiveRequest(
        data_root=request.data_root,
        raw_padding=request.raw_padding,
        fetch_all_em_resolutions=request.fetch_all_em_resolutions,
        access_mode=request.access_mode,
        num_workers=None if request.workers is None else min(request.workers, 256),
        limit_rate=request.limit_rate,
        max_bytes=request.max_bytes,
        keep_archive=keep_archive,
        ignore_disk=request.ignore_disk,
        endpoint_url=request.endpoint_url,
        bucket=request.bucket,
        profile=request.profile,
    )


def plan_fetch_archive(request: FetchArchiveRequest) -> FetchArchivePlan:
    """Say what fetching an archive would do; reads its head and at most 1 MB of its directory.

    Raises
    ------
    MissingDataError
        If the bucket has no such archive.
    CellmapError
        If the bucket cannot be reached or read.
    """
    with closing(_client(request)) as client:
        return _plan(request, client, _head(request, client))


def fetch_archive(request: FetchArchiveRequest, report: Reporter) -> FetchArchiveResult:
    """Download an archive and unpack it; goes on where an earlier call ended.

    Parameters
    ----------
    request
        Which archive, and where to.
    report
        Told bytes as they are downloaded and unpacked; asked for a stop between parts and batches.

    Returns
    -------
    FetchArchiveResult
        What was fetched and unpacked.

    Raises
    ------
    RefusedError
        If the disk is too small, the archive is larger than allowed, or another process is at it.
    DataError
        If the archive may not be unpacked, or stays damaged.
    MissingDataError
        If the bucket has no such archive.
    CellmapError
        If the bucket cannot be reached or read for long; what was fetched is kept.
    Stopped
        When the user asked to stop; what is done is kept.
    """
    from cellmap_tui.storage.archive_client import archive_url
    from cellmap_tui.storage.archive_place import only_worker, read_mark

    started_s = time.monotonic()
    place = _place(request)
    with closing(_client(request)) as client:
        head = _head(request, client)
        mark = read_mark(place)
        address = archive_url(client.address, head.key)
        if mark is not None and mark.etag == head.etag and request.access_mode == "append":
            result = _unpacked_before(request, head, address, mark.files, mark.unpacked_bytes)
        else:
            with only_worker(place):
                head, outcome = _fetch(request, client, head, place, report)
            result = _result(request, head, address, outcome, time.monotonic() - started_s)
    return result


def _fetch(
    request: FetchArchiveRequest, client: ArchiveClient, head: ArchiveHead, place: ArchivePlace, report: Reporter
) -> tuple[ArchiveHead, ArchiveOutcome]:
    """Fetch and unpack; begin again with the new version when the archive is replaced meanwhile."""
    from cellmap_tui.services.fetch_archive_groups import add_groups
    from cellmap_tui.storage.archive_client import ArchiveChangedError
    from cellmap_tui.storage.archive_download import DownloadOptions
    from cellmap_tui.storage.archives import fetch_and_unpack

    options = DownloadOptions(
        part_bytes=request.part_bytes,
        connections=request.num_workers or CONNECTIONS,
        limit_rate=request.limit_rate,
    )
    for restarts_left in reversed(range(_RESTARTS + 1)):
        plan = _plan(request, client, head)
        _check_plan(request, plan, report)
        try:
            outcome = fetch_and_unpack(
                client,
                head,
                place,
                report,
                options=options,
                check_room=lambda needed: _check_room(request, needed),
                keep=request.keep_archive,
            )
        except ArchiveChangedError as error:
            if not restarts_left:
                raise
            report.warning(f"{error.message}; beginning again with the new version")
            head = _head(request, client)
        else:
            add_groups(request.data_root, outcome.contents.datasets)
            return head, outcome
    raise AssertionError("unreachable")


def _check_plan(request: FetchArchiveRequest, plan: FetchArchivePlan, report: Reporter) -> None:
    for line in plan.lines:
        report.note(line)
    if request.max_bytes is not None and plan.archive_bytes > request.max_bytes:
        raise RefusedError(
            f"{plan.address} has {size(plan.archive_bytes)}, more than --max-bytes {size(request.max_bytes)}",
            "raise --max-bytes or choose a smaller archive",
        )
    if not plan.fits and not request.ignore_disk:
        raise _too_small(request, plan.disk_bytes, plan.free_bytes)


def _check_room(request: FetchArchiveRequest, needed_bytes: int) -> None:
    free_bytes = _free_bytes(request.data_root)
    if needed_bytes * MARGIN > free_bytes and not request.ignore_disk:
        raise _too_small(request, needed_bytes, free_bytes)


def _too_small(request: FetchArchiveRequest, needed_bytes: int, free_bytes: int) -> RefusedError:
    return RefusedError(
        f"{request.data_root} has {size(free_bytes)} free and {size(needed_bytes)} are needed",
        "make room, choose another folder with --dest, or go on all the same with --ignore-disk",
    )


def _plan(request: FetchArchiveRequest, client: ArchiveClient, head: ArchiveHead) -> FetchArchivePlan:
    from cellmap_tui.storage.archive_client import archive_url
    from cellmap_tui.storage.archive_download import bytes_on_disk
    from cellmap_tui.storage.archive_estimate import estimate
    from cellmap_tui.storage.archive_place import read_mark
    from cellmap_tui.storage.archives import unpacked_share

    place = _place(request)
    here_bytes = bytes_on_disk(place.archive, head, request.part_bytes)
    sizes = estimate(client, head)
    mark = read_mark(place)
    is_done = mark is not None and mark.etag == head.etag
    to_unpack_bytes = sizes.disk_bytes * (1 - unpacked_share(place, head, sizes.members))
    disk_bytes = head.size_bytes - here_bytes + round(to_unpack_bytes)
    free_bytes = _free_bytes(request.data_root)
    return FetchArchivePlan(
        data_root=request.data_root,
        address=archive_url(client.address, head.key),
        etag=head.etag,
        archive_bytes=head.size_bytes,
        here_bytes=here_bytes,
        members=sizes.members,
        unpacked_bytes=sizes.unpacked_bytes,
        is_exact=sizes.is_exact,
        disk_bytes=disk_bytes,
        free_bytes=free_bytes,
        fits=disk_bytes * MARGIN <= free_bytes,
        unpacked_s=mark.unpacked_s if mark is not None and is_done else None,
    )


def _client(request: FetchArchiveRequest) -> ArchiveClient:
    from cellmap_tui.storage.archive_client import ArchiveClient
    from cellmap_tui.storage.bucket import BucketAddress

    address = BucketAddress(request.endpoint_url, request.bucket, profile=request.profile)
    return ArchiveClient(address, request.num_workers or CONNECTIONS)


def _head(request: FetchArchiveRequest, client: ArchiveClient) -> ArchiveHead:
    from cellmap_tui.storage.archive_client import archive_url
    from cellmap_tui.storage.archive_estimate import ask_head

    head = ask_head(client, request.archive.key)
    if head.size_bytes < 1:
        raise DataError(f"{archive_url(client.address, head.key)} is empty", "fetch without --zip")
    return head


def _place(request: FetchArchiveRequest) -> ArchivePlace:
    from cellmap_tui.storage.archive_place import ArchivePlace

    return ArchivePlace(request.data_root, request.archive.name)


def _free_bytes(folder: Path) -> int:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def _unpacked_before(
    request: FetchArchiveRequest, head: ArchiveHead, address: str, files: int, unpacked_bytes: int
) -> FetchArchiveResult:
    return FetchArchiveResult(
        data_root=request.data_root,
        address=address,
        etag=head.etag,
        archive_bytes=head.size_bytes,
        fetched_bytes=0,
        kept_bytes=0,
        retries=0,
        files=files,
        written=0,
        unpacked_bytes=unpacked_bytes,
        left_out=0,
        repaired=0,
        datasets=(),
        was_unpacked=True,
        elapsed_s=0.0,
    )


def _result(
    request: FetchArchiveRequest, head: ArchiveHead, address: str, outcome: ArchiveOutcome, elapsed_s: float
) -> FetchArchiveResult:
    return FetchArchiveResult(
        data_root=request.data_root,
        address=address,
        etag=head.etag,
        archive_bytes=head.size_bytes,
        fetched_bytes=outcome.download.fetched_bytes,
        kept_bytes=outcome.download.kept_bytes,
        retries=outcome.download.retries,
        files=outcome.contents.files,
        written=outcome.written,
        unpacked_bytes=outcome.contents.size_bytes,
        left_out=outcome.contents.left_out,
        repaired=outcome.repaired,
        datasets=outcome.contents.datasets,
        was_unpacked=False,
        elapsed_s=round(elapsed_s, 3),
    )
