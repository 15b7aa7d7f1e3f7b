"""Fetch one published archive below a data root: download, check, unpack, tidy up.

Each step goes on where an earlier call was stopped or killed. Bytes that arrived wrong are found by the
checksums inside the archive, and the parts that hold them are fetched again.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError, RefusedError
from cellmap_tui.storage.archive_client import ArchiveChangedError
from cellmap_tui.storage.archive_download import ArchiveFile, DownloadOutcome, download
from cellmap_tui.storage.archive_journal import PartsJournal, read_parts
from cellmap_tui.storage.archive_place import UnpackedMark, write_mark
from cellmap_tui.storage.archive_unpack import BATCH_MEMBERS, Unpacked, UnpackOptions, unpack
from cellmap_tui.storage.zip_directory import BrokenArchiveError, find_directory, read_entries
from cellmap_tui.storage.zip_members import ArchiveRefusedError, Contents, look_through
from cellmap_tui.text import count, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cellmap_tui.storage.archive_client import ArchiveClient, ArchiveHead
    from cellmap_tui.storage.archive_download import DownloadOptions, Watch
    from cellmap_tui.storage.archive_place import ArchivePlace
    from cellmap_tui.storage.zip_directory import Directory, Entry

_REPAIRS = 2
"""How often bytes that turn out to be wrong are fetched again."""
_END_BYTES = 70_000  # the end record and its longest comment


@dataclass(frozen=True, slots=True)
class ArchiveOutcome:
    """What fetching an archive did."""

    download: DownloadOutcome
    """What came over the network."""
    contents: Contents
    """What is in the archive."""
    written: int
    """Files that this call unpacked."""
    repaired: int
    """Members whose bytes were wrong at first."""


def fetch_and_unpack(
    client: ArchiveClient,
    head: ArchiveHead,
    place: ArchivePlace,
    watch: Watch,
    *,
    options: DownloadOptions,
    unpack_options: UnpackOptions | None = None,
    check_room: Callable[[int], None] = lambda _: None,
    keep: bool = False,
) -> ArchiveOutcome:
    """Download what is missing of an archive, then unpack what is not unpacked.

    Bytes that turn out to be wrong are fetched again. The lock must be held.

    Parameters
    ----------
    head
        The version that is wanted.
    check_room
        Called with the bytes on disk that unpacking will take, before it begins; raises to refuse.
    keep
        Keep the archive beside the data.

    Raises
    ------
    ArchiveChangedError
        If the archive is replaced meanwhile; nothing of the new one is there yet.
    DataError
        If it may not be unpacked, or stays damaged.
    CellmapError, OSError
        As `archive_download.download` and `archive_unpack.unpack`.
    """
    file = _open_file(place, head, options.part_bytes)
    try:
        work = _Work(client, file, place, watch, options, unpack_options or UnpackOptions(), check_room)
        outcome = work.run()
    except (ArchiveChangedError, ArchiveRefusedError):
        file.discard()
        place.unpacking.unlink(missing_ok=True)
        raise
    except BaseException:
        file.close()
        raise
    contents, now_s = outcome.contents, round(time.time(), 3)
    write_mark(place, UnpackedMark(head.etag, head.size_bytes, contents.files, contents.size_bytes, now_s))
    if keep:
        file.path.replace(place.kept)
    file.discard()
    place.unpacking.unlink(missing_ok=True)
    return outcome


def _open_file(place: ArchivePlace, head: ArchiveHead, part_bytes: int) -> ArchiveFile:
    try:
        return ArchiveFile(place.archive, head, part_bytes)
    except OSError as error:
        raise RefusedError(
            f"{place.archive} cannot be written: {error.strerror}", "make room, or choose another folder with --dest"
        ) from None


class _Work:
    """One archive, from the first byte to the last file."""

    def __init__(
        self,
        client: ArchiveClient,
        file: ArchiveFile,
        place: ArchivePlace,
        watch: Watch,
        options: DownloadOptions,
        unpack_options: UnpackOptions,
        check_room: Callable[[int], None],
    ) -> None:
        self._client = client
        self._file = file
        self._place = place
        self._watch = watch
        self._options = options
        self._unpack_options = unpack_options
        self._check_room = check_room
        self._moved: list[DownloadOutcome] = []
        self._written = 0
        self._repaired = 0
        self._directory_again = False

    def run(self) -> ArchiveOutcome:
        for tries_left in reversed(range(_REPAIRS + 1)):
            self._moved.append(download(self._client, self._file, self._options, self._watch))
            try:
                contents, unpacked = self._unpack()
            except (BrokenArchiveError, ArchiveRefusedError):
                # The directory has no checksum: what it says counts only when it says so twice.
                if self._directory_again or not tries_left:
                    raise
                self._directory_again = True
                self._fetch_again([(self._directory_start(), self._file.head.size_bytes)], "the archive's directory")
                continue
            self._written += unpacked.files
            if not unpacked.corrupt:
                return ArchiveOutcome(self._sum_of_downloads(), contents, self._written, self._repaired)
            if not tries_left:
                raise _damaged(unpacked.corrupt)
            self._repaired += len(unpacked.corrupt)
            spans = [(entry.header_offset, _end_of(entry)) for entry in unpacked.corrupt]
            self._fetch_again(spans, f"{count(len(spans))} damaged members")
        raise AssertionError("unreachable")

    def _unpack(self) -> tuple[Contents, Unpacked]:
        directory = find_directory(self._file.read_at, self._file.head.size_bytes)
        self._watch.note(f"checking the {count(directory.members)} members of {self._place.name}")
        contents = look_through(self._entries(directory), directory, self._tick)
        journal = self._unpacking_journal(directory)
        try:
            self._check_room(round(contents.disk_bytes * (1 - journal.done / _batches(directory.members))))
            self._watch.note(f"unpacking {count(contents.files)} files, {size(contents.size_bytes)}")
            unpacked = unpack(
                self._file.read_at,
                self._entries(directory),
                self._place.data_root,
                journal,
                self._watch,
                total_bytes=contents.size_bytes,
                options=self._unpack_options,
            )
        finally:
            journal.close()
        return contents, unpacked

    def _entries(self, directory: Directory) -> Iterator[Entry]:
        return read_entries(self._file.read_at, directory)

    def _tick(self, _: int) -> None:
        self._watch.checkpoint()

    def _unpacking_journal(self, directory: Directory) -> PartsJournal:
        members = directory.members
        return PartsJournal(self._place.unpacking, _unpacking(self._file.head, members), _batches(members))

    def _directory_start(self) -> int:
        with contextlib.suppress(BrokenArchiveError):
            return find_directory(self._file.read_at, self._file.head.size_bytes).offset
        return max(0, self._file.head.size_bytes - _END_BYTES)

    def _fetch_again(self, spans: Iterable[tuple[int, int]], what: str) -> None:
        size_bytes = self._file.head.size_bytes
        parts = {part for start, stop in spans for part in self._file.parts_of(start, min(stop, size_bytes))}
        self._watch.warning(f"{what}: fetching {count(len(parts))} parts again")
        self._file.journal.drop(parts)

    def _sum_of_downloads(self) -> DownloadOutcome:
        first = self._moved[0]
        return DownloadOutcome(
            fetched_bytes=sum(moved.fetched_bytes for moved in self._moved),
            kept_bytes=first.kept_bytes,
            retries=sum(moved.retries for moved in self._moved),
            is_resumed=first.is_resumed,
        )


def unpacked_share(place: ArchivePlace, head: ArchiveHead, members: int) -> float:
    """Return which share of an archive an earlier call has unpacked, 0 to 1."""
    return sum(read_parts(place.unpacking, _unpacking(head, members), _batches(members))) / _batches(members)


def _unpacking(head: ArchiveHead, members: int) -> dict[str, object]:
    return {"v": 1, "etag": head.etag, "size_bytes": head.size_bytes, "members": members}


def _batches(members: int) -> int:
    return max(1, -(-members // BATCH_MEMBERS))


def _end_of(entry: Entry) -> int:
    return entry.header_offset + entry.packed_bytes + len(entry.raw_name) + 1024  # local headers have extra fields


def _damaged(corrupt: list[Entry]) -> DataError:
    names = ", ".join(entry.name for entry in corrupt[:3])
    more = f" and {count(len(corrupt) - 3)} more" if len(corrupt) > 3 else ""
    return DataError(
        f"{names}{more}: the archive's bytes do not agree with its directory, also when fetched again",
        "fetch without --zip; the other files were unpacked",
    )
