"""Make the runs in ``runs/`` that no real training was recorded for: ``python tests/monitor/make_runs.py``.

Kept as files, so that a rule is tested on the same bytes for ever. Those called ``recorded_*`` are real trainings on
the demo data (CPU, a small 2D network), cut down by `reduce_recorded` to what rules look at.
"""

from __future__ import annotations

import json
import math
import random
import sys
from pathlib import Path
from typing import Any

RUNS = Path(__file__).parent / "runs"
START_S = 1_795_000_000.0
STEPS_PER_EPOCH = 20
GIGA = 10**9
PLAIN = ("loss", "lr", "perf/data_wait", "perf/data_ms", "perf/step_ms")
OTHER = ("grad_norm", "val/loss", "val/dice")


def reduce_recorded(events: Path, name: str) -> None:
    """Keep states and the metrics that rules look at of a recorded log, numbers with four figures."""
    kept: list[dict[str, Any]] = []
    for line in events.read_text().splitlines():
        row = json.loads(line)
        if row["event"] == "state":
            kept.append({**row, "by": None})
        elif row["event"] == "metric":
            values = {key: _mean(value) if key in PLAIN else value for key, value in row["values"].items()}
            kept.append(
                _rounded({**row, "values": {key: value for key, value in values.items() if _is_looked_at(key)}})
            )
    _write(name, kept)


def nan() -> list[dict[str, Any]]:
    """A loss that is no number from step 400 on."""
    rows = _training(800)
    for row in rows:
        if row["step"] >= 400:
            row["values"]["loss"] = row["values"]["grad_norm"] = None
    return rows


def overfitting() -> list[dict[str, Any]]:
    """A validation loss that rises from epoch 8 on while the training loss falls, and a Dice that falls with it."""
    rows = _training(600)
    for epoch, row in _validations(rows, 600):
        away = max(0, epoch - 8)
        row["values"] |= {"val/loss": 0.5 - 0.02 * min(epoch, 8) + 0.015 * away, "val/dice": 0.6 - 0.006 * away}
    return rows


def plateau() -> list[dict[str, Any]]:
    """A mean Dice that has not become better since epoch 10 of 30."""
    rows = _training(600)
    noise = random.Random(2)
    for epoch, row in _validations(rows, 600):
        row["values"] |= {"val/dice": 0.05 * min(epoch, 10) + 0.001 * noise.random(), "val/loss": 0.4}
    return rows


def gradient() -> list[dict[str, Any]]:
    """Gradients that explode every 60 steps."""
    rows = _training(800)
    for row in rows:
        if row["step"] % 60 == 0:
            row["values"]["grad_norm"] = {"mean": 40.0, "min": 0.5, "max": 300.0, "count": 8}
    return rows


def rate_zero() -> list[dict[str, Any]]:
    """A schedule that ends at step 200 of 800."""
    rows = _training(800)
    for row in rows:
        row["values"]["lr"] = max(0.0, 1e-3 * (1 - row["step"] / 200))
    return rows


def loader() -> list[dict[str, Any]]:
    """Steps that wait for data for 70 % of their time."""
    rows = _training(800)
    for row in rows:
        row["values"] |= {"perf/data_wait": 0.7, "perf/data_ms": 350.0, "perf/step_ms": 500.0}
    return rows


def machine(**changes: float) -> list[dict[str, Any]]:
    """A healthy machine with a GPU, every 10 s for half an hour; `changes` add to a figure each second."""
    gpus = [{"index": 0, "name": "a GPU", "uuid": "GPU-0", "memory_bytes": 80 * GIGA, "power_limit_w": 700.0}]
    rows: list[dict[str, Any]] = [
        {"v": 1, "kind": "machine", "time": START_S, "host": "gpu-07", "pid": 41, "processors": 16, "gpus": gpus,
         "memory_bytes": 128 * GIGA, "container_limit_bytes": 64 * GIGA, "gpu_state": "ok", "driver": "570.1"}
    ]  # fmt: skip
    noise = random.Random(3)
    for second in range(0, 1800, 10):
        is_early = second < 600
        gpu = {
            "index": 0,
            "utilisation": round(0.93 + 0.05 * noise.random() + (changes.get("idle", 0.0) if second else 0.0), 3),
            "memory_used_bytes": 61 * GIGA,
            "power_w": 612.0,
            "temperature_c": 71.0 + (0.0 if is_early else changes.get("heat", 0.0)),
            "sm_clock_mhz": 1980.0 - (0.0 if is_early else 25.0 * changes.get("heat", 0.0)),
            "throttle": ["heat"] if changes.get("heat") and not is_early else [],
            "is_lost": False,
        }
        if "lost" in changes and second >= changes["lost"]:
            gpu = {"index": 0, "is_lost": True}
        reading = {
            "v": 1, "kind": "reading", "time": START_S + second, "cpu": 0.4, "memory_used_bytes": 30 * GIGA,
            "process_bytes": 20 * GIGA, "gpus": [gpu], "oom_kills": 3 + int(changes.get("kills", 0) * second / 1800),
            "container_used_bytes": int(22 * GIGA + noise.random() * GIGA + changes.get("memory", 0.0) * second),
            "disk_free_bytes": int(60 * GIGA - changes.get("disk", 0.0) * second - (second % 300) * 10**6),
        }  # fmt: skip
        rows.append(reading)
    return rows


def _training(steps: int, seed: int = 1) -> list[dict[str, Any]]:
    """A healthy training: a window every 4 steps, 2 s each, a validation every 20."""
    noise = random.Random(seed)
    rows = []
    for step in range(4, steps + 1, 4):
        loss = 0.2 + 1.2 * math.exp(-step / 250) + 0.06 * noise.gauss(0, 1)
        mean = round(loss, 4)
        values: dict[str, Any] = {
            "loss": {"mean": mean, "min": round(mean - 0.1, 4), "max": round(mean + 0.1, 4), "count": 4},
            "grad_norm": round(0.5 + 0.2 * noise.random() * (3 if noise.random() < 0.03 else 1), 4),
            "lr": round(1e-3 * (1 - 0.9 * step / steps), 7),
            "perf/data_wait": round(0.05 * noise.random(), 4),
        }
        epoch = -(-step // STEPS_PER_EPOCH)
        if step % STEPS_PER_EPOCH == 0:
            score = 0.75 * (1 - math.exp(-epoch / 12))
            values |= {"val/dice": round(score, 4), "val/loss": round(0.25 + math.exp(-step / 250), 4)}
        time_s = START_S + 1800 - (steps - step) / 2
        rows.append({"v": 1, "time": time_s, "event": "metric", "step": step, "epoch": epoch, "values": values})
    return rows


def _validations(rows: list[dict[str, Any]], _steps: int) -> list[tuple[int, dict[str, Any]]]:
    return [(row["epoch"], row) for row in rows if row["step"] % STEPS_PER_EPOCH == 0]


def _is_looked_at(name: str) -> bool:
    return name in {*PLAIN, *OTHER} or name.startswith(("val/dice/", "val/recall/"))


def _mean(value: Any) -> Any:
    return value["mean"] if isinstance(value, dict) else value


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: item if key == "time" else _rounded(item) for key, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _write(name: str, rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    (RUNS / f"{name}.jsonl").write_text(text)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        reduce_recorded(Path(sys.argv[1]), sys.argv[2])
    else:
        _write("made_healthy", _training(800))
        for make in (nan, overfitting, plateau, gradient, rate_zero, loader):
            _write(f"made_{make.__name__}", make())
        _write("made_machine_healthy", machine())
        # 15 MB/s: the disk is full 37 minutes after the last reading; 8 MB/s: the container after about an hour.
        _write("made_machine_full", machine(disk=15e6, memory=8e6, kills=2))
        _write("made_machine_gpu", machine(idle=-0.85, heat=18.0))
        _write("made_machine_lost", machine(lost=1500.0))
