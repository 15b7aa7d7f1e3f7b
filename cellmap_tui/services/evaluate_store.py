"""Finished pairs, kept on disk by what went into them, so that a killed evaluation goes on.

The key of a pair is a hash over everything that decides its score: profile, class and kind, limits,
the version of the scorer, and what the file system says about the two volumes. A file a pair, put in
place by a rename. What a score means is not this module's business.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FORMAT = 1
KEPT_S = 90 * 86_400.0
"""Pairs that were not used for so long are removed."""
STACKS = "stacks"
"""Folder of copied stacks in the store."""
_METADATA = frozenset({".zarray", ".zattrs", ".zgroup", "zarr.json", "attributes.json"})


def pair_key(parts: Mapping[str, object]) -> str:
    """Return the key of a pair from everything that decides its score."""
    text = json.dumps({"format": FORMAT, **parts}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(path: Path) -> str:
    """Return what tells the content at a path from another without reading it.

    Of a file: path, size and times. Of a folder: the same of every file in it, and the content of
    its metadata. An empty text where there is nothing.
    """
    digest = hashlib.sha256(os.fsencode(path.absolute()))
    try:
        stat = path.stat()
    except OSError:
        return ""
    if not path.is_dir():
        digest.update(f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}".encode())
        return digest.hexdigest()
    for entry in _files(path):
        found = entry.stat()
        digest.update(os.fsencode(entry.path) + f" {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}".encode())
        if entry.name in _METADATA and found.st_size < 2**20:
            with contextlib.suppress(OSError), open(entry.path, "rb") as file:  # noqa: PTH123 - an entry, not a path
                digest.update(file.read())
    return digest.hexdigest()


class ZipPrints:
    """What tells the volumes of a zip from others: names, sizes and checksums of their members.

    Parameters
    ----------
    path
        The zip; one that cannot be read has no members.
    """

    def __init__(self, path: Path) -> None:
        import zipfile

        members: list[zipfile.ZipInfo] = []
        with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        self._members = sorted((member.filename, member.file_size, member.CRC) for member in members)

    def of(self, key: str) -> str:
        """Return the fingerprint of the members below a folder."""
        from bisect import bisect_left

        digest = hashlib.sha256()
        start = bisect_left(self._members, (f"{key}/", -1, -1))
        for name, size_bytes, checksum in self._members[start:]:
            if not name.startswith(f"{key}/"):
                break
            digest.update(f"{name[len(key) :]}\0{size_bytes} {checksum}\0".encode())
        return digest.hexdigest()


def _files(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    with contextlib.suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            else:
                yield entry


def _remove_whole(folder: Path) -> None:
    """Remove a folder so that nobody sees a part of it."""
    import shutil

    condemned = folder.with_name(f".{folder.name}.{os.getpid()}.removed")
    folder.replace(condemned)
    shutil.rmtree(condemned, ignore_errors=True)


class PairStore:
    """A folder of finished pairs.

    Parameters
    ----------
    folder
        Where they are kept; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the finished pair under a key, None where there is none that can be read."""
        path = self._path(key)
        try:
            found = json.loads(path.read_bytes())
            os.utime(path)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def put(self, key: str, value: object) -> None:
        """Keep a finished pair.

        Raises
        ------
        RefusedError
            If it cannot be written.
        """
        from cellmap_tui.services.models import to_json

        path = self._path(key)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(to_json(value))
            temporary.replace(path)
        except OSError as error:
            raise RefusedError(
                f"finished pairs cannot be kept in {self.folder}: {error.strerror}",
                "free some space, or choose another folder with --store",
            ) from None

    def remove_unused(self) -> None:
        """Remove pairs and copied stacks that nobody has asked for in a long time."""
        oldest_s = time.time() - KEPT_S
        for file in self.folder.glob("??/*.json*"):
            with contextlib.suppress(OSError):
                if file.stat().st_mtime < oldest_s:
                    file.unlink()
        for folder in (self.folder / STACKS).glob("*"):
            with contextlib.suppress(OSError):
                if folder.stat().st_mtime < oldest_s:
                    _remove_whole(folder)

    def stack_folder(self, key: str) -> Path:
        """Return the folder for the copy of a stack, marked as used."""
        folder = self.folder / STACKS / key
        with contextlib.suppress(OSError):
            os.utime(folder)
        return folder

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
