"""Unpack a checked archive below the data root, in batches that can be continued.

Each file is unpacked to a temporary name, its size and CRC-32 checked on the way, and renamed. A
batch is noted as done when its files are safe on disk. Files that do not agree with the directory
are gathered, not written: the caller fetches their bytes again.
"""

from __future__ import annotations

import os
import threading
import zlib
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError
from cellmap_tui.storage.zip_directory import BrokenArchiveError, data_offset
from cellmap_tui.storage.zip_members import DEFLATED, destination

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cellmap_tui.storage.archive_download import Watch
    from cellmap_tui.storage.archive_journal import PartsJournal
    from cellmap_tui.storage.zip_directory import Entry

BATCH_MEMBERS = 256
"""Members that are noted as done together."""
_READ_BYTES = 1 << 20
_SYNC_BATCHES = 64
"""So many batches are written before the disk is asked to keep them; a kill repeats at most those."""


class CorruptMemberError(DataError):
    """The bytes of a member do not agree with the directory."""


@dataclass(frozen=True, slots=True)
class UnpackOptions:
    """How an archive is unpacked."""

    threads: int = max(2, min(8, os.cpu_count() or 2))
    """Files written at once."""
    fsync: bool = True
    """Whether a batch counts as done only when the disk has it."""


@dataclass(slots=True)
class Unpacked:
    """What an unpacking did."""

    files: int = 0
    """Files written."""
    corrupt: list[Entry] = field(default_factory=list)
    """Members that did not agree with the directory; their batches are not done."""


def unpack(
    read_at: Callable[[int, int], bytes],
    entries: Iterator[Entry],
    root: Path,
    journal: PartsJournal,
    watch: Watch,
    *,
    total_bytes: int,
    options: UnpackOptions | None = None,
) -> Unpacked:
    """Unpack the members whose batches are not done.

    Parameters
    ----------
    read_at
        Reads ``count`` bytes of the archive from ``at`` on; from several threads.
    entries
        All entries, checked by `zip_members.look_through` before.
    root
        The data root.
    journal
        Batches that are done.
    watch
        Told unpacked bytes; asked between batches.
    total_bytes
        Unpacked size of everything.

    Raises
    ------
    OSError
        If the disk is full; the next call goes on.
    Exception
        What `watch.checkpoint` raises.
    """
    work = _Unpacking(read_at, root, journal, watch, total_bytes, options or UnpackOptions())
    work.run(entries)
    return work.outcome


class _Unpacking:
    """The state that the batches in flight share."""

    def __init__(
        self,
        read_at: Callable[[int, int], bytes],
        root: Path,
        journal: PartsJournal,
        watch: Watch,
        total_bytes: int,
        options: UnpackOptions,
    ) -> None:
        self._read_at = read_at
        self._root = root
        self._journal = journal
        self._watch = watch
        self._total_bytes = total_bytes
        self._options = options
        self._cancel = threading.Event()
        self._written: list[int] = []
        self._done_bytes = 0
        self.outcome = Unpacked()

    def run(self, entries: Iterator[Entry]) -> None:
        with ThreadPoolExecutor(self._options.threads, thread_name_prefix="unpack") as pool:
            try:
                self._drive(pool, entries)
            except BaseException:
                self._cancel.set()
                raise
            finally:
                self._keep()

    def _drive(self, pool: ThreadPoolExecutor, entries: Iterator[Entry]) -> None:
        running: dict[Future[Unpacked], tuple[int, int]] = {}
        number = 0
        while batch := list(islice(entries, BATCH_MEMBERS)):
            self._watch.checkpoint()
            size_bytes = sum(entry.size_bytes for entry in batch)
            if self._journal.is_done(number):
                self._done_bytes += size_bytes
            else:
                running[pool.submit(self._unpack_batch, batch)] = (number, size_bytes)
            number += 1
            while len(running) > 2 * self._options.threads:
                self._gather(running)
        while running:
            self._watch.checkpoint()
            self._gather(running)

    def _gather(self, running: dict[Future[Unpacked], tuple[int, int]]) -> None:
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            number, size_bytes = running.pop(future)
            batch = future.result()
            self._done_bytes += size_bytes
            self.outcome.files += batch.files
            self.outcome.corrupt += batch.corrupt
            if not batch.corrupt:
                self._written.append(number)
        if len(self._written) >= _SYNC_BATCHES:
            self._keep()
        # Members that are left out count in their batch and not in the total.
        self._watch.progress(min(self._done_bytes, self._total_bytes), self._total_bytes, "bytes")

    def _keep(self) -> None:
        """Note the written batches, after the disk has them."""
        if self._written:
            if self._options.fsync:
                os.sync()
            self._journal.add(*self._written)
            self._written = []

    def _unpack_batch(self, batch: list[Entry]) -> Unpacked:
        """Write the files of a batch."""
        done = Unpacked()
        folders: set[Path] = set()
        for entry in batch:
            if self._cancel.is_set():
                break
            path = destination(entry)
            if path is None:
                continue
            target = self._root.joinpath(*path)
            if target.parent not in folders:
                target.parent.mkdir(parents=True, exist_ok=True)
                folders.add(target.parent)
            try:
                write_member(self._read_at, entry, target)
                done.files += 1
            except CorruptMemberError:
                done.corrupt.append(entry)
        return done


def write_member(read_at: Callable[[int, int], bytes], entry: Entry, target: Path) -> None:
    """Unpack one member to its place: whole and checked, or not at all.

    Raises
    ------
    CorruptMemberError
        If its bytes do not agree with the directory.
    """
    # The same name each time: one process unpacks at a time, and the next one writes over what a killed one left.
    temporary = target.with_name(f".{target.name}.unpacking")
    try:
        with temporary.open("wb") as file:
            crc = size_bytes = 0
            for block in _unpacked(read_at, entry):
                size_bytes += len(block)
                crc = zlib.crc32(block, crc)
                if size_bytes > entry.size_bytes:
                    raise CorruptMemberError(f"member {entry.name!r} unpacks to more than it should")
                file.write(block)
        if (size_bytes, crc) != (entry.size_bytes, entry.crc):
            raise CorruptMemberError(f"member {entry.name!r} is damaged: size or CRC-32 differ")
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _unpacked(read_at: Callable[[int, int], bytes], entry: Entry) -> Iterator[bytes]:
    """Yield the unpacked bytes of a member, never much more than a block at a time."""
    try:
        at = data_offset(read_at, entry)
    except BrokenArchiveError as error:
        raise CorruptMemberError(error.message) from None
    inflater = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == DEFLATED else None
    left = entry.packed_bytes
    while left:
        data = read_at(at, min(_READ_BYTES, left))
        if not data:
            raise CorruptMemberError(f"member {entry.name!r} is cut off")
        at += len(data)
        left -= len(data)
        yield from _inflated(inflater, data, entry) if inflater else (data,)
    if inflater is not None and not inflater.eof:
        raise CorruptMemberError(f"member {entry.name!r} ends early")


def _inflated(inflater: zlib._Decompress, data: bytes, entry: Entry) -> Iterator[bytes]:
    """Yield what `data` inflates to; a full block may have more behind it even when `data` is used up."""
    while not inflater.eof:
        try:
            block = inflater.decompress(data, _READ_BYTES)
        except zlib.error as error:
            raise CorruptMemberError(f"member {entry.name!r} is damaged: {error}") from None
        yield block
        data = inflater.unconsumed_tail
        if not data and len(block) < _READ_BYTES:
            return
