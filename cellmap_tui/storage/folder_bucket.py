"""A folder of buckets read as if a server served it: a mounted copy of the bucket, named by ``file:///folder``.

Keys, sizes and listings are those of an S3 server over the same folder. There is no ETag that is a
checksum: objects are checked by their length.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.storage.bucket import PAGE, Bucket, BucketAddress, Folder
from cellmap_tui.storage.faults import Fault, FaultError, Kind
from cellmap_tui.storage.objects import RemoteObject, checked_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore import GetResult


def open_folder(address: BucketAddress) -> FolderBucket:
    """Open a folder of buckets.

    Raises
    ------
    RequestError
        If the address names no folder of this machine.
    MissingDataError
        If it has no such bucket.
    """
    from obstore.store import LocalStore

    parts = urlsplit(address.endpoint_url)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise RequestError(f"{address.endpoint_url} names no folder of this machine", "write it as file:///folder")
    root = Path(unquote(parts.path)) / address.bucket
    if not root.is_dir():
        raise MissingDataError(f"{root} is no folder", f"{address.endpoint_url} must hold the bucket as a folder")
    return FolderBucket(address, root, LocalStore(root))


class FolderBucket(Bucket):
    """A bucket that is a folder."""

    def __init__(self, address: BucketAddress, root: Path, store: Any) -> None:
        super().__init__(address, store)
        self._root = root

    async def get(self, key: str) -> GetResult:
        """Open an object; the answer has ``meta``, and its body is still to be read."""
        if not (self._root / checked_key(key)).is_file():
            raise FaultError(Fault(Kind.ABSENT, "there is no such file"))
        return await super().get(key)

    async def list_page(self, prefix: str, after: str = "") -> tuple[RemoteObject, ...]:
        """Return up to 1000 objects below `prefix`, those whose key comes after `after`, in the order of keys."""
        found = await self.list_all(prefix)
        return tuple(remote for remote in found if remote.key > after)[:PAGE]

    async def list_all(self, prefix: str) -> tuple[RemoteObject, ...]:
        """Return every object below `prefix`, however deep, in the order of keys."""
        walked = await asyncio.to_thread(lambda: list(_walk(self._root, prefix.strip("/"))))
        return tuple(sorted(walked, key=lambda remote: remote.key))

    async def list_folder(self, prefix: str) -> Folder:
        """Return the objects and folders directly below `prefix`."""
        return await asyncio.to_thread(_folder, self._root, prefix.strip("/"))


def _walk(root: Path, prefix: str) -> Iterator[RemoteObject]:
    for folder, _, names in os.walk(root / prefix):
        above = os.path.relpath(folder, root)
        for name in names:
            status = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 - once for every object
            yield RemoteObject(name if above == "." else f"{above}/{name}", status.st_size, None)


def _folder(root: Path, prefix: str) -> Folder:
    objects, folders = [], []
    above = f"{prefix}/" if prefix else ""
    try:
        with os.scandir(root / prefix) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_dir():
                    folders.append(f"{above}{entry.name}")
                else:
                    objects.append(RemoteObject(f"{above}{entry.name}", entry.stat().st_size, None))
    except (FileNotFoundError, NotADirectoryError):
        return Folder((), ())
    return Folder(tuple(objects), tuple(folders))
