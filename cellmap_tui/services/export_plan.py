"""The files of an export: their names, what each holds, which are there already, and the room they need."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RefusedError, RequestError
from cellmap_tui.services import export_nnunet
from cellmap_tui.services.export_model import ExportedFile, ExportedVolume, ExportPlan, ExportRequest
from cellmap_tui.services.export_record import Journal, digest, folder_stamp
from cellmap_tui.services.export_regions import Region, Survey, survey
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.text import count, size

if TYPE_CHECKING:
    from cellmap_tui.challenge.targets import Target
    from cellmap_tui.services.export_model import VolumeKind
    from cellmap_tui.services.report import Reporter
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
_LABELS_SHRINK = 10
"""Compressed labels take less than a tenth, measured on the challenge's."""
_GUESSED_ID_BYTES = 2
"""Width of object ids before they have been looked through."""
_MOST_NAMED = 5


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


@dataclass(slots=True, eq=False)
class Prepared:
    """An export that has been checked."""

    request: ExportRequest
    """What was asked."""
    survey: Survey
    """The crops."""
    tasks: list[Task]
    """Files in their order."""
    journal: Journal
    """Files that were written before."""
    target_names: tuple[str, ...]
    """Every target of every crop."""

    @property
    def waiting(self) -> list[Task]:
        """Files that are still to be written."""
        return [task for task in self.tasks if task.kept is None]

    @property
    def voxels(self) -> int:
        """Voxels that are still to be written."""
        return sum(_voxels(part.volume) for task in self.waiting for part in task.parts)

    def plan(self) -> ExportPlan:
        """Return what would be written."""
        return ExportPlan(
            output=self.request.output,
            format=self.request.format,
            files=tuple(task.file for task in self.tasks),
            targets=self.target_names,
            voxels=self.voxels,
            needed_bytes=self._needed_bytes(),
            free_bytes=free_bytes(self.request.output),
            notes=tuple(self.survey.notes),
            warnings=tuple(self.survey.warnings),
            problems=tuple(self.survey.problems),
        )

    def _needed_bytes(self) -> int:
        needed = 0
        for task in self.waiting:
            for part in task.parts:
                is_small = part.raw is None and (self.request.compress or "zarr" in self.request.format)
                needed += part.volume.size_bytes // (_LABELS_SHRINK if is_small else 1)
        return needed


def plan_export(request: ExportRequest, report: Reporter | None = None) -> ExportPlan:
    """Say what an export would write; only metadata are read.

    Raises
    ------
    CellmapError
        As `export`, except for the disk.
    """
    return prepare(request, report or SilentReporter()).plan()


def prepare(request: ExportRequest, report: Reporter) -> Prepared:
    """Open and check everything; nothing is written."""
    _check_output(request)
    found = survey(request, report)
    if request.format == "nnunet":
        _leave_out_incomplete(request, found)
    tasks = [task for region in found.regions for task in _tasks(request, region)]
    names = found.targets.names if found.targets is not None else _names_of(found.regions)
    prepared = Prepared(request, found, tasks, Journal(request.output), names)
    for task in tasks:
        task.record = digest(_record(request, found, task))
    find_kept(prepared)
    return prepared


def _names_of(regions: list[Region]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for region in regions for name in region.readers))


def find_kept(prepared: Prepared) -> None:
    """Find out which files are there already; RefusedError where others stand in their place."""
    foreign = []
    for task in prepared.tasks:
        finished = prepared.journal.finished(task.path)
        task.kept = None
        if finished is not None and finished.record == task.record:
            task.kept = dataclasses.replace(finished.file, state="kept", size_bytes=None)
        elif (prepared.request.output / task.path).exists():
            foreign.append(task.path)
    if foreign and not prepared.request.overwrite:
        raise RefusedError(
            f"{count(len(foreign))} of the files exist and were made from something else, such as "
            f"{prepared.request.output / foreign[0]}",
            "choose another --output, or replace them with --overwrite",
        )


def free_bytes(output: Path) -> int:
    """Return the free space where a folder is or would be made."""
    import shutil

    existing = next(path for path in (output, *output.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def check_disk(plan: ExportPlan, *, ignore: bool) -> None:
    """Refuse what does not fit on the disk; raises RefusedError."""
    if plan.needed_bytes > plan.free_bytes and not ignore:
        raise RefusedError(
            f"the export needs up to {size(plan.needed_bytes)} and {plan.output} has {size(plan.free_bytes)} free",
            "free some space, choose another --output, or go on with --ignore-disk",
        )


def _check_output(request: ExportRequest) -> None:
    output, data = request.output.absolute().resolve(), request.data_root.absolute().resolve()
    if output == data or output in data.parents:
        raise RequestError(f"{request.output} holds the challenge data", "choose a folder of its own with --output")
    if any(parent.suffix == ".zarr" and parent.is_relative_to(data) for parent in (output, *output.parents)):
        raise RequestError(
            f"{request.output} is inside a store of the challenge data", "choose a folder of its own with --output"
        )
    if output.exists() and not output.is_dir():
        raise RequestError(f"{request.output} is a file", "choose a folder with --output")


def _leave_out_incomplete(request: ExportRequest, found: Survey) -> None:
    """Leave out training crops in which a target is not annotated, unless they are wanted nevertheless."""
    assert found.targets is not None
    if request.incomplete != "skip":
        return
    kept, left_out = [], []
    for region in found.regions:
        lacking = [name for name in found.targets.names if name not in region.readers]
        if region.crop.split == "train" and lacking:
            left_out.append(f"{region.crop.ref} ({', '.join(lacking[:_MOST_NAMED])})")
        else:
            kept.append(region)
    found.regions[:] = kept
    if left_out:
        shown = ", ".join(left_out[:_MOST_NAMED]) + (" …" if len(left_out) > _MOST_NAMED else "")
        found.warnings.append(
            f"left out, as not all targets are annotated there: {shown}; take them with --incomplete ignore or absent"
        )
    if not any(region.crop.split == "train" for region in kept):
        raise RequestError(
            f"no crop annotates all of {', '.join(found.targets.names)}",
            "choose fewer targets, or take what is there with --incomplete ignore",
        )


def _tasks(request: ExportRequest, region: Region) -> list[Task]:
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


def _voxels(volume: ExportedVolume) -> int:
    z, y, x = volume.shape
    return z * y * x


def _record(request: ExportRequest, found: Survey, task: Task) -> dict[str, Any]:
    """Return what a file is made of; another digest means that it has to be written again."""
    has_labels = any(part.raw is None for part in task.parts)
    # The values of nnU-Net's labels follow from all of its crops.
    regions = found.regions if request.format == "nnunet" else [task.region]
    raw = [
        (str(part.raw.choice.level.path), dataclasses.astuple(part.raw.presence)) for part in task.parts if part.raw
    ]
    return {
        "format": [request.format, request.compress, request.file_ending],
        "volumes": [dataclasses.asdict(dataclasses.replace(part.volume, usage="")) for part in task.parts],
        "raw": raw,
        "labels": [_label_record(region) for region in regions if region.readers] if has_labels else [],
        "incomplete": request.incomplete if request.format == "nnunet" else "",
    }


def _label_record(region: Region) -> dict[str, Any]:
    if region.record is None:
        volumes = {volume.name: volume for reader in region.readers.values() for volume in reader.volumes}
        stamps = {name: folder_stamp(volume.path) for name, volume in volumes.items()}
        region.record = {
            "crop": region.crop.ref,
            "arrays": stamps,
            "targets": dataclasses.asdict(region.targets),
            "known": {name: reader.words for name, reader in region.readers.items()},
        }
    return region.record
