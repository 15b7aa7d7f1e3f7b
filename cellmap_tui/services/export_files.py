"""The files of an export: their names, and which volumes each holds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cellmap_tui.services import export_nnunet
from cellmap_tui.services.export_model import ExportedFile, ExportedVolume

if TYPE_CHECKING:
    from cellmap_tui.challenge.targets import Target
    from cellmap_tui.services.export_model import ExportRequest, VolumeKind
    from cellmap_tui.services.export_regions import Region
    from cellmap_tui.volumes.export_labels import LabelReader
    from cellmap_tui.volumes.export_raw import RawSource
    from cellmap_tui.volumes.target_labels import TargetReader

_SUFFIX = {
    "ome-zarr": ".ome.zarr",
    "zarr": ".zarr",
    "tiff": ".tif",
    "ome-tiff": ".ome.tif",
    "nifti": ".nii.gz",
    "hdf5": ".h5",
    "npz": ".npz",
}
_ONE_VOLUME_A_FILE = ("tiff", "ome-tiff", "nifti")
ALL_TARGETS = "labels"
_GUESSED_ID_BYTES = 2
"""Width of object ids before they have been looked through."""


@dataclass(slots=True, eq=False)
class Part:
    """A volume of a file and where its voxels come from."""

    volume: ExportedVolume
    """Its row of the manifest, as far as it is known."""
    raw: RawSource | None = None
    """The EM, for volumes of EM."""
    labels: LabelReader | None = None
    """The labels, for volumes of labels; for nnU-Net only known once all crops have been looked through."""
    ids: tuple[tuple[str, int], ...] = ()
    """Targets and their values, for a volume of all targets."""


@dataclass(slots=True, eq=False)
class Task:
    """A file that is to be there in the end."""

    region: Region
    """The crop."""
    path: str
    """Place below the output folder."""
    parts: list[Part]
    """What it holds."""
    record: str = ""
    """Digest of what it is made of."""
    kept: ExportedFile | None = None
    """What it holds already; None: it is to be written."""

    @property
    def file(self) -> ExportedFile:
        """The file as it is planned or there."""
        return self.kept or ExportedFile(self.path, tuple(part.volume for part in self.parts))


def tasks_of(request: ExportRequest, region: Region) -> list[Task]:
    """Return the files of a crop."""
    if request.format == "nnunet":
        return _nnunet_tasks(request, region)
    folder = PurePosixPath(region.crop.dataset)
    suffix = _SUFFIX[request.format]
    if request.format == "nifti" and not request.compress:
        suffix = ".nii"
    parts = _parts(request, region)
    if request.format not in _ONE_VOLUME_A_FILE:
        path = str(folder / f"{region.crop.name}{suffix}")
        placed = [_placed(part, path, _inside(request, part.volume)) for part in parts]
        return [Task(region, path, placed)]
    files = []
    for part in parts:
        path = str(folder / region.crop.name / f"{part.volume.name}{suffix}")
        files.append(Task(region, path, [_placed(part, path, "")]))
    return files


def _nnunet_tasks(request: ExportRequest, region: Region) -> list[Task]:
    folder = export_nnunet.raw_folder(request.dataset_id, request.dataset_name)
    case = export_nnunet.case_name(region.crop)
    assert region.raw is not None
    is_test = region.crop.split == "test"
    image = str(folder / ("imagesTs" if is_test else "imagesTr") / f"{case}_0000{request.file_ending}")
    tasks = [Task(region, image, [_placed(_raw_part(region, region.raw), image, "")])]
    if not is_test:
        label = str(folder / "labelsTr" / f"{case}{request.file_ending}")
        row = _row(region, ALL_TARGETS, "ids", "uint8", region.grid)
        tasks.append(Task(region, label, [_placed(Part(_with_sources(row, region)), label, "")]))
    return tasks


def _parts(request: ExportRequest, region: Region) -> list[Part]:
    parts = [] if region.raw is None else [_raw_part(region, region.raw)]
    if request.combined and region.readers:
        return [*parts, _combined_part(region)]
    by_name = {target.name: target for target in region.targets.targets}
    return [*parts, *(_target_part(region, by_name[name], reader) for name, reader in region.readers.items())]


def _raw_part(region: Region, raw: RawSource) -> Part:
    row = _row(region, "raw", "raw", raw.dtype.name, raw.grid)
    return Part(dataclasses.replace(row, level=raw.choice.reason), raw=raw)


def _target_part(region: Region, target: Target, reader: TargetReader) -> Part:
    is_instance = reader.kind == "instance"
    row = _row(region, target.name, reader.kind, "" if is_instance else reader.dtype.name, region.grid)
    unknown = None if is_instance else reader.unknown_value
    row = dataclasses.replace(
        row, classes=target.classes, arrays=tuple(v.name for v in reader.volumes), unknown_value=unknown
    )
    return Part(row, labels=reader)


def _combined_part(region: Region) -> Part:
    from cellmap_tui.volumes.export_labels import CombinedReader

    targets = region.targets.targets
    pairs = tuple((target, region.readers[target.name]) for target in targets if target.name in region.readers)
    reader = CombinedReader(pairs, len(pairs) < len(targets), max(target.id for target in targets))
    row = _row(region, ALL_TARGETS, "ids", reader.dtype.name, region.grid)
    row = dataclasses.replace(_with_sources(row, region), unknown_value=reader.unknown_value)
    return Part(row, labels=reader, ids=tuple((target.name, target.id) for target in targets))


def _with_sources(row: ExportedVolume, region: Region) -> ExportedVolume:
    arrays = dict.fromkeys(volume.name for reader in region.readers.values() for volume in reader.volumes)
    return dataclasses.replace(row, classes=region.targets.classes, arrays=tuple(arrays))


def _row(region: Region, name: str, kind: VolumeKind, dtype: str, grid: Any) -> ExportedVolume:
    import numpy as np

    item_bytes = np.dtype(dtype).itemsize if dtype else _GUESSED_ID_BYTES
    return ExportedVolume(
        crop=region.crop.ref,
        split=region.crop.split,
        usage=region.usage,
        name=name,
        kind=kind,
        path="",
        inside="",
        dtype=dtype,
        shape=grid.shape,
        voxel_size_nm=grid.voxel_size_nm,
        translation_nm=grid.translation_nm,
        size_bytes=grid.voxels * item_bytes,
    )


def _placed(part: Part, path: str, inside: str) -> Part:
    part.volume = dataclasses.replace(part.volume, path=path, inside=inside)
    return part


def _inside(request: ExportRequest, volume: ExportedVolume) -> str:
    """Return the name of a volume inside of its file."""
    is_raw = volume.kind == "raw"
    if request.format == "ome-zarr":
        return "" if is_raw else f"labels/{volume.name}"
    if request.format == "hdf5":
        return "raw" if is_raw else f"labels/{volume.name}"
    return volume.name
