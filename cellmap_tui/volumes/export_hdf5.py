"""HDF5 files with all volumes of a region: ``raw`` and ``labels/<target>``, chunked and compressed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from cellmap_tui.volumes.arrays import DEFAULT_CHUNKS
from cellmap_tui.volumes.export_volume import Container, ExportVolume, Read, chunk_rows

if TYPE_CHECKING:
    from pathlib import Path

_GZIP_LEVEL = 3
_NM_PER_UM = 1000.0


class Hdf5File(Container):
    """An HDF5 file; each dataset carries place and meaning as attributes.

    ``element_size_um`` is what Fiji and ilastik read, the others are those of the tool's own zarr arrays.
    """

    def _open(self) -> None:
        import h5py

        self._disk = _Disk(self.building)
        self._file = h5py.File(self._disk, "w", libver=("v108", "v110"))

    def _write(self, volume: ExportVolume, read: Read) -> None:
        chunks = tuple(min(c, n) for c, n in zip(DEFAULT_CHUNKS, volume.grid.shape, strict=True))
        dataset = self._file.create_dataset(
            dataset_name(volume),
            shape=volume.grid.shape,
            dtype=volume.dtype,
            chunks=chunks,
            compression="gzip" if self.compress else None,
            compression_opts=_GZIP_LEVEL if self.compress else None,
            shuffle=self.compress and volume.dtype.itemsize > 1,
        )
        for box in chunk_rows(volume.grid.shape):
            dataset[box.slices] = read(box)
            self._disk.check()
        for name, value in volume.attributes.items():
            if name != "ids":
                dataset.attrs[name] = value
        for target, number in volume.ids:
            dataset.attrs[f"id:{target}"] = number
        dataset.attrs["element_size_um"] = [length / _NM_PER_UM for length in volume.grid.voxel_size_nm]
        for axis, name in enumerate("zyx"):
            dataset.dims[axis].label = name

    def _close(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
            self._disk.close()
            self._disk.check()


class _Disk(io.FileIO):
    """The file below HDF5, which keeps the first error of the disk for later.

    HDF5 ends the whole process when it cannot write what it still holds as a file is closed.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._has_failed = False
        self._untold: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of it, or pretend to once the disk has failed."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and not self._has_failed:
            try:
                done += super().write(view[done:]) or 0
            except OSError as error:
                self._fail(error)
        if done < len(view):
            self.seek(len(view) - done, io.SEEK_CUR)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Make room, or pretend to."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._fail(error)
            return size or 0

    def check(self) -> None:
        """Raise what went wrong, once."""
        if self._untold is not None:
            error, self._untold = self._untold, None
            raise error

    def _fail(self, error: OSError) -> None:
        if not self._has_failed:
            self._has_failed, self._untold = True, error


def dataset_name(volume: ExportVolume) -> str:
    """Return the path of a volume's dataset in the file."""
    return volume.name if volume.kind == "em" else f"labels/{volume.name}"
