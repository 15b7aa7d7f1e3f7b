"""`verify`: what is on disk, compared with what was asked for and with what the bucket has.

What was never asked for is no gap. For data that another tool fetched, what there is a beginning of counts
as asked for: a class with a folder, a level with a chunk under the crop.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from typing import TYPE_CHECKING

from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.services.fetch_model import FetchRequest
from cellmap_tui.services.fetch_words import place_options
from cellmap_tui.services.verify_check import EVERY_LOCAL, CropChecker
from cellmap_tui.services.verify_model import VerifyRequest, VerifyResult

if TYPE_CHECKING:
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.fetch_crops import Chosen
    from cellmap_tui.services.fetch_listing import BucketReader
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.verify_scan import LedgerReader
    from cellmap_tui.storage.ledger import Ledger

__all__ = ["VerifyRequest", "VerifyResult", "verify"]

MOST_PROBLEMS = 1000
"""Problems that a result lists; it counts the others."""


def verify(request: VerifyRequest, report: Reporter) -> VerifyResult:
    """Check crops on disk, and fetch again what is missing or wrong where that is asked.

    Parameters
    ----------
    request
        What to check, and against what.
    report
        Told crops as they are checked, what is wrong with them, and bytes while repairing.

    Raises
    ------
    RequestError
        If the crops do not exist.
    MissingDataError
        If nothing is recorded to check against.
    CellmapError
        If the bucket cannot be read, or the data root cannot be written while repairing.
    Stopped
        When the user asked to stop.
    """
    from cellmap_tui.services.fetch_bucket import bucket_address, open_reader, run_asking
    from cellmap_tui.services.fetch_crops import choose_crops
    from cellmap_tui.services.verify_repair import repair
    from cellmap_tui.storage.ledger import Ledger

    started_s = time.monotonic()
    ledger = Ledger.open(request.data_root)
    chosen = choose_crops(as_fetch(request), report)
    checker = CropChecker(request, ledger, report)

    async def work() -> int:
        address = bucket_address(as_fetch(request))
        reader = _recorded(ledger) if request.offline else open_reader(address, report, None, request.num_workers)
        await checker.check(await _chosen(chosen, reader, request), reader)
        return reader.requests

    repaired = 0
    try:
        requests = run_asking(work, report)
        if request.repair:
            repaired, more = repair(as_fetch(request), checker, ledger, report)
            requests += more
    finally:
        with contextlib.suppress(OSError):  # the next run compares the files again
            ledger.close()
    found = checker.missing + checker.corrupt
    return VerifyResult(
        data_root=request.data_root,
        against="ledger" if request.offline else "bucket",
        crops=tuple(checker.crops),
        present=checker.present,
        missing=checker.missing,
        corrupt=checker.corrupt,
        repaired=repaired,
        problems=tuple(checker.problems[:MOST_PROBLEMS]),
        repair_command=_repair_command(request) if found > repaired else "",
        requests=requests,
        elapsed_s=round(time.monotonic() - started_s, 3),
        warnings=tuple(checker.warnings),
    )


async def _chosen(chosen: Chosen, reader: BucketReader, request: VerifyRequest) -> tuple[Crop, ...]:
    try:
        return await chosen.resolved(reader, request.crops)
    except RequestError:
        if request.crops != EVERY_LOCAL:
            raise
        raise MissingDataError(
            f"{request.data_root} has no data of any crop to check", "name another folder, or fetch some crops"
        ) from None


def as_fetch(request: VerifyRequest) -> FetchRequest:
    """Return the fetch that has the same crops, bucket and manifests."""
    return FetchRequest(
        data_root=request.data_root,
        crops=request.crops,
        num_workers=request.num_workers,
        limit_rate=request.limit_rate,
        endpoint_url=request.endpoint_url,
        bucket=request.bucket,
        profile=request.profile,
        state_dir=request.state_dir,
        manifest=request.manifest,
        train_manifest=request.train_manifest,
        test_manifest=request.test_manifest,
    )


def _recorded(ledger: Ledger) -> LedgerReader:
    from cellmap_tui.services.verify_scan import LedgerReader

    reader = LedgerReader(ledger)
    if reader.is_empty:
        raise MissingDataError(
            f"{ledger.data_root} has no record of a fetch to check against", "leave out --offline to ask the bucket"
        )
    return reader


def _repair_command(request: VerifyRequest) -> str:
    words = ["cellmap-tui", "--batch", "verify", "--repair", "--crops", request.crops]
    options = [("--dest", str(request.data_root)), ("--classes", ",".join(request.classes))]
    options += place_options(as_fetch(request))
    return shlex.join([*words, *(word for flag, value in options if value for word in (flag, value))])
