"""Decide what of an archive may be unpacked, and where to, before anything is written.

An archive is refused as a whole when any of its members tries to leave the folder, is a link or a
device, is encrypted, comes twice, or unpacks to more than an archive of chunks ever would. Members
outside a ``<dataset>.zarr`` (a read-me, a file browser's leavings) are left out.
"""

from __future__ import annotations

import re
import stat
from array import array
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError
from cellmap_tui.text import cut_middle, printable, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cellmap_tui.storage.zip_directory import Directory, Entry

STORED = 0
DEFLATED = 8

LARGEST_MEMBER_BYTES = 4 << 30
"""A chunk has a few megabytes; a member beyond this is none."""
LARGEST_RATIO = 100
"""Unpacked to packed size of a whole archive; chunks are compressed already, so about 1 to 3 is usual."""
ALLOWANCE_BYTES = 1 << 30
"""Archives that unpack to less than this are not measured by their ratio."""

_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_PATCH = 0x0020
_UNIX = 3
_NAME = r"[A-Za-z0-9_.][A-Za-z0-9._+-]{0,99}"
_COMPONENT = re.compile(_NAME)
# Relative names of such components, none of them . or ..; what does not fit is looked at more closely.
_PLAIN = re.compile(rf"(?:(?!\.\.?/){_NAME}/)*(?!\.\.?\Z){_NAME}")
_LONGEST_PATH = 1000
_BLOCK_BYTES = 4096


class ArchiveRefusedError(DataError):
    """The archive holds something that may not be unpacked."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What an archive holds, after every member was looked at."""

    files: int
    """Files that go below the data root."""
    size_bytes: int
    """Their size unpacked."""
    disk_bytes: int
    """The same in whole blocks of the file system."""
    left_out: int
    """Members that are no challenge data."""
    datasets: tuple[str, ...]
    """Datasets in it, sorted."""


def destination(entry: Entry) -> tuple[str, ...] | None:
    """Return the path of a member below the data root, ``(dataset, dataset.zarr, …)``.

    None for folders and for what lies in no ``.zarr``. Folders around the datasets do not count.

    Raises
    ------
    ArchiveRefusedError
        If the member may not be unpacked.
    """
    check_entry(entry)
    parts = tuple(entry.name.split("/"))
    if not parts[-1]:
        return None
    root = next((i for i, part in enumerate(parts) if part.endswith(".zarr")), None)
    if root is None or root == len(parts) - 1 or parts[0] == "__MACOSX":
        return None
    path = (parts[root].removesuffix(".zarr"), *parts[root:])
    if not all(_COMPONENT.fullmatch(part) for part in path) or sum(map(len, path)) > _LONGEST_PATH:
        raise _refused(entry, "has a name that no chunk has")
    return path


def check_entry(entry: Entry) -> None:
    """Make sure that a member is a plain file or folder that stays inside.

    Raises
    ------
    ArchiveRefusedError
        If it is not; says why.
    """
    if not _PLAIN.fullmatch(entry.name):
        _check_name(entry)
    if entry.flags & _ENCRYPTED:
        raise _refused(entry, "is encrypted")
    if entry.flags & _PATCH or entry.method not in {STORED, DEFLATED}:
        raise _refused(entry, f"is packed by method {entry.method}, not stored or deflated")
    kind = stat.S_IFMT(entry.attributes >> 16) if entry.made_on == _UNIX else 0
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise _refused(entry, "is a link" if kind == stat.S_IFLNK else "is no plain file")
    if entry.size_bytes > LARGEST_MEMBER_BYTES or (entry.method == STORED and entry.size_bytes != entry.packed_bytes):
        raise _refused(entry, f"claims to unpack to {size(entry.size_bytes)}")


def _check_name(entry: Entry) -> None:
    parts = entry.name.removesuffix("/").split("/")
    if entry.name.startswith("/") or re.match(r"[A-Za-z]:", entry.name):
        raise _refused(entry, "has an absolute name")
    if ".." in parts:
        raise _refused(entry, "leaves the folder")
    if "\\" in entry.name or {".", ""} & {*parts} or printable(entry.name) != entry.name:
        raise _refused(entry, "has an odd name")


def look_through(
    entries: Iterator[Entry], directory: Directory, tick: Callable[[int], None] = lambda _: None
) -> Contents:
    """Check every member of an archive.

    Parameters
    ----------
    entries
        All entries of the central directory.
    directory
        Where it lies.
    tick
        Called with the number of members looked at so far, every few thousand.

    Raises
    ------
    ArchiveRefusedError
        If the archive may not be unpacked.
    """
    marks = array("Q")  # 8 bytes a name, where a set of names would take a hundred
    files = left_out = total = on_disk = packed = 0
    datasets: set[str] = set()
    for seen, entry in enumerate(entries, start=1):
        packed += entry.packed_bytes + 30 + len(entry.raw_name)
        path = destination(entry)
        if path is not None:
            files += 1
            total += entry.size_bytes
            on_disk += blocks_bytes(entry.size_bytes)
            datasets.add(path[0])
            marks.append(int.from_bytes(blake2b("/".join(path).encode(), digest_size=8).digest(), "little"))
        elif not entry.name.endswith("/"):
            left_out += 1
        if seen % 4096 == 0:
            tick(seen)
    _check_totals(files, total, packed, directory)
    _check_twins(marks)
    return Contents(files, total, on_disk, left_out, tuple(sorted(datasets)))


def blocks_bytes(size_bytes: int) -> int:
    """Return the disk space of a file of that size."""
    return -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES


def _check_totals(files: int, total: int, packed: int, directory: Directory) -> None:
    if not files:
        raise ArchiveRefusedError("the archive holds no challenge data", "no <dataset>.zarr is in it")
    if packed > directory.offset:
        raise ArchiveRefusedError("the archive is not unpacked: its members overlap, as those of a bomb do")
    if total > ALLOWANCE_BYTES and total > LARGEST_RATIO * directory.offset:
        raise ArchiveRefusedError(
            f"the archive is not unpacked: {size(directory.offset)} claim to become {size(total)}, as a bomb does"
        )


def _check_twins(marks: array[int]) -> None:
    import numpy as np

    ordered = np.sort(np.frombuffer(marks, dtype=np.uint64))
    twins = int((ordered[1:] == ordered[:-1]).sum())
    if twins:
        raise ArchiveRefusedError(f"the archive is not unpacked: {twins} of its files come more than once")


def _refused(entry: Entry, why: str) -> ArchiveRefusedError:
    name = cut_middle(printable(entry.name), 100)
    return ArchiveRefusedError(
        f"the archive is not unpacked: member {name!r} {why}", "nothing was written; please report it"
    )
