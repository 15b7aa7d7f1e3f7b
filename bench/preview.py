"""The recipe editor's preview: answers after a change, key to paint, bytes of a step and at rest.

    python bench/preview.py [--edge 400] [--depth 72] [--rounds 20]

A crop of `--depth` sections of `--edge`² voxels is predicted: balls with smooth noise and their cores, EM under them.

- answer: a slice after a change of the threshold, of the smallest object, and after a step to the next slice,
  with 3 and with 32 voxels on both sides; without the app. Objects are connected pieces, or grown from cores.
- picture: drawing the answer for half of a 160x50 terminal.
- key: in the app at 160x50, from the key that changes a value to the end of the first write with a picture.
- step: bytes of a cursor step in the list of steps, and in the tables of the predict screen and the tuner's page.
- rest: bytes in `--rest` seconds without a key, on each of the three; must be 0.

Limits: middle of answers at 3 voxels below 0.1 s for a threshold and for a size, also where objects are grown from
cores; 0 bytes at rest; a cursor step below 4 kB.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi
from textual.drivers.headless_driver import HeadlessDriver

from cellmap_tui.app.app import CellmapApp
from cellmap_tui.app.process_form import TuneForm
from cellmap_tui.app.screens.process import ProcessScreen
from cellmap_tui.app.screens.tune import TuneScreen
from cellmap_tui.app.widgets.recipe_preview import PreviewLook, draw
from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.services.preview_session import PreviewSession
from cellmap_tui.services.process_model import PreviewRequest
from cellmap_tui.services.settings import Settings
from cellmap_tui.volumes.write import write_multiscale

SIZE = (160, 50)
RECIPE = """[classes.mito]
steps = [{{ step = "threshold", above = {above} }}, "fill_holes", "{method}",
         {{ step = "remove_small", min_voxels = {least} }}]
"""
LIMITS_S = {"components": 0.1, "cores": 0.1}
STEP_BYTES = 4000
PICTURE_BYTES = 2000
"""A write of more than this holds a picture."""


class Meter(HeadlessDriver):
    """Counts what would go to a terminal."""

    bytes_written = 0
    written_at = 0.0
    painted_at: float | None = None

    @property
    def is_headless(self) -> bool:
        """Make the app render as for a terminal."""
        return False

    def write(self, data: str) -> None:
        """Count."""
        size = len(data.encode())
        Meter.bytes_written += size
        Meter.written_at = time.perf_counter()
        if Meter.painted_at is None and size > PICTURE_BYTES:
            Meter.painted_at = Meter.written_at


def make(root: Path, depth: int, edge: int) -> str:
    """Write a crop with EM and a prediction; return its reference."""
    rng = np.random.default_rng(1)
    shape = (depth, edge, edge)
    middles = np.zeros(shape, bool)
    middles[6::14, 8::16, 8::16] = True
    distance = ndi.distance_transform_edt(~middles).astype(np.float32)
    noise = ndi.gaussian_filter(rng.standard_normal(shape).astype(np.float32), 1.5)
    probability = np.clip(1.5 - distance / 7.0 + noise, 0, 1)
    core = np.clip(1.5 - distance / 3.5 + noise, 0, 1)
    crop = Crop(1, "bench", "train", Grid((8.0,) * 3, (0.0,) * 3, shape), ("mito",), source="import")
    add_local_crops(root, [crop])
    folder = root / "predictions" / "bench.zarr" / crop.name
    for name, values in (("mito", probability), ("mito/core", core)):
        write_multiscale(folder / name, (values * 255).astype(np.uint8), crop.grid, kind="em")
    write_multiscale(root / crop_em_path(crop), (100 + 40 * noise).astype(np.uint8), crop.grid, kind="em")
    return crop.ref


def answers(root: Path, ref: str, rounds: int) -> bool:
    """Print how long answers take; return whether they are quick enough."""
    is_good = True
    for context, method in ((3, "components"), (3, "cores"), (32, "components"), (32, "cores")):
        session = PreviewSession()
        for what in ("threshold", "size", "slice"):
            took = []
            for number in range(rounds + 1):
                above = 0.3 + 0.4 * number / rounds if what == "threshold" else 0.5
                least = 10 * number if what == "size" else 50
                index = 30 + number % 12 if what == "slice" else 36
                recipe = RECIPE.format(above=round(above, 3), least=least, method=method)
                request = PreviewRequest(ref, "mito", recipe, "z", index, context=context, data_root=root)
                began = time.perf_counter()
                session.show(request)
                session.em(request)
                took.append(time.perf_counter() - began)
            middle = statistics.median(took[1:])
            limit = LIMITS_S[method] if context == 3 and what != "slice" else None
            is_good &= limit is None or middle < limit
            words = f"limit {1000 * limit:.0f} ms" if limit else ""
            print(
                f"answer  ±{context:<2} {method:10} {what:9} {_ms(took[1:])}  first {1000 * took[0]:.0f} ms  {words}"
            )
    return is_good


def picture(root: Path, ref: str, rounds: int) -> None:
    """Print how long drawing takes."""
    session = PreviewSession()
    request = PreviewRequest(
        ref, "mito", RECIPE.format(above=0.5, least=50, method="cores"), "z", 36, context=3, data_root=root
    )
    preview, em = session.show(request), session.em(request)
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        draw(preview, (8.0, 8.0, 8.0), PreviewLook(), SIZE[0] // 2, SIZE[1] - 6, em=em)
        took.append(time.perf_counter() - began)
    print(f"picture                          {_ms(took)}")


async def in_the_app(root: Path, rounds: int, rest_s: float) -> bool:
    """Print what keys cost in the app; return whether that is within the limits."""
    os.environ.setdefault("COLORTERM", "truecolor")
    folder = root.parent
    settings = Settings(
        data_root=root, runs_root=folder / "runs", config_dir=folder / "config", state_dir=folder / "state"
    )
    app = CellmapApp(settings, start="predict")
    app.driver_class = Meter
    running = asyncio.create_task(app.run_async(size=SIZE))
    await quiet(app)
    is_good = await steps_and_rest(app, "predict screen", rest_s)
    screen = ProcessScreen()
    with app._context():
        await app.push_screen(screen)
    while screen._shown is None:
        await asyncio.sleep(0.05)
    await quiet(app)
    is_good &= await steps_and_rest(app, "recipe editor", rest_s)
    await press(app, "j")
    took = []
    for number in range(rounds):
        Meter.painted_at, began = None, time.perf_counter()
        app.simulate_key("plus" if number % 8 < 4 else "minus")
        while Meter.painted_at is None:
            await asyncio.sleep(0.001)
        took.append(Meter.painted_at - began)
        await quiet(app)
    say(f"key     to a picture             {_ms(took)}")
    with app._context():
        await app.push_screen(TuneScreen(TuneForm()))
    await quiet(app)
    is_good &= await steps_and_rest(app, "tuner's page", rest_s)
    app.exit()
    await running
    return is_good


async def steps_and_rest(app: CellmapApp, name: str, rest_s: float) -> bool:
    """Print bytes of a cursor step and of doing nothing."""
    sizes = []
    for key in ("j", "j", "k", "k"):
        before = Meter.bytes_written
        await press(app, key)
        sizes.append(Meter.bytes_written - before)
    before = Meter.bytes_written
    await asyncio.sleep(rest_s)
    idle = Meter.bytes_written - before
    say(f"step    {name:14} {max(sizes):,} bytes at most;  at rest {idle} bytes in {rest_s:.0f} s")
    return idle == 0 and max(sizes) < STEP_BYTES


async def press(app: CellmapApp, key: str) -> None:
    """Press a key and wait until everything is painted."""
    app.simulate_key(key)
    await quiet(app)


async def quiet(app: CellmapApp, still_s: float = 0.6) -> None:
    """Wait until nothing was written for a while and no thread works."""
    since = time.perf_counter()
    while time.perf_counter() - max(since, Meter.written_at) < still_s:
        await asyncio.sleep(0.02)
        if any(not worker.is_finished for worker in app.workers):
            since = time.perf_counter()


def say(line: str) -> None:
    """Print although the app has taken the standard output."""
    sys.__stdout__.write(f"{line}\n")  # type: ignore[union-attr]


def _ms(took: list[float]) -> str:
    return f"middle {1000 * statistics.median(took):6.1f} ms, slowest {1000 * max(took):6.1f} ms"


def main() -> int:
    """Print all figures; 1 when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edge", type=int, default=400)
    parser.add_argument("--depth", type=int, default=72)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rest", type=float, default=5.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="preview-bench-") as folder:
        root = Path(folder) / "data"
        ref = make(root, asked.depth, asked.edge)
        is_good = answers(root, ref, asked.rounds)
        picture(root, ref, asked.rounds)
        is_good &= asyncio.run(in_the_app(root, asked.rounds, asked.rest))
    print("within the limits" if is_good else "a limit is passed")
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
