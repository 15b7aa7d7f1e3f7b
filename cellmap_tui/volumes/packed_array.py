"""Arrays as they go into a submission: Zarr v2 metadata and compressed chunks, as bytes.

For archives, which are written front to back: nothing here touches a disk. Chunks of zeros have no
bytes. What the voxels are is not its business.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numcodecs import Blosc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellmap_tui.challenge.grid import Grid, Shape3
    from cellmap_tui.volumes.arrays import Voxels

CHUNKS = (64, 128, 128)
"""Large enough for few members in an archive, small enough for a row of them over a large crop."""

GROUP = b'{"zarr_format":2}'
"""Content of ``.zgroup``."""


class PackedArray:
    """How one array is written.

    Parameters
    ----------
    grid
        Voxel size, translation and shape.
    dtype
        Type of its voxels.
    """

    def __init__(self, grid: Grid, dtype: Any) -> None:
        self.grid = grid
        self.dtype: np.dtype[Any] = np.dtype(dtype).newbyteorder("<")
        z, y, x = (min(c, n) for c, n in zip(CHUNKS, grid.shape, strict=True))
        self.chunks: Shape3 = (z, y, x)
        shuffle = Blosc.NOSHUFFLE if self.dtype.itemsize == 1 else Blosc.SHUFFLE
        self._codec = Blosc(cname="zstd", clevel=3, shuffle=shuffle)

    def metadata(self) -> dict[str, bytes]:
        """Return the content of ``.zarray`` and ``.zattrs``."""
        array = {
            "chunks": list(self.chunks),
            "compressor": self._codec.get_config(),
            "dimension_separator": ".",
            "dtype": self.dtype.str,
            "fill_value": 0,
            "filters": None,
            "order": "C",
            "shape": list(self.grid.shape),
            "zarr_format": 2,
        }
        attributes = {
            "voxel_size": list(self.grid.voxel_size_nm),
            "translation": list(self.grid.translation_nm),
        }
        return {".zarray": _json(array), ".zattrs": _json(attributes)}

    def boxes(self, itemsize: int, most_bytes: int) -> Iterator[tuple[Shape3, Shape3]]:
        """Yield boxes of whole chunks, each read in one piece, in the order of their first chunks.

        Parameters
        ----------
        itemsize
            Bytes of a voxel as it is read.
        most_bytes
            Largest box; one chunk wide at least.
        """
        depth, height, width = self.grid.shape
        cz, cy, cx = self.chunks
        row_bytes = cz * cy * width * itemsize
        rows = max(1, most_bytes // max(1, row_bytes)) * cy
        wide = width if row_bytes <= most_bytes else max(1, most_bytes // (cz * cy * cx * itemsize)) * cx
        for z, y, x in itertools.product(range(0, depth, cz), range(0, height, rows), range(0, width, wide)):
            yield (z, y, x), (min(z + cz, depth), min(y + rows, height), min(x + wide, width))

    def chunks_of(self, voxels: Voxels, start: Shape3) -> Iterator[tuple[Shape3, Voxels, int]]:
        """Yield number, voxels and largest value of the chunks of a box that hold anything.

        Parameters
        ----------
        voxels
            The box, z, y, x.
        start
            Its first voxel, the corner of a chunk.
        """
        counts = (range(0, n, c) for n, c in zip(voxels.shape, self.chunks, strict=True))
        for corner in itertools.product(*counts):
            part = voxels[tuple(slice(a, a + c) for a, c in zip(corner, self.chunks, strict=True))]
            highest = int(part.max())
            if highest > 0:
                z, y, x = ((a + s) // c for a, s, c in zip(corner, start, self.chunks, strict=True))
                yield (z, y, x), part, highest

    def encoded(self, voxels: Voxels) -> bytes:
        """Return a chunk, filled up with zeros where it reaches beyond the array, compressed."""
        if voxels.shape == self.chunks:
            whole = np.ascontiguousarray(voxels, self.dtype)
        else:
            whole = np.zeros(self.chunks, self.dtype)
            whole[tuple(slice(0, n) for n in voxels.shape)] = voxels
        return bytes(self._codec.encode(whole))


def chunk_name(number: Shape3) -> str:
    """Return the name of a chunk's file."""
    return ".".join(map(str, number))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
