"""Writing volumes: OME-NGFF 0.4 pyramids and plain arrays, whole or not at all.

Everything is built in a hidden sibling folder and renamed at the end, so that no half group ever
stands under the final name, whenever the process is killed. Memory is bounded by a few chunks, not
by the volume.
"""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cellmap_tui.errors import RequestError
from cellmap_tui.volumes.arrays import DEFAULT_CHUNKS, Voxels, create_array
from cellmap_tui.volumes.downsample import Kind, halved
from cellmap_tui.volumes.geometry import Box, level_grid
from cellmap_tui.volumes.publish import begin, cannot_write, publish, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    import zarr
    from numpy.typing import DTypeLike

    from cellmap_tui.challenge.grid import Grid, Shape3

MAX_LEVELS = 12
SPOOL_BYTES = 64 * 2**20
"""Planes that wait for a full row of chunks stay in memory up to this size, then on disk."""
BLOCK_BYTES = 32 * 2**20
"""Largest block read at once while the pyramid is built."""


def write_multiscale(
    path: Path,
    data: Voxels,
    grid: Grid,
    *,
    levels: int | None = None,
    kind: Kind = "em",
    chunks: Shape3 = DEFAULT_CHUNKS,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write an array in memory as an OME-NGFF 0.4 multiscale group, atomically.

    Parameters
    ----------
    path
        Folder of the group.
    data
        Voxels ``[z, y, x]`` of the finest level, of `grid`'s shape; any integer, float or bool.
    grid
        Where they lie.
    levels
        Number of pyramid levels; None: until the volume fits one chunk (see `level_count`).
    kind
        How coarser levels are made: ``em`` area mean, ``label`` majority.
    chunks
        Chunk shape of every level.
    attributes
        More attributes of the group, beside ``multiscales``.
    overwrite
        Replace what is at `path`; otherwise that is refused.

    Raises
    ------
    RequestError
        If the data do not have the grid's shape or a dtype that can be stored.
    RefusedError
        If something is at `path` already, or it cannot be written.
    """
    if data.shape != grid.shape:
        raise RequestError(f"{path}: data of shape {data.shape} do not fit a grid of shape {grid.shape}")
    writer = MultiscaleWriter(
        path, grid, data.dtype, kind, chunks, levels, attributes=attributes, overwrite=overwrite
    )
    with writer:
        writer.write(0, data)
        writer.finish()


def write_array(
    path: Path,
    data: Voxels,
    grid: Grid,
    *,
    chunks: Shape3 = DEFAULT_CHUNKS,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a plain array with ``voxel_size`` and ``translation`` attributes, as submissions have, atomically.

    Parameters and errors are those of `write_multiscale`.
    """
    if data.shape != grid.shape:
        raise RequestError(f"{path}: data of shape {data.shape} do not fit a grid of shape {grid.shape}")
    place = {"voxel_size": list(grid.voxel_size_nm), "translation": list(grid.translation_nm)}
    _check_dtype(path, np.dtype(data.dtype))
    temporary = begin(path, overwrite=overwrite)
    try:
        array = create_array(
            temporary, grid.shape, data.dtype, chunks=chunks, attributes={**(attributes or {}), **place}
        )
        array[...] = data
        publish(temporary, path, overwrite=overwrite)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def level_count(shape: Shape3, chunks: Shape3 = DEFAULT_CHUNKS) -> int:
    """Return the number of levels until the volume fits into one chunk, at most 12."""
    count = 1
    while count < MAX_LEVELS and any(-(-n // 2 ** (count - 1)) > c for n, c in zip(shape, chunks, strict=True)):
        count += 1
    return count


class MultiscaleWriter:
    """Writes a multiscale group slab by slab, in bounded memory, and publishes it when it is whole.

    Use it as a context manager: leaving without `finish` removes what was written. Nothing is under
    the final name before `finish` has returned.

    Parameters
    ----------
    path
        Folder of the group.
    grid
        Where the finest level lies, with its full shape.
    dtype
        Type of the voxels; integers, floats or bool.
    kind
        How coarser levels are made: ``em`` area mean, ``label`` majority.
    chunks
        Chunk shape of every level.
    levels
        Number of pyramid levels; None: see `level_count`.
    attributes
        More attributes of the group, beside ``multiscales``.
    overwrite
        Replace what is at `path`; otherwise that is refused.

    Raises
    ------
    RequestError
        If the dtype cannot be stored.
    RefusedError
        If something is at `path` already, or it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        grid: Grid,
        dtype: DTypeLike,
        kind: Kind = "em",
        chunks: Shape3 = DEFAULT_CHUNKS,
        levels: int | None = None,
        *,
        attributes: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        self._path = path
        self._grids = [level_grid(grid, k) for k in range(levels or level_count(grid.shape, chunks))]
        self._dtype = _check_dtype(path, np.dtype(dtype))
        self._kind = kind
        self._chunks = chunks
        self._attributes = dict(attributes or {})
        self._next_plane = 0
        self._overwrite = overwrite
        self._temporary = begin(path, overwrite=overwrite)
        self._finest = self._create(0)
        self._spool = _Spool(self._temporary, self._finest)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    @property
    def slab_depth(self) -> int:
        """Number of planes that is cheapest to write at a time."""
        depth: int = self._finest.chunks[0]
        return depth

    def write(self, z_start: int, block: Voxels) -> None:
        """Write the next planes of the finest level.

        Parameters
        ----------
        z_start
            Index of the first plane; planes come in order, each once.
        block
            Voxels ``[planes, y, x]``, any number of planes; converted to the writer's dtype, which
            must hold their values.

        Raises
        ------
        RefusedError
            If the disk is full or the folder cannot be written.
        """
        _, height, width = self._grids[0].shape
        stop = z_start + len(block)
        if z_start != self._next_plane or block.shape[1:] != (height, width) or stop > self._grids[0].shape[0]:
            raise ValueError(
                f"planes {z_start}:{stop} of {block.shape[1:]} are not the next of {self._grids[0].shape}"
            )
        try:
            self._spool.add(block.astype(self._dtype, copy=False))
        except OSError as error:
            raise cannot_write(self._path, error) from None
        self._next_plane = stop

    def finish(self, checkpoint: Callable[[], None] | None = None) -> None:
        """Build the coarser levels and put the group under its final name.

        Parameters
        ----------
        checkpoint
            Called now and then; may raise to give up, as `Reporter.checkpoint` does.

        Raises
        ------
        RefusedError
            If the disk is full or the folder cannot be written.
        """
        if self._next_plane != self._grids[0].shape[0]:
            raise ValueError(f"{self._next_plane} of {self._grids[0].shape[0]} planes were written")
        try:
            self._spool.close()
            below = self._finest
            for k in range(1, len(self._grids)):
                array = self._create(k)
                _halve(below, array, self._kind, checkpoint)
                below = array
            write_json(self._temporary / ".zgroup", {"zarr_format": 2})
            write_json(
                self._temporary / ".zattrs", {**self._attributes, **ngff_attributes(self._path.name, self._grids)}
            )
            publish(self._temporary, self._path, overwrite=self._overwrite)
        except OSError as error:
            raise cannot_write(self._path, error) from None

    def _create(self, k: int) -> zarr.Array[Any]:
        folder = self._temporary / f"s{k}"
        try:
            return create_array(folder, self._grids[k].shape, self._dtype, chunks=self._chunks)
        except OSError as error:
            raise cannot_write(self._path, error) from None


def ngff_attributes(name: str, grids: list[Grid]) -> dict[str, Any]:
    """Return the ``multiscales`` attribute of OME-NGFF 0.4 for levels ``s0``, ``s1`` and so on."""
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    datasets = [
        {
            "path": f"s{k}",
            "coordinateTransformations": [
                {"type": "scale", "scale": list(grid.voxel_size_nm)},
                {"type": "translation", "translation": list(grid.translation_nm)},
            ],
        }
        for k, grid in enumerate(grids)
    ]
    whole = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    multiscale = {
        "version": "0.4",
        "name": name,
        "axes": axes,
        "datasets": datasets,
        "coordinateTransformations": whole,
    }
    return {"multiscales": [multiscale]}


class _Spool:
    """Collects planes until a row of chunks is full, so that each chunk is compressed once."""

    def __init__(self, folder: Path, array: zarr.Array[Any]) -> None:
        self._array = array
        self._depth: int = array.chunks[0]
        self._plane_shape = array.shape[1:]
        self._row_start = 0
        self._planes = 0
        self._file = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES, dir=str(folder))  # noqa: SIM115 - see close

    def add(self, block: Voxels) -> None:
        """Take the next planes, and write every row of chunks that they complete."""
        while len(block):
            space = self._room()
            part, block = block[:space], block[space:]
            if self._planes == 0 and len(part) == space:
                self._array[self._row_start : self._row_start + space] = part
                self._row_start += space
                continue
            self._keep(part)
            if len(part) == space:
                self._flush()

    def close(self) -> None:
        """Forget the file; every complete row has been written by then."""
        self._file.close()

    def _room(self) -> int:
        return min(self._depth, self._array.shape[0] - self._row_start) - self._planes

    def _keep(self, part: Voxels) -> None:
        for plane in part:
            self._file.write(np.ascontiguousarray(plane).data.cast("B"))
        self._planes += len(part)

    def _flush(self) -> None:
        """Write the collected planes one row of chunks along x at a time."""
        height, width = self._plane_shape
        step = self._array.chunks[1]
        for y in range(0, height, step):
            rows = min(step, height - y)
            band = np.stack([self._rows(plane, y, rows) for plane in range(self._planes)])
            self._array[self._row_start : self._row_start + self._planes, y : y + rows, :width] = band
        self._row_start += self._planes
        self._planes = 0
        self._file.seek(0)
        self._file.truncate()

    def _rows(self, plane: int, y: int, rows: int) -> Voxels:
        height, width = self._plane_shape
        dtype = np.dtype(self._array.dtype)
        self._file.seek((plane * height + y) * width * dtype.itemsize)
        return np.frombuffer(self._file.read(rows * width * dtype.itemsize), dtype).reshape(rows, width)


def _halve(below: zarr.Array[Any], array: zarr.Array[Any], kind: Kind, checkpoint: Callable[[], None] | None) -> None:
    for box in _blocks(array.shape, array.chunks, np.dtype(array.dtype).itemsize * 8):
        if checkpoint is not None:
            checkpoint()
        source = tuple(slice(2 * a, min(2 * b, n)) for a, b, n in zip(box.start, box.stop, below.shape, strict=True))
        array[box.slices] = halved(np.asarray(below[source]), kind)


def _blocks(shape: tuple[int, ...], chunks: tuple[int, ...], voxel_bytes: int) -> list[Box]:
    """Return boxes of whole chunks that tile the array, as long in x as the block budget allows."""
    dz, dy, dx = chunks
    depth, height, width = shape
    long = max(1, BLOCK_BYTES // (dz * dy * dx * voxel_bytes)) * dx
    return [
        Box((z, y, x), (min(z + dz, depth), min(y + dy, height), min(x + long, width)))
        for z in range(0, depth, dz)
        for y in range(0, height, dy)
        for x in range(0, width, long)
    ]


def _check_dtype(path: Path, dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind not in "uifb" or dtype.itemsize > 8:
        raise RequestError(f"{path}: dtype {dtype} cannot be stored", "use integers, floats up to 64 bit, or bool")
    return dtype
