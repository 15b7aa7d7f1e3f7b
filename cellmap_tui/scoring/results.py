"""What scoring gives for one class in one crop: the official counts, and what explains them.

Plain data that pass between processes and into JSON; how they are pooled is `aggregate`'s business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.scoring.profiles import Profile, Scoring

Status = Literal["scored", "missing", "skipped_too_many_instances", "matching_failed"]
"""How the scoring of a pair ended, in the official words."""

ObjectKind = Literal["matched", "missed", "hallucinated"]
"""A truth object with a partner, a truth object without one, a predicted object without one."""


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One object behind a score."""

    kind: ObjectKind
    """Whether it has a partner."""
    truth_id: int | None
    """Id in the truth; None for a hallucinated object."""
    component: int | None
    """Number of the predicted component; None for a missed object."""
    predicted_id: int | None
    """Id that the component has in the prediction."""
    iou: float
    """Intersection over union with its partner; 0 without one."""
    distance_nm: float | None
    """Hausdorff distance, capped; None where there is nothing to measure to."""
    boundary_score: float
    """What it adds to the pool of boundary scores."""
    voxels: int
    """Its size: of the truth object, or of the hallucinated one."""
    centre_voxel: tuple[int, int, int]
    """The voxel of it that is nearest to the middle of its box, z, y, x."""
    joined_components: tuple[int, ...] = ()
    """Unmatched components whose number is this truth id, so that their voxels count as its own."""


@dataclass(frozen=True, slots=True)
class PairScore:
    """The score of one class in one crop."""

    crop: str
    """Folder name of the crop, such as ``crop557``."""
    label: str
    """Name of the class."""
    scoring: Scoring
    """Object by object or voxel by voxel."""
    status: Status
    """How it ended."""
    tp: int
    """Matched objects, or true positive voxels."""
    fp: int
    """Hallucinated objects, or false positive voxels."""
    fn: int
    """Missed objects, or false negative voxels."""
    num_voxels: int
    """Voxels of the crop."""
    voxel_size_nm: Vec3
    """Voxel size at which it was scored."""
    is_missing: bool = False
    """Whether the submission has no such volume."""
    hausdorff_norm_sum: float = 0.0
    """Sum of the boundary scores of all objects; 0 for semantic classes."""
    n_hausdorff: int = 0
    """Number of boundary scores in the sum."""
    n_true: int = 0
    """Truth objects; for semantic classes truth voxels."""
    n_predicted: int = 0
    """Predicted components; for semantic classes predicted voxels."""
    matched_iou_sum: float = 0.0
    """Sum of the IoU of matched pairs; for semantic classes 0."""
    pq_tp: int = 0
    """Pairs with an IoU above 0.5; a semantic class is one object."""
    pq_fp: int = 0
    """Predicted objects without such a partner."""
    pq_fn: int = 0
    """Truth objects without such a partner."""
    pq_iou_sum: float = 0.0
    """Sum of the IoU of those pairs."""
    dataset: str = ""
    """Dataset of the crop; empty where it is not known."""
    profile: str = "2026-06"
    """Name of the profile it was scored by."""
    warnings: tuple[str, ...] = ()
    """What the user should know about this pair."""
    elapsed_s: float = 0.0
    """Time that reading and scoring took."""
    objects: tuple[ObjectRow, ...] = ()
    """The objects behind the numbers, when asked for; only for instance classes."""

    def official(self) -> dict[str, Any]:
        """Return the values under exactly the official keys of the extended result."""
        values: dict[str, Any] = {
            "tp": self.tp,
            "fp": self.fp,
            "fn": self.fn,
            "status": self.status,
            "num_voxels": self.num_voxels,
            "voxel_size": list(self.voxel_size_nm),
            "is_missing": self.is_missing,
        }
        if self.scoring == "instance":
            values["hausdorff_norm_sum"] = _finite(self.hausdorff_norm_sum)
            values["n_hausdorff"] = self.n_hausdorff
        return values

    @property
    def is_skipped(self) -> bool:
        """Whether it adds nothing to any pool."""
        return self.status in ("skipped_too_many_instances", "matching_failed")

    @property
    def f1(self) -> float | None:
        """F1 of the counts; for semantic classes this is the Dice score. None where it was skipped."""
        return None if self.is_skipped else ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float | None:
        """Intersection over union of the counts; None where it was skipped."""
        return None if self.is_skipped else ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def boundary(self) -> float | None:
        """Mean boundary score; None where it was skipped and for semantic classes."""
        if self.is_skipped or self.scoring == "semantic":
            return None
        return ratio(self.hausdorff_norm_sum, self.n_hausdorff)

    @property
    def mean_matched_iou(self) -> float | None:
        """Mean IoU of the matched objects; None where none is matched."""
        return self.matched_iou_sum / self.tp if self.scoring == "instance" and self.tp else None

    @property
    def pq(self) -> float:
        """Panoptic quality; 1 where there is nothing on either side."""
        return ratio(self.pq_iou_sum, self.pq_tp + (self.pq_fp + self.pq_fn) / 2)

    def value(self, profile: Profile) -> float | None:
        """Return the score of this pair alone, as its class would get it; None where it was skipped."""
        if profile.measure == "panoptic":
            return self.pq
        if self.scoring == "semantic" or self.f1 is None or self.boundary is None:
            return self.iou
        return math.sqrt(self.f1 * self.boundary)


def ratio(part: float, whole: float) -> float:
    """Return part / whole; 1 where there is nothing on either side, which is right."""
    return part / whole if whole > 0 else 1.0


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
