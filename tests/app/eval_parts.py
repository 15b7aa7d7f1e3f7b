"""Evaluations as tests need them: results in run directories, as the job would have written them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cellmap_tui.services.evaluate_model import ClassResult, EvaluateResult, Explanation, ObjectRow, PairResult
from cellmap_tui.services.models import to_builtins
from tests.app.builders import NOW_S, run_of

if TYPE_CHECKING:
    from cellmap_tui.jobs.summary import RunSummary

RUN_ID = "20251009T085200Z-evaluate-0000e1"
OTHER_ID = "20251009T075200Z-evaluate-0000e0"
CROP = "mine/crop7"


def pair_of(crop: str, label: str, score: float | None, **changes: object) -> PairResult:
    """Return a pair; mito is scored by objects, the others by voxels."""
    is_instance = label == "mito"
    values: dict[str, object] = {
        "crop": crop,
        "label": label,
        "kind": "instance" if is_instance else "semantic",
        "status": "scored",
        "score": score,
        "tp": 4 if is_instance else 1200,
        "fp": 3 if is_instance else 300,
        "fn": 7 if is_instance else 450,
        "iou": None if is_instance else score,
        "dice": None if is_instance or score is None else 2 * score / (1 + score),
        "f1": 0.444 if is_instance else None,
        "normalized_hausdorff_distance": 0.936 if is_instance else None,
        "n_hausdorff": 14 if is_instance else None,
        "mean_matched_iou": 0.25 if is_instance else None,
        "pq": 0.2 if is_instance else 0.5,
        "n_true": 11 if is_instance else None,
        "n_predicted": 7 if is_instance else None,
        "voxels": 64_000_000,
        "voxel_size_nm": (4.0, 4.0, 4.0),
        **changes,
    }
    return PairResult(**values)  # type: ignore[arg-type]


def result_of(better: float = 0.0, **changes: object) -> EvaluateResult:
    """Return a result with three classes over four crops; `better` is added to every score of mito."""
    pairs = [
        pair_of(f"crop{number}", "mito", score + better) for number, score in ((28, 0.21), (113, 0.69), (9, 0.55))
    ]
    pairs += [pair_of(f"crop{number}", "er", score) for number, score in ((28, 0.44), (113, 0.8), (9, 0.6))]
    pairs += [pair_of("crop28", "ecs", 0.9), pair_of("crop155", "ecs", 0.0, status="missing", tp=0, fp=0, fn=88)]
    classes = (
        ClassResult("mito", "instance", 0.48 + better, f1=0.444, normalized_hausdorff_distance=0.936,
                    mean_matched_iou=0.25, pq=0.2, crops=3),
        ClassResult("er", "semantic", 0.61, iou=0.61, dice=0.74, pq=0.5, crops=3),
        ClassResult("ecs", "semantic", 0.86, iou=0.86, dice=0.92, pq=0.6, crops=2, missing=1),
    )  # fmt: skip
    values: dict[str, object] = {
        "profile": "2026-06",
        "provisional": False,
        "overall_score": 0.594 + better,
        "overall_instance_score": 0.48 + better,
        "overall_semantic_score": 0.735,
        "num_evals_done": len(pairs),
        "total_evals": len(pairs),
        "classes": classes,
        "pairs": tuple(pairs),
        "missing": ("crop155/ecs",),
        "errors": (),
        "warnings": (),
        "result_file": None,
        "extended_file": None,
        "csv": None,
        "markdown": None,
        "kept": 0,
        "elapsed_s": 12.0,
        **changes,
    }
    return EvaluateResult(**values)  # type: ignore[arg-type]


def evaluation(
    run_id: str = RUN_ID,
    state: str = "done",
    result: EvaluateResult | None = None,
    *,
    predictions: str = "predictions/mito-s0/best",
    events: tuple[dict[str, object], ...] = (),
    **changes: object,
) -> RunSummary:
    """Write a run directory and return the run as a summary would tell of it."""
    run = run_of(run_id, state, command="evaluate", **{"unit": "voxels", **changes})
    run.path.mkdir(parents=True, exist_ok=True)
    asked = {"predictions": predictions, "crops": "28,113,9,155,mine/7", "profile": "2026-06"}
    request = {"v": 1, "command": "evaluate", "request": asked, "cwd": "."}
    (run.path / "request.json").write_text(json.dumps(request), encoding="utf-8")
    if state == "done":
        document = {"v": 1, "command": "evaluate", "value": to_builtins(result or result_of())}
        (run.path / "result.json").write_text(json.dumps(document), encoding="utf-8")
    lines = [json.dumps({"v": 1, "time": NOW_S - 60 + index, **event}) for index, event in enumerate(events)]
    (run.path / "events.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return run


def told(crop: str, label: str, **values: float | None) -> dict[str, object]:
    """Return the event of a finished pair."""
    return {"event": "metric", "step": 1, "values": {f"{crop}/{label}:{name}": v for name, v in values.items()}}


MIDWAY = (
    told("crop28", "mito", score=0.21, tp=4, fp=3, fn=7, voxels=64e6, instance=1, boundary=0.9, matched_iou=0.25),
    told("crop28", "er", score=0.44, tp=44, fp=26, fn=30, voxels=64e6, instance=0),
    told("crop113", "mito", score=None, tp=0, fp=900, fn=7, voxels=27e6, instance=1),
)

OBJECTS = (
    ObjectRow("hallucinated", None, 6, None, None, 0.0, 66, (1204.0, 88.0, 3310.0)),
    ObjectRow("missed", 14, None, None, 208.0, 0.3, 221, (156.0, 34.0, 50.0)),
    ObjectRow("matched", 4, 4, 0.412, 38.0, 0.9, 84, (100.0, 2.0, 2.0)),
)


def explanation_of(pair: str) -> Explanation:
    """Return the objects behind a pair."""
    crop, _, label = pair.rpartition("/")
    return Explanation(
        crop,
        label,
        "instance" if label == "mito" else "semantic",
        pair_of(crop, label, 0.21),
        OBJECTS if label == "mito" else (),
        (f"{pair}: 0.2100 under 2026-06; scored", "4 of 11 objects matched, 7 missed: F1 0.4444"),
    )
