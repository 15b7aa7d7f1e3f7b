"""Which pairs a submission is scored on: every array of the truth, submitted or missing.

The list is the official one, its errors included: what the official scorer does not see counts as
missing, and a class that the manifest does not know ends the evaluation. What could be scored all the
same is listed beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError
from cellmap_tui.scoring.limits import Limits
from cellmap_tui.scoring.pairs import PairRequest
from cellmap_tui.scoring.profiles import scoring_of
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.scoring.profiles import Profile
    from cellmap_tui.scoring.submission import PredictionVolume, Submission, VolumeRef

CropLabel = tuple[str, str]
"""Name of a crop, such as ``crop557``, and of a class."""

_UNSEEN = {
    "group": "is a group, not an array",
    "multiscale": "is an OME-NGFF group, not an array",
    "v3": "is Zarr v3",
    "unknown": "is not a Zarr array",
}


@dataclass(frozen=True, slots=True)
class Pairs:
    """What is scored."""

    official: tuple[PairRequest, ...]
    """Every class of every crop of the truth, as the official scorer scores them."""
    unseen: tuple[PairRequest, ...]
    """Classes that count as missing there, though their volume can be read: what they would score."""
    total_evals: int
    """Rows of the manifest."""
    warnings: tuple[str, ...]
    """What the user should know."""


def plan_pairs(
    submission: Submission,
    truth: Submission,
    grids: Mapping[CropLabel, Grid],
    profile: Profile,
    *,
    datasets: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> Pairs:
    """List the pairs of a whole submission.

    Parameters
    ----------
    submission, truth
        Both opened by `open_submission`.
    grids
        Voxel size, translation and shape by crop and class, as in the manifest.
    profile
        The rules.
    datasets
        Dataset of each crop.
    limits
        Limits of the official scorer; None: as the environment says.

    Raises
    ------
    DataError
        If no crop of the truth is in the submission, or a submitted class of the truth is not in the manifest.
    """
    limits = limits or Limits.from_environment()
    expected = {key: volume for key, volume in truth.volumes().items() if volume.is_seen}
    submitted = submission.volumes({crop for crop, _ in expected})
    official, unseen, warnings = [], [], [*submission.warnings, *truth.warnings]
    for (crop, label), volume in sorted(expected.items()):
        prediction = submitted.get((crop, label))
        request = PairRequest(
            crop=crop,
            label=label,
            scoring=scoring_of(label),
            truth=volume.ref,
            prediction=prediction.ref if prediction is not None and prediction.is_seen else None,
            grid=grids.get((crop, label)),
            mask=_mask_of(expected, crop, label),
            dataset=(datasets or {}).get(crop, ""),
            profile=profile.name,
            limits=limits,
        )
        if request.prediction is not None and request.grid is None:
            raise _not_listed(truth, crop, label)
        official.append(request)
        if prediction is None or prediction.is_seen:
            continue
        warnings.append(f"{crop}/{label} {_UNSEEN[prediction.form]}: the official scorer counts it as missing")
        if prediction.form in ("group", "multiscale") and request.grid is not None:
            unseen.append(replace(request, prediction=prediction.ref))
    return Pairs(tuple(official), tuple(unseen), len(grids), tuple(warnings))


def _mask_of(expected: Mapping[CropLabel, PredictionVolume], crop: str, label: str) -> VolumeRef | None:
    mask = expected.get((crop, f"{label}_mask"))
    return mask.ref if mask is not None else None


def _not_listed(truth: Submission, crop: str, label: str) -> DataError:
    return DataError(
        printable(f"{crop}/{label} is in {truth.path} and in the submission, but not in the manifest"),
        "give the --test-manifest that belongs to the truth",
    )
