"""NIfTI volumes: x, y, z on disk, z, y, x here; lengths are taken as nanometres unless the file says micrometres.

Tools that write predictions for electron microscopy put nanometres into a header whose default unit
is the millimetre, so that unit is not believed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.errors import DataError, RequestError
from cellmap_tui.volumes.stack_source import Source, file_identity, native, three_axes

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.stacks import Stack

_NM_PER_UNIT = {"micron": 1000.0}
WHOLE_BYTES = 256 * 2**20
"""Volumes up to this size are unpacked whole; larger ones are read forward, slices at a time."""


class NiftiSource(Source):
    """A NIfTI file; a compressed one is unpacked whole when it is first read, unless it is large."""

    axes = "zyx"

    def __init__(self, path: Path) -> None:
        self._path = path
        image = _load(path)
        self._kept = three_axes(image.shape, str(path))
        x, y, z = (1 if axis is None else int(image.shape[axis]) for axis in self._kept)
        self.shape = (z, y, x)
        proxy: Any = image.dataobj
        self._proxy: Any = proxy
        self._voxels: np.ndarray | None = None
        is_scaled = (float(getattr(proxy, "slope", 1.0)), float(getattr(proxy, "inter", 0.0))) != (1.0, 0.0)
        self.dtype = np.dtype(np.float64) if is_scaled else native(np.dtype(image.get_data_dtype()), str(path))
        factor = _NM_PER_UNIT.get(image.header.get_xyzt_units()[0], 1.0)
        zooms = [float(v) * factor for v in image.header.get_zooms()[:3]]
        is_declared = len(zooms) == 3 and all(0 < v < 1e9 for v in zooms) and zooms != [1.0, 1.0, 1.0]
        self.voxel_size_nm = (zooms[2], zooms[1], zooms[0]) if is_declared else None

    def read(self, start: Shape3, stop: Shape3) -> np.ndarray:
        """Return a box."""
        if math.prod(self.shape) * self.dtype.itemsize > WHOLE_BYTES:
            return self._forward(start, stop)
        if self._voxels is None:
            whole = np.asanyarray(self._proxy)
            self._voxels = whole.reshape(self.shape[::-1]).T
        box = self._voxels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        return np.ascontiguousarray(box, dtype=self.dtype)

    def _forward(self, start: Shape3, stop: Shape3) -> np.ndarray:
        """Return a box straight from the file, which stays open: going on in it costs no second pass."""
        index: list[Any] = [0] * len(self._proxy.shape)
        for axis, first, last in zip(self._kept, start[::-1], stop[::-1], strict=True):
            if axis is not None:
                index[axis] = slice(first, last)
        shape = [b - a for a, b in zip(start[::-1], stop[::-1], strict=True)]
        box = np.asanyarray(self._proxy[tuple(index)]).reshape(shape, order="F").T
        return np.ascontiguousarray(box, dtype=self.dtype)

    def close(self) -> None:
        """Let go of the voxels and the file."""
        self._voxels = None
        self._proxy = None

    def identity(self) -> dict[str, object]:
        """Return path, size and modification time."""
        return file_identity(self._path)


def open_nifti(path: Path) -> Stack:
    """Open a NIfTI file as a stack.

    Raises
    ------
    DataError
        If it cannot be read.
    RequestError
        If nibabel is not installed.
    """
    from cellmap_tui.volumes.stacks import Stack

    return Stack(str(path), NiftiSource(path))


def _load(path: Path) -> Any:
    try:
        import nibabel
    except ImportError:
        raise RequestError(f"{path}: NIfTI needs the package nibabel", "pip install 'cellmap-tui[nifti]'") from None
    try:
        return nibabel.load(path, keep_file_open=True)
    except Exception as error:  # noqa: BLE001 - nibabel raises its own and many others on damaged files
        raise DataError(f"{path} cannot be read as NIfTI: {error}", "is the file complete?") from None
