"""Trainings as tests need them: run directories with fixed numbers, as the job would have written them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from tests.app.builders import NOW_S, run_of, write_log

if TYPE_CHECKING:
    from cellmap_tui.jobs.summary import RunSummary

RUN_ID = "20251009T085200Z-train-0000a1"
OTHER_ID = "20251009T075200Z-train-0000a0"
CLASSES = ("mito", "er", "nuc", "ecs", "pm")
STEPS, STEPS_PER_EPOCH = 120, 20


def training_events(
    steps: int = STEPS, classes: tuple[str, ...] = CLASSES, scale: float = 1.0
) -> list[dict[str, object]]:
    """Return what a training tells: a loss that falls, a validation every 20 steps; `scale` makes both larger."""
    events: list[dict[str, object]] = [
        {"event": "state", "state": "running", "by": None},
        {"event": "note", "message": "2d_unet: 5 channels, 12 crops to train on, 3 to validate on"},
    ]
    for step in range(1, steps + 1):
        events.append(_step(step, scale))
        if step % STEPS_PER_EPOCH == 0:
            events += _validation(step, classes, scale)
    return events


def _step(step: int, scale: float) -> dict[str, object]:
    loss = 0.08 + 0.9 * math.exp(-step / 40) + 0.03 * math.sin(step)
    values = {
        "loss": round(scale * loss, 4),
        "lr": round(0.001 * (1 - step / 400), 6),
        "perf/samples_per_s": 41.3,
        "perf/data_wait": 0.02,
    }
    return {"event": "metric", "step": step, "epoch": _epoch(step), "values": values}


def _validation(step: int, classes: tuple[str, ...], scale: float) -> list[dict[str, object]]:
    epoch = _epoch(step)
    by_class = {
        name: round(scale * (0.4 + 0.07 * epoch) * (1 - 0.11 * place), 3) for place, name in enumerate(classes)
    }
    values = {"val/dice": round(sum(by_class.values()) / len(by_class), 3)}
    values |= {f"val/dice/{name}": value for name, value in by_class.items()}
    return [
        {"event": "metric", "step": step, "epoch": epoch, "values": values},
        {"event": "note", "message": f"epoch {epoch} is the best so far: mean Dice {values['val/dice']:.3f}"},
    ]


def _epoch(step: int) -> int:
    return (step - 1) // STEPS_PER_EPOCH + 1


def training(
    run_id: str = RUN_ID, state: str = "running", events: list[dict[str, object]] | None = None, **changes: object
) -> RunSummary:
    """Write a run directory and return the run as a summary would tell of it."""
    progress = {"done": 6.0, "total": 20.0, "unit": "epochs", "rate": 0.02, "eta_s": 700.0}
    run = run_of(run_id, state, command="train", **{**progress, **changes})
    write_log(run, training_events() if events is None else events)
    request = {"v": 1, "command": "train", "request": {"config": "config.toml"}, "cwd": "."}
    state_now = {"v": 1, "state": state, "pid": 4321, "host": "testhost", "created": NOW_S - 100,
                 "start": NOW_S - 90, "heartbeat": NOW_S - 2}  # fmt: skip
    (run.path / "state.json").write_text(json.dumps(state_now), encoding="utf-8")
    (run.path / "request.json").write_text(json.dumps(request), encoding="utf-8")
    return run
