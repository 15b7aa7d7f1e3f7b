"""Writing the volumes of a mapping, slab by slab, each whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RequestError
from cellmap_tui.services.import_place import ATTRIBUTE
from cellmap_tui.services.map_labels_record import RECORD, with_record
from cellmap_tui.version import __version__

if TYPE_CHECKING:
    from cellmap_tui.services.map_labels_model import MappedVolume
    from cellmap_tui.services.map_labels_plan import Job
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.export_labels import LabelReader
    from cellmap_tui.volumes.geometry import Box

_KINDS = {"semantic": "binary", "instance": "instance", "combined": "ids"}


@dataclass(slots=True)
class Tally:
    """Voxels looked through, told as they come."""

    report: Reporter
    """Who is told."""
    total: int
    """Voxels to look through."""
    done: int = 0
    """Voxels so far."""

    def add(self, voxels: int) -> None:
        """Count voxels."""
        self.done += voxels
        self.report.progress(self.done, self.total, "voxels")


def write_job(job: Job, tally: Tally, *, overwrite: bool) -> MappedVolume:
    """Write one volume.

    Returns
    -------
    MappedVolume
        The volume with its figures.

    Raises
    ------
    RequestError
        If targets overlap that are combined.
    DataError
        If an array is broken.
    RefusedError
        If the disk is full.
    """
    # zarr and numpy, about 0.2 s
    from cellmap_tui.volumes.label_volumes import planes, slabs_of
    from cellmap_tui.volumes.write import MultiscaleWriter

    report = tally.report
    for _, reader in job.readers:
        if reader is not None:
            reader.prepare(report.checkpoint, tally.add)
    content = _Content(job)
    path = Path(job.volume.path)
    grid = next(reader.grid for _, reader in job.readers if reader is not None)
    record: dict[str, Any] = {"key": job.key, "source": job.volume.source, "targets": _described(job)}
    own = {
        "version": __version__,
        "kind": _KINDS[job.volume.kind],
        "unknown_value": content.unknown_value,
        RECORD: record,
    }
    with MultiscaleWriter(
        path, grid, content.dtype, "label", attributes={ATTRIBUTE: own}, overwrite=overwrite and path.exists()
    ) as writer:
        for start, stop in slabs_of(grid):
            report.checkpoint()
            box = planes(grid, start, stop)
            writer.write(start, content.read(box))
            tally.add(box.voxels * sum(reader is not None for _, reader in job.readers))
        # The attributes are written last of all, so that they can hold what was counted on the way.
        record.update(content.figures())
        writer.finish(report.checkpoint)
    report.artefact(path, "labels")
    return replace(with_record(job.volume, path, record), state="written")


def _described(job: Job) -> list[dict[str, Any]]:
    """Return the targets of a volume; their ids only where they are its values."""
    rows = [{"name": t.name, "classes": list(t.classes), "kind": t.kind, "id": t.id} for t, _ in job.readers]
    is_combined = job.volume.kind == "combined"
    return [{key: value for key, value in row.items() if key != "id" or is_combined} for row in rows]


class _Content:
    """The stored values of a volume, counted as they are read."""

    def __init__(self, job: Job) -> None:
        self._reader = _reader(job)
        self._crop = job.volume.crop
        self.dtype = self._reader.dtype
        self.unknown_value = self._reader.unknown_value
        self._present = self._unknown = 0

    def read(self, box: Box) -> Any:
        """Return the stored values of a box; RequestError names targets that overlap."""
        import numpy as np

        try:
            values = self._reader.read_with_unknown(box)
        except RequestError as error:
            raise RequestError(f"{self._crop}: {error.message}", error.remedy) from None
        unknown = int(np.count_nonzero(values == self.unknown_value))
        self._present += int(np.count_nonzero(values)) - unknown
        self._unknown += unknown
        return values

    def figures(self) -> dict[str, Any]:
        """Return what the volume holds."""
        return {
            "dtype": str(self.dtype),
            "unknown_value": self.unknown_value,
            "present_voxels": self._present,
            "unknown_voxels": self._unknown,
            "objects": getattr(self._reader, "objects", None),
        }


def _reader(job: Job) -> LabelReader:
    """Return the reader of a target, or the one of all targets in a volume."""
    from cellmap_tui.volumes.export_labels import CombinedReader

    known = tuple((target, reader) for target, reader in job.readers if reader is not None)
    if job.volume.kind != "combined":
        return known[0][1]
    return CombinedReader(known, len(known) < len(job.readers), max(target.id for target, _ in job.readers))
