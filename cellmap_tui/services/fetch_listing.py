"""What the bucket has of a crop, found with as few requests as its keys allow.

A listing answers up to 1,000 keys with sizes and ETags. Labels of a crop mostly fit one answer; where
they do not, their class folders are listed side by side. Of the EM only rows, planes or a small level are
listed, whichever takes the fewest requests: a whole level of a large volume has millions of chunks.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cellmap_tui.services.fetch_levels import indices

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.services.fetch_levels import EmLevel
    from cellmap_tui.storage.bucket import Folder
    from cellmap_tui.storage.objects import RemoteObject
    from cellmap_tui.volumes.geometry import Box

    Ask = Callable[["Stretch"], Awaitable[Sequence[RemoteObject]]]

PAGE = 1000
"""Keys that a server lists at most in one answer."""
METADATA_NAMES = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata"})


class BucketReader(Protocol):
    """A bucket that is asked with retries; absent things are answers, everything else raises."""

    async def page(self, prefix: str, after: str = "") -> Sequence[RemoteObject]:
        """Return up to `PAGE` objects below a prefix, those with keys beyond `after`, in the order of keys."""

    async def folder(self, prefix: str) -> Folder:
        """Return the objects and folders directly below a prefix."""

    async def body(self, key: str) -> Body | None:
        """Return a small object; None where the bucket has none."""


@dataclass(frozen=True, slots=True)
class Body:
    """A small object and its content."""

    remote: RemoteObject
    """The object."""
    content: bytes
    """Its bytes."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring keys that one listing answers: those that begin with a text."""

    folder: str
    """Prefix to list, with its last slash."""
    begins: str
    """What the keys begin with."""


async def below(reader: BucketReader, stretch: Stretch, after: str = "") -> list[RemoteObject]:
    """Return the objects of a stretch beyond a key, in the order of keys."""
    found: list[RemoteObject] = []
    # A text that is no folder, as the `12.5.` of `12.5.0`, is reached by its place in the order.
    position = after or ("" if stretch.begins == stretch.folder else stretch.begins)
    while True:
        page = await reader.page(stretch.folder, position)
        mine = [remote for remote in page if remote.key.startswith(stretch.begins)]
        found += mine
        if len(page) < PAGE or len(mine) < len(page):
            return found
        position = page[-1].key


async def list_labels(reader: BucketReader, crop_prefix: str, classes: Iterable[str] = ()) -> list[RemoteObject]:
    """Return the objects of a crop's label groups.

    Parameters
    ----------
    crop_prefix
        Folder of the crop in the bucket, with its last slash.
    classes
        Only these classes and what lies beside them; none: everything.
    """
    if wanted := tuple(classes):
        above = reader.folder(crop_prefix)
        groups = asyncio.gather(*(below(reader, _whole(f"{crop_prefix}{name}/")) for name in wanted))
        return _joined([(await above).objects, *await groups])
    first = await reader.page(crop_prefix)
    if len(first) < PAGE:
        return list(first)
    return await _rest_of_labels(reader, crop_prefix, first)


async def _rest_of_labels(
    reader: BucketReader, crop_prefix: str, first: Sequence[RemoteObject]
) -> list[RemoteObject]:
    """List what one answer had no room for, the class folders side by side."""
    last = first[-1].key
    here = await reader.folder(crop_prefix)
    folders = [f"{folder.rstrip('/')}/" for folder in here.folders]
    current = [folder for folder in folders if last.startswith(folder)]
    later = [folder for folder in folders if folder > last]
    groups = await asyncio.gather(
        *(below(reader, _whole(folder), last) for folder in current),
        *(below(reader, _whole(folder)) for folder in later),
    )
    return _joined([first, here.objects, *groups])


def _whole(folder: str) -> Stretch:
    return Stretch(folder, folder)


def _joined(groups: Iterable[Iterable[RemoteObject]]) -> list[RemoteObject]:
    by_key = {remote.key: remote for group in groups for remote in group}
    return [by_key[key] for key in sorted(by_key)]


def stretches(prefix: str, level: EmLevel, chunks: Box) -> tuple[Stretch, ...]:
    """Return the listings that show a box of chunks with the fewest requests.

    Parameters
    ----------
    prefix
        Folder of the level in the bucket, with its last slash.
    level
        The level.
    chunks
        Chunk indices that are asked about; not empty.
    """
    rows, planes = _beginnings(level, chunks, 2), _beginnings(level, chunks, 1)
    _, gy, gx = level.chunk_grid
    # Metadata objects lie in between: a level that just fills a page needs a second one, which is no harm.
    ways = [(len(rows) * _pages(gx), rows), (len(planes) * _pages(gy * gx), planes)]
    if math.prod(level.chunk_grid) <= PAGE:
        ways.append((1, [""]))
    _, begins = min(ways, key=lambda way: way[0])
    return tuple(Stretch(f"{prefix}{text}" if text.endswith("/") else prefix, f"{prefix}{text}") for text in begins)


def _beginnings(level: EmLevel, chunks: Box, axes: int) -> list[str]:
    """Return the first numbers of the chunks' names, each once: of z, or of z and y."""
    heads = dict.fromkeys(index[:axes] for index in indices(_flattened(chunks, axes)))
    return [level.separator.join(map(str, head)) + level.separator for head in heads]


def _flattened(chunks: Box, axes: int) -> Box:
    from cellmap_tui.volumes.geometry import Box

    stop = list(chunks.stop)
    for axis in range(axes, 3):
        stop[axis] = chunks.start[axis] + 1
    z, y, x = stop
    return Box(chunks.start, (z, y, x))


def _pages(keys: int) -> int:
    return -(-keys // PAGE)


async def list_chunks(ask: Ask, prefix: str, level: EmLevel, chunks: Box) -> dict[Shape3, RemoteObject]:
    """Return the chunks of a box that the bucket has, by index.

    Parameters
    ----------
    ask
        Lists a stretch: `below` with its reader, or what remembers its answers.
    prefix
        Folder of the level in the bucket, with its last slash.
    level
        The level.
    chunks
        Chunk indices that are asked about.
    """
    if chunks.is_empty:
        return {}
    wanted = {f"{prefix}{level.chunk_name(index)}": index for index in indices(chunks)}
    listed = await asyncio.gather(*(ask(stretch) for stretch in stretches(prefix, level, chunks)))
    return {wanted[remote.key]: remote for group in listed for remote in group if remote.key in wanted}


def is_metadata(key: str) -> bool:
    """Return whether a key is one of Zarr's metadata objects."""
    return key.rpartition("/")[2] in METADATA_NAMES
