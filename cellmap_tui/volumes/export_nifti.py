"""NIfTI files, written as a stream: a header, then the voxels with x running fastest.

Written here and not by nibabel, which needs the whole volume in memory. A volume in C order z, y, x is
byte for byte one in Fortran order x, y, z, so nothing is turned. NIfTI-2 is used only where an axis is too
long for the 16 bit numbers of NIfTI-1.
"""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING, BinaryIO

from cellmap_tui.errors import RequestError
from cellmap_tui.volumes.export_volume import Container, ExportVolume, Read, little_endian, slabs

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Grid

_CODES = {
    "uint8": 2,
    "int16": 4,
    "int32": 8,
    "float32": 16,
    "float64": 64,
    "int8": 256,
    "uint16": 512,
    "uint32": 768,
    "int64": 1024,
    "uint64": 1280,
}
_LONGEST_AXIS = 2**15 - 1
_LABEL_INTENT = 1002
_NO_UNIT = 0
_HEADER_1, _HEADER_2 = 348, 540
_GZIP_LEVEL = 3


class NiftiFile(Container):
    """A ``.nii`` or ``.nii.gz`` file with one volume.

    Lengths are nanometres, as NIfTI has no code for that unit it is given as "not known"; readers that think
    in millimetres see the right proportions at a millionth of the scale.
    """

    def _write(self, volume: ExportVolume, read: Read) -> None:
        if volume.dtype.name not in _CODES:
            raise RequestError(f"{self.path}: NIfTI cannot hold {volume.dtype}", "choose another --format")
        with self.building.open("wb") as file:
            if not self.path.name.endswith(".gz"):
                _stream(file, volume, read)
                return
            # No name and no time inside: the same voxels give the same bytes.
            with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
                _stream(packed, volume, read)  # type: ignore[arg-type]


def _stream(file: BinaryIO, volume: ExportVolume, read: Read) -> None:
    file.write(nifti_header(volume))
    for box in slabs(volume.grid.shape):
        file.write(little_endian(read(box), volume.dtype))


def nifti_header(volume: ExportVolume) -> bytes:
    """Return the header of a volume and the four bytes that say that no extension follows."""
    is_long = max(volume.grid.shape) > _LONGEST_AXIS
    return (_header_2 if is_long else _header_1)(volume) + bytes(4)


def _header_1(volume: ExportVolume) -> bytes:
    grid = volume.grid
    code, bits = _CODES[volume.dtype.name], volume.dtype.itemsize * 8
    z, y, x = grid.shape
    parts = [
        struct.pack("<i", _HEADER_1) + bytes(35) + b"\0",
        struct.pack("<8h", 3, x, y, z, 1, 1, 1, 1),
        struct.pack("<3f4h", 0, 0, 0, _intent(volume), code, bits, 0),
        struct.pack("<8f", *_spacing(grid)),
        struct.pack("<3f", _HEADER_1 + 4, 1, 0),
        struct.pack("<hBB", 0, 0, _NO_UNIT),
        struct.pack("<4f2i", 0, 0, 0, 0, 0, 0),
        _text(volume, 80) + bytes(24),
        struct.pack("<2h", 1, 1),
        struct.pack("<6f", *_quaternion(grid)),
        struct.pack("<12f", *_affine(grid)),
        bytes(16) + b"n+1\0",
    ]
    return b"".join(parts)


def _header_2(volume: ExportVolume) -> bytes:
    grid = volume.grid
    code, bits = _CODES[volume.dtype.name], volume.dtype.itemsize * 8
    z, y, x = grid.shape
    parts = [
        struct.pack("<i", _HEADER_2) + b"n+2\0\r\n\x1a\n",
        struct.pack("<2h", code, bits),
        struct.pack("<8q", 3, x, y, z, 1, 1, 1, 1),
        struct.pack("<3d", 0, 0, 0),
        struct.pack("<8d", *_spacing(grid)),
        struct.pack("<q", _HEADER_2 + 4),
        struct.pack("<6d", 1, 0, 0, 0, 0, 0),
        struct.pack("<2q", 0, 0),
        _text(volume, 80) + bytes(24),
        struct.pack("<2i", 1, 1),
        struct.pack("<6d", *_quaternion(grid)),
        struct.pack("<12d", *_affine(grid)),
        struct.pack("<3i", 0, _NO_UNIT, _intent(volume)),
        bytes(16) + b"\0" + bytes(15),
    ]
    return b"".join(parts)


def _intent(volume: ExportVolume) -> int:
    return _LABEL_INTENT if volume.kind == "label" else 0


def _spacing(grid: Grid) -> tuple[float, ...]:
    z, y, x = grid.voxel_size_nm
    return (1.0, x, y, z, 0.0, 0.0, 0.0, 0.0)


def _quaternion(grid: Grid) -> tuple[float, ...]:
    z, y, x = grid.translation_nm
    return (0.0, 0.0, 0.0, x, y, z)


def _affine(grid: Grid) -> tuple[float, ...]:
    z, y, x = grid.voxel_size_nm
    tz, ty, tx = grid.translation_nm
    return (x, 0.0, 0.0, tx, 0.0, y, 0.0, ty, 0.0, 0.0, z, tz)


def _text(volume: ExportVolume, length: int) -> bytes:
    words = f"{volume.name}; lengths in nm"
    if volume.unknown_value is not None:
        words += f"; {volume.unknown_value} is unknown"
    return words.encode("ascii", "replace")[: length - 1].ljust(length, b"\0")
