"""What was fetched and checked, and what the bucket does not have, remembered beside the data.

Each process appends to a journal of its own, so two fetches into one folder cannot harm each other; a
reader merges them all. Lines are written in batches: what a killed process had not written yet is found
again by comparing the files on disk with the listing, without asking the server for them.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import sidecar_path
from cellmap_tui.storage import held, journal
from cellmap_tui.storage.journal import Entry
from cellmap_tui.storage.placing import sync_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = "ledger"
_BATCH = 500
_MERGE_FROM = 8  # journals of ended processes; fewer are as quick to read as one
_ETAG_BITS = 24
_ABSENT = -1
_DOUBTED = -2


class Ledger:
    """The memory of a data folder; open it with `Ledger.open`."""

    def __init__(self, data_root: Path) -> None:
        self.data_root = data_root
        self._prefix = f"{os.fspath(data_root)}{os.sep}"
        self._folder = sidecar_path(data_root, FOLDER)
        # Hashes, not keys: 150 bytes an object, for folders of millions. Python salts its hashes, so
        # nobody can make two keys meet on purpose.
        self._known: dict[int, int] = {}
        self._pending: list[str] = []
        self._unwritten = b""
        self._descriptor: int | None = None
        self._lock: Path | None = None

    @classmethod
    def open(cls, data_root: Path) -> Ledger:
        """Read what is known of a data folder; nothing is written before something is recorded."""
        ledger = cls(data_root)
        for entry in ledger.entries():
            ledger._learn(entry)
        return ledger

    def is_verified(self, key: str, size_bytes: int | None = None, etag: str | None = None) -> bool:
        """Return whether this very object was checked and its file is still there with its size.

        Parameters
        ----------
        key
            Key of the object.
        size_bytes, etag
            What the listing says now; None to take what was recorded.
        """
        value = self._known.get(hash(key), _ABSENT)
        if value < 0:
            return False
        recorded_bytes = value >> _ETAG_BITS
        if size_bytes is not None and size_bytes != recorded_bytes:
            return False
        if etag is not None and value != _packed(recorded_bytes, etag):
            return False
        return file_size(self._prefix + key) == recorded_bytes

    def is_absent(self, key: str) -> bool:
        """Return whether the bucket was found not to have this object."""
        return self._known.get(hash(key)) == _ABSENT

    def is_doubted(self, key: str) -> bool:
        """Return whether it was checked before a power cut that may have taken its bytes."""
        return self._known.get(hash(key)) == _DOUBTED

    def record_verified(self, key: str, size_bytes: int, etag: str | None) -> None:
        """Remember an object whose file is in place and was checked."""
        self._record(Entry("v", key, size_bytes, etag))

    def record_absent(self, key: str) -> None:
        """Remember an object that the bucket does not have."""
        self._record(Entry("a", key, 0, None))

    def forget(self, key: str) -> None:
        """Doubt an object: its file was found not to be what was recorded."""
        self._record(Entry("s", key, 0, None))

    def entries(self) -> Iterator[Entry]:
        """Yield every entry on disk, older ones first; a later one of the same key replaces it."""
        for path in self._journals():
            # Gone means merged by another process, into the newest of those listed here.
            with contextlib.suppress(OSError):
                yield from journal.read_journal(path)

    def flush(self) -> None:
        """Hand what is pending to the system.

        Raises
        ------
        OSError
            If the disk takes no more; what was not written stays pending.
        """
        if self._pending:
            self._unwritten += "".join(self._pending).encode()
            self._pending.clear()
        if self._unwritten and self._descriptor is None:
            self._start()
        while self._unwritten and self._descriptor is not None:
            self._unwritten = self._unwritten[os.write(self._descriptor, self._unwritten) :]

    def position(self) -> int:
        """Hand everything to the system and return where the journal ends, for `record_durable`."""
        self.flush()
        return os.fstat(self._descriptor).st_size if self._descriptor is not None else 0

    def record_durable(self, position: int) -> None:
        """Remember that the files of everything recorded before `position` have reached the disk."""
        if position:
            self._pending.append(journal.durable_line(position))

    def close(self) -> None:
        """End this process's journal and merge those of ended processes.

        Raises
        ------
        OSError
            If the disk takes no more; the journal is ended all the same.
        """
        try:
            self.flush()
            if self._descriptor is not None:
                os.fsync(self._descriptor)
        finally:
            was_open = self._end()
        if was_open:
            self._merge()

    def _record(self, entry: Entry) -> None:
        self._learn(entry)
        self._pending.append(entry.line())
        if len(self._pending) >= _BATCH:
            self.flush()

    def _learn(self, entry: Entry) -> None:
        if entry.state == "v":
            self._known[hash(entry.key)] = _packed(entry.size_bytes, entry.etag)
        else:
            self._known[hash(entry.key)] = _ABSENT if entry.state == "a" else _DOUBTED

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        token = held.new_token()
        self._lock = self._folder / f"{token}.lock"
        held.hold(self._lock)
        path = self._folder / f"{time.time_ns()}-{token}{journal.SUFFIX}"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._unwritten = journal.title().encode() + self._unwritten

    def _end(self) -> bool:
        if self._descriptor is not None:
            os.close(self._descriptor)
        if self._lock is not None:
            held.let_go(self._lock)
        was_open = self._descriptor is not None
        self._descriptor = self._lock = None
        return was_open

    def _journals(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{journal.SUFFIX}"))

    def _merge(self) -> None:
        """Write the journals of ended processes as one; whoever reads meanwhile sees either."""
        guard = self._folder / "merge.lock"
        if not held.hold(guard):
            return
        try:
            ended = [path for path in self._journals() if held.is_abandoned(_lock_of(path))]
            if len(ended) >= _MERGE_FROM:
                _merge_journals(ended)
            for path in ended:
                _lock_of(path).unlink(missing_ok=True)
        finally:
            held.let_go(guard)


def _merge_journals(ended: list[Path]) -> None:
    sync_disk(ended[-1].parent)
    latest = {entry.key: entry for path in ended for entry in journal.read_journal(path)}
    # Under the name of the newest of them: entries of living processes stay the later ones.
    merged = ended[-1]
    temporary = merged.with_name(f"{held.new_token()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(journal.title())
            file.writelines(entry.line() for entry in latest.values())
            file.flush()
            file.write(journal.durable_line(os.fstat(file.fileno()).st_size))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(merged)
    finally:
        temporary.unlink(missing_ok=True)
    for path in ended[:-1]:
        path.unlink(missing_ok=True)


def file_size(path: str) -> int | None:
    """Return the length of a file; None where there is no regular file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - called for every object: a Path costs five times as much
    except (OSError, ValueError):
        return None
    return status.st_size if status.st_mode & 0o170000 == 0o100000 else None


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name.removesuffix(journal.SUFFIX).partition('-')[2]}.lock")


def _packed(size_bytes: int, etag: str | None) -> int:
    return size_bytes << _ETAG_BITS | hash(etag) & ((1 << _ETAG_BITS) - 1)
