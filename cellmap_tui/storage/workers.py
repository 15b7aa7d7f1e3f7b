"""A run of transfers at work: coroutines that take objects from one iterator until it is empty.

Everything happens in one thread, which also writes the files: one of 50 KB costs 30 µs, less than handing
it to another thread. Only where the disk turns out slow are they written by threads.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, DataError
from cellmap_tui.storage.arrival import STREAM_FROM_BYTES, Arrivals
from cellmap_tui.storage.calls import Calls, DiskError, GaveUpError
from cellmap_tui.storage.faults import Fault, Kind
from cellmap_tui.storage.ledger import Ledger
from cellmap_tui.storage.objects import checked_key
from cellmap_tui.storage.pace import MemoryGate, Pace
from cellmap_tui.storage.placing import DISK_FULL, UNWRITABLE, Placer, sync_disk
from cellmap_tui.storage.presence import Presence
from cellmap_tui.storage.running import work_side_by_side
from cellmap_tui.storage.tally import Tally
from cellmap_tui.storage.transfer import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cellmap_tui.storage.bucket import Bucket
    from cellmap_tui.storage.transfer import State, Transfer, TransferOptions, TransferOutcome, TransferReport

_SYNC_EVERY_S = 120.0
_YIELD_EVERY = 64
_DENIALS_IN_A_ROW = 5
_UNLISTED_BYTES = 64_000  # what an object of unknown size is taken for, in memory
_KINDS: dict[Kind, FailureKind] = {
    Kind.SLOW_DOWN: "throttled",
    Kind.NETWORK: "network",
    Kind.BROKEN: "broken",
    Kind.ABSENT: "missing",
    Kind.DENIED: "denied",
    Kind.FATAL: "fatal",
    Kind.OFFLINE: "offline",
}


class TransferRun:
    """One run; `run` is called once."""

    def __init__(
        self, bucket: Bucket, dest: Path, ledger: Ledger | None, options: TransferOptions, report: TransferReport
    ) -> None:
        self._address = bucket.address
        self._dest = dest
        self._report = report
        self._options = options
        self._ledger = ledger or Ledger.open(dest)
        self._is_own_ledger = ledger is None
        self._placer = Placer(dest)
        self._presence = Presence(dest, self._ledger, check_local=options.check_local)
        self._arrivals = Arrivals(bucket, self._placer)
        self._calls = Calls(
            bucket, report, widest=options.width, retries=options.retries, patience_s=options.patience_s
        )
        self._pace = Pace(options.limit_rate)
        self._memory = MemoryGate(options.most_bytes_in_flight)
        self._tally = Tally()
        self._denials = 0
        self._synced_s = 0.0
        self._sync: asyncio.Task[None] | None = None

    async def run(self, transfers: Iterable[Transfer]) -> TransferOutcome:
        """Settle every transfer; see `transfer.run_transfers`."""
        try:
            self._placer.open()
        except OSError as error:
            raise CellmapError(
                f"cannot write {self._dest}: {os.strerror(error.errno or 0)}", "check the permissions and the disk"
            ) from None
        try:
            await self._work(iter(transfers))
        finally:
            await self._finish()
        self._report.progress(self._tally.progress(self._calls))
        return self._tally.outcome(self._calls)

    async def _work(self, source: Iterator[Transfer]) -> None:
        await work_side_by_side((self._worker(source) for _ in range(self._options.width)), self._tick)
        if self._tally.ended is not None:
            self._tally.untried += sum(1 for _ in source)

    def _tick(self) -> bool:
        """Let the watcher know and have a say, and let nothing be lost for longer than this."""
        self._report.progress(self._tally.progress(self._calls))
        self._calls.heed(self._report.checkpoint)
        try:
            self._ledger.flush()
        except OSError as error:
            self._end_by_disk("", error)
        is_syncing = self._sync is not None and not self._sync.done()
        if not is_syncing and self._tally.elapsed_s - self._synced_s > _SYNC_EVERY_S:
            self._synced_s = self._tally.elapsed_s
            self._sync = asyncio.create_task(self._make_durable())
        return self._tally.ended is None

    async def _worker(self, source: Iterator[Transfer]) -> None:
        for number, transfer in enumerate(source, 1):
            if self._tally.ended is not None:
                self._tally.untried += 1
                return
            try:
                await self._settle(transfer)
            except asyncio.CancelledError:
                self._tally.untried += 1
                raise
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def _settle(self, transfer: Transfer) -> None:
        try:
            checked_key(transfer.key)
            state = await self._presence.look(transfer)
            size_bytes = transfer.size_bytes or 0
            if state is None:
                state, size_bytes = await self._fetch(transfer)
        except DataError as error:
            state, size_bytes = self._fail(Failure(transfer.key, "key", error.message))
        except GaveUpError as error:
            state, size_bytes = self._give_up(transfer, error)
        except DiskError as error:
            state, size_bytes = self._fail_on_disk(transfer.key, error.cause)
        self._tally.count(transfer, state, size_bytes if state in {"fetched", "skipped"} else 0)
        self._report.settled(transfer, state)

    async def _fetch(self, transfer: Transfer) -> tuple[State, int]:
        size_bytes = transfer.size_bytes
        in_memory = min(size_bytes if size_bytes is not None else _UNLISTED_BYTES, STREAM_FROM_BYTES)
        await self._memory.enter(in_memory)
        try:
            await self._pace.take(size_bytes or 0)
            arrived = await self._calls.run(
                transfer.key, lambda: self._arrivals.receive(transfer), confirm_absent=size_bytes is not None
            )
        finally:
            self._memory.leave(in_memory)
        self._denials = 0
        try:
            self._ledger.record_verified(transfer.key, arrived.size_bytes, arrived.etag)
        except OSError as error:
            self._end_by_disk(transfer.key, error)
        return "fetched", arrived.size_bytes

    def _give_up(self, transfer: Transfer, error: GaveUpError) -> tuple[State, int]:
        kind = error.fault.kind
        if kind is Kind.ABSENT and not transfer.required:
            self._ledger.record_absent(transfer.key)
            return "absent", 0
        failure = Failure(transfer.key, _KINDS[kind], self._words(error.fault, transfer.key), error.tries)
        if kind is Kind.DENIED:
            self._denials += 1
        if kind in {Kind.FATAL, Kind.OFFLINE} or self._denials >= _DENIALS_IN_A_ROW:
            self._end(failure)
        return self._fail(failure)

    def _fail(self, failure: Failure) -> tuple[State, int]:
        self._tally.fail(failure)
        return "failed", 0

    def _fail_on_disk(self, key: str, error: OSError) -> tuple[State, int]:
        if error.errno in DISK_FULL | UNWRITABLE:
            self._end_by_disk(key, error)
        return self._fail(_disk_failure(key, error))

    def _end_by_disk(self, key: str, error: OSError) -> None:
        self._end(_disk_failure(key, error))

    def _end(self, failure: Failure) -> None:
        if self._tally.ended is None:
            self._tally.ended = failure

    def _words(self, fault: Fault, key: str) -> str:
        return f"{self._address}, {key}: {fault.message}"

    async def _make_durable(self) -> None:
        """Bring everything to the disk, so that even a power cut costs no second look at it."""
        position = self._ledger.position()
        await asyncio.to_thread(sync_disk, self._dest)
        self._ledger.record_durable(position)

    async def _finish(self) -> None:
        self._placer.close()
        try:
            if self._sync is not None:
                await self._sync
            if self._tally.elapsed_s > _SYNC_EVERY_S:
                await self._make_durable()
            if self._is_own_ledger:
                self._ledger.close()
            else:
                self._ledger.flush()
        except OSError as error:
            self._end_by_disk("", error)


def _disk_failure(key: str, error: OSError) -> Failure:
    words = f"cannot write {key or 'the ledger'}: {os.strerror(error.errno or 0)}"
    return Failure(key, "disk_full" if error.errno in DISK_FULL else "disk", words)
