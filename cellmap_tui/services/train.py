"""`train`: looks before the first step, trains, and says what came of it; goes on where an earlier part stopped."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RefusedError
from cellmap_tui.services.report import run_folder
from cellmap_tui.services.telemetry import Telemetry
from cellmap_tui.services.train_model import EndReason, TrainResult
from cellmap_tui.services.train_prepare import crops_in_words, keep, prepare, python_objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellmap_tui.learning.bank import Bank
    from cellmap_tui.learning.train_listener import TrainOutcome
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.train_model import Preflight, TrainRequest
    from cellmap_tui.services.train_prepare import Prepared

FOLDER = "training"
"""Where a training writes that is given neither a run directory nor a folder."""
_ENDS: dict[str, EndReason] = {
    "finished": "epochs",
    "early stop": "early_stop",
    "max hours": "max_hours",
    "stop after epoch": "asked",
}


def train(request: TrainRequest, report: Reporter) -> TrainResult:
    """Train a network; in a folder with checkpoints, go on with the newest.

    Raises
    ------
    Stopped
        If the user asked to stop; a checkpoint was written first.
    RequestError
        If the configuration is wrong, names the key.
    RefusedError
        If the look before found that training would fail or fill the disk, unless the request forces it.
    CellmapError
        If the loss is no number, a device fails, memory ends or the disk is full; names the last good checkpoint.
    """
    begun = time.monotonic()
    folder = run_folder(report) or request.folder or Path.cwd() / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    prepared = prepare(request, folder, report)
    card = prepared.card
    report.note(f"{card.model_name}: {len(card.columns)} channels, {crops_in_words(prepared.split)}")
    bank = open_training_bank(prepared, request, report)
    with Telemetry(folder):
        objects = python_objects(prepared)
        look = _looked(prepared, bank, request, report, objects)
        if request.dry_run:
            return _dry(prepared, look, time.monotonic() - begun)
        keep(prepared)
        outcome = _trained(prepared, bank, request, report, objects)
    return _result(prepared, outcome, look, time.monotonic() - begun)


def open_training_bank(prepared: Prepared, request: TrainRequest, report: Reporter) -> Bank:
    """Return the crops to train and to validate on at the patch's scale, from the cache or built.

    Raises
    ------
    MissingDataError
        If paths are gone, or nobody annotated a class.
    RefusedError
        If the disk has too little room.
    """
    from cellmap_tui.learning.bank import BankRequest, open_bank, sources_of
    from cellmap_tui.services.patches_config import fields_of
    from cellmap_tui.services.patches_model import PatchesRequest
    from cellmap_tui.services.patches_open import context_of
    from cellmap_tui.services.settings import load_settings

    config = prepared.config
    patches = PatchesRequest(**fields_of(config))
    cache_dir = request.cache_dir or (request.state_dir or load_settings().state_dir) / "banks"
    bank = open_bank(
        BankRequest(
            crops=sources_of(prepared.split),
            targets=prepared.targets,
            voxel_size_nm=patches.voxel_size_nm,
            cache_dir=cache_dir,
            context_voxels=context_of(patches),
            use_mutual_exclusion=config.use_mutual_exclusion,
            coarse_labels=patches.coarse_labels,
            labels=prepared.labels,
        ),
        report,
    )
    report.checkpoint()
    return bank


def _looked(
    prepared: Prepared, bank: Bank, request: TrainRequest, report: Reporter, objects: Mapping[str, Any]
) -> Preflight:
    from cellmap_tui.services.train_preflight import look, tell

    found = look(prepared, bank, request, report, objects)
    tell(found, report)
    if found.problems and not request.force and not request.dry_run:
        first = found.problems[0]
        raise RefusedError(
            f"{first.name}: {first.value}",
            f"{first.remedy}; --force trains in spite of it" if first.remedy else "--force trains in spite of it",
        )
    return found


def _trained(
    prepared: Prepared, bank: Bank, request: TrainRequest, report: Reporter, objects: Mapping[str, Any]
) -> TrainOutcome:
    if prepared.config.devices > 1:
        from cellmap_tui.services.train_ranks import train_on_several

        return train_on_several(prepared, request, report)
    from cellmap_tui.services.train_here import train_here

    return train_here(prepared, bank, request, report, objects)


def _dry(prepared: Prepared, look: Preflight, seconds: float) -> TrainResult:
    config = prepared.config
    return TrainResult(
        prepared.folder, config.model_name, "dry_run", 0, 0, None, None, config.best_metric, {}, None, None,
        seconds, look,
    )  # fmt: skip


def _result(prepared: Prepared, outcome: TrainOutcome, look: Preflight, seconds: float) -> TrainResult:
    from cellmap_tui.learning.checkpoints import names_of
    from cellmap_tui.learning.history import read_history

    config = prepared.config
    rows = read_history(names_of(config, prepared.folder).history)
    best = next((row.values for row in rows if row.epoch == outcome.best_epoch), {})
    dice = {name: _number(best.get(f"val/dice/{name}")) for name in prepared.card.columns} if best else {}
    return TrainResult(
        folder=prepared.folder,
        model_name=config.model_name,
        ended=_ENDS[outcome.ending],
        epochs=outcome.epoch,
        steps=outcome.step,
        best_epoch=outcome.best_epoch,
        best_value=_number(outcome.best_score),
        best_metric=config.best_metric,
        dice=dice,
        best_checkpoint=outcome.best,
        last_checkpoint=outcome.last,
        seconds=seconds,
        preflight=look,
        validation={name: _number(value) for name, value in outcome.values.items()},
    )


def _number(value: float | None) -> float | None:
    """Return a finite number, else None: JSON has no NaN."""
    return value if value is not None and abs(value) < float("inf") else None
