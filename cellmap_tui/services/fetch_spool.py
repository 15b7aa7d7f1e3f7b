"""The objects of a plan, one after another, in bounded memory: millions of them go to a temporary file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_IN_MEMORY_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """One object that a plan wants on disk."""

    crop: int
    """Index of the crop in the plan that needs it first."""
    key: str
    """Its key, checked: printable, without line breaks."""
    size_bytes: int | None
    """Its length; None where it was not listed."""
    etag: str | None
    """Its ETag; None where there is none or it was not listed."""
    is_required: bool
    """Whether its absence is an error, as of metadata."""


class Spool:
    """Planned objects in the order in which they were added."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - lives as long as the plan
            max_size=_IN_MEMORY_BYTES, mode="w+", encoding="utf-8", newline="\n"
        )
        self.objects = 0
        self.bytes = 0

    def add(self, planned: PlannedObject) -> None:
        """Add an object."""
        size = "" if planned.size_bytes is None else planned.size_bytes
        self._file.write(f"{planned.crop}\t{size}\t{planned.etag or ''}\t{planned.is_required:d}\t{planned.key}\n")
        self.objects += 1
        self.bytes += planned.size_bytes or 0

    def __iter__(self) -> Iterator[PlannedObject]:
        """Yield the objects, from the first; one iteration at a time."""
        self._file.seek(0)
        for line in self._file:
            crop, size, etag, required, key = line.rstrip("\n").split("\t")
            yield PlannedObject(int(crop), key, int(size) if size else None, etag or None, required == "1")

    def close(self) -> None:
        """Free what it takes."""
        self._file.close()
