"""Trainings that the pages of the live screen are tested on: numbers, slices, telemetry, as a job leaves them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.app.live_run import open_live
from cellmap_tui.learning.samples import Sample, sample_folder, write_sample
from cellmap_tui.services.telemetry_model import GpuFacts, GpuReading, Machine, Reading, to_line
from tests.app.builders import NOW_S, app_with
from tests.app.test_live_jobs import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.app.app import CellmapApp
    from cellmap_tui.app.screens.live_base import LivePage

CLASSES = ("mito", "er", "nuc", "ves")
EVIL = "[bold]x[/]\x1b[31m"
RUN = Path("runs") / "20251009T085200Z-train-0000a1"
OTHER = Path("runs") / "20251009T075200Z-train-0000a0"
EPOCHS = 12


def write_training(
    path: Path = RUN,
    classes: Sequence[str] = CLASSES,
    *,
    epochs: int = EPOCHS,
    rate: float = 0.001,
    best: float = 0.8,
) -> Path:
    """Write a run that has ended: losses, and a validation an epoch in which the last class has no value."""
    path.mkdir(parents=True)
    request = {"v": 1, "command": "train", "request": {"config": "config.toml"}, "cwd": "."}
    (path / "request.json").write_text(json.dumps(request), encoding="utf-8")
    config = f"epochs = {epochs}\niterations_per_epoch = 10\nlearning_rate = {rate}\n"
    config += f"classes = {json.dumps(list(classes))}\n"
    (path / "config.toml").write_text(config, encoding="utf-8")
    events: list[dict[str, object]] = [{"event": "state", "state": "running", "by": None}]
    for epoch in range(1, epochs + 1):
        events += [_step(epoch), _validation(epoch, classes, best)]
    events.append({"event": "state", "state": "done", "by": None})
    lines = [json.dumps({"v": 1, "time": NOW_S - 600 + index, **event}) for index, event in enumerate(events)]
    (path / "events.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def _step(epoch: int) -> dict[str, object]:
    values = {
        "loss": round(0.1 + math.exp(-epoch / 4), 4),
        "perf/samples_per_s": 812.0,
        "perf/step_ms": 310.0,
        "perf/data_ms": 96.0,
        "perf/compute_ms": 214.0,
        "perf/data_wait": 0.31,
    }
    return {"event": "metric", "step": 10 * epoch - 5, "epoch": epoch, "values": values}


def _validation(epoch: int, classes: Sequence[str], best: float) -> dict[str, object]:
    values: dict[str, object] = {"val/seconds": 21.5}
    told = []
    for place, name in enumerate(classes):
        dice = round(best * (1 - math.exp(-epoch / 5)) * (1 - 0.2 * place), 4)
        is_last = place == len(classes) - 1
        values[f"val/dice/{name}"] = None if is_last else dice
        if not is_last:
            told.append(dice)
            values |= {f"val/iou/{name}": round(dice / (2 - dice), 4), f"val/precision/{name}": dice}
            values[f"val/recall/{name}"] = dice
    values["val/dice"] = round(sum(told) / len(told), 4) if told else None
    return {"event": "metric", "step": 10 * epoch, "epoch": epoch, "values": values}


def sample(epoch: int, *, axis: str = "z", names: Sequence[str] = CLASSES, edge: int = 32) -> Sample:
    """Return a slice whose first class is found better with every epoch; the last class is unknown everywhere."""
    y, x = np.indices((edge, edge))
    truth = np.zeros((len(names), edge, edge), np.uint8)
    truth[0] = (y - 12) ** 2 + (x - 12) ** 2 < 64
    truth[1] = x > edge - 8
    truth[-1] = 255
    probability = np.zeros_like(truth)
    probability[0] = np.where((y - 12) ** 2 + (x - 12) ** 2 < 5 * epoch, 230, 10)
    probability[1, :, -12:] = 200
    return Sample(
        ref="demo_cell-1/crop9001",
        axis=axis,
        epoch=epoch,
        step=10 * epoch,
        names=tuple(names),
        raw=((7 * y + 5 * x) % 200).astype(np.uint8),
        truth=truth,
        probability=probability,
        voxel_size_nm=(8.0, 8.0, 8.0),
        position=(16, 0, 0),
    )


def write_samples(path: Path = RUN, epochs: Sequence[int] = (1, 6, 12), axes: str = "zy", **changes: object) -> None:
    """Write slices of some epochs."""
    for epoch in epochs:
        folder = sample_folder(path, epoch)
        folder.mkdir(parents=True, exist_ok=True)
        for axis in axes:
            write_sample(folder / f"demo_cell-1_crop9001_{axis}.npz", sample(epoch, axis=axis, **changes))  # type: ignore[arg-type]


def machine(count: int = 2, **changes: object) -> Machine:
    """Return a machine with some GPUs."""
    facts = tuple(GpuFacts(index, "NVIDIA H100", f"GPU-{index}", "gpu", 80 * 10**9, 700.0) for index in range(count))
    values: dict[str, object] = {
        "processors": 64,
        "memory_bytes": 256 * 10**9,
        "container_limit_bytes": 128 * 10**9,
        "gpu_state": "ok",
        "driver": "550.54",
        "gpus": facts,
        **changes,
    }
    return Machine(NOW_S - 600, "gpu-07", 4321, **values)  # type: ignore[arg-type]


def reading(count: int = 2, *, time_s: float = NOW_S - 3, **changes: object) -> Reading:
    """Return what it does."""
    told = tuple(
        GpuReading(index, 0.98, (61 + index) * 10**9, 610.0, 71.0, 1980.0, 2619.0, ("power cap",) if index else ())
        for index in range(count)
    )
    values: dict[str, object] = {
        "cpu": 0.25,
        "process_cpu": 6.4,
        "memory_used_bytes": 41 * 10**9,
        "process_bytes": 31 * 10**9,
        "process_mapped_bytes": 12 * 10**9,
        "threads": 88,
        "container_used_bytes": 43 * 10**9,
        "disk_free_bytes": 1_200 * 10**9,
        "read_bytes_s": 1.2e8,
        "write_bytes_s": 3e5,
        "gpus": told,
        **changes,
    }
    return Reading(time_s, **values)  # type: ignore[arg-type]


def write_telemetry(path: Path, facts: Machine, *readings: Reading) -> None:
    """Write what a machine did."""
    lines = [to_line(row) for row in (facts, *readings)]
    (path / "telemetry.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


async def opened(pilot, page: type[LivePage], *paths: Path, **options: object) -> LivePage:
    """Open a page over runs that are read whole, and wait until nothing moves."""
    live = open_live(paths[0], paths[1:])
    while live.poll():
        pass
    screen = page(live, **options)
    await pilot.app.push_screen(screen)
    await still(pilot)
    return screen


async def still(pilot) -> None:
    """Wait until no worker works and everything is painted."""
    await pilot.pause()
    await until(pilot, lambda: not any(worker.is_running for worker in pilot.app.workers))
    await pilot.pause()


def text_of(app: CellmapApp) -> str:
    """Return what stands on the screen."""
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


def train_app(**options: object) -> CellmapApp:
    """Return an app without runs of its own."""
    return app_with(start="home", **options)  # type: ignore[arg-type]
