"""Labelled regions with their EM in the formats of other tools.

Plans first, then writes file by file, each whole or not at all; a file that an earlier export wrote from
the same is kept, so an export that was stopped or killed goes on where it was. Beside the files stands a
manifest with the place and meaning of every volume.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from cellmap_tui.services.export_model import ExportRequest, ExportResult
from cellmap_tui.services.export_nnunet_write import NnunetFolder
from cellmap_tui.services.export_plan import Prepared, check_disk, plan_export, prepare
from cellmap_tui.services.export_record import write_manifest
from cellmap_tui.services.export_work import Work, size_on_disk
from cellmap_tui.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.report import Reporter

__all__ = ["ExportRequest", "ExportResult", "export", "plan_export"]

MANIFEST_FORMAT = 1
MOST_TOLD = 5
"""Crops that cannot be exported are named up to here; the result has them all."""


def export(request: ExportRequest, report: Reporter) -> ExportResult:
    """Write regions in another format.

    Raises
    ------
    RequestError
        If crops or targets do not exist, options contradict each other, or targets that share a volume overlap.
    MissingDataError
        If nothing that is asked for is on disk.
    RefusedError
        If files of something else are in the way, or the disk is too small.
    DataError
        If an array is broken.
    Stopped
        When the user asked to stop; finished files stay and are not written again.
    """
    prepared = prepare(request, report)
    plan = prepared.plan()
    for note in plan.notes:
        report.note(note)
    for warning in (*plan.warnings, *plan.problems[:MOST_TOLD]):
        report.warning(warning)
    if len(plan.problems) > MOST_TOLD:
        report.warning(f"and {len(plan.problems) - MOST_TOLD} more crops that cannot be exported")
    if request.dry_run:
        return _result(prepared, None)
    check_disk(plan, ignore=request.ignore_disk)
    work = Work(prepared, report)
    if request.format == "nnunet":
        NnunetFolder(prepared, work).write()
    else:
        work.write_all()
    return _result(prepared, _write_manifest(prepared))


def _write_manifest(prepared: Prepared) -> Path:
    request = prepared.request
    files = [task.file for task in prepared.tasks]
    # Of what earlier exports wrote here, the rows stay.
    files += prepared.journal.others(file.path for file in files)
    about = {
        "format": MANIFEST_FORMAT,
        "written_by": f"cellmap-tui {__version__}",
        "units": "nm",
        "axes": "zyx",
        "translation": "centre of voxel 0",
    }
    return write_manifest(request.output, files, about)


def _result(prepared: Prepared, manifest: Path | None) -> ExportResult:
    request, found = prepared.request, prepared.survey
    files = []
    for task in prepared.tasks:
        file = task.file
        if task.kept is not None and file.size_bytes is None:
            file = dataclasses.replace(file, size_bytes=size_on_disk(request.output / file.path))
        files.append(file)
    return ExportResult(
        output=request.output,
        format=request.format,
        manifest=manifest,
        files=tuple(files),
        targets=prepared.target_names,
        crops=len({task.region.crop.ref for task in prepared.tasks}),
        size_bytes=sum(file.size_bytes or 0 for file in files),
        dry_run=request.dry_run,
        notes=tuple(found.notes),
        warnings=tuple(found.warnings),
        problems=tuple(found.problems),
    )
