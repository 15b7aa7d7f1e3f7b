"""`import`: somebody's own EM and label stacks, written into the challenge layout.

Everything is checked before anything is written. Each group is written whole or not at all, so an
import that was stopped or killed begins again with the group it was at; the crop is registered in
the local catalog last.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from cellmap_tui.services.import_model import ArrayState, ImportedArray, ImportPlan, ImportRequest, ImportResult
from cellmap_tui.services.import_place import check_disk
from cellmap_tui.services.import_plan import Prepared, Tally, described, plan_import, prepared
from cellmap_tui.services.import_write import remove_stale, size_on_disk, write_part

if TYPE_CHECKING:
    from cellmap_tui.services.report import Reporter

__all__ = ["ImportPlan", "ImportRequest", "ImportResult", "ImportedArray", "import_data", "plan_import"]


def import_data(request: ImportRequest, report: Reporter) -> ImportResult:
    """Bring stacks into the challenge layout as a dataset with a crop.

    Parameters
    ----------
    request
        What to import and where to.
    report
        Told voxels as they are looked through and written, notes, warnings and finished groups.

    Returns
    -------
    ImportResult
        The crop and its groups, with sizes on disk.

    Raises
    ------
    RequestError
        If a name, shape, box or value does not fit; nothing was written.
    DataError
        If a file is damaged or holds no labels or EM.
    MissingDataError
        If a file, or the EM of the dataset, does not exist.
    RefusedError
        If the crop or the EM exists already, or the disk is too small.
    Stopped
        When the user asked to stop; finished groups stay and are not written again.
    """
    tally = Tally(report)
    with prepared(request, tally) as ready:
        plan = ready.plan()
        for note in plan.notes:
            report.note(note)
        for warning in plan.warnings:
            report.warning(warning)
        if request.dry_run:
            return _result(ready, plan.arrays)
        check_disk(request, plan.needed_bytes, plan.free_bytes)
        arrays = _write_all(ready, tally, report)
        _register(ready)
    for warning in ready.warnings[len(plan.warnings) :]:
        report.warning(warning)
    return _result(ready, arrays)


def _write_all(ready: Prepared, tally: Tally, report: Reporter) -> tuple[ImportedArray, ...]:
    tally.plan_writing(sum(part.grid.voxels for part in ready.parts if not part.is_kept))
    arrays = []
    for part in ready.parts:
        if part.is_kept:
            ready.notes.append(f"{part.name} was there already, from the same source")
            report.note(ready.notes[-1])
        else:
            write_part(ready, part, tally, report)
        size_bytes = size_on_disk(ready.request.data_root / part.path)
        state: ArrayState = "kept" if part.is_kept else "written"
        arrays.append(dataclasses.replace(described(part), state=state, size_bytes=size_bytes))
    return tuple(arrays)


def _register(ready: Prepared) -> None:
    from cellmap_tui.challenge.local import add_local_crops

    remove_stale(ready)
    add_local_crops(ready.request.data_root, [ready.crop])


def _result(ready: Prepared, arrays: tuple[ImportedArray, ...]) -> ImportResult:
    return ImportResult(
        data_root=ready.request.data_root,
        dataset=ready.crop.dataset,
        crop=ready.crop.id,
        ref=ready.crop.ref,
        voxel_size_nm=ready.crop.grid.voxel_size_nm,
        translation_nm=ready.crop.grid.translation_nm,
        shape=ready.crop.grid.shape,
        classes=ready.crop.classes,
        arrays=arrays,
        size_bytes=sum(array.size_bytes or 0 for array in arrays),
        dry_run=ready.request.dry_run,
        notes=tuple(ready.notes),
        warnings=tuple(ready.warnings),
    )
