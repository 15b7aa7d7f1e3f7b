"""HDF5 files with all volumes of a region: ``raw`` and ``labels/<target>``, chunked and compressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    def __init__(self, path: Path, *, compress: bool = True, overwrite: bool = False) -> None:
        super().__init__(path, compress=compress, overwrite=overwrite)
        import h5py

        self._file = h5py.File(self.building, "w", libver=("v108", "v110"))

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


def dataset_name(volume: ExportVolume) -> str:
    """Return the path of a volume's dataset in the file."""
    return volume.name if volume.kind == "em" else f"labels/{volume.name}"
