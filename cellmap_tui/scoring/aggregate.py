"""From pairs to classes to one number, and the official JSON documents.

Counts and boundary scores are pooled per class over crops; class scores are averaged plainly; the
overall score is the geometric mean of the instance and the semantic side. The keys are the official
ones; what the tool adds is returned apart, for the one extra key ``cellmap_tui``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.scoring.results import PairScore, ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cellmap_tui.scoring.profiles import Profile, Scoring


@dataclass(frozen=True, slots=True)
class ClassScore:
    """The pooled score of one class."""

    label: str
    """Name of the class."""
    scoring: Scoring
    """Object by object or voxel by voxel."""
    value: float
    """What enters the mean over classes under the profile."""
    tp: int
    """Pooled over crops; objects or voxels."""
    fp: int
    """Pooled over crops."""
    fn: int
    """Pooled over crops."""
    f1: float
    """F1 of the pooled counts; for semantic classes the Dice score."""
    iou: float | None
    """IoU of the pooled counts; None for instance classes."""
    normalized_hausdorff_distance: float | None
    """Mean boundary score of the pool; None for semantic classes."""
    combined_score: float | None
    """Geometric mean of F1 and boundary score; None for semantic classes."""
    mean_matched_iou: float | None
    """Mean IoU of matched objects; None for semantic classes and where none is matched."""
    pq: float
    """Panoptic quality of the pool."""
    sq: float | None
    """Mean IoU of the pairs above 0.5; None without one."""
    rq: float
    """F1 of the pairs above 0.5."""
    n_pairs: int
    """Crops in which the class is scored."""
    n_missing: int
    """Of those, crops without a submitted volume."""
    n_skipped: int
    """Of those, crops that add nothing to the pool."""


@dataclass(frozen=True, slots=True)
class Scores:
    """A whole evaluation."""

    profile: Profile
    """The rules it was made by."""
    pairs: tuple[PairScore, ...]
    """Every crop and class, in the order of crops and labels."""
    classes: tuple[ClassScore, ...]
    """Every class, by name."""
    overall_instance_score: float
    """Mean of the instance classes; 0 without any."""
    overall_semantic_score: float
    """Mean of the semantic classes; 0 without any."""
    overall_score: float
    """Their geometric mean."""
    total_evals: int
    """Rows of the manifest."""

    def public(self) -> dict[str, Any]:
        """Return the official result: overall and class scores of classes with at least one volume."""
        submitted = {pair.label for pair in self.pairs if not pair.is_missing}
        labels = {c.label: self._ratios(c) for c in self.classes if c.label in submitted}
        return {"label_scores": labels, **self._overall()}

    def extended(self) -> dict[str, Any]:
        """Return the official extended result: the public one with all counts and every crop."""
        document: dict[str, Any] = {}
        for pair in self.pairs:
            document.setdefault(pair.crop, {})[pair.label] = pair.official()
        counts = {c.label: {"tp": c.tp, "fp": c.fp, "fn": c.fn} for c in self.classes}
        document["label_scores"] = {c.label: {**self._ratios(c), **counts[c.label]} for c in self.classes}
        return {**document, **self._overall()}

    def extra(self) -> dict[str, Any]:
        """Return what the official documents do not say, for the key ``cellmap_tui``."""
        return {
            "profile": _profile_words(self.profile),
            "classes": {c.label: _beside(c) for c in self.classes},
            "warnings": [f"{p.crop}/{p.label}: {text}" for p in self.pairs for text in p.warnings],
        }

    def _ratios(self, score: ClassScore) -> dict[str, float | None]:
        if self.profile.measure == "panoptic":
            return {"pq": score.pq, "sq": score.sq, "rq": score.rq}
        if score.scoring == "semantic":
            return {"iou": score.iou}
        names = ("f1", "normalized_hausdorff_distance", "combined_score")
        return {name: getattr(score, name) for name in names}

    def _overall(self) -> dict[str, float]:
        return {
            "overall_instance_score": self.overall_instance_score,
            "overall_semantic_score": self.overall_semantic_score,
            "overall_score": self.overall_score,
            "total_evals": self.total_evals,
            "num_evals_done": sum("crop" in pair.crop for pair in self.pairs),
        }


def aggregate(pairs: Iterable[PairScore], profile: Profile, total_evals: int | None = None) -> Scores:
    """Pool pairs into classes and classes into the overall score.

    Parameters
    ----------
    pairs
        One per crop and class, missing ones included, in any order.
    profile
        The rules; the pairs must have been scored by it.
    total_evals
        Rows of the manifest; None: the number of pairs.
    """
    ordered = tuple(sorted(pairs, key=lambda pair: (_crop_order(pair.crop), pair.label)))
    by_label: dict[str, list[PairScore]] = {}
    for pair in ordered:
        by_label.setdefault(pair.label, []).append(pair)
    classes = tuple(_class_score(by_label[label], profile) for label in sorted(by_label))
    instance = _mean([c.value for c in classes if c.scoring == "instance"])
    semantic = _mean([c.value for c in classes if c.scoring == "semantic"])
    total = len(ordered) if total_evals is None else total_evals
    return Scores(profile, ordered, classes, instance, semantic, math.sqrt(instance * semantic), total)


def _class_score(pairs: Sequence[PairScore], profile: Profile) -> ClassScore:
    first = pairs[0]
    tp, fp, fn = (sum(getattr(pair, name) for pair in pairs) for name in ("tp", "fp", "fn"))
    f1 = ratio(2 * tp, 2 * tp + fp + fn)
    is_instance = first.scoring == "instance"
    boundary = ratio(sum(p.hausdorff_norm_sum for p in pairs), sum(p.n_hausdorff for p in pairs))
    combined = math.sqrt(f1 * boundary)
    iou = ratio(tp, tp + fp + fn)
    pq_tp = sum(p.pq_tp for p in pairs)
    pq_sum = sum(p.pq_iou_sum for p in pairs)
    pq_whole = pq_tp + sum(p.pq_fp + p.pq_fn for p in pairs) / 2
    value = ratio(pq_sum, pq_whole) if profile.measure == "panoptic" else combined if is_instance else iou
    return ClassScore(
        label=first.label,
        scoring=first.scoring,
        value=value,
        tp=tp,
        fp=fp,
        fn=fn,
        f1=f1,
        iou=None if is_instance else iou,
        normalized_hausdorff_distance=boundary if is_instance else None,
        combined_score=combined if is_instance else None,
        mean_matched_iou=sum(p.matched_iou_sum for p in pairs) / tp if is_instance and tp else None,
        pq=ratio(pq_sum, pq_whole),
        sq=pq_sum / pq_tp if pq_tp else None,
        rq=ratio(pq_tp, pq_whole),
        n_pairs=len(pairs),
        n_missing=sum(p.is_missing for p in pairs),
        n_skipped=sum(p.is_skipped for p in pairs),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _crop_order(name: str) -> tuple[int, str]:
    digits = name.removeprefix("crop")
    return (int(digits) if digits.isdecimal() and len(digits) < 12 else 10**12, name)


def _profile_words(profile: Profile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "title": profile.title,
        "date": profile.date,
        "provisional": profile.is_provisional,
        "match_rule": profile.match_rule,
        "pooling": profile.pooling,
        "penalties": profile.penalties,
        "formulas": dict(profile.formulas),
    }


def _beside(score: ClassScore) -> dict[str, Any]:
    values: dict[str, Any] = {"pq": score.pq, "sq": score.sq, "rq": score.rq}
    if score.scoring == "instance":
        values["mean_matched_iou"] = score.mean_matched_iou
    else:
        values["dice"] = score.f1
    return {**values, "crops": score.n_pairs, "missing": score.n_missing, "skipped": score.n_skipped}
