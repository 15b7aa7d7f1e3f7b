"""TIFF stacks, a plane a page: as ImageJ and Fiji write them, or OME-TIFF where ImageJ has no such voxels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cellmap_tui.volumes.export_volume import Container, ExportVolume, Read, slabs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellmap_tui.volumes.arrays import Voxels

_IMAGEJ_DTYPES = ("uint8", "uint16", "float32")
_IMAGEJ_MOST_BYTES = 3_900_000_000
"""Offsets of the TIFFs that ImageJ reads have 32 bits."""


class TiffFile(Container):
    """A TIFF file with one volume; ImageJ's kind of stack unless its voxels or size ask for OME-TIFF."""

    is_ome = False

    def _write(self, volume: ExportVolume, read: Read) -> None:
        import tifffile

        if self.is_ome or not fits_imagej(volume):
            style: dict[str, Any] = {"ome": True, "bigtiff": volume.size_bytes > _IMAGEJ_MOST_BYTES}
            metadata = _ome_metadata(volume)
            more: dict[str, Any] = {}
        else:
            style, metadata = {"imagej": True}, _imagej_metadata(volume)
            _, y, x = volume.grid.voxel_size_nm
            more = {"resolution": (1 / x, 1 / y), "resolutionunit": "NONE"}
        with tifffile.TiffWriter(self.building, **style) as file:
            file.write(
                _planes(volume, read),
                shape=volume.grid.shape,
                dtype=volume.dtype,
                photometric="minisblack",
                compression="zlib" if self.compress else None,
                metadata=metadata,
                software=False if "imagej" in style else "cellmap-tui",
                **more,
            )


class OmeTiffFile(TiffFile):
    """An OME-TIFF file with one volume."""

    is_ome = True


def fits_imagej(volume: ExportVolume) -> bool:
    """Return whether ImageJ's kind of TIFF can hold a volume."""
    return volume.dtype.name in _IMAGEJ_DTYPES and volume.size_bytes <= _IMAGEJ_MOST_BYTES


def _planes(volume: ExportVolume, read: Read) -> Iterator[Voxels]:
    for box in slabs(volume.grid.shape):
        yield from read(box).astype(volume.dtype, copy=False)


def _imagej_metadata(volume: ExportVolume) -> dict[str, Any]:
    sizes, places = volume.grid.voxel_size_nm, volume.grid.translation_nm
    # ImageJ's origin is the voxel at which the coordinate is 0.
    origin = {f"{axis}origin": -place / size for axis, size, place in zip("zyx", sizes, places, strict=True)}
    about = json.dumps({volume.name: volume.attributes})
    return {"axes": "ZYX", "spacing": sizes[0], "unit": "nm", **origin, "Info": about}


def _ome_metadata(volume: ExportVolume) -> dict[str, Any]:
    found: dict[str, Any] = {"axes": "ZYX", "Name": volume.name}
    plane: dict[str, Any] = {}
    planes = volume.grid.shape[0]
    lengths = zip("ZYX", volume.grid.voxel_size_nm, volume.grid.translation_nm, strict=True)
    for axis, size, place in lengths:
        found |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "nm"}
        step = size if axis == "Z" else 0.0
        plane |= {f"Position{axis}": [place + i * step for i in range(planes)]}
        plane |= {f"Position{axis}Unit": ["nm"] * planes}
    return {**found, "Plane": plane, "Description": json.dumps({volume.name: volume.attributes})}
