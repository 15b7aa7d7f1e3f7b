"""What an archive will take, before it is downloaded: its head, and a sample of its directory."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cellmap_tui.errors import CellmapError
from cellmap_tui.storage.archive_client import TransientError
from cellmap_tui.storage.zip_directory import find_directory, first_entries
from cellmap_tui.storage.zip_members import blocks_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.storage.archive_client import ArchiveClient, ArchiveHead

T = TypeVar("T")

_SAMPLE_BYTES = 1 << 20
"""How much of the directory is read for an estimate; some 8,000 members."""
_TRIES = 4


@dataclass(frozen=True, slots=True)
class ArchiveEstimate:
    """What unpacking an archive will take."""

    members: int
    """Members, folders included."""
    unpacked_bytes: int
    """Size of the files."""
    disk_bytes: int
    """The same in whole blocks of the file system."""
    is_exact: bool
    """Whether every member was looked at, not a sample."""


def ask_head(client: ArchiveClient, key: str) -> ArchiveHead:
    """Ask for size and ETag of an archive, a few times if need be.

    Raises
    ------
    CellmapError
        If it does not exist, is denied, or nobody answers.
    """
    return _patiently(lambda: client.head(key))


def estimate(client: ArchiveClient, head: ArchiveHead) -> ArchiveEstimate:
    """Estimate from a sample of the archive's directory what it unpacks to; reads 1 MB of it at most.

    Raises
    ------
    CellmapError
        If it is no zip archive, or cannot be read.
    """

    def read_at(at: int, size_bytes: int) -> bytes:
        stop = min(at + size_bytes, head.size_bytes)
        return _patiently(lambda: b"".join(client.read_range(head, at, stop))) if stop > at else b""

    directory = find_directory(read_at, head.size_bytes)
    sample = first_entries(read_at, directory, _SAMPLE_BYTES)
    share = directory.members / max(1, len(sample))
    packed_bytes = sum(entry.packed_bytes for entry in sample)
    unpacked_bytes = sum(entry.size_bytes for entry in sample)
    padding_bytes = sum(blocks_bytes(entry.size_bytes) - entry.size_bytes for entry in sample) * share
    if len(sample) == directory.members or not packed_bytes:
        whole_bytes = unpacked_bytes * share
    else:  # the first members may be metadata, so their ratio says more than their mean size
        whole_bytes = unpacked_bytes / packed_bytes * directory.offset
    return ArchiveEstimate(
        members=directory.members,
        unpacked_bytes=round(whole_bytes),
        disk_bytes=round(whole_bytes + padding_bytes),
        is_exact=len(sample) == directory.members,
    )


def _patiently(ask: Callable[[], T]) -> T:
    """Ask a few times, with growing pauses."""
    for tries in range(_TRIES):
        try:
            return ask()
        except TransientError as trouble:
            if tries == _TRIES - 1:
                raise CellmapError(
                    f"the bucket cannot be read: {trouble}", "check the network, the proxy and --endpoint-url"
                ) from None
            pause_s = 0.5 * 2**tries * random.uniform(0.5, 1.0)  # noqa: S311 - spreads requests, guards nothing
            time.sleep(max(pause_s, trouble.retry_after_s))
    raise AssertionError("unreachable")
