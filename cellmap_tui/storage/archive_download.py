"""Download one archive in many ranged parts into one file, so that any end of it can be continued.

The file has its final size from the start. A part is written to its place, made safe on disk, and
only then noted in the journal: after a kill at any moment at most the parts in flight are fetched
again. New parts are started by one thread, between two checkpoints, so a pause lets the parts in
flight finish and starts none.
"""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cellmap_tui.errors import CellmapError
from cellmap_tui.storage.archive_client import TransientError
from cellmap_tui.storage.archive_journal import PartsJournal, read_parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cellmap_tui.storage.archive_client import ArchiveClient, ArchiveHead

_TICK_S = 0.25
"""How often progress is told and a stop is looked for while no part ends."""
_LONGEST_WAIT_S = 30.0


class Watch(Protocol):
    """Who is told how it goes; the reporters of services fit."""

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Tell how much is done."""

    def note(self, message: str) -> None:
        """Tell something worth knowing."""

    def warning(self, message: str) -> None:
        """Tell something that may need attention."""

    def checkpoint(self) -> None:
        """Wait while paused; raise to stop."""


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """How an archive is fetched."""

    part_bytes: int = 8 << 20
    """Size of a part; a download that goes on keeps the size it began with only if this is the same."""
    connections: int = 16
    """Parts in flight at most."""
    tries: int = 8
    """How often one part may bring nothing before the work fails; waiting for the network does not count."""
    patience_s: float = 900.0
    """How long the network may be away."""
    pause_s: float = 0.5
    """First wait before a part is tried again; doubles each time, with jitter."""
    limit_rate: int | None = None
    """Bytes a second at most."""


@dataclass(frozen=True, slots=True)
class DownloadOutcome:
    """What a download moved."""

    fetched_bytes: int
    """Bytes that came over the network."""
    kept_bytes: int
    """Bytes that were there from an earlier try."""
    retries: int
    """Requests that had to be made again."""
    is_resumed: bool
    """Whether an earlier try was continued."""


class ArchiveFile:
    """The file of an archive that is being fetched, and the journal of its parts.

    Parameters
    ----------
    path
        Where the file grows; the journal lies beside it.
    head
        The version that is wanted. What is there of another one is thrown away.
    part_bytes
        Size of a part.
    """

    def __init__(self, path: Path, head: ArchiveHead, part_bytes: int) -> None:
        self.path = path
        self.head = head
        self.part_bytes = part_bytes
        self.count = -(-head.size_bytes // part_bytes)
        self.journal_path = _journal_path(path)
        if not _has_size(path, head):
            self.journal_path.unlink(missing_ok=True)
        self.journal = PartsJournal(self.journal_path, _work(head, part_bytes), self.count)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        os.ftruncate(self._descriptor, head.size_bytes)

    @property
    def is_complete(self) -> bool:
        """Whether every part is there."""
        return self.journal.done == self.count

    @property
    def present_bytes(self) -> int:
        """Size of all finished parts."""
        is_last_done = self.count > 0 and self.journal.is_done(self.count - 1)
        return _bytes_of(self.journal.done, is_last_done, self.head, self.part_bytes)

    def span(self, part: int) -> tuple[int, int]:
        """Return the first byte of a part and the one after its last."""
        start = part * self.part_bytes
        return start, min(start + self.part_bytes, self.head.size_bytes)

    def parts_of(self, start: int, stop: int) -> range:
        """Return the parts that hold the bytes `start` to `stop`."""
        return range(start // self.part_bytes, -(-stop // self.part_bytes))

    def write(self, data: bytes, at: int) -> None:
        """Write bytes at their place."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, at)
            view, at = view[written:], at + written

    def read_at(self, at: int, count: int) -> bytes:
        """Read `count` bytes from `at` on; fewer only at the end of the file."""
        return os.pread(self._descriptor, count, at)

    def finish(self, part: int) -> None:
        """Make a part safe on disk, then note it."""
        getattr(os, "fdatasync", os.fsync)(self._descriptor)
        self.journal.add(part)

    def close(self) -> None:
        """Close file and journal."""
        self.journal.close()
        os.close(self._descriptor)

    def discard(self) -> None:
        """Close and remove file and journal."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.journal_path.unlink(missing_ok=True)


def bytes_on_disk(path: Path, head: ArchiveHead, part_bytes: int) -> int:
    """Return how much of this version of an archive an earlier download has left; changes nothing."""
    if not _has_size(path, head):
        return 0
    count = -(-head.size_bytes // part_bytes)
    done = read_parts(_journal_path(path), _work(head, part_bytes), count)
    return _bytes_of(sum(done), bool(done[-1]), head, part_bytes)


def _bytes_of(parts: int, is_last_done: bool, head: ArchiveHead, part_bytes: int) -> int:
    """Return the size of so many parts; the last one may be short."""
    short_bytes = -head.size_bytes % part_bytes if is_last_done else 0
    return parts * part_bytes - short_bytes


def _journal_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.parts")


def _has_size(path: Path, head: ArchiveHead) -> bool:
    return path.is_file() and path.stat().st_size == head.size_bytes


def _work(head: ArchiveHead, part_bytes: int) -> dict[str, object]:
    return {"v": 1, "key": head.key, "etag": head.etag, "size_bytes": head.size_bytes, "part_bytes": part_bytes}


def download(client: ArchiveClient, file: ArchiveFile, options: DownloadOptions, watch: Watch) -> DownloadOutcome:
    """Fetch the parts of an archive that are not there yet.

    Raises
    ------
    ArchiveChangedError
        If the archive was replaced in the bucket.
    CellmapError
        If access is denied, a part fails again and again, or the network stays away too long; what was
        fetched is kept and the next call goes on.
    OSError
        If the disk is full; as above.
    Exception
        What `watch.checkpoint` raises.
    """
    kept_bytes = file.present_bytes
    work = _Download(client, file, options, watch)
    work.run()
    return DownloadOutcome(work.fetched_bytes, kept_bytes, work.retries, file.journal.is_resumed)


class _CancelledError(Exception):
    """Another part has failed, or the user asked to stop."""


class _Download:
    """The state that the parts in flight share."""

    def __init__(self, client: ArchiveClient, file: ArchiveFile, options: DownloadOptions, watch: Watch) -> None:
        self._client = client
        self._file = file
        self._options = options
        self._watch = watch
        self._guard = threading.Lock()
        self._cancel = threading.Event()
        self._width = options.connections
        self._narrowed_s = float("-inf")
        self._heard_s = time.monotonic()
        self._free_s = self._heard_s
        self._silence_told = False
        self._silence = ""
        self.fetched_bytes = 0
        self.retries = 0

    def run(self) -> None:
        """Fetch what is missing."""
        with ThreadPoolExecutor(self._options.connections, thread_name_prefix="archive-part") as pool:
            try:
                self._drive(pool)
            finally:
                self._cancel.set()

    def _drive(self, pool: ThreadPoolExecutor) -> None:
        parts = self._file.journal.missing()
        running: set[Future[None]] = set()
        while True:
            self._watch.checkpoint()
            running |= self._start(pool, parts, self._width - len(running))
            self._tell()
            if not running:
                return
            ended, running = wait(running, timeout=_TICK_S, return_when=FIRST_COMPLETED)
            for future in ended:
                future.result()
                self._width = min(self._options.connections, self._width + 1)

    def _start(self, pool: ThreadPoolExecutor, parts: Iterator[int], count: int) -> set[Future[None]]:
        return {pool.submit(self._fetch, part) for _, part in zip(range(count), parts, strict=False)}

    def _tell(self) -> None:
        self._watch.progress(self._file.present_bytes, self._file.head.size_bytes, "bytes")
        if self._silence and not self._silence_told:
            self._silence_told = True
            since = time.strftime("%H:%M:%S", time.localtime(time.time() - (time.monotonic() - self._heard_s)))
            self._watch.warning(f"waiting for the network since {since}: {self._silence}")
        elif self._silence_told and not self._silence:
            self._silence_told = False
            self._watch.note("the network is back")

    def _fetch(self, part: int) -> None:
        at, stop = self._file.span(part)
        failures = 0
        while at < stop:
            before = at
            try:
                for block in self._client.read_range(self._file.head, at, stop):
                    self._file.write(block, at)
                    at += len(block)
                    self._heard(len(block))
                if at < stop:
                    raise TransientError("broken", "the answer ended early")
            except TransientError as trouble:
                failures = (0 if at > before else failures) + (trouble.kind != "offline")
                self._wait(trouble, part, failures)
        self._file.finish(part)

    def _heard(self, count: int) -> None:
        if self._cancel.is_set():
            raise _CancelledError
        with self._guard:
            now_s = time.monotonic()
            self.fetched_bytes += count
            self._heard_s = now_s
            self._silence = ""
            if self._options.limit_rate is None:
                return
            self._free_s = max(self._free_s, now_s) + count / self._options.limit_rate
            wait_s = self._free_s - now_s
        if self._cancel.wait(wait_s):
            raise _CancelledError

    def _wait(self, trouble: TransientError, part: int, failures: int) -> None:
        """Wait before a part is tried again, or give up."""
        with self._guard:
            self.retries += 1
            if trouble.kind == "slow":
                self._narrow()
            if trouble.kind == "offline":
                self._silence = str(trouble)
            silent_s = time.monotonic() - self._heard_s
        self._check_patience(trouble, part, failures, silent_s)
        pause_s = min(
            _LONGEST_WAIT_S, self._options.pause_s * 2.0 ** (2 if trouble.kind == "offline" else failures - 1)
        )
        doublings = 2 if trouble.kind == "offline" else failures - 1
        pause_s = min(_LONGEST_WAIT_S, self._options.pause_s * 2.0**doublings)
        jittered_s = pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads requests, guards nothing
        if self._cancel.wait(max(jittered_s, trouble.retry_after_s)):
            raise _CancelledError

    def _check_patience(self, trouble: TransientError, part: int, failures: int, silent_s: float) -> None:
        again = "run the same command again: it goes on where it was"
        name = self._file.head.key
        if trouble.kind == "offline":
            if silent_s > self._options.patience_s:
                raise CellmapError(f"{name}: nobody has answered for {silent_s / 60:.0f} min: {trouble}", again)
        elif failures >= self._options.tries * (2 if trouble.kind == "slow" else 1):
            raise CellmapError(
                f"{name}: part {part + 1} of {self._file.count} failed {failures} times: {trouble}", again
            )

    def _narrow(self) -> None:
        """Halve the number of parts in flight, at most once a second."""
        now_s = time.monotonic()
        if now_s - self._narrowed_s >= 1.0:
            self._narrowed_s = now_s
            self._width = max(1, self._width // 2)
