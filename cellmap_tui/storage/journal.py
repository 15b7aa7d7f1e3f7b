"""The files of the ledger: lines that are only ever appended, read back whatever became of their end.

A line is ``v``, size, ETag and key for an object that was checked, ``s`` for one whose bytes a power cut
may have taken since, ``a`` and a key for one that the bucket does not have; tabs between. The first line
says which start of which machine wrote it; ``d`` and a number say that the files of all lines up to this
byte have reached the disk.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX = ".journal"
_TITLE = "cellmap-tui ledger 1"
_DURABLE = re.compile(rb"d\t(\d{1,18})\n")
_LINE = re.compile(r"([vs])\t(\d{1,18})\t([^\t]{1,200})\t([^\t\0]{1,1024})\n|(a)\t\t\t([^\t\0]{1,1024})\n")


class Entry(NamedTuple):
    """What the ledger knows of one object."""

    state: str
    """``v`` checked, ``s`` checked before a power cut may have come, ``a`` absent."""
    key: str
    """Its key."""
    size_bytes: int
    """Its length; 0 for an absent one."""
    etag: str | None
    """Its ETag at the time, if it had one."""

    def line(self) -> str:
        """Return the entry as a line of a journal."""
        if self.state == "a":
            return f"a\t\t\t{self.key}\n"
        return f"{self.state}\t{self.size_bytes}\t{self.etag or '-'}\t{self.key}\n"


def title() -> str:
    """Return the first line of a journal that this process writes."""
    return f"{_TITLE}\t{boot_mark()}\n"


def durable_line(position: int) -> str:
    """Return the line that says that the files of all lines before `position` have reached the disk."""
    return f"d\t{position}\n"


def read_journal(path: Path) -> Iterator[Entry]:
    """Yield the entries of a journal, leaving out what is torn or damaged.

    Raises
    ------
    FileNotFoundError
        If it was merged into another one meanwhile.
    """
    with path.open("rb") as file:
        first = file.readline()
        safe_until = sys.maxsize if first == title().encode() else _durable_position(file)
        position = len(first)
        file.seek(position)
        for line in file:
            entry = _parsed(line.decode("utf-8", "replace"))
            if entry is not None:
                is_safe = position < safe_until or entry.state != "v"
                yield entry if is_safe else entry._replace(state="s")
            position += len(line)


def boot_mark() -> str:
    """Return what tells this start of this machine from every other, empty if nothing does.

    Files that were written in this start are as they were written: killing a process takes nothing from
    them, only a power cut can. A journal of another start that was not closed is therefore doubted.
    """
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
        return file.read().strip()
    import psutil  # 15 ms, where there is no /proc

    return f"{os.uname().nodename}@{round(psutil.boot_time(), -1):.0f}"


def _durable_position(file: BinaryIO) -> int:
    marks = (_DURABLE.fullmatch(line) for line in file if line.startswith(b"d"))
    return max((int(mark[1]) for mark in marks if mark), default=0)


def _parsed(line: str) -> Entry | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    state, size_bytes, etag, key, absent, absent_key = match.groups()
    if absent:
        return Entry("a", absent_key, 0, None)
    return Entry(state, key, int(size_bytes), None if etag == "-" else etag)
