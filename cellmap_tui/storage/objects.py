"""Objects of a bucket: their keys, which of those may become paths, and what an ETag says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import SIDECAR
from cellmap_tui.errors import DataError
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from pathlib import Path

MAX_KEY_BYTES = 1024
"""S3's own limit of a key."""
_MAX_NAME_BYTES = 255
_MD5 = re.compile(r"[0-9a-f]{32}")
# Every name between slashes: printable ASCII but what some file system or shell takes for something else.
_SAFE_KEY = re.compile(r"(?:[A-Za-z0-9._+@=,()#!~^&$%' -]+/)*[A-Za-z0-9._+@=,()#!~^&$%' -]+")


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """An object as a listing shows it."""

    key: str
    """Its key, as the bucket says it: not yet checked."""
    size_bytes: int
    """Its length."""
    etag: str | None
    """Its ETag without quotes; None where the server gives none."""


def checked_key(key: str) -> str:
    """Return `key` if it can be a path below a folder, the same on every file system.

    Raises
    ------
    DataError
        If it is empty, too long, absolute, has an empty, ``.`` or ``..`` part, bytes other than printable
        ASCII, or leads into the tool's own folder.
    """
    if not isinstance(key, str) or not _SAFE_KEY.fullmatch(key) or len(key) > MAX_KEY_BYTES:
        raise _refused(key)
    names = key.split("/")
    if names[0] == SIDECAR or any(name in {".", ".."} or len(name) > _MAX_NAME_BYTES for name in names):
        raise _refused(key)
    return key


def local_path(root: Path, key: str) -> Path:
    """Return where an object lies below `root`.

    Raises
    ------
    DataError
        If the key cannot be a path there.
    """
    return root / checked_key(key)


def plain_etag(etag: str | None) -> str | None:
    """Return an ETag without its quotes and without the mark of a weak one; None for none."""
    if not etag:
        return None
    return etag.removeprefix("W/").strip('"') or None


def md5_of(etag: str | None) -> str | None:
    """Return the MD5 that an ETag is, in hex; None where it is none, as after an upload in parts."""
    return etag if etag and _MD5.fullmatch(etag) else None


def _refused(key: object) -> DataError:
    shown = cut_middle(printable(str(key)), 80)
    return DataError(f"the key {shown!r} cannot be a path below the data folder", "nothing was written for it")
