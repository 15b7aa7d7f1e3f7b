"""The objects behind one number: matched, missed and hallucinated ones, each with its place in nm.

The pair is scored again with its objects listed, by the same code, so the totals are those of the
result.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError, RequestError, UnknownNameError
from cellmap_tui.services.evaluate_model import Explanation, ObjectRow
from cellmap_tui.services.evaluate_pairs import pair_result
from cellmap_tui.text import count, nearest, printable

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Grid, Vec3
    from cellmap_tui.scoring.profiles import Profile
    from cellmap_tui.scoring.results import ObjectRow as ScoredObject
    from cellmap_tui.scoring.results import PairScore
    from cellmap_tui.services.evaluate_model import EvaluateRequest, PairResult
    from cellmap_tui.services.evaluate_pairs import PairJob
    from cellmap_tui.services.report import Reporter

_ORDER = ("hallucinated", "missed", "matched")


def explain(request: EvaluateRequest, pair: str, report: Reporter) -> Explanation:
    """List the objects behind the score of one class of one crop.

    Parameters
    ----------
    request
        The evaluation.
    pair
        ``crop557/mito``, or ``557/mito``.
    report
        Told voxels.

    Raises
    ------
    UnknownNameError
        If the evaluation has no such pair.
    DataError
        If the pair cannot be scored.
    """
    from cellmap_tui.scoring.profiles import get_profile
    from cellmap_tui.services.evaluate_plan import gather
    from cellmap_tui.services.evaluate_score import score_job

    crop, _, label = pair.rpartition("/")
    if not crop:
        raise RequestError(f"{printable(pair)!r} is no crop/class", "for example crop557/mito")
    profile = get_profile(request.profile)
    job = _find(gather(replace(request, classes=(label,)), report).jobs, crop, label)
    if job.problem:
        raise DataError(f"{job.name}: {job.problem}")

    def tell(done: float) -> None:
        report.checkpoint()
        report.progress(done, job.grid.voxels, "voxels")

    score = score_job(job, tell, with_objects=True)
    row = pair_result(score, profile, kept=False)
    objects = [_row(one, job.grid) for one in score.objects]
    objects.sort(key=lambda one: (_ORDER.index(one.what), one.boundary_score or 0.0, -(one.voxels or 0)))
    return Explanation(job.crop, job.label, job.scoring, row, tuple(objects), tuple(words_for(score, row, profile)))


def words_for(score: PairScore, row: PairResult, profile: Profile) -> list[str]:
    """Return what decided a score, in sentences."""
    rules = f"{profile.name}{' (provisional)' if profile.is_provisional else ''}"
    value = "not scored" if row.score is None else f"{row.score:.4f}"
    words = [f"{score.crop}/{score.label}: {value} under {rules}; {score.status}"]
    if score.scoring == "semantic":
        words.append(
            f"{count(score.tp)} voxels right, {count(score.fp)} too many, {count(score.fn)} missed; "
            f"IoU {_figure(row.iou)}, Dice {_figure(row.dice)}"
        )
        return [*words, *score.warnings]
    if not score.is_skipped:
        words.append(
            f"{count(score.tp)} of {count(score.n_true)} objects matched, {count(score.fn)} missed, "
            f"{count(score.fp)} of {count(score.n_predicted)} predicted ones hallucinated: F1 {_figure(row.f1)}"
        )
        words.append(
            f"boundary scores add up to {score.hausdorff_norm_sum:.4f} over {count(score.n_hausdorff)}: "
            f"mean {_figure(row.normalized_hausdorff_distance)}"
        )
        words.append(f"mean IoU of the matches {_figure(row.mean_matched_iou)}, PQ {_figure(row.pq)}")
    return [*words, *score.warnings]


def _find(jobs: list[PairJob], crop: str, label: str) -> PairJob:
    official = [job for job in jobs if job.is_official]
    names = [job.name for job in official]
    wanted = {f"{crop}/{label}", f"crop{crop}/{label}"}
    for job in official:
        if job.name in wanted:
            return job
    near = nearest(f"{crop}/{label}", names)
    raise UnknownNameError(
        f"{printable(crop)}/{printable(label)} is not scored here", f"did you mean {near}?" if near else ""
    )


def _row(one: ScoredObject, grid: Grid) -> ObjectRow:
    return ObjectRow(
        what=one.kind,
        true_id=one.truth_id,
        predicted_id=one.predicted_id if one.predicted_id is not None else one.component,
        iou=one.iou if one.kind == "matched" else None,
        distance_nm=one.distance_nm,
        boundary_score=one.boundary_score,
        voxels=one.voxels,
        position_nm=_position(one.centre_voxel, grid),
    )


def _position(centre: tuple[float, ...], grid: Grid) -> Vec3:
    z, y, x = (t + c * s for t, c, s in zip(grid.translation_nm, centre, grid.voxel_size_nm, strict=True))
    return (z, y, x)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
