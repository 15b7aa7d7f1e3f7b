"""What became of the objects of a run, counted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cellmap_tui.storage.transfer import Failure, State, Transfer, TransferOutcome, TransferProgress

if TYPE_CHECKING:
    from cellmap_tui.storage.calls import Calls

MAX_FAILURES = 10_000
"""Failures that are kept with their words; more are only counted."""


class Tally:
    """The counts of a run."""

    def __init__(self) -> None:
        self.counts: dict[State, int] = {"fetched": 0, "skipped": 0, "absent": 0, "failed": 0}
        self.fetched_bytes = 0
        self.done_bytes = 0
        self.vanished = 0
        self.untried = 0
        self.failures: list[Failure] = []
        self.ended: Failure | None = None
        self._began = time.monotonic()

    def count(self, transfer: Transfer, state: State, size_bytes: int) -> None:
        """Count the fate of one object."""
        self.counts[state] += 1
        self.done_bytes += size_bytes
        if state == "fetched":
            self.fetched_bytes += size_bytes
        elif state == "absent" and transfer.size_bytes is not None:
            self.vanished += 1

    def fail(self, failure: Failure) -> None:
        """Keep a failure."""
        if len(self.failures) < MAX_FAILURES:
            self.failures.append(failure)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def progress(self, calls: Calls) -> TransferProgress:
        """Return how far the run is."""
        return TransferProgress(
            fetched=self.counts["fetched"],
            skipped=self.counts["skipped"],
            absent=self.counts["absent"],
            failed=self.counts["failed"],
            fetched_bytes=self.fetched_bytes,
            done_bytes=self.done_bytes,
            in_flight=calls.width.in_flight,
            width=calls.width.limit,
            requests=calls.requests,
        )

    def outcome(self, calls: Calls) -> TransferOutcome:
        """Return what came of the run."""
        return TransferOutcome(
            fetched=self.counts["fetched"],
            skipped=self.counts["skipped"],
            absent=self.counts["absent"],
            failed=tuple(self.failures),
            bytes=self.fetched_bytes,
            seconds=self.elapsed_s,
            waited_s=calls.outage.waited_s,
            requests=calls.requests,
            failed_count=self.counts["failed"],
            untried=self.untried,
            ended=self.ended,
            vanished=self.vanished,
        )
