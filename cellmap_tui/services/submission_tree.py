"""The files of a submission as they are, in a folder or in a zip that stays zipped.

Knows names and sizes and reads single files; nothing is unpacked, nothing outside is opened. What
the files mean is `validate_submission`'s business.
"""

from __future__ import annotations

import os
import stat
import zipfile
from abc import ABC, abstractmethod
from bisect import bisect_left
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from types import TracebackType

MAX_FILES = 5_000_000
MAX_METADATA_BYTES = 16 * 2**20


class SubmissionTree(ABC):
    """The files of a submission."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes: dict[str, int] = {}
        """Path below the submission, with slashes, to unpacked size in bytes."""
        self.unsafe: list[str] = []
        """Names that are links or lead out of the submission; they are not among `sizes`."""

    @property
    def total_bytes(self) -> int:
        """Unpacked size of everything."""
        return sum(self.sizes.values())

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a metadata file.

        Raises
        ------
        DataError
            If it is missing, too large for metadata or damaged.
        """

    @abstractmethod
    def store(self) -> Any:
        """Return a zarr store over the whole tree, opened for reading."""

    def close(self) -> None:  # noqa: B027 - a folder holds nothing open
        """Let go of the file."""

    def has_chunks(self, path: str) -> bool:
        """Return whether an array has any chunk."""
        names = self._sorted_names
        for place in range(bisect_left(names, f"{path}/"), len(names)):
            if not names[place].startswith(f"{path}/"):
                return False
            if not names[place].rpartition("/")[2].startswith("."):
                return True
        return False

    @cached_property
    def _sorted_names(self) -> list[str]:
        return sorted(self.sizes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, t: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, name: str, size_bytes: int, *, is_link: bool) -> None:
        path = PurePosixPath(name)
        leads_out = path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
        if leads_out or is_link:
            self.unsafe.append(printable(name))
        else:
            self.sizes[str(path)] = size_bytes
        if len(self.sizes) > MAX_FILES:
            raise DataError(f"{self.path} has more than {MAX_FILES:,} files", "write larger chunks")

    def _check(self, name: str) -> None:
        if self.sizes.get(name, MAX_METADATA_BYTES + 1) > MAX_METADATA_BYTES:
            reason = "is too large for metadata" if name in self.sizes else "is missing"
            raise DataError(f"{printable(name)} {reason}")


class FolderTree(SubmissionTree):
    """A submission in a folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for folder, folders, files in os.walk(path):
            for name in files + [name for name in folders if (Path(folder) / name).is_symlink()]:
                file = Path(folder) / name
                found = file.lstat()
                relative = file.relative_to(path).as_posix()
                self._take(relative, found.st_size, is_link=stat.S_ISLNK(found.st_mode))

    def read(self, name: str) -> bytes:
        """Return a metadata file."""
        self._check(name)
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise DataError(f"{printable(name)} cannot be read: {error.strerror}") from None

    def store(self) -> Any:
        """Return a zarr store over the folder."""
        from zarr.storage import LocalStore

        return LocalStore(self.path, read_only=True)


class ZipTree(SubmissionTree):
    """A submission in a zip."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{path} is neither a folder nor a zip: {error}", "zip the submission again") from None
        for entry in self._zip.infolist():
            is_link = stat.S_ISLNK(entry.external_attr >> 16)
            if not entry.is_dir():
                self._take(entry.filename, entry.file_size, is_link=is_link)

    def read(self, name: str) -> bytes:
        """Return a metadata file."""
        self._check(name)
        try:
            return self._zip.read(name)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, KeyError, EOFError) as error:
            raise DataError(f"{printable(name)} cannot be unpacked: {printable(str(error))}") from None

    def store(self) -> Any:
        """Return a zarr store over the zip."""
        from zarr.storage import ZipStore

        return ZipStore(self.path, mode="r")

    def close(self) -> None:
        """Let go of the file."""
        self._zip.close()


def open_tree(path: Path) -> SubmissionTree:
    """Open the files of a submission.

    Raises
    ------
    MissingDataError
        If there is nothing at `path`.
    DataError
        If it is neither a folder nor a zip.
    """
    if not path.exists():
        raise MissingDataError(f"{path} does not exist", "name the zip or folder of the submission")
    if path.is_dir():
        zips = sorted(path.glob("*.zip"))
        has_volumes = any(entry.is_dir() for entry in path.iterdir())
        return ZipTree(zips[0]) if len(zips) == 1 and not has_volumes else FolderTree(path)
    return ZipTree(path)
