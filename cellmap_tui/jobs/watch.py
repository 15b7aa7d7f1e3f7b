"""Read a run from outside: its events as they come.

Everything here only reads. Any number of viewers may watch, on any host that sees the disk, also a
run that was copied, is damaged, or was written by another version. Texts of runs are data: the
front ends pass them through `text.printable` when they show them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cellmap_tui.jobs.events import FORMAT_VERSION, Event, decode_lines
from cellmap_tui.jobs.liveness import Pulse
from cellmap_tui.jobs.summary import RunSummary, summarise
from cellmap_tui.jobs.tail import CHUNK_BYTES, LineTail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellmap_tui.jobs.rundir import RunDir

__all__ = ["RunReader", "RunSummary", "follow", "summarise"]


class RunReader:
    """Follows the events of one run.

    Reading resumes where the last look ended; only whole lines are handed out. Lines that are no
    events are counted and passed over.
    """

    def __init__(self, run: RunDir) -> None:
        self.run = run
        """The run directory."""
        self.skipped = 0
        """Lines that were no events."""
        self.is_newer = False
        """Whether an event was written in a newer format than this version knows."""
        self._tail = LineTail(run.events_path)
        self._restarts = 0
        self._pulse = Pulse()

    def poll(self, max_bytes: int = CHUNK_BYTES) -> list[Event]:
        """Return the new events in at most `max_bytes` of the log, so that the caller can draw in between.

        Call again at once while `at_end` is false. When `restarts` has grown, the file was
        truncated or replaced and everything read before is void.
        """
        lines = self._tail.read(max_bytes)
        if self._tail.restarts != self._restarts:
            self._restarts, self.skipped, self.is_newer = self._tail.restarts, 0, False
        events = decode_lines(lines)
        self.skipped += sum(1 for line in lines if line.strip()) - len(events)
        self.is_newer = self.is_newer or any(event.version > FORMAT_VERSION for event in events)
        return events

    @property
    def at_end(self) -> bool:
        """Whether the last poll reached the end of the log."""
        return self._tail.at_end

    @property
    def restarts(self) -> int:
        """How often the log was found truncated or replaced."""
        return self._tail.restarts

    def summary(self) -> RunSummary:
        """Return where the run stands; watching for a while makes it right even when the job's clock is not."""
        return summarise(self.run, self._pulse)


def follow(run: RunDir, interval_s: float = 0.5) -> Iterator[Event]:
    """Yield the events of a run from its beginning, as they come, until it has ended or is lost."""
    reader = RunReader(run)
    while True:
        events = reader.poll()
        yield from events
        if events or not reader.at_end:
            continue
        if not reader.summary().is_live:
            # It may have written its last words between the poll and the summary.
            yield from reader.poll()
            return
        time.sleep(interval_s)
