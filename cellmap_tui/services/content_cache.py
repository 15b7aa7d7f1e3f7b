"""What scans of label arrays found, kept from one time to the next.

One small JSON file per crop, beside the data in ``.cellmap-tui/content`` or, where the data root cannot be
written, in the state folder. An entry counts only while the array's files are the ones that were looked
at: its key is made of the metadata's text and the name, size and time of every chunk file.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.content import LabelContent  # noqa: TC001 - models are read by their annotations
from cellmap_tui.challenge.layout import sidecar_path
from cellmap_tui.challenge.sidecar import write_text
from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "content"
VERSION = 1
_METADATA = (".zarray", ".zattrs", ".zgroup")


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """What is remembered of one array."""

    key: str
    """Stands for the files that were looked at."""
    content: LabelContent
    """What they held."""
    has_objects: bool
    """Whether the parts of a mask were counted."""


class ContentCache:
    """The remembered scans of one data root; a cache that cannot be read or written is as good as none.

    Parameters
    ----------
    data_root
        Folder of the data; None where labels lie elsewhere.
    state_dir
        Where the scans are kept if `data_root` cannot be written; None: they are not kept then.
    """

    def __init__(self, data_root: Path | None, state_dir: Path | None = None) -> None:
        self._folders = tuple(_folders(data_root, state_dir))
        self._crops: dict[str, dict[str, CacheEntry]] = {}

    def get(self, ref: str, name: str, key: str, *, with_objects: bool) -> LabelContent | None:
        """Return what is known of an array whose files have this key; None if nothing is."""
        entry = self._of(ref).get(name)
        if entry is None or entry.key != key or (with_objects and not entry.has_objects):
            return None
        return entry.content

    def keep(self, ref: str, name: str, entry: CacheEntry) -> None:
        """Remember an array; `save` writes it."""
        self._of(ref)[name] = entry

    def save(self, ref: str) -> None:
        """Write what is known of a crop, into the first folder that takes it."""
        arrays = {name: _plain(entry) for name, entry in sorted(self._of(ref).items())}
        text = json.dumps({"version": VERSION, "arrays": arrays}, separators=(",", ":")) + "\n"
        for folder in self._folders:
            path = _file(folder, ref)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, text)
            except OSError:
                continue  # a data root of somebody else's: the state folder is next
            return

    def _of(self, ref: str) -> dict[str, CacheEntry]:
        if ref not in self._crops:
            found = next((known for folder in self._folders if (known := _read(_file(folder, ref)))), {})
            self._crops.setdefault(ref, found)  # threads may read it side by side; the first one counts
        return self._crops[ref]


def array_key(path: Path) -> str:
    """Return what changes when the files of a label group or array do; costs a look at each file, no reading."""
    digest = hashlib.sha256()
    for entry in _files(str(path)):
        name = os.path.basename(entry.path)  # noqa: PTH119 - a hundred thousand chunks
        if name in _METADATA:
            digest.update(Path(entry.path).read_bytes())
        facts = entry.stat()
        digest.update(f"{entry.path[len(str(path)) :]}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir():
            yield from _files(entry.path)
        else:
            yield entry


def _folders(data_root: Path | None, state_dir: Path | None) -> Iterator[Path]:
    if data_root is not None:
        yield sidecar_path(data_root, FOLDER)
    if state_dir is not None:
        place = hashlib.sha256(str(data_root.absolute() if data_root else "").encode()).hexdigest()[:16]
        yield state_dir / FOLDER / place


def _file(folder: Path, ref: str) -> Path:
    return folder / f"{ref}.json"


def _read(path: Path) -> dict[str, CacheEntry]:
    """Return what a file remembers; damaged or of another version, it is nothing and will be written anew."""
    from cellmap_tui.services.models import from_mapping

    try:
        value = json.loads(path.read_bytes())
        if not isinstance(value, dict) or value.get("version") != VERSION:
            return {}
        return {name: from_mapping(raw, CacheEntry, source=str(path)) for name, raw in value["arrays"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, CellmapError):
        return {}


def _plain(entry: CacheEntry) -> Any:
    from cellmap_tui.services.models import to_builtins

    return to_builtins(entry)
