"""The pairs of predictions against local ground truth: folders of any layout, and stacks that are copied first."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, MissingDataError
from cellmap_tui.services.evaluate_pairs import PairJob
from cellmap_tui.services.evaluate_plan import Gathered, pair_store
from cellmap_tui.services.evaluate_stacks import (
    StackOptions,
    StackVolume,
    copy_stack,
    is_case_folder,
    is_stack,
    read_mapping,
    stack_volumes,
)
from cellmap_tui.services.evaluate_store import fingerprint
from cellmap_tui.services.evaluate_targets import LAYOUTS, Target, find_prediction, local_targets
from cellmap_tui.text import count

if TYPE_CHECKING:
    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.scoring.profiles import Scoring
    from cellmap_tui.services.evaluate_model import EvaluateRequest
    from cellmap_tui.services.report import Reporter

Places = dict[Target, tuple[Path, str] | None]
"""Where predictions lie: the folder or zip, and the place in it; None where there is none."""


def prediction_jobs(request: EvaluateRequest, catalog: Catalog, report: Reporter) -> Gathered:
    """Return the pairs of predictions and local ground truth.

    Raises
    ------
    CellmapError
        If crops, classes, truth or predictions cannot be found.
    """
    targets = local_targets(request, catalog)
    places = _places(request, targets, report)
    if not any(places.values()):
        raise _nothing(request, targets[0])
    notes: list[str] = []
    if not request.classes:
        targets = _predicted_classes(targets, places, notes)
    jobs = [_job(request, target, places[target]) for target in targets]
    due = json.dumps(sorted(job.name for job in jobs))
    return Gathered(jobs, len(jobs), notes, [], hashlib.sha256(due.encode()).hexdigest())


def scoring_for(request: EvaluateRequest, label: str) -> Scoring:
    """Return how a class is scored: as the user says, else as the challenge does."""
    from cellmap_tui.scoring.profiles import scoring_of

    if request.instance_classes is None:
        return scoring_of(label)
    return "instance" if label in request.instance_classes else "semantic"


def _places(request: EvaluateRequest, targets: list[Target], report: Reporter) -> Places:
    """Return where the prediction of each target lies: folder or zip, and the place in it."""
    predictions = request.predictions or ""
    if is_stack(predictions) or is_case_folder(Path(predictions)):
        return _stack_places(request, targets, report)
    if "{" not in predictions and not Path(predictions).exists():
        raise MissingDataError(f"{predictions} does not exist", "name a folder of predictions, a template or a stack")
    if predictions.lower().endswith(".zip"):
        return _zip_places(Path(predictions), targets)
    is_only = len({target.crop.ref for target in targets}) == 1
    found = {target: find_prediction(predictions, target, is_only=is_only) for target in targets}
    return {target: None if path is None else (path.parent, path.name) for target, path in found.items()}


def _zip_places(path: Path, targets: list[Target]) -> Places:
    """Return where the predictions lie in a zip that is laid out as a submission."""
    from cellmap_tui.scoring.submission import open_submission

    volumes = open_submission(path).volumes({target.crop.name for target in targets})
    found = {target: volumes.get((target.crop.name, target.label)) for target in targets}
    return {target: None if v is None else (Path(v.ref.store), v.ref.key) for target, v in found.items()}


def _stack_places(request: EvaluateRequest, targets: list[Target], report: Reporter) -> Places:
    predictions = request.predictions or ""
    labels, cases = read_mapping(request.mapping, None if is_stack(predictions) else Path(predictions))
    options = StackOptions(
        classes=request.classes,
        labels={**labels, **request.labels},
        cases=cases,
        voxel_size_nm=request.voxel_size_nm,
        translation_nm=request.translation_nm,
        axes=request.axes,
    )
    crops = list({target.crop.ref: target.crop for target in targets}.values())
    volumes = stack_volumes(predictions, crops, options)
    places: Places = dict.fromkeys(targets)
    store = pair_store(request)
    by_name = {(target.crop.ref, target.label): target for target in targets}
    for done, volume in enumerate(volumes):
        report.checkpoint()
        report.progress(done, len(volumes), "stacks")
        target = by_name.get((volume.crop.ref, volume.label))
        if target is None:
            continue
        place = store.stack_folder(_stack_key(volume, options)) / volume.label
        copy_stack(volume, place, options, report.checkpoint)
        places[target] = (place.parent, place.name)
    report.progress(len(volumes), len(volumes), "stacks")
    return places


def _stack_key(volume: StackVolume, options: StackOptions) -> str:
    """Return what tells the copy of a stack from every other."""
    file = Path(volume.file.partition(":/")[0])
    parts = [fingerprint(file), volume.file, volume.value, options.axes]
    place = [options.voxel_size_nm, options.translation_nm]
    return hashlib.sha256(json.dumps([*parts, *place]).encode()).hexdigest()[:32]


def _predicted_classes(targets: list[Target], places: Places, notes: list[str]) -> list[Target]:
    """Return the targets whose class is predicted somewhere."""
    predicted = {target.label for target, place in places.items() if place is not None}
    others = {target.label for target in targets} - predicted
    if others:
        notes.append(f"{count(len(others))} annotated classes are not predicted and not scored; see --classes")
    return [target for target in targets if target.label in predicted]


def _job(request: EvaluateRequest, target: Target, place: tuple[Path, str] | None) -> PairJob:
    from cellmap_tui.volumes.annotation import read_annotation
    from cellmap_tui.volumes.ngff import open_volume

    volume = open_volume(target.truth)
    level = volume.finest
    job = PairJob(
        crop=target.name,
        dataset=target.crop.dataset,
        label=target.label,
        scoring=scoring_for(request, target.label),
        grid=level.grid,
        truth=level.path.parent,
        truth_key=level.path.name,
        profile=request.profile,
        prediction=place[0] if place else None,
        prediction_key=place[1] if place else "",
    )
    try:
        return replace(job, unknown_value=read_annotation(volume).unknown_value)
    except CellmapError as error:
        return replace(job, problem=str(error))


def _nothing(request: EvaluateRequest, target: Target) -> MissingDataError:
    first = LAYOUTS[0].format(dataset=target.crop.dataset, crop=target.crop.name)
    return MissingDataError(
        f"{request.predictions} has no prediction of {target.crop.ref}",
        f"expected for example {first}/{target.label} below it; or give a template, see docs/evaluate.md",
    )
