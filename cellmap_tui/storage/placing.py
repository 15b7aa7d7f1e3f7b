"""Files that appear under their name only when they are whole: temporary files, renaming, stale ones.

Temporary files lie in a folder of the process below the data root, so in the same file system, and the
zarr folders never show them. A file is not forced to the disk one by one, which would cost a hundred
times the writing: a killed process loses nothing of what was written, and after a power cut the ledger
doubts what was not yet known to be on the disk (see `journal`) and the bytes are checked again.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import sidecar_path
from cellmap_tui.storage import held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

FOLDER = "partial"
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a disk, a quota and a limit of file sizes say when they take no more."""
UNWRITABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENODEV, errno.ESTALE})
"""What no other file of the folder will escape either."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


class Placer:
    """Puts files below a data root, each whole or not at all."""

    def __init__(self, data_root: Path) -> None:
        self._root = f"{os.fspath(data_root)}{os.sep}"
        self._parent = sidecar_path(data_root, FOLDER)
        self._token = held.new_token()
        self._folder = self._parent / self._token
        self._lock = self._parent / f"{self._token}.lock"
        self._names = count(1)
        self._free: list[str] = []

    def open(self) -> None:
        """Make the folder of this process and remove those of dead ones.

        Raises
        ------
        OSError
            If the data root cannot be written.
        """
        self._parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(self._parent)
        held.hold(self._lock)
        self._folder.mkdir()

    def close(self) -> None:
        """Remove what is left of this process."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            held.let_go(self._lock)

    @contextlib.contextmanager
    def temporary(self) -> Iterator[str]:
        """Give the path of a temporary file that nobody else has; it is gone afterwards."""
        path = self._free.pop() if self._free else self._new_name()
        try:
            yield path
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108
            raise
        finally:
            self._free.append(path)

    def place(self, key: str, body: Buffer) -> None:
        """Write an object's bytes and give them their name.

        Raises
        ------
        OSError
            If the disk does not take them; nothing is left of them.
        """
        with self.temporary() as path:
            write_file(path, body)
            self.rename(path, key)

    def rename(self, path: str, key: str) -> None:
        """Give a whole temporary file the name of its object."""
        target = self._root + key
        try:
            os.replace(path, target)  # noqa: PTH105 - once for every object, without the cost of a Path
            return
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.EXDEV}:
                raise
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
        self._rename_slowly(path, target)

    def _rename_slowly(self, path: str, target: str) -> None:
        """Rename, by way of a copy where the data root links to another disk."""
        try:
            os.replace(path, target)  # noqa: PTH105
            return
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        final = Path(target)
        for leftover in final.parent.glob(f".{glob.escape(final.name)}.*.part"):
            if held.is_abandoned(self._parent / f"{leftover.name.split('.')[-2]}.lock"):
                leftover.unlink(missing_ok=True)
        sibling = final.with_name(f".{final.name}.{self._token}.part")
        try:
            shutil.copyfile(path, sibling)
            sibling.replace(final)
        finally:
            sibling.unlink(missing_ok=True)
            Path(path).unlink(missing_ok=True)

    def _new_name(self) -> str:
        return os.fspath(self._folder / str(next(self._names)))


def write_file(path: str, body: Buffer) -> None:
    """Write a new file; errors that a disk only tells on closing are told."""
    descriptor = os.open(path, _NEW, 0o666)
    try:
        write_all(descriptor, body)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, body: Buffer) -> None:
    """Write all of `body`, in as many pieces as the system takes it."""
    rest = memoryview(body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_disk(folder: Path) -> None:
    """Wait until everything written to the folder's file system is on the disk."""
    import ctypes

    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        os.sync()
        return
    try:
        syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
        if syncfs is None or syncfs(descriptor) != 0:
            os.sync()
    finally:
        os.close(descriptor)


def _remove_stale(parent: Path) -> None:
    for folder in [path for path in parent.iterdir() if path.is_dir()]:
        lock = folder.with_name(f"{folder.name}.lock")
        if held.is_abandoned(lock):
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)
