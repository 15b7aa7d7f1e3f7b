"""What every reader of a foreign stack offers: three axes in the file's own order, read box by box.

A source knows its file and nothing of z, y and x beyond what the file itself declares; `stacks`
turns it into a stack. Nothing here, nor in the readers, maps a whole file into memory: a stack may
be larger than the address space that a batch system allows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cellmap_tui.challenge.grid import Shape3, Vec3

NM_PER_UNIT = {
    "nm": 1.0,
    "nanometer": 1.0,
    "nanometre": 1.0,
    "um": 1000.0,
    "µm": 1000.0,
    "μm": 1000.0,
    "\\u00b5m": 1000.0,  # as ImageJ writes it into a text that must stay ASCII
    "micron": 1000.0,
    "micrometer": 1000.0,
    "micrometre": 1000.0,
    "mm": 1e6,
    "millimeter": 1e6,
    "angstrom": 0.1,
    "å": 0.1,
}
"""Length units that files declare; plurals are cut to these."""


class Source(ABC):
    """An array on disk with three axes, in the order in which its file shows them."""

    shape: Shape3
    """Sizes of the three axes, in the file's order."""
    dtype: np.dtype[np.generic]
    """Type of the values, in the byte order of this machine."""
    axes: str | None = None
    """Order of the axes where the file says it, such as ``zyx``; None where it does not."""
    voxel_size_nm: Vec3 | None = None
    """Voxel size z, y, x where the file declares one."""
    translation_nm: Vec3 | None = None
    """World position of the centre of voxel 0, z, y, x, where the file declares one."""
    notes: tuple[str, ...] = ()
    """What a person should know about the file."""

    @abstractmethod
    def read(self, start: Shape3, stop: Shape3) -> np.ndarray:
        """Return the box ``[start, stop)`` as an array of `dtype`, axes in the file's order."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    @abstractmethod
    def identity(self) -> dict[str, object]:
        """Return what tells this content from another: path, size in bytes, modification time."""


def file_identity(path: Path) -> dict[str, object]:
    """Return path, size and modification time of one file."""
    stat = path.stat()
    return {"path": str(path.absolute()), "size_bytes": stat.st_size, "modified_ns": stat.st_mtime_ns}


def native(dtype: np.dtype[np.generic], what: str) -> np.dtype[np.generic]:
    """Return `dtype` in this machine's byte order.

    Raises
    ------
    DataError
        If its values are not plain real numbers.
    """
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise DataError(f"{what}: values of type {dtype} are not an image", "save it as integers or floats")
    return dtype.newbyteorder("=")


def three_axes(shape: Sequence[int], what: str) -> tuple[int | None, ...]:
    """Choose the three axes of an array with two or more; axes of length one are dropped.

    Returns
    -------
    tuple of int or None
        Index of each of the three axes in `shape`; None stands for an axis that is not there.

    Raises
    ------
    DataError
        If more than three axes have a length, or fewer than two exist.
    """
    if 0 in shape:
        raise DataError(f"{what}: shape {tuple(shape)} holds no voxels")
    if len(shape) < 2:
        raise DataError(f"{what}: shape {tuple(shape)} has {len(shape)} axis; a stack has three")
    kept = list(range(len(shape)))
    for axis in range(len(shape)):
        if len(kept) > 3 and shape[axis] == 1:
            kept.remove(axis)
    if len(kept) == 2:
        return (None, *kept)
    if len(kept) > 3:
        raise DataError(f"{what}: shape {tuple(shape)} has {len(kept)} axes; a stack has three", _many_axes(shape))
    return tuple(kept)


def _many_axes(shape: Sequence[int]) -> str:
    if shape[-1] in (3, 4):
        return "it looks like colour: save it as greyscale"
    return "save one channel and one time point as a stack of its own"


class IndexedSource(Source):
    """A source over anything that is sliced like an array: zarr and HDF5."""

    def __init__(self, array: object, what: str) -> None:
        self._array = array
        shape = tuple(int(n) for n in array.shape)  # type: ignore[attr-defined]
        self._kept = three_axes(shape, what)
        sizes = [1 if axis is None else shape[axis] for axis in self._kept]
        self.shape = (sizes[0], sizes[1], sizes[2])
        self.dtype = native(np.dtype(array.dtype), what)  # type: ignore[attr-defined]
        self._ndim = len(shape)
        self._what = what

    def read(self, start: Shape3, stop: Shape3) -> np.ndarray:
        """Return a box; raises DataError when the file cannot be decoded."""
        index: list[slice | int] = [0] * self._ndim
        for axis, lower, upper in zip(self._kept, start, stop, strict=True):
            if axis is not None:
                index[axis] = slice(lower, upper)
        try:
            values = np.asarray(self._array[tuple(index)])  # type: ignore[index]
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(
                f"{self._what} cannot be decoded: {error}", "is it complete, and its codec installed?"
            ) from None
        box = tuple(b - a for a, b in zip(start, stop, strict=True))
        return values.reshape(box).astype(self.dtype, copy=False)


def length_nm(value: object, unit: object) -> float | None:
    """Return a length in nanometres, or None when the unit is not a length that is known."""
    factor = NM_PER_UNIT.get(str(unit).strip().lower().removesuffix("s"))
    try:
        length = float(value) * factor if factor else 0.0  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return round(length, 6) if 0 < length < float("inf") else None


def three_lengths(values: Sequence[float | None]) -> Vec3 | None:
    """Return three lengths, or None when one of them is missing."""
    if len(values) != 3 or any(value is None for value in values):
        return None
    z, y, x = (float(value or 0) for value in values)
    return (z, y, x)
