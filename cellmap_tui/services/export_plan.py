"""What an export would write: files, which of them are there already, and the room they need."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RefusedError, RequestError
from cellmap_tui.services.export_files import Task, tasks_of
from cellmap_tui.services.export_model import ExportedVolume, ExportPlan, ExportRequest
from cellmap_tui.services.export_record import Journal, digest, folder_stamp
from cellmap_tui.services.export_regions import Region, Survey, survey
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.text import count, size

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.report import Reporter

_LABELS_SHRINK = 10
"""Compressed labels take less than a tenth, measured on the challenge's."""
_MOST_NAMED = 5


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
    tasks = [task for region in found.regions for task in tasks_of(request, region)]
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


def _voxels(volume: ExportedVolume) -> int:
    z, y, x = volume.shape
    return z * y * x
