"""Files that tell other processes that this one lives, for the temporary files and journals of dead ones.

A POSIX record lock goes with its process, however that ends. Its trap: closing any handle of the file
drops it, so a file that this process holds is never opened a second time.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_OTHER_HOST_S = 86_400.0  # some network disks keep locks to one machine: what another machine left is left for a day

_held: dict[tuple[int, int], int] = {}
"""The open handle of every file that this process holds, by device and inode."""


def new_token() -> str:
    """Return a name that no other process uses: host, process and a few random letters."""
    return f"{host_name()}-{os.getpid()}-{os.urandom(4).hex()}"


def host_name() -> str:
    """Return this machine's name as it may stand in a file name."""
    name = os.uname().nodename.partition(".")[0]
    return "".join(c if c.isalnum() else "_" for c in name)[:40] or "host"


def hold(path: Path) -> bool:
    """Make and lock a file until `let_go` or the end of the process; return False if another process has it.

    On disks that know no locks the file is only made.
    """
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    identity = _identity(os.fstat(descriptor))
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.close(descriptor)
        return False
    except OSError:
        pass  # no locks here: age decides
    _held[identity] = descriptor
    return True


def let_go(path: Path) -> None:
    """Remove a file that this process holds, and with it the lock."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = _held.pop(_identity(path.stat()), None)
        path.unlink()
        if descriptor is not None:
            os.close(descriptor)


def is_abandoned(path: Path) -> bool:
    """Return whether nobody holds the file any more, as far as can be told from here."""
    import fcntl

    try:
        if _identity(path.stat()) in _held:
            return False
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_old = time.time() - os.fstat(descriptor).st_mtime > _OTHER_HOST_S
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return is_old or path.name.startswith(f"{host_name()}-")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return (status.st_dev, status.st_ino)
