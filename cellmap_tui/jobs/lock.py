"""The lock that a living job holds on its run directory.

A POSIX record lock (`fcntl.lockf`): it belongs to the process, so a child that outlives the job
does not keep it, and the kernel lets it go with the process, however that ends. Its trap: closing
*any* handle of the file in the owning process drops it. So the owner opens the file once, and
`is_locked` never opens a file that this process holds.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import threading
from typing import TYPE_CHECKING, Self

from cellmap_tui.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

_held: set[tuple[int, int]] = set()
"""Device and inode of every lock file that this process holds."""

_guard = threading.Lock()

# `struct flock` with 64-bit offsets, and where in it the type of the lock stands.
_FLOCK_LAYOUTS = {"linux": ("hhqqi", 0), "darwin": ("qqihh", 3)}

# What disks answer that know no locks; there only the heartbeat tells who lives.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class RunLock:
    """Holds the lock of a run directory while the work goes on.

    Raises
    ------
    RefusedError
        On entering, if it is held already: the run goes on there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        with _guard:
            if is_locked(self._path):
                raise already_running(self._path)
            self._descriptor = self._open()
            self._identity = _identity(os.fstat(self._descriptor))
            _held.add(self._identity)
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None and self._identity is not None:
            os.close(self._descriptor)
            _held.discard(self._identity)
            self._descriptor = None

    def _open(self) -> int:
        import fcntl

        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise RefusedError(
                f"cannot lock {self._path}: {error.strerror}", "run it as the user who made it"
            ) from None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise already_running(self._path) from None
        return descriptor


def already_running(path: Path) -> RefusedError:
    """Return the error that the run of this lock is running."""
    run_id = path.parent.name
    return RefusedError(f"run {run_id} is already running", f"watch it with `cellmap-tui runs follow {run_id}`")


def is_locked(path: Path) -> bool | None:
    """Tell whether a process holds the lock, without taking it even for a moment.

    Returns
    -------
    bool or None
        None when it cannot be told: no such file, not readable, or a system without POSIX locks.
    """
    try:
        import fcntl
    except ImportError:
        return None
    try:
        if _identity(path.stat()) in _held:
            return True
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        layout = _FLOCK_LAYOUTS.get(sys.platform)
        if layout is None:
            return _probe_by_locking(descriptor)
        template, type_index = layout
        question = [0] * 5
        question[type_index] = fcntl.F_WRLCK
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(template, *question))
        return bool(struct.unpack(template, answer)[type_index] != fcntl.F_UNLCK)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _probe_by_locking(descriptor: int) -> bool:
    import fcntl

    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return (status.st_dev, status.st_ino)
