"""Fetching what a check found missing or wrong."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from cellmap_tui.errors import RefusedError
from cellmap_tui.services.fetch_bucket import WaitingWords, bucket_address
from cellmap_tui.text import count, size

if TYPE_CHECKING:
    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.verify_check import CropChecker
    from cellmap_tui.storage.ledger import Ledger
    from cellmap_tui.storage.transfer import State, Transfer, TransferProgress

_MOST_WARNINGS = 20


class _RepairReport(WaitingWords):
    """Passes a repair's progress on."""

    def __init__(self, report: Reporter, total_bytes: int) -> None:
        super().__init__(report)
        self._total_bytes = total_bytes

    def settled(self, transfer: Transfer, state: State) -> None:
        """Ignore it: the outcome says what failed."""

    def progress(self, progress: TransferProgress) -> None:
        """Pass the bytes on."""
        self._report.progress(progress.done_bytes, self._total_bytes, "bytes")

    def checkpoint(self) -> None:
        """Give the user a say."""
        self._report.checkpoint()


def repair(request: FetchRequest, checker: CropChecker, ledger: Ledger, report: Reporter) -> tuple[int, int]:
    """Fetch what is missing or wrong.

    Returns
    -------
    tuple
        Objects that are right now, and requests that were sent.

    Raises
    ------
    RefusedError
        If the data root cannot be written.
    Stopped
        When the user asked to stop.
    """
    from cellmap_tui.services.fetch import make_groups
    from cellmap_tui.storage.bucket import open_bucket
    from cellmap_tui.storage.transfer import Transfer, TransferOptions, run_transfers
    from cellmap_tui.storage.width import WIDEST

    root = request.data_root
    total_bytes = sum(remote.size_bytes for remote in checker.wrong)
    report.note(f"repairing {count(len(checker.wrong))} objects, {size(total_bytes)}")
    try:
        make_groups(root, tuple(checker.groups))
        for problem in checker.problems:
            if problem.kind == "corrupt":
                with contextlib.suppress(FileNotFoundError):
                    (root / problem.key).unlink()
    except OSError as error:
        raise RefusedError(
            f"{error.filename or root} cannot be written: {error.strerror}", "check the permissions"
        ) from None
    if not checker.wrong:
        return 0, 0
    outcome = run_transfers(
        open_bucket(bucket_address(request)),
        (Transfer(remote.key, remote.size_bytes, remote.etag, required=True) for remote in checker.wrong),
        root,
        ledger=ledger,
        options=TransferOptions(width=request.workers or WIDEST, limit_rate=request.limit_rate),
        report=_RepairReport(report, total_bytes),
    )
    for failure in outcome.failed[:_MOST_WARNINGS]:
        report.warning(f"{failure.key}: {failure.message}")
    if outcome.ended is not None:
        report.warning(f"the repair ended early: {outcome.ended.message}")
    return outcome.fetched + outcome.skipped, outcome.requests
