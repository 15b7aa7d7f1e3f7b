"""The pairs of a submission against the ground truth of the test crops, as the official scorer pairs them.

Every array of every truth crop is a pair, masks included. A label that is stored as a group counts as
missing, as officially; it stands a second time beside, so that the score with it can be told.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import CellmapError, DataError, MissingDataError
from cellmap_tui.services.evaluate_pairs import PairJob
from cellmap_tui.services.evaluate_plan import Gathered
from cellmap_tui.services.evaluate_predictions import scoring_for

if TYPE_CHECKING:
    from collections.abc import Collection

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Annotation
    from cellmap_tui.scoring.submission import PredictionVolume
    from cellmap_tui.services.evaluate_model import EvaluateRequest

MASK = "_mask"
"""Ending of truth arrays that say where a class is annotated."""


@dataclass(frozen=True, slots=True)
class _Truth:
    path: Path
    keys: dict[tuple[str, str], str]
    """Crop and class to the array's place in the store."""


def submission_jobs(request: EvaluateRequest, catalog: Catalog) -> Gathered:
    """Return the pairs of a submission.

    Raises
    ------
    MissingDataError
        If submission or truth is not there.
    DataError
        If the submission holds none of the crops, or what an archive must not hold.
    """
    from cellmap_tui.scoring.submission import open_submission

    assert request.submission is not None  # the caller looked
    assert request.truth is not None  # the request made sure
    due = {(crop.name, a.class_name): a for crop in catalog.crops if crop.split == "test" for a in crop.annotations()}
    truth = _truth(request.truth)
    wanted = _wanted(request, catalog, truth)
    submission = open_submission(request.submission)
    volumes = submission.volumes({crop for crop, _ in truth.keys})
    jobs: list[PairJob] = []
    for key in sorted(wanted):
        jobs += _jobs_of(request, truth, key, volumes.get(key), due.get(key))
    warnings = [*submission.warnings, *_unseen(jobs)]
    rows = [key for key in due if not request.classes or key[1] in {label for _, label in wanted}]
    notes = ["only some classes are scored, so the overall score is not the challenge's"] if request.classes else []
    return Gathered(jobs, len(rows), notes, warnings, _hash([due[key] for key in sorted(due)]))


def _truth(path: Path) -> _Truth:
    from cellmap_tui.scoring.stored import is_array
    from cellmap_tui.scoring.stores import join, open_store

    store = open_store(path)
    keys = {
        (crop, label): join(crop, label)
        for crop in store.folders()
        for label in store.folders(crop)
        if is_array(store, join(crop, label))
    }
    if not keys:
        raise MissingDataError(f"{path} holds no ground truth", "it is a zarr store of crop<N>/<class> arrays")
    return _Truth(path, keys)


def _wanted(request: EvaluateRequest, catalog: Catalog, truth: _Truth) -> Collection[tuple[str, str]]:
    """Return the pairs that are asked for: of the classes that were named, their masks with them."""
    if not request.classes:
        return truth.keys
    names = {catalog.class_name(name) for name in request.classes}
    found = [key for key in truth.keys if key[1] in names]
    if not found:
        raise MissingDataError(f"{truth.path} has no ground truth of {', '.join(sorted(names)[:5])}")
    return found


def _jobs_of(
    request: EvaluateRequest,
    truth: _Truth,
    key: tuple[str, str],
    volume: PredictionVolume | None,
    due: Annotation | None,
) -> list[PairJob]:
    """Return the pair of one class in one crop, and a second one where it is only readable."""
    crop, label = key
    try:
        job = _missing_job(request, truth, key, due)
    except CellmapError as error:
        raise DataError(f"the truth of {crop}/{label}: {error.message}", error.remedy) from None
    if volume is None or volume.form in ("v3", "unknown"):
        return [job]
    if due is None:
        problem = "it is in the truth and the submission, but not in the test manifest"
        return [replace(job, problem=problem)]
    given = replace(
        job, prediction=Path(volume.ref.store), prediction_key=volume.ref.key, is_guarded=volume.ref.is_guarded
    )
    return [given] if volume.is_seen else [job, replace(given, is_official=False)]


def _missing_job(request: EvaluateRequest, truth: _Truth, key: tuple[str, str], due: Annotation | None) -> PairJob:
    crop, label = key
    mask = truth.keys.get((crop, label + MASK))
    return PairJob(
        crop=crop,
        dataset=due.crop.dataset if due else "",
        label=label,
        scoring=scoring_for(request, label),
        grid=due.grid if due else _grid_of(truth, key),
        truth=truth.path,
        truth_key=truth.keys[key],
        profile=request.profile,
        mask_key=mask,
    )


def _grid_of(truth: _Truth, key: tuple[str, str]) -> Grid:
    """Return the grid that a truth array itself says, for what the manifest does not list."""
    from cellmap_tui.scoring.sources import translation_of, voxel_size_of
    from cellmap_tui.scoring.stored import open_stored
    from cellmap_tui.scoring.stores import open_store

    array = open_stored(open_store(truth.path), truth.keys[key])
    size, translation = voxel_size_of(array.attributes), translation_of(array.attributes)
    return Grid(size or (1.0, 1.0, 1.0), translation or (0.0, 0.0, 0.0), array.shape)


def _unseen(jobs: list[PairJob]) -> list[str]:
    names = [job.name for job in jobs if not job.is_official]
    if not names:
        return []
    shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
    return [
        f"THE OFFICIAL SCORER WOULD NOT SEE {len(names)} labels that are stored as groups: {shown}; "
        "write the arrays themselves. They count as missing; the score with them is under cellmap_tui: readable"
    ]


def _hash(due: list[Annotation]) -> str:
    rows = [(a.crop.ref, a.class_name, *astuple(a.grid)) for a in due]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
