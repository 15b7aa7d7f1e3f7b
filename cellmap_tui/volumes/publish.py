"""A folder appears under its final name whole or not at all.

It is built in a hidden sibling folder, which is on the same file system, and renamed at the end.
What a killed process left behind is removed by the next one that writes the same thing.
"""

from __future__ import annotations

import glob
import json
import os
import platform
import shutil
import uuid
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def begin(path: Path, *, overwrite: bool) -> Path:
    """Return a new hidden sibling of `path` to build in.

    Raises
    ------
    RefusedError
        If something is at `path` already and may not be overwritten, or nothing can be written there.
    """
    temporary = _partial(path)
    try:
        if path.exists() and not overwrite:
            raise RefusedError(f"{path} exists already", "remove it or write elsewhere")
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(path)
        _add_groups_above(path)
        temporary.mkdir()
    except OSError as error:
        raise cannot_write(path, error) from None
    return temporary


def _add_groups_above(path: Path) -> None:
    """Make every folder between the ``.zarr`` root and `path` a Zarr group, so that others can walk it."""
    root = next((p for p in path.parents if p.suffix == ".zarr"), None)
    if root is None:
        return
    for folder in path.parents:
        if not (folder / ".zgroup").exists() and not (folder / ".zarray").exists():
            write_json(folder / ".zgroup", {"zarr_format": 2})
        if folder == root:
            return


def _partial(path: Path) -> Path:
    """Return an unused hidden sibling name that says which process on which host owns it."""
    return path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.partial")


def _host() -> str:
    return platform.node().split(".")[0]


def _clear_abandoned(path: Path) -> None:
    """Remove what dead processes of this host left of earlier attempts to write `path`."""
    for folder in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        owner = folder.name.removesuffix(".partial").rsplit(".", 3)[1:]
        if len(owner) == 3 and owner[0] == _host() and owner[1].isdecimal() and not _is_alive(int(owner[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def publish(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Put a finished folder under its final name; what stood there before is removed last."""
    if overwrite and path.exists():
        old = _partial(path)
        path.replace(old)
        temporary.replace(path)
        shutil.rmtree(old, ignore_errors=True)
    else:
        temporary.replace(path)


def write_json(file: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file by way of a temporary name."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    temporary.write_text(json.dumps(value, indent=1), encoding="utf-8")
    temporary.replace(file)


def cannot_write(path: Path, error: OSError) -> CellmapError:
    """Return the error for a disk that is full or a folder that may not be written."""
    return RefusedError(f"{path} cannot be written: {error.strerror or error}", "make room or write elsewhere")
