"""NPY files, read by seeking: neither mapped into memory nor unpickled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from cellmap_tui.errors import DataError
from cellmap_tui.volumes.stack_source import Source, file_identity, native, three_axes

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.grid import Shape3

_PIECE_BYTES = 32_000_000  # what is read at once when a box needs only a part of each row


class NpySource(Source):
    """A stack in one ``.npy`` file, in C or Fortran order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("rb")
        try:
            shape, fortran, dtype = _read_header(self._file, path)
            sizes = [1 if axis is None else shape[axis] for axis in three_axes(shape, str(path))]
            self.dtype = native(dtype, str(path))
            self._offset = self._file.tell()
            needed = self._offset + math.prod(shape) * dtype.itemsize
            if path.stat().st_size < needed:
                raise DataError(f"{path} ends after {path.stat().st_size} of {needed} bytes", "copy it again")
        except BaseException:
            self._file.close()
            raise
        self._stored = dtype
        self.shape = (sizes[0], sizes[1], sizes[2])
        self._fortran = fortran

    def read(self, start: Shape3, stop: Shape3) -> np.ndarray:
        """Return a box; a file in Fortran order is the C-ordered file of the reversed axes."""
        if self._fortran:
            return self._read_rows(start[::-1], stop[::-1], self.shape[::-1]).T
        return self._read_rows(start, stop, self.shape)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def identity(self) -> dict[str, object]:
        """Return path, size and modification time."""
        return file_identity(self._path)

    def _read_rows(self, start: Shape3, stop: Shape3, shape: Shape3) -> np.ndarray:
        out = np.empty([b - a for a, b in zip(start, stop, strict=True)], dtype=self.dtype)
        rows_at_once = max(1, _PIECE_BYTES // (shape[2] * self._stored.itemsize))
        for plane in range(start[0], stop[0]):
            for row in range(start[1], stop[1], rows_at_once):
                end = min(row + rows_at_once, stop[1])
                piece = self._read_at((plane * shape[1] + row) * shape[2], (end - row, shape[2]))
                out[plane - start[0], row - start[1] : end - start[1]] = piece[:, start[2] : stop[2]]
        return out

    def _read_at(self, first: int, shape: tuple[int, int]) -> np.ndarray:
        self._file.seek(self._offset + first * self._stored.itemsize)
        values = np.fromfile(self._file, dtype=self._stored, count=math.prod(shape))
        if values.size < math.prod(shape):
            raise DataError(f"{self._path} became shorter while it was read", "copy it again")
        return values.reshape(shape)


def _read_header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        if version not in readers:
            raise DataError(f"{path}: NPY version {version} holds tables, not images")
        header = readers[version](file)
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not an NPY file: {error}", "save it with numpy.save") from None
    shape, fortran, dtype = header
    if dtype.hasobject:
        raise DataError(
            f"{path} holds Python objects, which are never unpickled", "save the array itself, as integers or floats"
        )
    return shape, fortran, dtype
