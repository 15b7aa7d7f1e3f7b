"""Objects from the bucket to the disk: what is asked for, what is told meanwhile, what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cellmap_tui.storage.bucket import Bucket
    from cellmap_tui.storage.ledger import Ledger

State = Literal["fetched", "skipped", "absent", "failed"]
FailureKind = Literal[
    "missing", "denied", "broken", "network", "throttled", "offline", "fatal", "disk", "disk_full", "key"
]


@dataclass(frozen=True, slots=True)
class Transfer:
    """An object that should be on the disk."""

    key: str
    """Its key, and its path below the data root."""
    size_bytes: int | None = None
    """Its length as listed; None where it was not listed."""
    etag: str | None = None
    """Its ETag as listed, without quotes; None where it was not listed or has none."""
    required: bool = False
    """Whether its absence is an error, as of metadata; an absent chunk is data."""


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """How to transfer."""

    width: int = 256
    """Requests in flight at most; fewer are used where fewer are enough."""
    limit_rate: float | None = None
    """Bytes a second at most."""
    retries: int = 8
    """How often a wrong answer is asked for again."""
    patience_s: float = 3600.0
    """How long a server that is away is waited for."""
    check_local: bool = True
    """Whether files that the ledger does not know are compared with the listing's MD5; else size is enough."""
    most_bytes_in_flight: int = 64_000_000
    """Memory for objects that are on their way."""


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """How far a run is."""

    fetched: int
    """Objects that came from the bucket."""
    skipped: int
    """Objects that were there already, checked."""
    absent: int
    """Objects that the bucket does not have, which is data too."""
    failed: int
    """Objects that stay without."""
    fetched_bytes: int
    """Bytes that came from the bucket."""
    done_bytes: int
    """Bytes fetched and skipped."""
    in_flight: int
    """Requests under way."""
    width: int
    """Requests that may be under way."""
    requests: int
    """Requests sent, repeated ones too."""

    @property
    def settled(self) -> int:
        """Objects whose fate is known."""
        return self.fetched + self.skipped + self.absent + self.failed


@dataclass(frozen=True, slots=True)
class Failure:
    """An object that stays without, or why a run ended early."""

    key: str
    """The object."""
    kind: FailureKind
    """What went wrong."""
    message: str
    """What went wrong, for people."""
    tries: int = 1
    """How often it was asked for."""


@dataclass(frozen=True, slots=True)
class TransferOutcome:
    """What came of a run."""

    fetched: int
    """Objects that came from the bucket."""
    skipped: int
    """Objects that were there already, checked."""
    absent: int
    """Objects that the bucket does not have, which is data too."""
    failed: tuple[Failure, ...]
    """Objects that stay without, the first 10 000 of them."""
    bytes: int
    """Bytes that came from the bucket."""
    seconds: float
    """How long it took."""
    waited_s: float
    """How long of that the server was away."""
    requests: int = 0
    """Requests sent, repeated ones too."""
    failed_count: int = 0
    """How many objects stay without."""
    untried: int = 0
    """Objects that were not asked for because the run ended early."""
    ended: Failure | None = None
    """Why the run ended early; None if it did not."""
    vanished: int = 0
    """Objects that were listed and are absent now; counted in `absent` too."""

    @property
    def is_complete(self) -> bool:
        """Whether everything asked for is on the disk, or known to be absent."""
        return not self.failed_count and self.ended is None


class TransferReport(Protocol):
    """Who watches a run; all calls come from the thread that runs it."""

    def settled(self, transfer: Transfer, state: State) -> None:
        """Tell the fate of one object; called for each, so it must be quick."""

    def progress(self, progress: TransferProgress) -> None:
        """Tell how far the run is, about five times a second."""

    def waiting(self, since_s: float, reason: str) -> None:
        """Tell that nothing is answered since this Unix time, and why."""

    def resumed(self, waited_s: float) -> None:
        """Tell that the server answers again."""

    def checkpoint(self) -> None:
        """Wait while the user wants a pause; raise to stop."""


class SilentTransferReport:
    """Nobody watches; a base for those who want to hear only some of it."""

    def settled(self, transfer: Transfer, state: State) -> None:
        """Ignore it."""

    def progress(self, progress: TransferProgress) -> None:
        """Ignore it."""

    def waiting(self, since_s: float, reason: str) -> None:
        """Ignore it."""

    def resumed(self, waited_s: float) -> None:
        """Ignore it."""

    def checkpoint(self) -> None:
        """Go on."""


def run_transfers(
    bucket: Bucket,
    transfers: Iterable[Transfer],
    dest: Path,
    *,
    ledger: Ledger | None = None,
    options: TransferOptions | None = None,
    report: TransferReport | None = None,
) -> TransferOutcome:
    """Bring objects to the disk, each whole and checked, and remember them.

    What the ledger knows is not asked for again; a file that it does not know counts once its MD5 is the
    listed one. The iterable is read as the work goes on, so it may be long.

    Parameters
    ----------
    bucket
        Where they are.
    transfers
        What is wanted. A key of the run should not occur twice.
    dest
        The data root.
    ledger
        The memory of `dest`; opened here when not given. It is flushed, and stays open when given.
    options, report
        How, and who watches.

    Returns
    -------
    TransferOutcome
        Also when objects failed, the disk is full or the server refuses: `failed` and `ended` say so.

    Raises
    ------
    Stopped
        Or whatever else ``report.checkpoint()`` raises; what is done is recorded.
    CellmapError
        If `dest` cannot be written at all.
    """
    from cellmap_tui.storage.running import run_until_done
    from cellmap_tui.storage.workers import TransferRun

    run = TransferRun(bucket, dest, ledger, options or TransferOptions(), report or SilentTransferReport())
    return run_until_done(run.run(transfers))
