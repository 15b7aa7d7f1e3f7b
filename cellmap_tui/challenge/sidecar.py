"""The small JSON files that the tool keeps beside the data, changed by one process at a time."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.layout import sidecar_path
from cellmap_tui.errors import CellmapError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERSION = 1
_MAX_BYTES = 64_000_000


def read_sidecar(data_root: Path, name: str, key: str) -> list[Any]:
    """Return the list under `key` of a file beside the data; empty where there is no file.

    Raises
    ------
    DataError
        If the file is not what this version writes; names it.
    """
    path = sidecar_path(data_root, name)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path} is larger than {_MAX_BYTES} bytes", "move it away")
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "change its permissions") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {error}", "move it away to start anew") from None
    version = content.get("version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise DataError(f"{path} was written by a newer version", "update cellmap-tui")
    if version != VERSION or not isinstance(content.get(key), list):
        raise DataError(f"{path} is damaged: no list {key!r} of version {VERSION}", "move it away to start anew")
    rows: list[Any] = content[key]
    return rows


def change_sidecar(data_root: Path, name: str, key: str, change: Callable[[list[Any]], list[Any]]) -> None:
    """Replace the list under `key` by what `change` makes of it, atomically and one process at a time.

    Raises
    ------
    DataError
        If the file is damaged; it is left as it is.
    CellmapError
        If the folder cannot be written.
    """
    import fcntl

    path = sidecar_path(data_root, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name("lock").open("w") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            rows = change(read_sidecar(data_root, name, key))
            write_text(path, json.dumps({"version": VERSION, key: rows}, indent=1) + "\n")
    except OSError as error:
        raise CellmapError(f"cannot write {path}: {error.strerror}", "check the permissions and the disk") from None


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is either the old or the new one at every moment."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
