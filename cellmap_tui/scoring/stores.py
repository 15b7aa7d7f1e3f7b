"""Where files of a volume come from: a folder, or a zip that is read in place.

Owns the guards against what a foreign archive may hold: members that lead outside, links, more data
than the limit, names that stand twice. What the files mean is not its business.
"""

from __future__ import annotations

import os
import posixpath
import stat
import zipfile
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.scoring.limits import Limits
from cellmap_tui.text import printable, size

if TYPE_CHECKING:
    from pathlib import Path

MAX_MEMBERS = 20_000_000
"""A directory of more members does not fit in memory; all 413 volumes in 32³ chunks have a tenth of that."""


class Store(Protocol):
    """Files by their key, a path with ``/`` below a root."""

    path: Path
    """Folder or archive."""

    def read(self, key: str) -> bytes | None:
        """Return the content of a file, None where there is none."""

    def has(self, key: str) -> bool:
        """Return whether a file exists."""

    def folders(self, key: str = "") -> tuple[str, ...]:
        """Return the names of the folders in a folder, sorted."""

    def files(self, key: str = "") -> tuple[str, ...]:
        """Return the names of the files in a folder, sorted."""


class FolderStore:
    """Files in a folder.

    Parameters
    ----------
    path
        The folder.
    is_guarded
        Whether links that lead out of the folder are refused, as in what others send in.
    """

    def __init__(self, path: Path, *, is_guarded: bool = False) -> None:
        self.path = path
        self._root = os.fspath(path)
        self._real_root = os.path.realpath(path) if is_guarded else None
        self._checked: set[str] = set()

    def read(self, key: str) -> bytes | None:
        """Return the content of a file, None where there is none; DataError if it cannot be read."""
        self._check(key)
        try:
            with open(f"{self._root}/{key}", "rb", buffering=0) as stream:  # noqa: PTH123 - half the time of a Path
                return stream.readall()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DataError(printable(f"{self.path / key}: {error.strerror}")) from None

    def has(self, key: str) -> bool:
        """Return whether a file exists."""
        return (self.path / key).is_file()

    def folders(self, key: str = "") -> tuple[str, ...]:
        """Return the names of the folders in a folder, sorted."""
        return tuple(name for name, is_folder in self._entries(key) if is_folder)

    def files(self, key: str = "") -> tuple[str, ...]:
        """Return the names of the files in a folder, sorted."""
        return tuple(name for name, is_folder in self._entries(key) if not is_folder)

    def _entries(self, key: str) -> list[tuple[str, bool]]:
        self._check(f"{key}/.")
        try:
            with os.scandir(self.path / key) as entries:
                return sorted((entry.name, entry.is_dir()) for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise DataError(printable(f"{self.path / key}: {error.strerror}")) from None

    def _check(self, key: str) -> None:
        folder = key.rpartition("/")[0]
        if self._real_root is None:
            return
        if folder not in self._checked:
            _refuse_outside(self._real_root, self.path / folder)
            self._checked.add(folder)
        if (self.path / key).is_symlink():
            _refuse_outside(self._real_root, self.path / key)


def _refuse_outside(root: str, path: Path) -> None:
    real = os.path.realpath(path)
    if real != root and not real.startswith(root + os.sep):
        raise DataError(printable(f"{path} is a link that leads out of {root}"), "put the data themselves there")


class ZipStore:
    """Files in a zip, read without unpacking.

    Raises
    ------
    DataError
        If it is not a zip, or holds a member that is a link, encrypted, leads outside or stands twice, or
        is larger unpacked than the limit; names the member.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DataError(
                printable(f"{path} is not a zip that can be read: {error}"), "zip the folder of crops again"
            ) from None
        members = self._zip.infolist()
        _check_total(path, members, (limits or Limits.from_environment()).max_uncompressed_bytes)
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._folders: dict[str, set[str]] = {"": set()}
        self._files: dict[str, set[str]] = {}
        for member in members:
            self._add(member)

    def read(self, key: str) -> bytes | None:
        """Return the content of a member, None where there is none; DataError if it is broken."""
        member = self._members.get(key)
        if member is None:
            return None
        try:
            return self._zip.read(member)
        except Exception as error:  # noqa: BLE001 - zipfile raises zlib, lzma, EOF and its own errors on broken members
            raise DataError(printable(f"{self.path}: member {key!r} is broken: {error}"), "zip it again") from None

    def has(self, key: str) -> bool:
        """Return whether a member exists."""
        return key in self._members

    def folders(self, key: str = "") -> tuple[str, ...]:
        """Return the names of the folders in a folder, sorted."""
        return tuple(sorted(self._folders.get(key, ())))

    def files(self, key: str = "") -> tuple[str, ...]:
        """Return the names of the files in a folder, sorted."""
        return tuple(sorted(self._files.get(key, ())))

    def _add(self, member: zipfile.ZipInfo) -> None:
        key = _checked_key(self.path, member)
        if member.is_dir():
            self._add_folder(key)
            return
        if key in self._members:
            raise DataError(printable(f"{self.path}: member {key!r} stands twice"), "zip the folder of crops again")
        self._members[key] = member
        folder, _, name = key.rpartition("/")
        self._add_folder(folder)
        self._files.setdefault(folder, set()).add(name)

    def _add_folder(self, key: str) -> None:
        if key not in self._folders:
            self._folders[key] = set()
            outer, _, name = key.rpartition("/")
            self._add_folder(outer)
            self._folders[outer].add(name)


def _check_total(path: Path, members: list[zipfile.ZipInfo], limit_bytes: int) -> None:
    if len(members) > MAX_MEMBERS:
        raise DataError(printable(f"{path} has {len(members)} members, more than {MAX_MEMBERS}"))
    total = sum(member.file_size for member in members)
    if total > limit_bytes:
        raise DataError(
            printable(f"{path} unpacks to {size(total)}, more than the limit of {size(limit_bytes)}"),
            "use integer types, compress, and leave out what is not scored; MAX_UNCOMPRESSED_SIZE moves the limit",
        )


def _checked_key(path: Path, member: zipfile.ZipInfo) -> str:
    name = member.filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(printable(f"{path}: member {name!r} is a link or device"), "zip the data themselves")
    if member.flag_bits & 1:
        raise DataError(printable(f"{path}: member {name!r} is encrypted"), "zip without a password")
    key = posixpath.normpath(name)
    if name.startswith(("/", "\\")) or key.startswith("..") or "\0" in name or name[1:2] == ":":
        raise DataError(
            printable(f"{path}: member {name!r} leads out of the archive"), "zip the folder of crops again"
        )
    return "" if key == "." else key


def open_store(path: Path, *, is_guarded: bool = False) -> Store:
    """Open a folder or a zip; a zip opened before in this process is not read again unless it changed.

    Raises
    ------
    MissingDataError
        If there is nothing at `path`.
    DataError
        If it is neither, or the zip is refused.
    """
    if path.is_dir():
        return FolderStore(path, is_guarded=is_guarded)
    try:
        facts = path.stat()
    except FileNotFoundError:
        raise MissingDataError(printable(f"{path} does not exist")) from None
    except OSError as error:
        raise DataError(printable(f"{path}: {error.strerror}")) from None
    if not zipfile.is_zipfile(path):
        raise DataError(printable(f"{path} is neither a folder nor a zip"), "give the zip or the folder of crops")
    return _opened_zip(path, facts.st_mtime_ns, facts.st_size, os.getpid())


@lru_cache(maxsize=4)
def _opened_zip(path: Path, mtime_ns: int, size_bytes: int, process_id: int) -> ZipStore:
    # By process: after a fork, both would move the same file position.
    return ZipStore(path)


def join(*parts: str) -> str:
    """Return a key from its parts, empty ones left out."""
    return "/".join(part for part in parts if part)
