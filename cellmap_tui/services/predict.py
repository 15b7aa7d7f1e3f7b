"""`predict`: probabilities of every voxel of crops or boxes, from one network or several.

Everything is looked at before anything is written, the networks' weights included. A prediction that was stopped
or killed goes on with the slab it was at, and ends with the same voxels.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from cellmap_tui.services.predict_model import PredictPlan, PredictRequest, PredictResult
from cellmap_tui.services.predict_plan import check, prepare
from cellmap_tui.text import counted, duration, size

if TYPE_CHECKING:
    from cellmap_tui.services.predict_plan import Prepared
    from cellmap_tui.services.predict_remote import RemoteEm
    from cellmap_tui.services.report import Reporter

KEPT = "there already"
"""What is told of a volume that is not predicted again."""

__all__ = ["PredictPlan", "PredictRequest", "PredictResult", "plan_predict", "predict"]


def plan_predict(request: PredictRequest, report: Reporter) -> PredictPlan:
    """Say what a prediction would do, with sizes and time; what would refuse it is a warning.

    Errors are those of `predict`.
    """
    with ExitStack() as closing:
        return prepare(request, report, _remote(request, report, closing)).plan()


def predict(request: PredictRequest, report: Reporter) -> PredictResult:
    """Predict every voxel of crops or of a box.

    Parameters
    ----------
    request
        Networks, volumes, and where predictions go.
    report
        Told crops as they are planned, tiles as they are predicted, warnings and finished volumes.

    Returns
    -------
    PredictResult
        Every crop with what became of it.

    Raises
    ------
    RequestError
        If classes, crops, devices or the ensemble are wrong.
    MissingDataError
        If a checkpoint is not there.
    DataError
        If a checkpoint is cut short or of another network.
    RefusedError
        If something stands in the way, or disk, ``--max-bytes`` or memory are too small.
    Stopped
        When the user asked to stop; finished slabs stay and are not predicted again.
    """
    begun = time.monotonic()
    with ExitStack() as closing:
        remote = _remote(request, report, closing)
        ready = prepare(request, report, remote)
        _tell(ready, report)
        if request.dry_run:
            for conflict in ready.conflicts:
                report.warning(conflict)
            return _result(ready, 0, ready.batch_size, time.monotonic() - begun)
        check(ready)
        from cellmap_tui.services.predict_work import Work

        work = Work(ready, report, remote)
        work.run()
        return _result(ready, work.tiles, work.batch_size, time.monotonic() - begun)


def _remote(request: PredictRequest, report: Reporter, closing: ExitStack) -> RemoteEm | None:
    if not request.remote:
        return None
    from cellmap_tui.services.predict_remote import RemoteEm

    return closing.enter_context(RemoteEm(request, report))


def _tell(ready: Prepared, report: Reporter) -> None:
    for warning in ready.warnings:
        report.warning(warning)
    for volume in ready.others:
        if volume.state in ("missing", "failed"):
            report.warning(volume.reason if volume.crop in volume.reason else f"{volume.crop}: {volume.reason}")
        elif volume.state == "nothing":
            report.note(f"{volume.crop}: {volume.reason}")
        elif volume.state == "kept":
            report.note(f"{volume.crop}: {KEPT}")
    if ready.jobs:
        time_words = "" if ready.eta_s is None else f", about {duration(ready.eta_s)}"
        report.note(
            f"{counted(len(ready.jobs), 'volume')}, {counted(ready.tiles, 'tile')} on {ready.device_words}"
            f"{time_words}; up to {size(ready.needed_bytes)} on disk"
        )


def _result(ready: Prepared, tiles: int, batch_size: int, seconds: float) -> PredictResult:
    plan = ready.plan()
    return PredictResult(
        networks=plan.networks,
        output=plan.output,
        device=plan.device,
        crops=plan.crops,
        tiles=tiles if not ready.request.dry_run else plan.tiles,
        seconds=seconds,
        needed_bytes=plan.needed_bytes,
        size_bytes=sum(volume.stored_bytes or 0 for volume in plan.crops),
        batch_size=batch_size,
        eta_s=plan.eta_s if ready.request.dry_run else None,
        dry_run=ready.request.dry_run,
        warnings=plan.warnings,
    )
