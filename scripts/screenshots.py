"""Redraw the pictures of the README and the docs from the app itself, on the demo data.

    make screenshots

Makes the demo in a temporary folder, opens each screen in memory and writes ``docs/pictures/*.svg``.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

    from cellmap_tui.services.settings import Settings

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
PATIENCE_S = 30.0

SHOTS: dict[str, tuple[tuple[int, int], str, tuple[str, ...], str]] = {
    "data": ((160, 50), "data", (), "share"),
    "slice": ((100, 40), "data", ("v",), "legend"),
    "classes": ((160, 50), "classes", ("m",), "training crops"),
    "targets": ((160, 50), "classes", ("t", "space", "j", "j", "space"), "every target"),
    "submit": ((160, 50), "submit", ("down",), "volumes"),
    "live": ((160, 50), "train", ("T", "plus", "plus"), "gradient"),
    "recipe": ((160, 50), "predict", ("P", "k", "j", "j", "n", "enter"), "slab around"),
    "home": ((80, 24), "home", (), "what next"),
    "predict": ((160, 50), "predict", ("t", "down"), "of 3 volumes"),
}
"""Name of the picture: size of the terminal, screen, keys, words that show that it is complete."""


async def shoot(settings: Settings, name: str) -> None:
    """Write one picture."""
    from cellmap_tui.app.app import CellmapApp

    size, start, keys, words = SHOTS[name]
    app = CellmapApp(settings, start=start, options={"picture": name})
    app.host = "gpu-07"
    async with app.run_test(size=size) as pilot:
        await settled(pilot, lambda: True)
        for key in keys:
            await pilot.press(key)
        await settled(pilot, lambda: words in shown(app))
        svg = app.export_screenshot(title=f"cellmap-tui · {name}")
    # The pictures shall not ask anybody's server for a font.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"/tmp/tmp\w{8}", "/data/cellmap", svg)
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{name}.svg").write_text(svg)
    print(f"{PICTURES / name}.svg  {len(svg) // 1000} kB")


async def settled(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait until nothing works in the background and the condition holds."""
    deadline_s = time.monotonic() + PATIENCE_S
    quiet = 0
    while quiet < 10:
        await pilot.pause(0.1)
        busy = any(worker.is_running and worker.group not in {"runs", "live.read"} for worker in pilot.app.workers)
        quiet = 0 if busy or not condition() else quiet + 1
        if time.monotonic() > deadline_s:
            raise SystemExit(f"the screen did not settle:\n{shown(pilot.app)}")


def shown(app: object) -> str:
    """Return what the screen shows, as text."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())  # type: ignore[attr-defined]


def write_training(runs_root: Path) -> None:
    """Write a training that goes on, with numbers as a larger one tells them; nothing works on it."""
    path = runs_root / "20261009T075200Z-train-51c0de"
    path.mkdir(parents=True)
    now_s, steps, each = time.time(), 9200, 500
    noise = random.Random(3)
    events: list[dict[str, object]] = [{"event": "state", "state": "running", "by": None}]
    for step in range(20, steps + 1, 20):
        fall = math.exp(-step / 2500)
        values = {
            "loss": 0.14 + 1.1 * fall + noise.gauss(0, 0.05 * (0.4 + fall)),
            "lr": 3e-4 * (1 - step / 20000) ** 0.9,
            "grad_norm": 0.4 + 2 * fall + abs(noise.gauss(0, 0.2)),
            "perf/samples_per_s": 118.0,
            "perf/data_wait": 0.02,
        }
        events.append({"event": "metric", "step": step, "epoch": (step - 1) // each + 1, "values": values})
        if step % each == 0:
            best = {"nuc": 0.94, "mito": 0.86, "ld": 0.74, "er": 0.66, "ves": 0.41, "mt": 0.23}
            dice = {name: top * (1 - 0.8 * fall) + noise.gauss(0, 0.012) for name, top in best.items()}
            mean = sum(dice.values()) / len(dice)
            told = {"val/dice": mean, "val/loss": 0.19 + fall} | {
                f"val/dice/{name}": value for name, value in dice.items()
            }
            events.append({"event": "metric", "step": step, "epoch": step // each, "values": told})
            events.append({"event": "note", "message": f"epoch {step // each}: mean Dice {mean:.3f}"})
    events.append({"event": "progress", "done": steps / each, "total": 40, "unit": "epochs"})
    lines = [{"v": 1, "time": now_s - 6.4 * (len(events) - place), **event} for place, event in enumerate(events)]
    (path / "events.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    state = {"v": 1, "state": "running", "pid": 41233, "host": "gpu-07", "created": now_s - 3000,
             "start": now_s - 3000, "heartbeat": now_s}  # fmt: skip
    (path / "state.json").write_text(json.dumps(state))
    request = {"v": 1, "command": "train", "request": {"config": "config.toml"}, "cwd": "."}
    (path / "request.json").write_text(json.dumps(request))
    (path / "config.toml").write_text(f"epochs = 40\niterations_per_epoch = {each}\n")
    gpu = {"index": 0, "name": "NVIDIA H100", "uuid": "GPU-0", "memory_bytes": 80 * 10**9, "power_limit_w": 700}
    machine = {"v": 1, "kind": "machine", "time": now_s, "host": "gpu-07", "pid": 41233, "processors": 32,
               "memory_bytes": 256 * 10**9, "gpu_state": "ok", "gpus": [gpu]}  # fmt: skip
    used = {"index": 0, "utilisation": 0.97, "memory_used_bytes": 61 * 10**9, "power_w": 640, "temperature_c": 68}
    reading = {"v": 1, "kind": "reading", "time": now_s, "process_cpu": 6.4, "process_bytes": 41 * 10**9,
               "disk_free_bytes": 900 * 10**9, "gpus": [used]}  # fmt: skip
    (path / "telemetry.jsonl").write_text(f"{json.dumps(machine)}\n{json.dumps(reading)}\n")


def write_predictions(data_root: Path) -> None:
    """Write predictions of a crop as a network could make them: its truth, blurred, with noise."""
    import numpy as np
    from scipy import ndimage as ndi

    from cellmap_tui.challenge.catalog import load_catalog
    from cellmap_tui.challenge.layout import label_path
    from cellmap_tui.learning.cores import core_ids
    from cellmap_tui.volumes.ngff import open_volume
    from cellmap_tui.volumes.read import read_region
    from cellmap_tui.volumes.write import write_multiscale

    crop = load_catalog(data_root=data_root).select("9001")[0]
    noise = np.random.default_rng(3)
    for label in ("mito", "ves", "er"):
        volume = open_volume(data_root / label_path(crop, label))
        ids = read_region(volume, crop.grid, "label").array
        for name, mask in ((label, ids > 0), (f"{label}/core", core_ids(ids) > 0)):
            wave = ndi.gaussian_filter(noise.standard_normal(ids.shape), 1.5)
            values = np.clip(ndi.gaussian_filter(mask.astype(float), 1.0) + 0.9 * wave, 0, 1)
            place = data_root / "predictions" / f"{crop.dataset}.zarr" / crop.name / name
            write_multiscale(place, (values * 255).astype(np.uint8), crop.grid, kind="em")


def write_prediction_job(runs_root: Path, data_root: Path) -> None:
    """Write a prediction that goes on; nothing works on it."""
    from cellmap_tui.services.models import to_json
    from cellmap_tui.services.predict_journal import FORMAT
    from cellmap_tui.services.predict_journal import NAME as JOURNAL
    from cellmap_tui.services.predict_model import PredictRequest

    path, now_s = runs_root / "20261009T085200Z-predict-0c0de5", time.time()
    path.mkdir(parents=True)
    folder = data_root / "predictions"
    events: list[dict[str, object]] = [
        {"event": "state", "state": "running", "by": None},
        {"event": "note", "message": "runs/51c0de/checkpoints/resenc_18.pth, epoch 18: resenc, 6 channels at 8 nm"},
        {"event": "note", "message": "3 volumes, 9 310 tiles on cuda:0, about 2 min; up to 21.4 M on disk"},
        {"event": "artefact", "kind": "prediction", "path": str(folder / "demo_cell-1.zarr/crop9001/mito")},
        {"event": "artefact", "kind": "prediction", "path": str(folder / "demo_cell-1.zarr/crop9001/er")},
        *({"event": "progress", "done": 3000.0 + 90 * n, "total": 9310.0, "unit": "tiles"} for n in range(30)),
    ]
    lines = [{"v": 1, "time": now_s - (len(events) - place), **event} for place, event in enumerate(events)]
    (path / "events.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    state = {"v": 1, "state": "running", "pid": 41237, "host": "gpu-07", "created": now_s - 70,
             "start": now_s - 70, "heartbeat": now_s}  # fmt: skip
    (path / "state.json").write_text(json.dumps(state))
    asked = PredictRequest(checkpoints=("51c0de",), crops="9001,9002,9011", data_root=data_root)
    request = {"v": 1, "command": "predict", "request": json.loads(to_json(asked)), "cwd": "."}
    (path / "request.json").write_text(json.dumps(request))
    journal = folder / "demo_cell-1.zarr" / "crop9002" / JOURNAL
    journal.mkdir(parents=True)
    parts = [[[0, 0, 0], [40, 96, 112]], [[40, 0, 0], [80, 96, 112]]]
    columns = {"mito": "k", "er": "k", "mito/core": "k"}
    (journal / "header.json").write_text(
        json.dumps({"format": FORMAT, "columns": columns, "parts": parts, "batch_size": 8})
    )
    done = [{"part": 0, "row": 40}, {"part": 1, "row": 58}]
    (journal / "done.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in done))


def main() -> None:
    """Make the demo and shoot the screens named on the command line, or all."""
    os.environ["COLORTERM"] = "truecolor"
    from cellmap_tui.services.demo import DemoRequest, demo
    from cellmap_tui.services.demo_journey import make_stand_in
    from cellmap_tui.services.demo_root import DemoRoot
    from cellmap_tui.services.report import SilentReporter
    from cellmap_tui.services.settings import load_settings

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "demo"
        os.environ |= {"CELLMAP_TUI_STATE_DIR": f"{folder}/state", "CELLMAP_TUI_CONFIG_DIR": f"{folder}/config"}
        result = demo(DemoRequest(root=root, make_only=True), SilentReporter())
        make_stand_in(DemoRoot(root), SilentReporter())
        settings = replace(load_settings(), data_root=result.data_root, runs_root=Path(folder) / "runs")
        write_training(settings.runs_root)
        write_predictions(result.data_root)
        for name in sys.argv[1:] or SHOTS:
            if name == "predict":
                write_prediction_job(settings.runs_root, result.data_root)
            asyncio.run(shoot(settings, name))


if __name__ == "__main__":
    main()
