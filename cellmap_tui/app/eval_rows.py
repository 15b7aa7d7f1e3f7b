"""The rows and columns of an evaluation: classes, pairs of crop and class, objects.

No terminal here: dataclasses in, text of cells out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui import text
from cellmap_tui.app.class_items import bar
from cellmap_tui.app.signs import ascii_only, sign
from cellmap_tui.app.widgets.columns import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cellmap_tui.services.compare_runs import CompareResult, ScoreRow
    from cellmap_tui.services.evaluate_model import ClassResult, ObjectRow, PairResult

_BAR = 7
_DISTANCE_PROFILES = frozenset({"2026-06"})
"""Rules under which a mean boundary score can be turned into a distance: 1.01^(-d / |voxel size|)."""
_NORM_BASE = 1.01
_SAME = 0.0005
"""Smaller differences are none at three decimals."""
_STATUS = {
    "scored": "",
    "missing": "no such volume",
    "skipped_too_many_instances": "too many objects: not scored",
    "matching_failed": "matching gave up",
    "error": "error",
}


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class."""

    result: ClassResult
    """Its scores."""
    hausdorff_nm: float | None = None
    """Distance that gives its mean boundary score."""
    other: float | None = None
    """Its score in the evaluation that is compared with."""
    delta: float | None = None
    """How much better it is here."""


@dataclass(frozen=True, slots=True)
class PairRow:
    """One class of one crop."""

    pair: PairResult
    """Its scores."""
    hausdorff_nm: float | None = None
    """Distance that gives its mean boundary score."""
    other: float | None = None
    """Its score in the evaluation that is compared with."""
    delta: float | None = None
    """How much better it is here."""

    @property
    def key(self) -> str:
        """What identifies it: ``crop28/mito``."""
        return f"{self.pair.crop}/{self.pair.label}"


def class_rows(
    classes: Iterable[ClassResult], pairs: Iterable[PairResult], profile: str, compared: CompareResult | None = None
) -> tuple[ClassRow, ...]:
    """Return a row per class, the worst first."""
    distances: dict[str, list[tuple[float, int]]] = {}
    for pair in pairs:
        if (distance := hausdorff_nm(pair, profile)) is not None:
            distances.setdefault(pair.label, []).append((distance, pair.n_hausdorff or 1))
    scores = _scores(compared.classes if compared else ())
    rows = [
        ClassRow(one, _mean(distances.get(one.label, [])), *scores.get(one.label, (None, None))) for one in classes
    ]
    return tuple(sorted(rows, key=lambda row: worst_first(row.result.score)))


def pair_rows(
    pairs: Iterable[PairResult], profile: str, compared: CompareResult | None = None
) -> tuple[PairRow, ...]:
    """Return a row per crop and class, the worst first."""
    scores = _scores(compared.pairs if compared else ())
    rows = [
        PairRow(pair, hausdorff_nm(pair, profile), *scores.get(f"{pair.crop}/{pair.label}", (None, None)))
        for pair in pairs
    ]
    return tuple(sorted(rows, key=lambda row: worst_first(row.pair.score)))


def worst_first(score: float | None) -> float:
    """Return where a score stands: what could not be scored before the lowest."""
    return -1.0 if score is None else score


def hausdorff_nm(pair: PairResult, profile: str) -> float | None:
    """Return the distance at which every object would give the pair's mean boundary score; None if unknown."""
    score, voxel_size = pair.normalized_hausdorff_distance, pair.voxel_size_nm
    if profile not in _DISTANCE_PROFILES or not score or score < 0 or voxel_size is None or not pair.n_hausdorff:
        return None
    return max(0.0, -math.log(score, _NORM_BASE) * math.hypot(*voxel_size))


def so_far(pairs: Iterable[PairResult]) -> tuple[ClassResult, ...]:
    """Return classes of an evaluation that goes on: plain means over the crops that are finished."""
    from cellmap_tui.services.evaluate_model import ClassResult

    by_label: dict[str, list[PairResult]] = {}
    for pair in pairs:
        by_label.setdefault(pair.label, []).append(pair)
    return tuple(
        ClassResult(
            label=label,
            kind=found[0].kind,
            crops=len(found),
            score=_plain_mean(found, "score"),
            iou=_plain_mean(found, "iou"),
            dice=_plain_mean(found, "dice"),
            f1=_plain_mean(found, "f1"),
            normalized_hausdorff_distance=_plain_mean(found, "normalized_hausdorff_distance"),
            mean_matched_iou=_plain_mean(found, "mean_matched_iou"),
            pq=_plain_mean(found, "pq"),
        )
        for label, found in by_label.items()
    )


def class_columns(*, compared: bool = False) -> tuple[Column[ClassRow], ...]:
    """Return the columns of classes; compared with another evaluation they name its score and the change."""
    return (
        Column("class", "class", 9, lambda row: row.result.label, max_width=14,
               sort_key=lambda row: row.result.label),
        Column("kind", "kind", 4, lambda row: kind_words(row.result.kind), priority=4,
               sort_key=lambda row: row.result.kind),
        Column("crops", "crops", 5, _crops_words, align="right", priority=3, max_width=8,
               sort_key=lambda row: row.result.crops),
        Column("score", "score", 5, lambda row: figure(row.result.score), align="right",
               sort_key=lambda row: worst_first(row.result.score), look=lambda row: "strong"),
        *(_compared_columns() if compared else ()),
        _figures("iou", "iou", lambda row: overlap(row.result)),
        _figures("dice", "dice", lambda row: row.result.dice, priority=6),
        _figures("f1", "f1", lambda row: row.result.f1),
        _figures("pq", "pq", lambda row: row.result.pq, priority=1),
        Column("hausdorff", "hausd nm", 8, lambda row: nm_words(row.hausdorff_nm), align="right", priority=2,
               sort_key=lambda row: -(row.hausdorff_nm or 0.0)),
        Column("bar", "", _BAR, lambda row: score_bar(row.result.score), priority=5, look=lambda row: "accent"),
    )  # fmt: skip


def pair_columns(*, with_class: bool, compared: bool = False) -> tuple[Column[PairRow], ...]:
    """Return the columns of pairs of crop and class."""
    label: Column[PairRow] = Column(
        "class", "class", 9, lambda row: row.pair.label, max_width=14, sort_key=lambda row: row.pair.label
    )
    return (
        Column("crop", "crop", 7, lambda row: crop_words(row.pair.crop), max_width=24,
               sort_key=lambda row: crop_order(row.pair.crop)),
        *((label,) if with_class else ()),
        Column("score", "score", 5, lambda row: figure(row.pair.score), align="right",
               sort_key=lambda row: worst_first(row.pair.score), look=lambda row: "strong"),
        *(_compared_columns() if compared else ()),
        _figures("iou", "iou", lambda row: overlap(row.pair), priority=3),
        _figures("f1", "f1", lambda row: row.pair.f1, priority=5),
        _figures("dice", "dice", lambda row: row.pair.dice, priority=7),
        _figures("pq", "pq", lambda row: row.pair.pq, priority=6),
        Column("objects", "true/pred", 9, _object_words, align="right", priority=4),
        Column("hausdorff", "hausd nm", 8, lambda row: nm_words(row.hausdorff_nm), align="right", priority=7,
               sort_key=lambda row: row.hausdorff_nm or -1.0),
        Column("voxels", "voxels", 11, lambda row: text.count(row.pair.voxels), align="right", priority=8,
               sort_key=lambda row: row.pair.voxels),
        Column("bar", "", _BAR, lambda row: score_bar(row.pair.score), priority=1, look=lambda row: "accent"),
        Column("note", "note", 8, note_words, max_width=40, priority=2, look=lambda row: "warn"),
    )  # fmt: skip


def object_columns() -> tuple[Column[ObjectRow], ...]:
    """Return the columns of the objects behind a score."""
    looks = {"missed": "bad", "hallucinated": "warn", "matched": "good"}
    return (
        Column("what", "object", 14, object_words, look=lambda row: looks.get(row.what, ""),
               sort_key=lambda row: row.what),
        Column("true", "truth", 7, lambda row: _id(row.true_id), align="right",
               sort_key=lambda row: row.true_id or 0),
        Column("predicted", "predicted", 9, lambda row: _id(row.predicted_id), align="right",
               sort_key=lambda row: row.predicted_id or 0),
        _figures("iou", "iou", lambda row: row.iou),
        Column("distance", "hausd nm", 8, lambda row: nm_words(row.distance_nm), align="right",
               sort_key=lambda row: -(row.distance_nm or 0.0)),
        _figures("boundary", "bound", lambda row: row.boundary_score, priority=3),
        Column("voxels", "voxels", 9, lambda row: "-" if row.voxels is None else text.count(row.voxels),
               align="right", priority=1, max_width=12, sort_key=lambda row: -(row.voxels or 0)),
        Column("position", "at nm (z y x)", 15, lambda row: position_words(row.position_nm), priority=2,
               max_width=26),
    )  # fmt: skip


def _figures(name: str, title: str, value: Callable[[Any], float | None], *, priority: int = 0) -> Column[Any]:
    return Column(
        name, title, 5, lambda row: figure(value(row)), align="right", priority=priority,
        sort_key=lambda row: worst_first(value(row)),
    )  # fmt: skip


def overlap(scores: ClassResult | PairResult) -> float | None:
    """Return how well voxels overlap: IoU of a semantic class, mean IoU of the matched objects of an instance one."""
    return scores.mean_matched_iou if scores.kind == "instance" else scores.iou


def figure(value: float | None) -> str:
    """Return a score as ``0.612``; ``-`` where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.3f}"


def delta_words(value: float | None) -> str:
    """Return a change as ``+0.021 ▲``; the sign is the same without colours."""
    if value is None:
        return "-  "
    if abs(value) < _SAME:
        return "0.000  "
    return f"{value:+.3f} {sign('up' if value > 0 else 'down')}"


def delta_look(value: float | None) -> str:
    """Return how a change is painted."""
    if value is None or abs(value) < _SAME:
        return "dim"
    return "good" if value > 0 else "bad"


def score_bar(score: float | None) -> str:
    """Return a score as a bar; a score that is not there has none."""
    if score is None:
        return ""
    share = min(1.0, max(0.0, score))
    return "#" * round(share * _BAR) if ascii_only() else bar(share, _BAR)


def nm_words(distance_nm: float | None) -> str:
    """Return a distance: ``38``, ``4.2``; ``-`` where there is none."""
    if distance_nm is None:
        return "-"
    return f"{distance_nm:.1f}" if distance_nm < 9.95 else text.count(round(distance_nm))


def kind_words(kind: str) -> str:
    """Return how a class is scored, in four letters."""
    return {"instance": "inst", "semantic": "sem"}.get(kind, kind)


def crop_words(name: str) -> str:
    """Return a crop as the tables name it: its number, with the dataset where results say it."""
    dataset, _, crop = name.rpartition("/")
    number = crop.removeprefix("crop")
    return f"{dataset}/{number}" if dataset else number


def crop_order(name: str) -> tuple[str, int, str]:
    """Return the order of crops: by dataset, then by number."""
    dataset, _, crop = name.rpartition("/")
    digits = crop.removeprefix("crop")
    return (dataset, int(digits) if digits.isdecimal() and len(digits) < 12 else 10**12, crop)


def note_words(row: PairRow) -> str:
    """Return what there is to say about a pair."""
    status = _STATUS.get(row.pair.status, row.pair.status)
    return ": ".join(filter(None, (status, row.pair.message)))


def object_words(row: ObjectRow) -> str:
    """Return what became of an object, with its sign."""
    signs = {"matched": "ok", "missed": "failed", "hallucinated": "warning"}
    return f"{sign(signs.get(row.what, 'unknown'))} {row.what}"


def position_words(position_nm: tuple[float, float, float] | None) -> str:
    """Return a position in nm: ``1204 88 3310``."""
    return "-" if position_nm is None else " ".join(f"{value:.0f}" for value in position_nm)


def _compared_columns() -> tuple[Column[Any], Column[Any]]:
    return (
        Column("other", "other", 5, lambda row: figure(row.other), align="right", priority=7,
               sort_key=lambda row: worst_first(row.other), look=lambda row: "dim"),
        Column("delta", f"{'d' if sign('up') == '^' else 'Δ'} score", 8, lambda row: delta_words(row.delta),
               align="right", sort_key=lambda row: row.delta if row.delta is not None else 9.0,
               look=lambda row: delta_look(row.delta)),
    )  # fmt: skip


def _object_words(row: PairRow) -> str:
    pair = row.pair
    if pair.kind != "instance" or pair.n_true is None or pair.n_predicted is None:
        return "-"
    return f"{text.count(pair.n_true)}/{text.count(pair.n_predicted)}"


def _crops_words(row: ClassRow) -> str:
    one = row.result
    there, all_crops = one.crops - one.missing, one.crops + one.skipped
    return str(there) if there == all_crops else f"{there}/{all_crops}"


def _id(value: int | None) -> str:
    return "-" if value is None else str(value)


def _scores(rows: Iterable[ScoreRow]) -> Mapping[str, tuple[float | None, float | None]]:
    """Return name to the other score and the change, of a comparison with the other first."""
    return {row.name: (row.scores[0], row.deltas[0]) for row in rows}


def _mean(values: list[tuple[float, int]]) -> float | None:
    return sum(value * count for value, count in values) / sum(n for _, n in values) if values else None


def _plain_mean(pairs: list[PairResult], name: str) -> float | None:
    values = [value for pair in pairs if (value := getattr(pair, name)) is not None]
    return sum(values) / len(values) if values else None
