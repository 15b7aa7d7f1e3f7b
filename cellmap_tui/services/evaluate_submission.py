"""The pairs of a submission against the ground truth of the test crops, as the official scorer pairs them.

A label that is stored as a group counts as missing, as officially; it stands a second time beside, so
that the score with it can be told. A label that the manifest does not list is wrong by itself, and
does not keep the others from being scored.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import CellmapError, DataError, MissingDataError
from cellmap_tui.services.evaluate_pairs import PairJob
from cellmap_tui.services.evaluate_plan import Gathered
from cellmap_tui.services.evaluate_predictions import scoring_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Annotation
    from cellmap_tui.scoring.pairs import PairRequest
    from cellmap_tui.scoring.submission import VolumeRef
    from cellmap_tui.services.evaluate_model import EvaluateRequest

UNLISTED = "it is in the truth and in the submission, but not in the test manifest"


def submission_jobs(request: EvaluateRequest, catalog: Catalog) -> Gathered:
    """Return the pairs of a submission.

    Raises
    ------
    MissingDataError
        If submission or truth is not there, or the truth has none of the classes.
    DataError
        If the submission holds none of the crops, or what an archive must not hold.
    """
    from cellmap_tui.scoring.plan import plan_pairs
    from cellmap_tui.scoring.profiles import get_profile
    from cellmap_tui.scoring.submission import open_submission

    assert request.submission is not None  # the caller looked
    assert request.truth is not None  # the request made sure
    due = {(crop.name, a.class_name): a for crop in catalog.crops if crop.split == "test" for a in crop.annotations()}
    truth = open_submission(request.truth, is_guarded=False)
    refs = {key: volume.ref for key, volume in truth.volumes().items() if volume.is_seen}
    if not refs:
        raise MissingDataError(
            f"{request.truth} holds no ground truth", "it is a zarr store of crop<N>/<class> arrays"
        )
    grids = {key: due[key].grid if key in due else _grid_of(ref) for key, ref in refs.items()}
    pairs = plan_pairs(open_submission(request.submission), truth, grids, get_profile(request.profile))
    jobs = [_job(request, pair, due) for pair in pairs.official]
    jobs += [_job(request, pair, due, is_official=False) for pair in pairs.unseen]
    jobs, notes = _of_classes(request, catalog, jobs)
    rows = [key for key in due if not request.classes or key[1] in {job.label for job in jobs}]
    warnings = [*pairs.warnings, *_unseen(jobs)]
    return Gathered(jobs, len(rows), notes, warnings, _hash([due[key] for key in sorted(due)]))


def _job(
    request: EvaluateRequest,
    pair: PairRequest,
    due: Mapping[tuple[str, str], Annotation],
    *,
    is_official: bool = True,
) -> PairJob:
    key = (pair.crop, pair.label)
    assert pair.grid is not None  # every pair was given one
    is_given = pair.prediction is not None
    return PairJob(
        crop=pair.crop,
        dataset=due[key].crop.dataset if key in due else "",
        label=pair.label,
        scoring=scoring_for(request, pair.label),
        grid=pair.grid,
        truth=Path(pair.truth.store),
        truth_key=pair.truth.key,
        profile=request.profile,
        prediction=Path(pair.prediction.store) if pair.prediction else None,
        prediction_key=pair.prediction.key if pair.prediction else "",
        is_guarded=pair.prediction.is_guarded if pair.prediction else False,
        mask_key=pair.mask.key if pair.mask else None,
        is_official=is_official,
        problem=UNLISTED if is_given and key not in due else "",
    )


def _of_classes(request: EvaluateRequest, catalog: Catalog, jobs: list[PairJob]) -> tuple[list[PairJob], list[str]]:
    """Return the pairs of the classes that were named."""
    if not request.classes:
        return jobs, []
    names = {catalog.class_name(name) for name in request.classes}
    chosen = [job for job in jobs if job.label in names]
    if not chosen:
        raise MissingDataError(f"{request.truth} has no ground truth of {', '.join(sorted(names)[:5])}")
    return chosen, ["only some classes are scored, so the overall score is not the challenge's"]


def _grid_of(ref: VolumeRef) -> Grid:
    """Return the grid that a truth array itself says, for what the manifest does not list."""
    from cellmap_tui.scoring.sources import translation_of, voxel_size_of
    from cellmap_tui.scoring.stored import open_stored
    from cellmap_tui.scoring.stores import open_store

    try:
        array = open_stored(open_store(Path(ref.store)), ref.key)
        size, translation = voxel_size_of(array.attributes), translation_of(array.attributes)
    except CellmapError as error:
        raise DataError(f"the truth {ref.key}: {error.message}", error.remedy) from None
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
