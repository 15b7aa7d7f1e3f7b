"""Writing the files of an export, each whole or not at all, and telling how far it is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from cellmap_tui.services.export_model import ExportedFile, ExportedVolume, ExportRequest

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.export_files import Part, Task
    from cellmap_tui.services.export_plan import Prepared
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.export_volume import Container, ExportVolume
    from cellmap_tui.volumes.geometry import Box


class Work:
    """Writes what is waiting and tells how far it is."""

    def __init__(self, prepared: Prepared, report: Reporter) -> None:
        self.prepared = prepared
        self.report = report
        self._done = 0
        self._total = prepared.voxels

    def more(self, voxels: int) -> None:
        """Take in voxels that are looked through besides."""
        self._total += voxels

    def tell(self, voxels: int) -> None:
        """Tell voxels that are done, and give the user a say."""
        self._done += voxels
        self.report.progress(self._done, self._total, "voxels")
        self.report.checkpoint()

    def write_all(self) -> None:
        """Write every file that is waiting."""
        for task in self.prepared.tasks:
            if task.kept is None:
                self._write(task)

    def _write(self, task: Task) -> None:
        request = self.prepared.request
        path = request.output / task.path
        rows = []
        with _container(request, path) as container:
            for part in task.parts:
                rows.append(self._write_part(container, part))
                _let_go(task, part)
            building = container.complete()
            written = ExportedFile(task.path, tuple(rows), "written")
            self.prepared.journal.add(building, task.record, written)
            container.finish()
        task.kept = dataclasses.replace(written, size_bytes=size_on_disk(path))
        self.report.artefact(path, "labels" if any(row.kind != "raw" for row in rows) else "em")

    def _write_part(self, container: Container, part: Part) -> ExportedVolume:
        if part.labels is not None:
            part.labels.prepare(self.report.checkpoint)
        volume = _described(part)
        counting = _Counting(part, self)
        container.write(volume, counting.read)
        row = dataclasses.replace(
            part.volume,
            dtype=volume.dtype.name,
            size_bytes=volume.size_bytes,
            unknown_value=volume.unknown_value,
            ids=dict(part.ids),
        )
        if part.raw is not None:
            return row
        return dataclasses.replace(row, foreground_voxels=counting.foreground, unknown_voxels=counting.unknown)


class _Counting:
    """Reads a part and counts what is in it."""

    def __init__(self, part: Part, work: Work) -> None:
        self._part = part
        self._work = work
        self.foreground = 0
        self.unknown = 0

    def read(self, box: Box) -> Any:
        """Return the voxels of a box."""
        import numpy as np

        if self._part.raw is not None:
            block = self._part.raw.read(box)
        else:
            assert self._part.labels is not None
            block = self._part.labels.read_with_unknown(box)
            unknown = int(np.count_nonzero(block == self._part.labels.unknown_value))
            self.unknown += unknown
            self.foreground += int(np.count_nonzero(block)) - unknown
        self._work.tell(box.voxels)
        return block


def _let_go(task: Task, part: Part) -> None:
    """Free what a part keeps in memory: chunks of EM, the objects of a slab."""
    if part.raw is not None:
        part.raw.forget()
    part.labels = None
    if part.volume.kind == "instance":
        task.region.readers.pop(part.volume.name)


def _described(part: Part) -> ExportVolume:
    """Return what a container is told of a part."""
    import numpy as np

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.volumes.export_volume import ExportVolume

    row = part.volume
    grid = Grid(row.voxel_size_nm, row.translation_nm, row.shape)
    if part.labels is None:
        return ExportVolume(row.name, grid, np.dtype(row.dtype), "em")
    is_instance = {"semantic": False, "instance": True}.get(row.kind)
    unknown = part.labels.unknown_value
    return ExportVolume(row.name, grid, np.dtype(part.labels.dtype), "label", is_instance, unknown, part.ids)


def _container(request: ExportRequest, path: Path) -> Container:
    """Return the writer of a file; only the module of its format is imported."""
    from importlib import import_module

    suffixes = {
        ".ome.zarr": ("export_zarr", "OmeZarrFolder"),
        ".zarr": ("export_zarr", "ZarrFolder"),
        ".ome.tif": ("export_tiff", "OmeTiffFile"),
        ".tif": ("export_tiff", "TiffFile"),
        ".nii.gz": ("export_nifti", "NiftiFile"),
        ".nii": ("export_nifti", "NiftiFile"),
        ".h5": ("export_hdf5", "Hdf5File"),
        ".npz": ("export_npz", "NpzFile"),
    }
    module, name = next(found for suffix, found in suffixes.items() if path.name.endswith(suffix))
    writer = getattr(import_module(f"cellmap_tui.volumes.{module}"), name)
    container: Container = writer(path, compress=request.compress, overwrite=request.overwrite)
    return container


def size_on_disk(path: Path) -> int:
    """Return the size of a file, or of all files below a folder, in bytes."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
