"""Somebody's own stacks, whatever the file, as z, y, x and read slab by slab.

`open_stack` takes what a person would type: a TIFF file or folder, an NPY file, a zarr array or
group, or ``file.h5:/dataset``. It knows nothing of the challenge's layout and writes nothing.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RefusedError, RequestError
from cellmap_tui.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    import numpy as np

    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.volumes.stack_source import Source

KINDS = "a TIFF file or folder, an NPY file, a zarr array or group, or file.h5:/dataset"
_HDF5 = re.compile(r"^(?P<path>.+\.(?:h5|hdf5|hdf|he5))(?::(?P<inner>.*))?$", re.IGNORECASE)
_THIN = 4  # an axis this many times shorter than both others is usually z


class Stack:
    """An image stack on disk, axes z, y, x.

    Parameters
    ----------
    spec
        What the user named.
    source
        Its reader.
    axes
        Order of the file's axes, such as ``yxz``, where the file does not declare one; None: ``zyx``.

    Raises
    ------
    RequestError
        If no order is known and the file looks as if its slices were not along its first axis.
    """

    def __init__(self, spec: str, source: Source, axes: str | None = None) -> None:
        order = source.axes or axes
        if order is None:
            _refuse_swapped(spec, source.shape)
        self.spec = spec
        self.axes = order or "zyx"
        self._source = source
        self._order = [self.axes.index(axis) for axis in "zyx"]
        z, y, x = (source.shape[i] for i in self._order)
        self.shape: Shape3 = (z, y, x)
        self.dtype: np.dtype[np.generic] = source.dtype
        self.voxel_size_nm: Vec3 | None = source.voxel_size_nm
        self.translation_nm: Vec3 | None = source.translation_nm
        self.notes = source.notes

    def read(self, z_start: int, z_stop: int, y_start: int = 0, y_stop: int | None = None) -> np.ndarray:
        """Return slices ``[z_start, z_stop)``, of them the rows ``[y_start, y_stop)``.

        Returns
        -------
        numpy.ndarray
            Shape (z, y, x), of the stack's dtype in native byte order.

        Raises
        ------
        DataError
            If the file ends early or cannot be decoded.
        """
        lower = (z_start, y_start, 0)
        upper = (z_stop, self.shape[1] if y_stop is None else y_stop, self.shape[2])
        start, stop = [0, 0, 0], [0, 0, 0]
        for axis, place in enumerate(self._order):
            start[place], stop[place] = lower[axis], upper[axis]
        with _in_words(self.spec):
            box = self._source.read((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
        return box.transpose(self._order)

    def identity(self) -> dict[str, object]:
        """Return what tells this content from another: path, size, modification time, order of axes."""
        return {**self._source.identity(), "axes": self.axes}

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    def __enter__(self) -> Stack:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_stack(spec: str, axes: str | None = None) -> Stack:
    """Open a stack by what a person would type.

    Parameters
    ----------
    spec
        A TIFF file or folder, an NPY file, a zarr array or group, or ``file.h5:/dataset``.
    axes
        Order of the file's axes, such as ``xyz``, where the file does not declare one; None: ``zyx``.

    Raises
    ------
    MissingDataError
        If there is no such file, folder or dataset.
    RequestError
        If the file holds several stacks, or its axes look swapped.
    DataError
        If it cannot be read, or what it holds is not a greyscale image.
    """
    axes = checked_axes(axes)
    hdf5 = _HDF5.match(spec)
    path = Path(hdf5["path"] if hdf5 else spec).expanduser()
    with _in_words(str(path)):
        if not path.exists():
            raise _missing(path)
        source = _hdf5(path, hdf5["inner"]) if hdf5 else _source(path)
    try:
        return Stack(spec, source, axes)
    except BaseException:
        source.close()
        raise


def checked_axes(axes: str | None) -> str | None:
    """Return an order of axes in lower case.

    Raises
    ------
    RequestError
        If it is not an order of z, y and x.
    """
    if axes is None:
        return None
    order = axes.lower().replace(",", "").replace(" ", "")
    if sorted(order) != ["x", "y", "z"]:
        raise RequestError(f"axes {printable(axes)!r} is not an order of z, y and x", "give for example zyx or xyz")
    return order


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    """Turn whatever a reader raises on a foreign file into an error for people."""
    try:
        yield
    except CellmapError:
        raise
    except PermissionError:
        raise RefusedError(f"{printable(what)} may not be read", "change its permissions") from None
    except MemoryError:
        remedy = "one slice at least must fit; give the job more memory, or cut the stack into parts"
        raise DataError(f"{printable(what)} does not fit into memory", remedy) from None
    except Exception as error:  # noqa: BLE001 - damaged files fail in any way inside the libraries
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{printable(what)} cannot be read: {printable(reason)}", "is the file complete?") from None


def _source(path: Path) -> Source:
    from cellmap_tui.volumes.stack_npy import NpySource
    from cellmap_tui.volumes.stack_tiff import SUFFIXES, TiffFolderSource, TiffSource
    from cellmap_tui.volumes.stack_zarr import ZarrSource, is_zarr

    if path.is_dir():
        return ZarrSource(path) if is_zarr(path) or path.suffix in {".zarr", ".n5"} else TiffFolderSource(path)
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return TiffSource(path)
    if suffix == ".npy":
        return NpySource(path)
    remedy = f"give {KINDS}"
    if suffix == ".npz":
        remedy = "save the array itself with numpy.save as .npy"
    if suffix in {".mrc", ".rec", ".st", ".dm3", ".dm4", ".nii", ".gz", ".nrrd", ".png", ".jpg", ".jpeg"}:
        remedy = f"convert it to TIFF first; what can be read: {KINDS}"
    raise RequestError(f"{printable(str(path))} is of a kind that cannot be read", remedy)


def _hdf5(path: Path, inner: str | None) -> Source:
    from cellmap_tui.volumes.stack_hdf5 import Hdf5Source

    return Hdf5Source(path, inner or None)


def _missing(path: Path) -> MissingDataError:
    shown = printable(str(path))
    if not path.parent.is_dir():
        return MissingDataError(f"{shown} does not exist: there is no folder {printable(str(path.parent))}")
    near = nearest(path.name, [entry.name for entry in path.parent.iterdir()])
    return MissingDataError(
        f"{shown} does not exist", f"did you mean {printable(near)}?" if near else f"give {KINDS}"
    )


def _refuse_swapped(spec: str, shape: Shape3) -> None:
    thinnest = min(range(3), key=lambda axis: shape[axis])
    others = [n for axis, n in enumerate(shape) if axis != thinnest]
    if thinnest == 0 or shape[thinnest] * _THIN > min(others):
        return
    guess, other = ("yxz", "xyz") if thinnest == 2 else ("yzx", "xzy")
    raise RequestError(
        f"{printable(spec)}: shape {shape} looks like {', '.join(guess)} order, and nothing in the file says which",
        f"pass --axes {guess} or --axes {other}, or --axes zyx when the slices do lie along the first axis",
    )
