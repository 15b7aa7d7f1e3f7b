"""What is written into files of other tools: volumes with their place and meaning, and containers that take them.

A container asks for the voxels of one box after another and never holds more than a block of
`BLOCK_VOXELS`, or one plane where that is larger. It is built in a hidden sibling folder; `finish` puts
it under its final name, whole.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from cellmap_tui.volumes.arrays import DEFAULT_CHUNKS, Voxels
from cellmap_tui.volumes.geometry import Box
from cellmap_tui.volumes.publish import begin, cannot_write, publish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from cellmap_tui.challenge.grid import Grid, Shape3

BLOCK_VOXELS = 2**23
"""Voxels that are asked for at once."""

Read = Callable[[Box], Voxels]
"""Returns the voxels of a box of a volume."""


@dataclass(frozen=True, slots=True)
class ExportVolume:
    """One volume of a file."""

    name: str
    """``raw``, the target, or ``labels`` for all targets together."""
    grid: Grid
    """Where its voxels lie."""
    dtype: np.dtype[Any]
    """Type of its voxels."""
    kind: Literal["em", "label"]
    """Grey values, or labels."""
    is_instance: bool | None = None
    """Whether label values are object ids; None for grey values and for the ids of targets."""
    unknown_value: int | None = None
    """Value of voxels of which nothing is known; None where there can be none."""
    ids: tuple[tuple[str, int], ...] = ()
    """Targets and their values in a volume of all targets."""

    @property
    def size_bytes(self) -> int:
        """Size of its voxels without compression."""
        return self.grid.voxels * self.dtype.itemsize

    @property
    def attributes(self) -> dict[str, Any]:
        """Place and meaning as plain values, for formats that hold attributes."""
        found: dict[str, Any] = {
            "voxel_size": list(self.grid.voxel_size_nm),
            "translation": list(self.grid.translation_nm),
            "unit": "nm",
            "axes": "zyx",
        }
        if self.kind == "label":
            found["kind"] = {True: "instance", False: "binary", None: "ids"}[self.is_instance]
        if self.unknown_value is not None:
            found["unknown_value"] = self.unknown_value
        if self.ids:
            found["ids"] = dict(self.ids)
        return found


class Container(ABC):
    """One file (or folder) that is being written.

    Use it as a context manager: leaving without `finish` removes what was written.

    Parameters
    ----------
    path
        Final name.
    compress
        Whether voxels are compressed, where the format leaves the choice.
    overwrite
        Replace what is at `path`; otherwise that is refused.

    Raises
    ------
    RefusedError
        If something is at `path` already, or it cannot be written.
    """

    def __init__(self, path: Path, *, compress: bool = True, overwrite: bool = False) -> None:
        self.path = path
        self.compress = compress
        self._overwrite = overwrite
        self._folder = begin(path, overwrite=overwrite)
        self.building = self._folder / path.name

    def __enter__(self) -> Self:
        try:
            self._open()
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise cannot_write(self.path, error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close()
        except OSError:
            if error is None:
                raise
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, volume: ExportVolume, read: Read) -> None:
        """Write a whole volume; containers of one volume take one.

        Raises
        ------
        RefusedError
            If the disk is full or the folder cannot be written.
        """
        try:
            self._write(volume, read)
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def complete(self) -> Path:
        """Close the file under its hidden name, and return that; nothing can be added any more."""
        try:
            self._close()
        except OSError as error:
            raise cannot_write(self.path, error) from None
        return self.building

    def finish(self) -> None:
        """Put it under its final name."""
        building = self.complete()
        try:
            if self.path.is_dir() or building.is_dir():
                publish(building, self.path, overwrite=self._overwrite)
            else:
                building.replace(self.path)
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def _open(self) -> None:  # noqa: B027 - most formats have nothing to open
        """Begin `building`."""

    @abstractmethod
    def _write(self, volume: ExportVolume, read: Read) -> None:
        """Write a volume below `building`."""

    def _close(self) -> None:  # noqa: B027 - most formats keep nothing open
        """Close what is open; may be called again."""


def slabs(shape: Shape3, depth: int | None = None) -> Iterator[Box]:
    """Yield boxes of whole planes from the first to the last, of a block's size or less.

    Parameters
    ----------
    shape
        Of the volume.
    depth
        Planes at a time if they fit; None: as many as fit.
    """
    planes, height, width = shape
    fitting = max(1, BLOCK_VOXELS // (height * width))
    step = fitting if depth is None else min(depth, fitting)
    for z in range(0, planes, step):
        yield Box((z, 0, 0), (min(z + step, planes), height, width))


def chunk_rows(shape: Shape3, chunks: Shape3 = DEFAULT_CHUNKS) -> Iterator[Box]:
    """Yield boxes of whole chunks that tile a volume, of a block's size or a single chunk."""
    planes, height, width = shape
    dz, dy, dx = (min(c, n) for c, n in zip(chunks, shape, strict=True))
    long_x = min(-(-width // dx), max(1, BLOCK_VOXELS // (dz * dy * dx))) * dx
    long_y = min(-(-height // dy), max(1, BLOCK_VOXELS // (dz * dy * long_x))) * dy if long_x >= width else dy
    for z in range(0, planes, dz):
        for y in range(0, height, long_y):
            for x in range(0, width, long_x):
                stop = (min(z + dz, planes), min(y + long_y, height), min(x + long_x, width))
                yield Box((z, y, x), stop)


def little_endian(block: Voxels, dtype: np.dtype[Any]) -> bytes:
    """Return the bytes of a block in C order, little endian, in `dtype`."""
    return np.ascontiguousarray(block, dtype=dtype.newbyteorder("<")).tobytes()
