"""Which objects should be on disk, and whether they are: the comparison behind `verify`."""

from __future__ import annotations

import bisect
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cellmap_tui.challenge.layout import crop_em_path, local_classes
from cellmap_tui.services.fetch_facts import read_em
from cellmap_tui.services.fetch_levels import Padding, indices, needed_voxels, touched_chunks, world_box
from cellmap_tui.services.fetch_listing import PAGE, Body
from cellmap_tui.services.fetch_record import Asked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.storage.bucket import Folder
    from cellmap_tui.storage.ledger import Ledger
    from cellmap_tui.storage.objects import RemoteObject

_THREADS = 4
_BLOCK_BYTES = 1 << 20

FOUND_WRONG = -1
"""Length of an object of which the ledger only knows that its file was found wrong."""

Finding = Literal["present", "missing", "corrupt"]


@dataclass(frozen=True, slots=True)
class Checked:
    """An object, and what is on disk under its name."""

    remote: RemoteObject
    """The object as it should be."""
    finding: Finding
    """What was found."""
    message: str = ""
    """What is wrong."""


class DiskReader:
    """A data root read as if it were a bucket: small objects alone, nothing is listed."""

    def __init__(self, data_root: Path) -> None:
        self._root = data_root

    async def page(self, prefix: str, after: str = "") -> Sequence[RemoteObject]:
        """Return nothing."""
        return ()

    async def folder(self, prefix: str) -> Folder:
        """Return nothing."""
        from cellmap_tui.storage.bucket import Folder

        return Folder((), ())

    async def body(self, key: str) -> Body | None:
        """Return a file."""
        from cellmap_tui.storage.objects import RemoteObject, local_path

        try:
            content = local_path(self._root, key).read_bytes()
        except OSError:
            return None
        return Body(RemoteObject(key, len(content), None), content)


class LedgerReader(DiskReader):
    """What was recorded when the data were fetched, read as if it were the bucket.

    Parameters
    ----------
    ledger
        What is known of the data root.
    """

    requests = 0

    def __init__(self, ledger: Ledger) -> None:
        from cellmap_tui.storage.objects import RemoteObject

        super().__init__(ledger.data_root)
        self._objects: dict[str, RemoteObject] = {}
        for entry in ledger.entries():
            if entry.state == "a":
                self._objects.pop(entry.key, None)
            elif entry.state == "v" or entry.size_bytes or entry.etag:
                self._objects[entry.key] = RemoteObject(entry.key, entry.size_bytes, entry.etag)
            else:
                self._objects.setdefault(entry.key, RemoteObject(entry.key, FOUND_WRONG, None))
        self._keys = sorted(self._objects)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever recorded."""
        return not self._keys

    async def page(self, prefix: str, after: str = "") -> Sequence[RemoteObject]:
        """Return up to a page of recorded objects below a prefix, those with keys beyond `after`."""
        start = bisect.bisect_left(self._keys, prefix)
        if after:
            start = max(start, bisect.bisect_right(self._keys, after))
        keys = self._keys[start : start + PAGE]
        return [self._objects[key] for key in keys if key.startswith(prefix)]

    async def folder(self, prefix: str) -> Folder:
        """Return the recorded objects and folders directly below a prefix."""
        from cellmap_tui.storage.bucket import Folder

        objects: list[RemoteObject] = []
        folders: dict[str, None] = {}
        position = bisect.bisect_left(self._keys, prefix)
        while position < len(self._keys) and self._keys[position].startswith(prefix):
            name, slash, _ = self._keys[position][len(prefix) :].partition("/")
            if slash:
                folders[f"{prefix}{name}"] = None
                # "0" is the character after "/": this is the first key beyond the folder.
                position = bisect.bisect_left(self._keys, f"{prefix}{name}0", position)
            else:
                objects.append(self._objects[self._keys[position]])
                position += 1
        return Folder(tuple(objects), tuple(folders))


async def asked_by_disk(data_root: Path, crop: Crop) -> Asked:
    """Return what seems to have been asked of a crop of which no fetch is remembered.

    A class counts when its folder exists, a level when at least half of the chunks under the crop do:
    fewer may be a neighbour's.
    """
    classes = tuple(sorted(local_classes(data_root, crop)))
    levels = await _begun_levels(data_root, crop)
    return Asked(
        crop.ref,
        classes if len(classes) < len(crop.classes) else (),
        levels=levels,
        labels=bool(classes),
        em=bool(levels),
    )


async def _begun_levels(data_root: Path, crop: Crop) -> tuple[str, ...]:
    from cellmap_tui.errors import DataError

    group = str(crop_em_path(crop))
    try:
        em = await read_em(DiskReader(data_root), group)
    except DataError:
        return ()
    begun = []
    for name, level in em.levels.items():
        chunks = touched_chunks(level, needed_voxels(level, world_box(crop), Padding()))
        folder = data_root / group / name
        found = sum((folder / level.chunk_name(index)).exists() for index in indices(chunks))
        if found and 2 * found >= chunks.voxels:
            begun.append(name)
    return tuple(sorted(begun))


def check_objects(ledger: Ledger, remotes: Iterable[RemoteObject], *, quick: bool) -> list[Checked]:
    """Compare objects with the files on disk, several at a time.

    Parameters
    ----------
    ledger
        What is known of the data root.
    remotes
        The objects as they should be.
    quick
        Compare lengths alone.
    """
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(lambda remote: _checked(ledger, remote, quick), remotes))


def _checked(ledger: Ledger, remote: RemoteObject, quick: bool) -> Checked:
    from cellmap_tui.storage.ledger import file_size
    from cellmap_tui.storage.objects import local_path, md5_of

    path = local_path(ledger.data_root, remote.key)
    found = file_size(str(path))
    if found is None:
        return Checked(remote, "missing", "not on disk")
    if remote.size_bytes == FOUND_WRONG:
        return Checked(remote, "corrupt", "found wrong before, and its right length is not recorded")
    if found != remote.size_bytes:
        return Checked(remote, "corrupt", f"{found} of {remote.size_bytes} bytes")
    expected = md5_of(remote.etag)
    if quick or expected is None:
        return Checked(remote, "present")
    try:
        digest = _md5(path)
    except OSError as error:
        return Checked(remote, "corrupt", f"cannot be read: {error.strerror}")
    return Checked(remote, "present") if digest == expected else Checked(remote, "corrupt", "other bytes (MD5)")


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
