"""Evaluations side by side: overall, per class and per crop, each against the first.

Reads results of this tool, from run directories or result files, and of the official toolbox.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

OVERALL = ("overall_score", "overall_instance_score", "overall_semantic_score")
_MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of one evaluation."""

    name: str
    """What the user calls it: a run id, or the name of a file."""
    profile: str | None
    """Rules it was scored by; None: the file does not say."""
    overall: dict[str, float | None]
    """The three overall scores."""
    classes: dict[str, float | None]
    """Class to its score."""
    pairs: dict[tuple[str, str], float | None]
    """Crop and class to the score of the pair alone; empty where the file has no crops."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One number in every evaluation."""

    name: str
    """``overall_score``, a class, or ``crop/class``."""
    scores: tuple[float | None, ...]
    """The score in each evaluation; None where it has none."""
    deltas: tuple[float | None, ...]
    """The difference to the first, for each but the first."""


@dataclass(frozen=True, slots=True)
class CompareResult:
    """Evaluations side by side."""

    evaluations: tuple[str, ...]
    """Their names, in the order they were given; the first is what the others are compared with."""
    profiles: tuple[str | None, ...]
    """The rules of each."""
    overall: tuple[ScoreRow, ...]
    """The overall scores."""
    classes: tuple[ScoreRow, ...]
    """A row per class, the largest change first."""
    pairs: tuple[ScoreRow, ...]
    """A row per crop and class, the largest change first."""
    warnings: tuple[str, ...]
    """Why the numbers may not be comparable."""


def compare(evaluations: Sequence[Evaluation]) -> CompareResult:
    """Put evaluations side by side.

    Raises
    ------
    RequestError
        If there are fewer than two.
    """
    if len(evaluations) < 2:
        raise RequestError("one evaluation is nothing to compare", "name two or more")
    return CompareResult(
        evaluations=tuple(one.name for one in evaluations),
        profiles=tuple(one.profile for one in evaluations),
        overall=tuple(_row(name, [one.overall.get(name) for one in evaluations]) for name in OVERALL),
        classes=_rows([one.classes for one in evaluations]),
        pairs=_rows([{f"{crop}/{label}": v for (crop, label), v in one.pairs.items()} for one in evaluations]),
        warnings=tuple(_warnings(evaluations)),
    )


def read_evaluation(path: Path, name: str | None = None) -> Evaluation:
    """Read the result of an evaluation: a result file of this tool or of the official toolbox, or of a run.

    Parameters
    ----------
    path
        ``R.json``, ``R_extended.json``, or a run's ``result.json``.
    name
        What to call it; None: the name of the file.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it is no result of an evaluation.
    """
    document = _read(path)
    shown = name or path.name
    if "command" in document and "value" in document:
        return _of_run(document, shown, path)
    if "overall_score" not in document and "cellmap_tui" not in document:
        raise DataError(f"{path} is no result of an evaluation", "name the --result-file of one")
    extended = path.with_name(f"{path.stem}_extended.json")
    crops = _read(extended) if extended.is_file() else document
    own = document.get("cellmap_tui")
    return Evaluation(
        name=shown,
        profile=own.get("profile") if isinstance(own, dict) else None,
        overall={key: _number(document.get(key)) for key in OVERALL},
        classes={label: _class_score(score) for label, score in _mapping(document, "label_scores").items()},
        pairs=_official_pairs(crops),
    )


def _of_run(document: Mapping[str, Any], name: str, path: Path) -> Evaluation:
    value = document["value"]
    if document["command"] != "evaluate" or not isinstance(value, dict):
        raise DataError(f"{path} is the result of {document['command']!r}, not of an evaluation")
    return Evaluation(
        name=name,
        profile=value.get("profile"),
        overall={key: _number(value.get(key)) for key in OVERALL},
        classes={row["label"]: _number(row.get("score")) for row in value.get("classes", [])},
        pairs={(row["crop"], row["label"]): _number(row.get("score")) for row in value.get("pairs", [])},
    )


def _official_pairs(document: Mapping[str, Any]) -> dict[tuple[str, str], float | None]:
    crops = {name: labels for name, labels in document.items() if name not in _NOT_CROPS and isinstance(labels, dict)}
    return {
        (crop, label): pair_score(row)
        for crop, labels in crops.items()
        for label, row in labels.items()
        if isinstance(row, dict) and "status" in row
    }


_NOT_CROPS = frozenset({"label_scores", "cellmap_tui"})


def pair_score(row: Mapping[str, Any]) -> float | None:
    """Return the score of one crop and class alone from its official counts; None where it was skipped."""
    if str(row.get("status", "")).startswith("skipped"):
        return None
    tp, fp, fn = (float(row.get(name) or 0) for name in ("tp", "fp", "fn"))
    if "n_hausdorff" not in row:
        return tp / (tp + fp + fn) if tp + fp + fn else 1.0
    f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0
    n = float(row["n_hausdorff"] or 0)
    boundary = float(row.get("hausdorff_norm_sum") or 0) / n if n else 1.0
    return math.sqrt(f1 * boundary)


def _class_score(scores: object) -> float | None:
    if not isinstance(scores, dict):
        return None
    return next((_number(scores[key]) for key in ("combined_score", "iou", "pq") if key in scores), None)


def _rows(columns: Sequence[Mapping[str, float | None]]) -> tuple[ScoreRow, ...]:
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [_row(name, [column.get(name) for column in columns]) for name in names]
    return tuple(sorted(rows, key=lambda row: -max((abs(d) for d in row.deltas if d is not None), default=-1.0)))


def _row(name: str, scores: Sequence[float | None]) -> ScoreRow:
    first = scores[0]
    deltas = [None if score is None or first is None else score - first for score in scores[1:]]
    return ScoreRow(name, tuple(scores), tuple(deltas))


def _warnings(evaluations: Sequence[Evaluation]) -> list[str]:
    warnings = []
    if len({one.profile for one in evaluations}) > 1:
        profiles = ", ".join(f"{one.name}: {one.profile or 'not said'}" for one in evaluations)
        warnings.append(f"scored by different rules ({profiles}), so the numbers do not compare")
    first = set(evaluations[0].classes)
    for other in evaluations[1:]:
        if len(differing := first ^ set(other.classes)) > 0:
            shown = ", ".join(sorted(differing)[:5])
            warnings.append(f"{evaluations[0].name} and {other.name} do not have the same classes: {shown}")
    return warnings


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_MAX_BYTES))
    except FileNotFoundError:
        raise MissingDataError(f"{path} does not exist", "name a run or the result file of an evaluation") from None
    except OSError as error:
        raise MissingDataError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise DataError(f"{path} is no result of an evaluation")
    return document


def _mapping(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]
