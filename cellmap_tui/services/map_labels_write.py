"""Writing the volumes of a mapping, slab by slab, each whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RequestError
from cellmap_tui.services.import_place import ATTRIBUTE
from cellmap_tui.services.map_labels_plan import RECORD, with_record
from cellmap_tui.version import __version__

if TYPE_CHECKING:
    from cellmap_tui.challenge.targets import Target
    from cellmap_tui.services.map_labels_model import MappedVolume
    from cellmap_tui.services.map_labels_plan import Job
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.geometry import Box
    from cellmap_tui.volumes.target_labels import TargetReader

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
    content = _Combined(job) if job.volume.kind == "combined" else _One(job)
    path = Path(job.volume.path)
    grid = content.grid
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
    return [{"name": t.name, "classes": list(t.classes), "kind": t.kind, "id": t.id} for t, _ in job.readers]


class _One:
    """The volume of one target."""

    def __init__(self, job: Job) -> None:
        reader = job.readers[0][1]
        assert reader is not None
        self._reader: TargetReader = reader
        self.grid = reader.grid
        self.dtype = reader.dtype
        self.unknown_value = reader.unknown_value
        self._present = self._unknown = 0

    def read(self, box: Box) -> Any:
        """Return the stored values of a box."""
        import numpy as np

        values = self._reader.read_with_unknown(box)
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
            "objects": self._reader.objects,
        }


class _Combined:
    """The volume with the ids of all targets."""

    def __init__(self, job: Job) -> None:
        import numpy as np

        self._crop = job.volume.crop
        self._readers = job.readers
        self.grid = next(reader.grid for _, reader in job.readers if reader is not None)
        self.dtype = np.dtype(np.min_scalar_type(max(target.id for target, _ in job.readers) + 1))
        self.unknown_value = 2 ** (8 * self.dtype.itemsize) - 1
        self._present = self._unknown = 0

    def read(self, box: Box) -> Any:
        """Return the stored values of a box.

        Raises
        ------
        RequestError
            If a voxel is of two targets.
        """
        import numpy as np

        ids = np.zeros(box.shape, self.dtype)
        unknown = np.full(box.shape, any(reader is None for _, reader in self._readers))
        for target, reader in self._readers:
            if reader is None:
                continue
            present, known = reader.mask(box)
            both = present & (ids != 0)
            if both.any():
                raise self._overlap(target, int(ids[both][0]))
            ids[present] = target.id
            unknown |= ~known
        unknown &= ids == 0
        self._present += int(np.count_nonzero(ids))
        self._unknown += int(np.count_nonzero(unknown))
        ids[unknown] = self.unknown_value
        return ids

    def figures(self) -> dict[str, Any]:
        """Return what the volume holds."""
        return {
            "dtype": str(self.dtype),
            "unknown_value": self.unknown_value,
            "present_voxels": self._present,
            "unknown_voxels": self._unknown,
            "objects": None,
        }

    def _overlap(self, target: Target, number: int) -> RequestError:
        other = next(one.name for one, _ in self._readers if one.id == number)
        return RequestError(
            f"{self._crop}: targets {other!r} and {target.name!r} overlap",
            "leave out --combined, or make the targets of classes that exclude each other",
        )
