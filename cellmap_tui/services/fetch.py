"""`fetch-data`: crops from the bucket to the data root, planned first, checked, and resumable at any moment.

Starting it again is resuming it: what the ledger knows as verified is not asked for again.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, RefusedError
from cellmap_tui.services import fetch_overwrite
from cellmap_tui.services.fetch_model import Amount, CropResult, FetchRequest, FetchResult
from cellmap_tui.services.fetch_plan import check_room, plan_fetch, prepare_fetch
from cellmap_tui.services.fetch_words import finish_command, plan_sentence

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.fetch_plan import Prepared
    from cellmap_tui.services.fetch_run import FetchWatch
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.storage.ledger import Ledger
    from cellmap_tui.storage.transfer import TransferOutcome

__all__ = ["FetchRequest", "FetchResult", "fetch", "plan_fetch"]

MOST_FAILURES = 1000
"""Failures that a result lists; it counts the others."""


def fetch(request: FetchRequest, report: Reporter) -> FetchResult:
    """Download crops.

    Parameters
    ----------
    request
        What to fetch and where to.
    report
        Told the plan, bytes, finished crops (artefact ``crop``), the folder of the finer picture (artefact
        ``fetch-state``, see `fetch_state`), waiting and failures.

    Returns
    -------
    FetchResult
        Also when a part failed: it lists what is missing, and its exit code is 1.

    Raises
    ------
    RequestError
        If crops, classes or levels do not exist.
    RefusedError
        If the plan does not fit the disk or ``--max-bytes``, or overwriting was not confirmed.
    CellmapError
        If the bucket cannot be read, or the data root cannot be written.
    Stopped
        When the user asked to stop; what is done is kept, and starting again goes on.
    """
    from cellmap_tui.storage.ledger import Ledger

    started_s = time.monotonic()
    overwrites = request.access_mode == "overwrite" and not fetch_overwrite.is_under_way(request)
    if overwrites:
        fetch_overwrite.check_confirmed(request)
    ledger = Ledger.open(request.data_root)
    planned = request if overwrites else replace(request, access_mode="append")
    prepared = prepare_fetch(planned, report, ledger)
    try:
        report.note(plan_sentence(prepared.plan))
        for warning in prepared.plan.warnings:
            report.warning(warning)
        check_room(prepared.plan, request)
        if overwrites:
            fetch_overwrite.remove_once(request, prepared)
        return _fetch(request, prepared, ledger, report, started_s)
    finally:
        prepared.close()
        _close(ledger, report)


def _fetch(
    request: FetchRequest, prepared: Prepared, ledger: Ledger, report: Reporter, started_s: float
) -> FetchResult:
    from cellmap_tui.services.fetch_run import FetchWatch, transfer_plan

    folder = _prepare_folder(request, prepared, ledger, report)
    watch = FetchWatch(prepared, report, folder, request.data_root)
    watch.tell_finished()
    watch.write()
    outcome: TransferOutcome | None = None
    made: tuple[str, ...] = ()
    try:
        if prepared.objects.objects:
            outcome = transfer_plan(prepared, request, ledger, watch)
        if request.make_levels:
            made = _make_levels(request, prepared, watch, ledger, report)
    finally:
        watch.phase = "ended"
        watch.write()
    return _result(request, prepared, outcome, watch, made, time.monotonic() - started_s)


def _prepare_folder(request: FetchRequest, prepared: Prepared, ledger: Ledger, report: Reporter) -> Path:
    """Write everything but the objects: what is asked, which crops these are, groups and absent chunks."""
    from cellmap_tui.challenge.local import add_local_crops
    from cellmap_tui.services.empty_labels import remember_empty_labels
    from cellmap_tui.services.fetch_record import remember_request
    from cellmap_tui.services.fetch_state import new_state_folder

    root = request.data_root
    try:
        root.mkdir(parents=True, exist_ok=True)
        folder = new_state_folder(root, prepared.plan)
        make_groups(root, prepared.groups)
    except OSError as error:
        raise RefusedError(
            f"{error.filename or root} cannot be written: {error.strerror}", "choose another folder with --dest"
        ) from None
    report.artefact(folder, "fetch-state")
    remember_request(request, prepared.crops)
    unknown = _unknown_elsewhere(request, prepared)
    if unknown:
        add_local_crops(root, unknown)
    remember_empty_labels(
        request.state_dir, prepared.empty_labels, bucket=request.bucket, endpoint_url=request.endpoint_url
    )
    for planned in prepared.absent:
        ledger.record_absent(planned.key)
    return folder


def _unknown_elsewhere(request: FetchRequest, prepared: Prepared) -> list[Crop]:
    """Return the crops that only the given manifests know, so that the browser will know them too."""
    from cellmap_tui.challenge.catalog import load_catalog

    given = [crop for crop in prepared.crops if crop.source == "manifest"]
    if not given:
        return []
    known = {crop.ref: crop for crop in load_catalog(data_root=request.data_root, state_dir=request.state_dir).crops}
    return [crop for crop in given if crop.ref not in known or known[crop.ref].source == "manifest"]


def make_groups(root: Path, keys: tuple[str, ...]) -> None:
    """Make the groups that the bucket lacks, so that Zarr can walk down to the arrays."""
    from cellmap_tui.storage.objects import local_path
    from cellmap_tui.volumes.publish import write_json

    for key in keys:
        path = local_path(root, key)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {"zarr_format": 2})


def _make_levels(
    request: FetchRequest, prepared: Prepared, watch: FetchWatch, ledger: Ledger, report: Reporter
) -> tuple[str, ...]:
    from cellmap_tui.services.fetch_levels import Padding
    from cellmap_tui.services.make_levels import make_levels

    watch.phase = "making levels"
    watch.write()
    padding = Padding(request.raw_padding, request.raw_padding_nm)
    return make_levels(request.data_root, prepared.crops, ledger, report, padding)


def _result(
    request: FetchRequest,
    prepared: Prepared,
    outcome: TransferOutcome | None,
    watch: FetchWatch,
    made: tuple[str, ...],
    elapsed_s: float,
) -> FetchResult:
    from cellmap_tui.services.fetch_rate import save_rate
    from cellmap_tui.services.fetch_run import failures_of, incomplete_crops

    failures = failures_of(prepared, outcome)
    incomplete = incomplete_crops(prepared, watch, failures)
    fetched = Amount() if outcome is None else Amount(outcome.fetched, outcome.bytes)
    if outcome is not None:
        save_rate(request.state_dir, prepared.plan.address, fetched, outcome.seconds - outcome.waited_s)
    failed = len(prepared.plan.problems)
    if outcome is not None:
        failed += outcome.failed_count + outcome.untried + (outcome.ended is not None and not outcome.failed_count)
    if not failed:
        fetch_overwrite.finish(request)
    absent = sum(level.absent for crop in prepared.plan.crops for level in crop.levels)
    return FetchResult(
        data_root=request.data_root,
        crops=tuple(_crop_result(watch, place, place in incomplete) for place in range(len(watch.crops))),
        fetched=fetched,
        kept=_kept(prepared, outcome, watch),
        absent=absent + (0 if outcome is None else outcome.vanished),
        failures=tuple(failures[:MOST_FAILURES]),
        failed=failed,
        made_levels=made,
        requests=prepared.requests + (0 if outcome is None else outcome.requests),
        elapsed_s=round(elapsed_s, 3),
        waited_s=0.0 if outcome is None else round(outcome.waited_s, 3),
        finish_command=finish_command(request, [watch.crops[place].ref for place in sorted(incomplete)], failures),
        notes=prepared.plan.notes,
        warnings=prepared.plan.warnings,
    )


def _kept(prepared: Prepared, outcome: TransferOutcome | None, watch: FetchWatch) -> Amount:
    """Return what was on disk already: known as verified, or checked in this run."""
    verified = prepared.plan.wanted.objects - prepared.objects.objects
    verified_bytes = prepared.plan.wanted.bytes - prepared.objects.bytes
    if outcome is None:
        return Amount(verified, verified_bytes)
    return Amount(verified + outcome.skipped, verified_bytes + watch.skipped_bytes)


def _crop_result(watch: FetchWatch, place: int, is_incomplete: bool) -> CropResult:
    crop = watch.crops[place]
    return CropResult(
        ref=crop.ref,
        what=crop.what,
        state="incomplete" if is_incomplete else "complete",
        objects=crop.objects,
        bytes=crop.bytes,
        failed=crop.objects - crop.done,
    )


def _close(ledger: Ledger, report: Reporter) -> None:
    try:
        ledger.close()
    except OSError as error:
        # Nothing is lost: the next run compares the files with the listing.
        report.warning(f"the ledger cannot be written: {error.strerror}")
    except CellmapError as error:
        report.warning(error.message)
