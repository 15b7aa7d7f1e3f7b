"""What is on the disk already, so that it is not asked for again."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING

from cellmap_tui.storage.ledger import file_size
from cellmap_tui.storage.objects import md5_of

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.storage.ledger import Ledger
    from cellmap_tui.storage.transfer import State, Transfer

_HASH_HERE_BYTES = 256_000  # 0.4 ms; a thread for less costs as much as it saves


class Presence:
    """Looks for objects on the disk."""

    def __init__(self, dest: Path, ledger: Ledger, *, check_local: bool) -> None:
        self._root = f"{os.fspath(dest)}{os.sep}"
        self._ledger = ledger
        self._check_local = check_local

    async def look(self, transfer: Transfer) -> State | None:
        """Return ``skipped`` for an object that is there, ``absent`` for one known not to exist, else None.

        A file that the ledger does not know has to have the listed size and MD5. Where the listing has no
        MD5, its size is enough, unless a power cut may have taken its bytes.
        """
        key, size_bytes, etag = transfer.key, transfer.size_bytes, transfer.etag
        if self._ledger.is_verified(key, size_bytes, etag):
            return "skipped"
        if size_bytes is None:
            is_absent = not transfer.required and self._ledger.is_absent(key)
            return "absent" if is_absent else None
        path = self._root + key
        if file_size(path) != size_bytes:
            return None
        expected_md5 = md5_of(etag)
        if expected_md5 is None or not self._check_local:
            return None if self._ledger.is_doubted(key) else "skipped"
        if await self._file_md5(path, size_bytes) != expected_md5:
            return None
        self._ledger.record_verified(key, size_bytes, etag)
        return "skipped"

    async def _file_md5(self, path: str, size_bytes: int) -> str | None:
        try:
            if size_bytes <= _HASH_HERE_BYTES:
                return file_md5(path)
            return await asyncio.to_thread(file_md5, path)
        except OSError:
            return None


def file_md5(path: str | Path) -> str:
    """Return the MD5 of a file's bytes, in hex.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - once for every object
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
