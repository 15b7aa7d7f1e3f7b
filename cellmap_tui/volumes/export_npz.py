"""NPZ archives with all volumes of a region, written as a stream; ``numpy.load`` reads them without pickle."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

from cellmap_tui.volumes.export_volume import Container, ExportVolume, Read, little_endian, slabs

_LEVEL = 3
_DATE = (1980, 1, 1, 0, 0, 0)


class NpzFile(Container):
    """An NPZ archive: an array per volume, and beside each its ``voxel_size_nm`` and ``translation_nm``.

    ``attributes`` is a JSON text with place and meaning of every volume.
    """

    def _open(self) -> None:
        method = zipfile.ZIP_DEFLATED if self.compress else zipfile.ZIP_STORED
        self._zip: zipfile.ZipFile | None = zipfile.ZipFile(self.building, "w", method, compresslevel=_LEVEL)
        self._attributes: dict[str, Any] = {}

    def _write(self, volume: ExportVolume, read: Read) -> None:
        assert self._zip is not None
        with self._zip.open(self._entry(volume.name), "w", force_zip64=True) as entry:
            entry.write(_header(volume))
            for box in slabs(volume.grid.shape):
                entry.write(little_endian(read(box), volume.dtype))
        self._add(f"{volume.name}.voxel_size_nm", np.array(volume.grid.voxel_size_nm))
        self._add(f"{volume.name}.translation_nm", np.array(volume.grid.translation_nm))
        self._attributes[volume.name] = volume.attributes

    def _add(self, name: str, array: np.ndarray[Any, Any]) -> None:
        assert self._zip is not None
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        self._zip.writestr(self._entry(name), buffer.getvalue())

    def _entry(self, name: str) -> zipfile.ZipInfo:
        """Return a fixed time: the same voxels give the same bytes."""
        entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
        entry.compress_type = zipfile.ZIP_DEFLATED if self.compress else zipfile.ZIP_STORED
        entry._compresslevel = _LEVEL  # type: ignore[attr-defined] # public only from 3.13 on
        entry.external_attr = 0o644 << 16
        return entry

    def _close(self) -> None:
        if getattr(self, "_zip", None) is None:
            return
        if self._attributes:
            self._add("attributes", np.array(json.dumps(self._attributes)))
        assert self._zip is not None
        self._zip.close()
        self._zip = None


def _header(volume: ExportVolume) -> bytes:
    buffer = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(volume.dtype.newbyteorder("<"))
    header = {"descr": descr, "fortran_order": False, "shape": volume.grid.shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()
