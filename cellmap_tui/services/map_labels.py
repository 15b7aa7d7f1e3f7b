"""`map-labels`: the labels of crops, or of a volume of one's own, turned into targets.

Everything is checked before anything is written. Each volume is written whole or not at all and says what
it was made from, so a mapping that was stopped or killed goes on with the volume it was at.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError, MissingDataError, RefusedError
from cellmap_tui.services.map_labels_model import MapLabelsPlan, MapLabelsRequest, MapLabelsResult, MappedVolume
from cellmap_tui.services.map_labels_plan import Prepared, prepared
from cellmap_tui.services.map_labels_write import Tally, write_job

if TYPE_CHECKING:
    from cellmap_tui.services.map_labels_plan import Job
    from cellmap_tui.services.report import Reporter

__all__ = ["MapLabelsPlan", "MapLabelsRequest", "MapLabelsResult", "map_labels", "plan_map_labels"]


def plan_map_labels(request: MapLabelsRequest, report: Reporter) -> MapLabelsPlan:
    """Say what a mapping would do; errors are those of `map_labels`, what is in the way is a warning."""
    with prepared(request, report) as ready:
        return ready.plan()


def map_labels(request: MapLabelsRequest, report: Reporter) -> MapLabelsResult:
    """Turn labels into targets.

    Parameters
    ----------
    request
        What to map, to which targets, and where to.
    report
        Told crops as they are planned, voxels as they are looked through, warnings and finished volumes.

    Returns
    -------
    MapLabelsResult
        The volumes with their figures, and ids that belong to no target.

    Raises
    ------
    RequestError
        If targets or crops are wrong, or targets overlap that are combined.
    MissingDataError
        If nothing can be made, for want of labels on disk.
    RefusedError
        If something stands in the way, or disk or memory are too small.
    Stopped
        When the user asked to stop; finished volumes stay and are not written again.
    """
    with prepared(request, report) as ready:
        for warning in ready.warnings:
            report.warning(warning)
        if request.dry_run:
            for conflict in ready.conflicts:
                report.warning(conflict)
            return _result(ready)
        _refuse_conflicts(ready)
        _check_disk(ready)
        _write_all(ready, report)
        return _result(ready)


def _write_all(ready: Prepared, report: Reporter) -> None:
    tally = Tally(report, sum(job.voxels for job in ready.todo))
    for volume in ready.others:
        if volume.state in ("missing", "failed"):
            report.warning(f"{volume.crop}/{volume.target}: {volume.reason}")
    for job in ready.todo:
        report.checkpoint()
        job.volume = _written(job, tally, ready.request)


def _refuse_conflicts(ready: Prepared) -> None:
    if ready.conflicts:
        more = f" (and {len(ready.conflicts) - 1} more)" if len(ready.conflicts) > 1 else ""
        message, _, remedy = ready.conflicts[0].rpartition(": ")
        raise RefusedError(f"{message}{more}", remedy)


def _written(job: Job, tally: Tally, request: MapLabelsRequest) -> MappedVolume:
    """Write a volume; one whose labels are broken is told and does not stop the others."""
    try:
        return write_job(job, tally, overwrite=request.overwrite)
    except (DataError, MissingDataError) as error:
        tally.report.warning(f"{job.volume.crop}/{job.volume.target}: {error}")
        return replace(job.volume, state="failed", reason=str(error))
    finally:
        job.readers = ()  # what a watershed held in memory


def _check_disk(ready: Prepared) -> None:
    from cellmap_tui.text import size

    if ready.needed_bytes > ready.free_bytes and not ready.request.ignore_disk:
        raise RefusedError(
            f"the mapping needs up to {size(ready.needed_bytes)} and {size(ready.free_bytes)} are free",
            "free some space, choose another place with -o, or go on with --ignore-disk",
        )


def _result(ready: Prepared) -> MapLabelsResult:
    plan = ready.plan()
    return MapLabelsResult(
        output=plan.output,
        targets=plan.targets,
        volumes=plan.volumes,
        unmapped=plan.unmapped,
        size_bytes=sum(volume.size_bytes or 0 for volume in plan.volumes),
        needed_bytes=plan.needed_bytes,
        dry_run=ready.request.dry_run,
        warnings=plan.warnings,
    )
