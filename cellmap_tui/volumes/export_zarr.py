"""Zarr v2 folders with all volumes of a region: plain arrays, or an OME-NGFF 0.4 image with its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellmap_tui.version import __version__
from cellmap_tui.volumes.arrays import create_array
from cellmap_tui.volumes.export_volume import Container, ExportVolume, Read, chunk_rows, slabs
from cellmap_tui.volumes.publish import write_json
from cellmap_tui.volumes.write import MultiscaleWriter

if TYPE_CHECKING:
    from pathlib import Path

_NGFF = "0.4"


class ZarrFolder(Container):
    """A group with a plain array per volume, each with ``voxel_size`` and ``translation`` attributes in nm."""

    def _open(self) -> None:
        self.building.mkdir()
        write_json(self.building / ".zgroup", {"zarr_format": 2})

    def _write(self, volume: ExportVolume, read: Read) -> None:
        array = create_array(
            self.building / volume.name,
            volume.grid.shape,
            volume.dtype,
            attributes={**volume.attributes, **own_attributes(volume)},
        )
        for box in chunk_rows(volume.grid.shape):
            array[box.slices] = read(box)


class OmeZarrFolder(Container):
    """An OME-NGFF image: ``raw`` as its pyramid, targets as ``labels/<target>`` pyramids."""

    def _open(self) -> None:
        self._labels: list[str] = []

    def _write(self, volume: ExportVolume, read: Read) -> None:
        if volume.kind == "em":
            self._write_pyramid(self.building, volume, read, {})
            return
        self._labels.append(volume.name)
        for folder in (self.building, self.building / "labels"):
            folder.mkdir(exist_ok=True)
            write_json(folder / ".zgroup", {"zarr_format": 2})
        about = {"image-label": {"version": _NGFF, "source": {"image": "../../"}}, **own_attributes(volume)}
        self._write_pyramid(self.building / "labels" / volume.name, volume, read, about)
        write_json(self.building / "labels" / ".zattrs", {"labels": self._labels})

    def _write_pyramid(self, folder: Path, volume: ExportVolume, read: Read, attributes: dict[str, Any]) -> None:
        with MultiscaleWriter(folder, volume.grid, volume.dtype, volume.kind, attributes=attributes) as writer:
            for box in slabs(volume.grid.shape, writer.slab_depth):
                writer.write(box.start[0], read(box))
            writer.finish()


def own_attributes(volume: ExportVolume) -> dict[str, Any]:
    """Return the attribute by which the tool's own readers know what label values mean."""
    if volume.kind == "em":
        return {}
    known = {name: volume.attributes[name] for name in ("kind", "unknown_value", "ids") if name in volume.attributes}
    return {"cellmap_tui": {"version": __version__, **known}}
