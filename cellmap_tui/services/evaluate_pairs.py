"""Pairs of an evaluation: what a worker gets, what it does, and how results are kept and told.

A job is one class of one crop with both its volumes named by path; it passes to worker processes and
has everything that decides the score, so its hash is the key under which the score is kept.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - jobs are built from their annotations
from typing import TYPE_CHECKING, Any

from cellmap_tui.services.evaluate_model import ClassResult, PairResult
from cellmap_tui.services.evaluate_store import ZipPrints, fingerprint, pair_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.scoring.aggregate import ClassScore
    from cellmap_tui.scoring.profiles import Profile, Scoring
    from cellmap_tui.scoring.results import PairScore

SCORER = 1
"""Raised when the scorer's numbers change, so that kept pairs of before are not mixed with new ones."""


@dataclass(frozen=True, slots=True)
class PairJob:
    """One class of one crop to score."""

    crop: str
    """Crop, as results name it."""
    dataset: str
    """Dataset; empty where it is not known."""
    label: str
    """Class."""
    scoring: Scoring
    """Object by object or voxel by voxel."""
    grid: Grid
    """Voxels of the truth."""
    truth: Path
    """Store of the truth."""
    truth_key: str
    """Array in it."""
    profile: str
    """Name of the rules."""
    prediction: Path | None = None
    """Folder or zip of the prediction; None: it is missing."""
    prediction_key: str = ""
    """Array or group in it."""
    is_guarded: bool = False
    """Whether links that lead out of the prediction are refused."""
    memory_limit_bytes: int | None = None
    """Memory that scoring it may take; None: as much as it needs. With less, files take its place."""
    mask_key: str | None = None
    """Array in the truth's store outside of which nothing counts."""
    unknown_value: int | None = None
    """Value of the truth that means "not annotated"."""
    is_official: bool = True
    """Whether the official scorer sees it; else it stands beside."""
    problem: str = ""
    """Why it cannot be scored; empty where it can."""

    @property
    def name(self) -> str:
        """What users call it."""
        return f"{self.crop}/{self.label}"

    @property
    def is_missing(self) -> bool:
        """Whether there is no prediction."""
        return self.prediction is None


class Fingerprints:
    """What the file system says about volumes; a zip that holds many is listed once."""

    def __init__(self) -> None:
        self._zips: dict[Path, ZipPrints] = {}

    def of(self, store: Path, key: str) -> str:
        """Return the fingerprint of an array or group in a store."""
        if store.is_dir():
            return fingerprint(store / key)
        if store not in self._zips:
            self._zips[store] = ZipPrints(store)
        return self._zips[store].of(key)


def key_of(job: PairJob, fingerprints: Fingerprints) -> str:
    """Return the key under which the score of a job is kept."""
    from cellmap_tui.scoring.limits import Limits

    masks = [] if job.mask_key is None else [fingerprints.of(job.truth, job.mask_key)]
    return pair_key(
        {
            "scorer": SCORER,
            "profile": job.profile,
            "crop": job.crop,
            "dataset": job.dataset,
            "label": job.label,
            "scoring": job.scoring,
            "grid": dataclasses.astuple(job.grid),
            "truth": fingerprints.of(job.truth, job.truth_key),
            "prediction": "" if job.prediction is None else fingerprints.of(job.prediction, job.prediction_key),
            "masks": masks,
            "unknown_value": job.unknown_value,
            "limits": dataclasses.astuple(Limits.from_environment()),
        }
    )


def to_kept(score: PairScore) -> dict[str, Any]:
    """Return a score as it is kept."""
    return dataclasses.asdict(dataclasses.replace(score, objects=()))


def from_kept(values: Mapping[str, Any]) -> PairScore | None:
    """Return a kept score, None where it is not one of this version."""
    from cellmap_tui.scoring.results import PairScore

    names = {field.name for field in dataclasses.fields(PairScore)}
    if set(values) != names:
        return None
    tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    # NaN and infinity have no JSON form and come back as None.
    numbers = {"hausdorff_norm_sum": float("nan")} if values["hausdorff_norm_sum"] is None else {}
    return PairScore(**{**values, **tuples, **numbers})


def pair_result(score: PairScore, profile: Profile, *, kept: bool) -> PairResult:
    """Return a score as a row of the result."""
    is_instance = score.scoring == "instance"
    return PairResult(
        crop=score.crop,
        label=score.label,
        kind=score.scoring,
        status=score.status,
        score=_finite(score.value(profile)),
        tp=score.tp,
        fp=score.fp,
        fn=score.fn,
        iou=None if is_instance else score.iou,
        dice=None if is_instance else score.f1,
        f1=score.f1 if is_instance else None,
        normalized_hausdorff_distance=_finite(score.boundary),
        hausdorff_norm_sum=_finite(score.hausdorff_norm_sum) if is_instance else None,
        n_hausdorff=score.n_hausdorff if is_instance else None,
        mean_matched_iou=score.mean_matched_iou,
        pq=_finite(score.pq),
        n_true=score.n_true if is_instance else None,
        n_predicted=score.n_predicted if is_instance else None,
        voxels=score.num_voxels,
        voxel_size_nm=score.voxel_size_nm,
        elapsed_s=0.0 if kept else round(score.elapsed_s, 3),
        kept=kept,
        message="; ".join(score.warnings),
    )


def class_result(score: ClassScore) -> ClassResult:
    """Return a pooled score as a row of the result."""
    is_instance = score.scoring == "instance"
    return ClassResult(
        label=score.label,
        kind=score.scoring,
        score=_finite(score.value),
        iou=score.iou,
        dice=None if is_instance else score.f1,
        f1=score.f1 if is_instance else None,
        normalized_hausdorff_distance=_finite(score.normalized_hausdorff_distance),
        mean_matched_iou=score.mean_matched_iou,
        pq=_finite(score.pq),
        crops=score.n_pairs - score.n_skipped,
        missing=score.n_missing,
        skipped=score.n_skipped,
    )


def metric_values(row: PairResult) -> dict[str, float]:
    """Return a finished pair as a metric, its name before every value; see docs/formats.md."""
    is_instance = row.kind == "instance"
    values: dict[str, float | None] = {
        "score": float("nan") if row.score is None else row.score,
        "tp": row.tp,
        "fp": row.fp,
        "fn": row.fn,
        "voxels": row.voxels,
        "seconds": row.elapsed_s,
        "kept": row.kept,
        "missing": row.status == "missing",
        "instance": is_instance,
        "boundary": row.normalized_hausdorff_distance,
        "matched_iou": row.mean_matched_iou,
        "pq": row.pq if is_instance else None,
    }
    return {f"{row.crop}/{row.label}:{name}": float(v) for name, v in values.items() if v is not None}


def _finite(value: float | None) -> float | None:
    from math import isfinite

    return value if value is not None and isfinite(value) else None
