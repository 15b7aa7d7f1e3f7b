"""The score of an instance class in one crop: components, matching, distances.

Works on arrays in memory and on files in memory alike. What a profile changes is asked of the profile;
the counts of the panoptic measure are made beside every other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.scoring.components import label_components
from cellmap_tui.scoring.distances import VoxelSet, hausdorff
from cellmap_tui.scoring.limits import Limits
from cellmap_tui.scoring.matching import MatchingFailed, match_by_cost, match_by_iou
from cellmap_tui.scoring.objects import Partners, object_rows
from cellmap_tui.scoring.overlaps import boxes, count_overlaps, numbered
from cellmap_tui.scoring.profiles import NORM_BASE
from cellmap_tui.scoring.results import ObjectRow, Status, ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.scoring.components import Labels
    from cellmap_tui.scoring.matching import Matches
    from cellmap_tui.scoring.overlaps import Box, Overlaps
    from cellmap_tui.scoring.profiles import Profile
    from cellmap_tui.volumes.arrays import Voxels


@dataclass(frozen=True, slots=True)
class InstanceScore:
    """Counts and sums of one instance class in one crop."""

    status: Status
    """How it ended; a skipped crop has no counts."""
    tp: int = 0
    """Matched objects."""
    fp: int = 0
    """Predicted components without a truth object."""
    fn: int = 0
    """Truth objects without a component."""
    n_true: int = 0
    """Truth objects."""
    n_predicted: int = 0
    """Predicted components."""
    hausdorff_norm_sum: float = 0.0
    """Sum of the boundary scores of truth objects and unmatched components."""
    n_hausdorff: int = 0
    """How many are in the sum."""
    matched_iou_sum: float = 0.0
    """Sum of the IoU of matched pairs."""
    pq_tp: int = 0
    """Pairs with an IoU above 0.5."""
    pq_iou_sum: float = 0.0
    """Sum of their IoU."""
    warnings: tuple[str, ...] = ()
    """What the user should know."""
    objects: tuple[ObjectRow, ...] = ()
    """The objects behind the numbers, when asked for."""

    @property
    def mean_matched_iou(self) -> float | None:
        """Mean IoU of matched pairs; None without one."""
        return self.matched_iou_sum / self.tp if self.tp else None

    @property
    def sq(self) -> float | None:
        """Segmentation quality: mean IoU of the pairs above 0.5; None without one."""
        return self.pq_iou_sum / self.pq_tp if self.pq_tp else None

    @property
    def rq(self) -> float:
        """Recognition quality: F1 of the pairs above 0.5."""
        return ratio(2 * self.pq_tp, self.n_true + self.n_predicted)

    @property
    def pq(self) -> float:
        """Panoptic quality; 1 where there is nothing on either side."""
        return ratio(2 * self.pq_iou_sum, self.n_true + self.n_predicted)


def score_instance(
    truth: Voxels,
    prediction: Voxels,
    voxel_size_nm: Vec3,
    profile: Profile,
    *,
    mask: Voxels | None = None,
    limits: Limits | None = None,
    with_objects: bool = False,
) -> InstanceScore:
    """Score ids against ids.

    Parameters
    ----------
    truth
        Ids ``[z, y, x]``, whole numbers; 0 is background.
    prediction
        Ids of the same shape, of any numeric type; each 26-connected component is one object.
    voxel_size_nm
        Voxel size, z, y, x.
    profile
        The rules.
    mask
        Of the same shape; where it is 0, both sides are background.
    limits
        When a crop is skipped; None: as the environment says.
    with_objects
        Whether to list the objects behind the numbers.

    Returns
    -------
    InstanceScore
        Counts and sums.

    Raises
    ------
    DataError
        If the truth has negative or fractional ids.
    """
    if mask is not None:
        truth = np.where(mask != 0, truth, truth.dtype.type(0))
        prediction = np.where(mask != 0, prediction, prediction.dtype.type(0))
    labels, count = label_components(prediction)
    ids = prediction if with_objects else None
    return score_components(truth, labels, count, voxel_size_nm, profile, limits=limits, ids=ids)


def score_components(
    truth: Voxels,
    labels: Labels,
    count: int,
    voxel_size_nm: Vec3,
    profile: Profile,
    *,
    limits: Limits | None = None,
    ids: Voxels | None = None,
) -> InstanceScore:
    """Score components that are numbered already; see `score_instance`.

    Parameters
    ----------
    truth, labels, count
        Truth ids, component numbers from 1 to `count`, and how many there are.
    voxel_size_nm, profile, limits
        As for `score_instance`.
    ids
        Predicted ids; given, the objects are listed.
    """
    limits = limits or Limits.from_environment()
    overlaps = count_overlaps(truth, labels, count)
    panoptic = match_by_iou(overlaps)
    beside = _Beside(len(overlaps.truth_ids), count, len(panoptic[0]), _iou_sum(overlaps, panoptic))
    if profile.measure == "panoptic":
        counts = _counts(panoptic, beside)
        rows = object_rows(truth, labels, ids, Partners(overlaps, panoptic)) if ids is not None else ()
        return beside.score("scored", *counts, matched_iou_sum=beside.iou_sum, objects=rows)
    skipped = _why_skipped(overlaps, count, limits)
    if skipped:
        return beside.score("skipped_too_many_instances", 0, 0, 0, warnings=(skipped,))
    try:
        matches = match_by_cost(overlaps)
    except MatchingFailed:
        return beside.score(
            "matching_failed", 0, 0, 0, warnings=("the matching found no optimum: nothing is counted",)
        )
    partners = Partners(overlaps, matches, keeps_unmatched=profile.keeps_unmatched)
    measure = _Measure(voxel_size_nm, truth.shape, profile)
    distances = _distances(truth, labels, partners, measure)
    scores = measure.scores(distances, partners)
    tp, fp, fn = _counts(matches, beside)
    penalties = fp * measure.unmatched_score
    rows = (
        object_rows(truth, labels, ids, partners, distances, scores, measure.unmatched_score)
        if ids is not None
        else ()
    )
    return beside.score(
        "scored",
        tp,
        fp,
        fn,
        hausdorff_norm_sum=float(scores.sum()) + penalties,
        n_hausdorff=len(scores) + fp,
        matched_iou_sum=_iou_sum(overlaps, matches),
        objects=rows,
    )


@dataclass(frozen=True, slots=True)
class _Beside:
    """What every score of a crop carries, skipped or not."""

    n_true: int
    n_predicted: int
    pq_tp: int
    iou_sum: float

    def score(
        self,
        status: Status,
        tp: int,
        fp: int,
        fn: int,
        *,
        hausdorff_norm_sum: float = 0.0,
        n_hausdorff: int = 0,
        matched_iou_sum: float = 0.0,
        warnings: tuple[str, ...] = (),
        objects: tuple[ObjectRow, ...] = (),
    ) -> InstanceScore:
        return InstanceScore(
            status,
            tp,
            fp,
            fn,
            self.n_true,
            self.n_predicted,
            hausdorff_norm_sum,
            n_hausdorff,
            matched_iou_sum,
            self.pq_tp,
            self.iou_sum,
            warnings,
            objects,
        )


def _counts(matches: Matches, beside: _Beside) -> tuple[int, int, int]:
    tp = len(matches[0])
    return tp, beside.n_predicted - tp, beside.n_true - tp


def _iou_sum(overlaps: Overlaps, matches: Matches) -> float:
    codes = overlaps.rows * (len(overlaps.component_sizes) + 1) + overlaps.columns
    wanted = matches[0] * (len(overlaps.component_sizes) + 1) + matches[1]
    return float(overlaps.iou()[np.searchsorted(codes, wanted)].sum())


def _why_skipped(overlaps: Overlaps, count: int, limits: Limits) -> str:
    """Return why the official scorer leaves the crop out; empty if it does not."""
    largest = overlaps.largest_id
    if largest == 0 or count == 0:
        return ""
    cutoff = limits.ratio_cutoff(largest)
    if count / largest > cutoff:
        return (
            f"skipped: {count} predicted objects for a largest truth id of {largest}, {count / largest:.1f} to one, "
            f"are above the cut-off of {cutoff:.1f}; the crop neither helps nor hurts the class"
        )
    if len(overlaps.rows) > limits.max_overlap_edges:
        return (
            f"skipped: {len(overlaps.rows)} pairs of objects overlap, above the limit of {limits.max_overlap_edges}; "
            "the crop neither helps nor hurts the class"
        )
    return ""


@dataclass(frozen=True, slots=True)
class _Measure:
    """Distances and what they are worth in one crop."""

    voxel_size_nm: Vec3
    shape: tuple[int, ...]
    profile: Profile

    @property
    def cap_nm(self) -> float:
        """Half of the crop's shortest side."""
        return min(size * length / 2 for size, length in zip(self.voxel_size_nm, self.shape, strict=True))

    def worth(self, distances_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the boundary score of capped distances, which are rounded to float32 as officially."""
        rounded = distances_nm.astype(np.float32).astype(np.float64)
        raw: NDArray[np.float64] = NORM_BASE ** (-rounded / float(np.linalg.norm(self.voxel_size_nm)))
        floor = self.profile.floor
        if floor is None:
            return raw
        worst = NORM_BASE ** (-float(np.float32(self.cap_nm)) / float(np.linalg.norm(self.voxel_size_nm)))
        rescaled: NDArray[np.float64] = floor + (1.0 - floor) * (raw - worst) / (1.0 - worst)
        return rescaled

    def scores(self, distances_nm: NDArray[np.float64], partners: Partners) -> NDArray[np.float64]:
        """Return the boundary score of every truth object."""
        scores = self.worth(distances_nm)
        return scores if self.profile.unmatched_at_cap else np.where(partners.is_matched, scores, 0.0)

    @property
    def unmatched_score(self) -> float:
        """What an unmatched component adds to the pool."""
        return float(self.worth(np.array([self.cap_nm]))[0]) if self.profile.unmatched_at_cap else 0.0


def _distances(truth: Voxels, labels: Labels, partners: Partners, measure: _Measure) -> NDArray[np.float64]:
    """Return the capped Hausdorff distance of every truth object in nm; the cap where nothing stands for it."""
    distances = np.full(len(partners.overlaps.truth_ids), measure.cap_nm)
    wanted = [index for index in range(len(distances)) if partners.numbers(index)]
    distances[[index for index in wanted if partners.is_same(index)]] = 0.0
    wanted = [index for index in wanted if not partners.is_same(index)]
    if not wanted:
        return distances
    truth, numbers = numbered(truth, partners.overlaps.truth_ids)
    truth_boxes, component_boxes = boxes(truth), boxes(labels)
    for index in wanted:
        expected = _voxels(truth, (int(numbers[index]),), truth_boxes)
        predicted = _voxels(labels, partners.numbers(index), component_boxes)
        distances[index] = hausdorff(expected, predicted, measure.voxel_size_nm, measure.cap_nm)
    return distances


def _voxels(labels: Voxels, numbers: tuple[int, ...], around: list[Box | None]) -> VoxelSet:
    found = (around[number - 1] for number in numbers)
    return VoxelSet(labels, numbers, tuple(box for box in found if box is not None))
