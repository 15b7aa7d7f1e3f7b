"""`process`: predictions into labels by a recipe per class, of any size, resumable block by block."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, RefusedError, Stopped
from cellmap_tui.services.process_class import passes
from cellmap_tui.services.process_model import ProcessedVolume, ProcessRequest, ProcessResult
from cellmap_tui.services.process_plan import plan_process, prepare
from cellmap_tui.services.process_sources import predictions_place
from cellmap_tui.services.process_volume import inputs_for, process_volume, told_of, work_folder
from cellmap_tui.text import count, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.services.process_plan import Prepared
    from cellmap_tui.services.process_volume import VolumeJob, Written
    from cellmap_tui.services.report import Reporter

__all__ = ["ProcessRequest", "ProcessResult", "plan_process", "process"]

SHOWN = 3


def process(request: ProcessRequest, report: Reporter) -> ProcessResult:
    """Turn predictions into labels.

    Parameters
    ----------
    request
        Which predictions, by which recipe.
    report
        Told voxels as they are gone over, warnings and the labels.

    Returns
    -------
    ProcessResult
        Every class of every crop; exit code 1 where one could not be made.

    Raises
    ------
    RequestError
        If a crop or class does not exist.
    MissingDataError
        If there is no prediction at all.
    DataError
        If the recipe is wrong.
    RefusedError
        If other labels stand where these would go, another process works on them, or a Python
        configuration was not allowed.
    Stopped
        When the user asked to stop; blocks that are done are kept.
    """
    started = time.perf_counter()
    if request.recipe is not None and request.recipe.suffix == ".py":
        from cellmap_tui.services.process_function import process_by_function

        return process_by_function(request, report)
    prepared = prepare(request, report)
    check_refused(prepared)
    for words in prepared.plan.notes:
        report.note(words)
    run = _Run(prepared, report)
    volumes = [run.kept(job) for job in prepared.kept]
    for job in prepared.jobs:
        volumes.append(run.one(job, overwrite=request.overwrite))
    run.tell_empty()
    return result_of(request, prepared, volumes, run.warnings, started)


def check_refused(prepared: Prepared) -> None:
    """Refuse to replace labels that were made otherwise.

    Raises
    ------
    RefusedError
        If there are any, or the disk is too small.
    """
    if prepared.refused:
        first = prepared.refused[0]
        more = f" and {count(len(prepared.refused) - 1)} more" if len(prepared.refused) > 1 else ""
        raise RefusedError(
            f"{first.output}{more} exists already, made by another recipe or from another prediction",
            "--overwrite replaces it, --output-path writes elsewhere",
        )
    plan = prepared.plan
    if plan.output_bytes // 4 + plan.scratch_bytes // 20 > plan.free_bytes:
        raise RefusedError(
            f"{size(plan.free_bytes)} are free, and labels and volumes in between take about "
            f"{size(plan.output_bytes // 4 + plan.scratch_bytes // 20)}",
            "make room, or write elsewhere with --output-path",
        )


def result_of(
    request: ProcessRequest,
    prepared: Prepared,
    volumes: list[ProcessedVolume],
    warnings: list[str],
    started: float,
) -> ProcessResult:
    """Return the result of all volumes, in the order of the plan."""
    rows = {(volume.crop, volume.label): volume for volume in volumes}
    for plan in prepared.failed:
        rows[plan.crop, plan.label] = ProcessedVolume(
            plan.crop, plan.label, None, "semantic", "", None, 0, 0, problem=plan.words
        )
    ordered = tuple(rows[plan.crop, plan.label] for plan in prepared.plan.volumes if (plan.crop, plan.label) in rows)
    failed = sum(bool(volume.problem) for volume in ordered)
    kept = sum(volume.kept for volume in ordered)
    place = request.output or str(predictions_place(None, request.data_root)).replace("predictions/", "processed/", 1)
    return ProcessResult(
        place,
        ordered,
        len(ordered) - failed - kept,
        kept,
        failed,
        round(time.perf_counter() - started, 3),
        tuple(dict.fromkeys(warnings)),
    )


class _Run:
    """Works through the volumes and keeps the count."""

    def __init__(self, prepared: Prepared, report: Reporter) -> None:
        self._plan = prepared.plan
        self._report = report
        self._total = sum(job.grid.voxels * passes(job.recipe) for job in prepared.jobs)
        self._done = 0
        self._empty: list[str] = []
        self.warnings: list[str] = []

    def tell_empty(self) -> None:
        """Say once which volumes came out empty."""
        if self._empty:
            shown = ", ".join(self._empty[:SHOWN])
            more = f" and {count(len(self._empty) - SHOWN)} more" if len(self._empty) > SHOWN else ""
            self._warn(f"nothing is left of {shown}{more}")

    def kept(self, job: VolumeJob) -> ProcessedVolume:
        """Return what is there already."""
        return told_of(job)

    def one(self, job: VolumeJob, *, overwrite: bool) -> ProcessedVolume:
        """Process one volume; what a user can cause is told in its row."""
        started = time.perf_counter()
        before = self._done
        try:
            written = self._written(job, overwrite=overwrite)
        except (RefusedError, Stopped):
            raise
        except CellmapError as error:
            self.warnings.append(f"{job.name}: {error.message}")
            self._report.warning(f"{job.name}: {error}")
            words = f"{error.message}{f' ({error.remedy})' if error.remedy else ''}"
            return ProcessedVolume(
                job.crop.ref, job.label, None, job.recipe.kind, "", None, 0, job.grid.voxels, problem=words
            )
        finally:
            self._done = before + job.grid.voxels * passes(job.recipe)
            self._report.progress(self._done, self._total, "voxels")
        self._report.artefact(job.output, "labels")
        if not written.foreground:
            self._empty.append(job.name)
        return ProcessedVolume(
            job.crop.ref,
            job.label,
            job.output,
            "semantic" if written.objects is None else "instance",
            written.dtype,
            written.objects,
            written.foreground,
            job.grid.voxels,
            elapsed_s=round(time.perf_counter() - started, 3),
        )

    def _written(self, job: VolumeJob, *, overwrite: bool) -> Written:
        from cellmap_tui.volumes.blocks import Workspace

        with work_folder(job) as folder:
            # A volume that is one block needs nothing in between on disk, and no more memory than a block.
            is_small = max(job.grid.shape) <= self._plan.block
            work = Workspace(
                None if is_small else folder,
                self._plan.block,
                self._plan.workers,
                self._report.checkpoint,
                self._advancer(job),
            )
            inputs = inputs_for(job, warn=self._warn, memory_bytes=self._plan.memory_bytes)
            written = process_volume(job, work, inputs, overwrite=overwrite)
            _remove(folder)
        return written

    def _advancer(self, job: VolumeJob) -> Callable[[int], None]:
        before, limit = self._done, job.grid.voxels * passes(job.recipe)

        def advance(voxels: int) -> None:
            self._done = min(self._done + voxels, before + limit)
            self._report.progress(self._done, self._total, "voxels")

        return advance

    def _warn(self, words: str) -> None:
        self.warnings.append(words)
        self._report.warning(words)


def _remove(folder: object) -> None:
    import shutil

    shutil.rmtree(str(folder), ignore_errors=True)
