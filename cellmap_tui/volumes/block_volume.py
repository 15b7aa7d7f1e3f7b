"""A pyramid that is written in blocks, in any order and by several at once, and may be cut off between any two.

The finest level is an array of its own in a folder that belongs to somebody else until everything is written;
then coarser levels and metadata are made and the folder gets its final name. Blocks are whole chunks, so that no
chunk has two writers.
"""

from __future__ import annotations

import math
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from cellmap_tui.errors import DataError
from cellmap_tui.volumes.arrays import DEFAULT_CHUNKS, create_array
from cellmap_tui.volumes.downsample import halved
from cellmap_tui.volumes.geometry import Box, level_grid
from cellmap_tui.volumes.publish import cannot_write, publish, write_json
from cellmap_tui.volumes.write import BLOCK_BYTES, level_count, ngff_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from cellmap_tui.challenge.grid import Grid, Shape3
    from cellmap_tui.volumes.arrays import Voxels


class BlockVolume:
    """A multiscale group in the making.

    Parameters
    ----------
    folder
        Where it is built; what an earlier attempt wrote there is kept.
    grid
        Where the finest level lies.
    dtype
        Type of its voxels.
    chunks
        Chunk shape of every level.

    Raises
    ------
    DataError
        If something else is in the folder.
    RefusedError
        If the disk is full or the folder cannot be written.
    """

    def __init__(self, folder: Path, grid: Grid, dtype: str, chunks: Shape3 = DEFAULT_CHUNKS) -> None:
        self._folder, self._grid, self._chunks = folder, grid, chunks
        self._dtype = np.dtype(dtype)
        path = folder / "s0"
        try:
            if not (path / ".zarray").is_file():
                shutil.rmtree(path, ignore_errors=True)
                folder.mkdir(parents=True, exist_ok=True)
                create_array(path, grid.shape, self._dtype, chunks=chunks)
            self._array = zarr.open_array(path, mode="r+", zarr_format=2)
        except OSError as error:
            raise cannot_write(folder, error) from None
        if self._array.shape != grid.shape or self._array.dtype != self._dtype:
            raise DataError(f"{folder} holds another volume", "remove it and start again")

    def write(self, box: Box, values: Voxels) -> None:
        """Write a box of whole chunks.

        Raises
        ------
        RefusedError
            If the disk is full.
        """
        try:
            self._array[box.slices] = values
        except OSError as error:
            raise cannot_write(self._folder, error) from None

    def finishing_steps(self) -> int:
        """Return how often `finish` calls its checkpoint: once for every block of a coarser level."""
        voxel_bytes = self._dtype.itemsize * 8
        levels = range(1, level_count(self._grid.shape, self._chunks))
        shapes = (level_grid(self._grid, k).shape for k in levels)
        return sum(1 for shape in shapes for _ in _blocks(shape, self._chunks, voxel_bytes))

    def finish(
        self, path: Path, attributes: Mapping[str, Any], checkpoint: Callable[[], None], *, overwrite: bool
    ) -> None:
        """Make coarser levels and metadata, and put the group under its final name.

        Parameters
        ----------
        path
            The final name.
        attributes
            Attributes of the group, beside ``multiscales``.
        checkpoint
            Called now and then; may raise to give up.
        overwrite
            Whether what is at `path` is replaced.

        Raises
        ------
        RefusedError
            If the disk is full or the folder cannot be written.
        """
        grids = [level_grid(self._grid, k) for k in range(level_count(self._grid.shape, self._chunks))]
        try:
            below = self._array
            for number, grid in enumerate(grids[1:], 1):
                shutil.rmtree(self._folder / f"s{number}", ignore_errors=True)
                array = create_array(self._folder / f"s{number}", grid.shape, self._dtype, chunks=self._chunks)
                _halve(below, array, checkpoint)
                below = array
            write_json(self._folder / ".zgroup", {"zarr_format": 2})
            write_json(self._folder / ".zattrs", {**attributes, **ngff_attributes(path.name, grids)})
            path.parent.mkdir(parents=True, exist_ok=True)
            publish(self._folder, path, overwrite=overwrite)
        except OSError as error:
            raise cannot_write(path, error) from None


def _halve(below: zarr.Array[Any], array: zarr.Array[Any], checkpoint: Callable[[], None]) -> None:
    for box in _blocks(array.shape, array.chunks, np.dtype(array.dtype).itemsize * 8):
        checkpoint()
        source = tuple(slice(2 * a, min(2 * b, n)) for a, b, n in zip(box.start, box.stop, below.shape, strict=True))
        array[box.slices] = halved(np.asarray(below[source]), "em")


def _blocks(shape: tuple[int, ...], chunks: tuple[int, ...], voxel_bytes: int) -> Iterator[Box]:
    """Yield boxes of whole chunks that tile an array, as long in x as the block budget allows."""
    dz, dy, dx = chunks
    depth, height, width = shape
    long = max(1, BLOCK_BYTES // (math.prod(chunks) * voxel_bytes)) * dx
    for z in range(0, depth, dz):
        for y in range(0, height, dy):
            for x in range(0, width, long):
                yield Box((z, y, x), (min(z + dz, depth), min(y + dy, height), min(x + long, width)))
