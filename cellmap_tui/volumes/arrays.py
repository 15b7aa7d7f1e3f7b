"""The one place where voxels pass between zarr and numpy.

Owns how zarr is called: few threads, so that memory stays small, and errors of broken chunks turned
into words. What the arrays mean is not its business.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numcodecs import Blosc

from cellmap_tui.errors import DataError
from cellmap_tui.text import printable
from cellmap_tui.volumes.geometry import Box
from cellmap_tui.volumes.metadata import is_there

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import DTypeLike

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.ngff import Level

Voxels = np.ndarray[tuple[int, ...], np.dtype[Any]]
"""An array of voxels, z, y, x."""

DEFAULT_CHUNKS = (64, 64, 64)
"""What most of the challenge's arrays use."""

ZARR_THREADS = 4
"""Each thread reserves an arena of 64 MB of addresses; more do not decode faster on small chunks."""


def _limit_threads() -> None:
    if zarr.config.get("threading.max_workers", None) is None:
        zarr.config.set({"threading.max_workers": ZARR_THREADS})


def create_array(
    path: Path,
    shape: Shape3,
    dtype: DTypeLike,
    *,
    chunks: Shape3 = DEFAULT_CHUNKS,
    attributes: Mapping[str, Any] | None = None,
) -> zarr.Array[Any]:
    """Create an empty Zarr v2 array; chunks that stay zero are never written.

    Parameters
    ----------
    path
        Folder of the array; must not exist.
    shape, dtype, chunks
        As in zarr; a chunk is never longer than the array.
    attributes
        Content of ``.zattrs``.
    """
    _limit_threads()
    z, y, x = (min(c, n) for c, n in zip(chunks, shape, strict=True))
    kind = np.dtype(dtype)
    # Not plain Zstd: numcodecs adds a `checksum` key to it that tensorstore refuses to read.
    shuffle = Blosc.NOSHUFFLE if kind.itemsize == 1 else Blosc.SHUFFLE
    return zarr.create_array(
        path,
        shape=shape,
        dtype=kind,
        chunks=(z, y, x),
        compressors=Blosc(cname="zstd", clevel=3, shuffle=shuffle),
        fill_value=0,
        zarr_format=2,
        chunk_key_encoding={"name": "v2", "separator": "/"},
        attributes=dict(attributes or {}),
        config={"write_empty_chunks": False},
    )


def open_level(level: Level) -> zarr.Array[Any]:
    """Open the array of a level for reading.

    Raises
    ------
    DataError
        If zarr cannot read it, for instance for an unknown compressor.
    """
    _limit_threads()
    try:
        return zarr.open_array(level.path, mode="r", zarr_format=2)
    except Exception as error:  # noqa: BLE001 - codecs and zarr raise whatever they like on foreign metadata
        raise DataError(printable(f"{level.path / '.zarray'}: cannot be opened: {_first_line(error)}")) from None


def read_inside(level: Level, array: zarr.Array[Any], box: Box) -> Voxels:
    """Read a box that lies inside the array.

    Raises
    ------
    DataError
        If a chunk is broken; names its file.
    """
    if box.is_empty:
        return np.zeros(box.shape, level.dtype)
    try:
        return np.asarray(array[box.slices])
    except Exception as error:  # noqa: BLE001 - a codec raises whatever it likes on a broken chunk
        raise _broken(level, array, box, error) from None


def chunk_file(level: Level, chunk: Shape3) -> Path:
    """Return the file of a chunk, given its number on each axis."""
    return level.path / level.separator.join(str(i) for i in chunk)


def has_chunk(level: Level, chunk: Shape3) -> bool:
    """Return whether the file of a chunk is on disk; if not, the chunk is all fill value."""
    return is_there(chunk_file(level, chunk))


def chunks_of(box: Box, chunks: Shape3) -> Iterator[Shape3]:
    """Yield the numbers of the chunks that a box touches, in z, y, x order."""
    ranges = (range(a // c, -(-b // c)) for a, b, c in zip(box.start, box.stop, chunks, strict=True))
    z, y, x = ranges
    if not box.is_empty:
        yield from itertools.product(z, y, x)


def chunk_box(chunk: Shape3, chunks: Shape3) -> Box:
    """Return the voxels of a chunk, also those beyond the end of the array."""
    z, y, x = (i * c for i, c in zip(chunk, chunks, strict=True))
    return Box((z, y, x), (z + chunks[0], y + chunks[1], x + chunks[2]))


def _broken(level: Level, array: zarr.Array[Any], box: Box, error: Exception) -> DataError:
    for chunk in chunks_of(box, level.chunks):
        part = chunk_box(chunk, level.chunks).clipped(level.shape)
        try:
            array[part.slices]
        except Exception as reason:  # noqa: BLE001 - looked for: the chunk that does not decode
            file = chunk_file(level, chunk)
            return DataError(printable(f"{file}: broken chunk: {_first_line(reason)}"), "fetch or write it again")
    return DataError(printable(f"{level.path}: cannot be read: {_first_line(error)}"))


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:200]
