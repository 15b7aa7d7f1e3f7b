"""Where an archive lies while it is fetched, who works on it, and which version was unpacked.

Everything is in the tool's own folder beside the data.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import sidecar_path
from cellmap_tui.errors import RefusedError
from cellmap_tui.storage import held

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ArchivePlace:
    """Where an archive is kept while it is fetched."""

    data_root: Path
    """Folder that it is unpacked to."""
    name: str
    """Its name without ending."""

    @property
    def folder(self) -> Path:
        """Folder of all that belongs to archives."""
        return sidecar_path(self.data_root, "archives")

    @property
    def archive(self) -> Path:
        """The file that grows; its journal lies beside it."""
        return self.folder / f"{self.name}.zip.part"

    @property
    def kept(self) -> Path:
        """The whole archive, where it is to be kept."""
        return self.folder / f"{self.name}.zip"

    @property
    def unpacking(self) -> Path:
        """Journal of what is unpacked."""
        return self.folder / f"{self.name}.unpacking"

    @property
    def marker(self) -> Path:
        """Which version was unpacked."""
        return self.folder / f"{self.name}.json"

    @property
    def lock(self) -> Path:
        """Held by the process that works on it."""
        return self.folder / f"{self.name}.lock"


@dataclass(frozen=True, slots=True)
class UnpackedMark:
    """Which version of an archive was unpacked to the end."""

    etag: str
    """Its ETag."""
    size_bytes: int
    """Its size."""
    files: int
    """Files that came out of it."""
    unpacked_bytes: int
    """Their size."""
    unpacked_s: float
    """When, in Unix seconds."""


def read_mark(place: ArchivePlace) -> UnpackedMark | None:
    """Return which version was unpacked to the end; None for none."""
    try:
        return UnpackedMark(**json.loads(place.marker.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_mark(place: ArchivePlace, mark: UnpackedMark) -> None:
    """Write down which version was unpacked."""
    temporary = place.marker.with_name(f"{place.marker.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(asdict(mark)), encoding="utf-8")
    temporary.replace(place.marker)


@contextlib.contextmanager
def only_worker(place: ArchivePlace) -> Iterator[None]:
    """Hold an archive's lock.

    Raises
    ------
    RefusedError
        If another process works on it.
    """
    place.folder.mkdir(parents=True, exist_ok=True)
    if not held.hold(place.lock):
        raise RefusedError(
            f"another process is fetching {place.name} into {place.data_root}",
            "wait for it, or look for it with `cellmap-tui runs list`",
        )
    try:
        yield
    finally:
        held.let_go(place.lock)
