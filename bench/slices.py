"""Key to paint in the slice viewer, CPU and bytes of a frame, with a large crop on disk.

    python bench/slices.py [--keys 40] [--rounds 3] [--edge 1024]

The app's own full-screen viewer runs with a driver that counts what it is given to write. A crop of `--edge`² voxels
a section is written first: noisy EM with texture, an instance class with many objects, and predictions of it.
"Painted" is the end of the first write after a key; keys step through the crop.

- cold: ten slices at a time with nothing drawn ahead, so that chunks are read from disk and decoded.
- draw: such a slice without the app.
- ahead: a slice at a time, each key only after the next slices were drawn.
  The kinds take turns, so that other work on the machine meets them alike. Processor time is that of all threads
  from the key to the paint; where wall time is far above it, the machine had something else to do.
- frame: CPU of making and sending one scrubbing frame, and one full frame, of 80x40 cells, and its bytes.
  The crop is as high as it is wide, so its picture fills 80x40 cells of half blocks.

Limits: cold p99 at most 100 ms, ahead p99 at most 30 ms; a frame, scrubbing or full, at most 15 ms and 130 kB.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.console import Console
from textual import events
from textual.drivers.headless_driver import HeadlessDriver

from cellmap_tui.app.app import CellmapApp
from cellmap_tui.app.crop_slices import CropSlices
from cellmap_tui.app.screens.slice import SliceScreen
from cellmap_tui.app.widgets.half_cells import _style
from cellmap_tui.app.widgets.lean_strip import _codes, color_of, lean_strips
from cellmap_tui.app.widgets.slice_ahead import strips_of
from cellmap_tui.app.widgets.slice_state import Look
from cellmap_tui.app.widgets.slice_view import SliceView
from cellmap_tui.challenge.catalog import load_catalog
from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path, label_path
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.services.settings import Settings
from cellmap_tui.volumes.planes import PlaneCache
from cellmap_tui.volumes.write import write_array, write_multiscale

if TYPE_CHECKING:
    from textual.app import App

SIZE = (82, 44)
"""80 columns and 40 lines of picture, the header, the position, the legend and the keys around it."""
LIMITS = {"cold": 0.100, "draw": 0.100, "ahead": 0.030}
FRAME_CPU_S, FRAME_BYTES = 0.015, 130_000
QUIET_S = 0.05


class Cost(NamedTuple):
    """What a key took until its picture was painted."""

    wall_s: float
    """Time that the user waits."""
    cpu_s: float
    """Processor time of all threads; polling for the paint is in it."""


class Meter(HeadlessDriver):
    """Counts what would go to a terminal."""

    bytes_written = 0
    written_at = 0.0
    painted_at: float | None = None
    worked_at = 0.0
    kept: list[str] | None = None

    @property
    def is_headless(self) -> bool:
        """Make the app render as for a terminal."""
        return False

    def write(self, data: str) -> None:
        """Count."""
        encoded = data.encode()
        Meter.bytes_written += len(encoded)
        Meter.written_at = time.perf_counter()
        if Meter.kept is not None:
            Meter.kept.append(data)
        if Meter.painted_at is None and len(encoded) > 2000:  # a picture, not the line of its position
            Meter.painted_at = Meter.written_at
            Meter.worked_at = time.process_time()


def make_crop(root: Path, edge: int) -> Crop:
    """Write EM, objects and predictions of them."""
    rng = np.random.default_rng(0)
    shape = (64, edge, edge)
    grid = Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), shape)
    crop = Crop(1, "large", "train", grid, ("mito",), source="demo")
    z, y, x = np.ogrid[: shape[0], :edge, :edge]
    waves = 128 + 60 * np.sin(x / 23 + z / 9) * np.cos(y / 31 - z / 13)
    em = np.clip(waves + rng.normal(0, 18, shape), 0, 255).astype(np.uint8)
    ids = ((y // 64) * (edge // 64 + 1) + x // 64 + 1).astype(np.uint16)
    inside = ((y % 64 - 32) ** 2 + (x % 64 - 32) ** 2 + ((z % 64) - 32) ** 2) < 28**2
    mito = np.where(inside, ids, 0).astype(np.uint16)
    write_multiscale(root / crop_em_path(crop), em, grid)
    write_multiscale(root / label_path(crop, "mito"), mito, grid, kind="label")
    write_array(root / "predictions" / "large.zarr" / "crop1" / "mito", np.roll(mito, 5, axis=2), grid)
    add_local_crops(root, [crop])
    return crop


async def press(app: App[None], key: str) -> Cost:
    """Send a key and return what it took until the picture was painted."""
    Meter.painted_at = None
    start, worked = time.perf_counter(), time.process_time()
    app.post_message(events.Key(key, None))
    while Meter.painted_at is None and time.perf_counter() - start < 10:
        await asyncio.sleep(0.0005)
    if Meter.painted_at is None:
        raise SystemExit(f"{key} was never painted")
    return Cost(Meter.painted_at - start, Meter.worked_at - worked)


async def quiet(app: App[None], *, least_s: float = 4 * QUIET_S) -> None:
    """Wait until nothing is written and nothing is drawn, ahead or now."""
    while True:
        await asyncio.sleep(least_s)
        await app.workers.wait_for_complete()
        if time.perf_counter() - Meter.written_at > QUIET_S and not app.workers:
            return


async def measure(root: Path, crop: Crop, keys: int, kinds: tuple[str, ...]) -> dict[str, list[Cost]]:
    """Step through the crop cold, then with frames drawn ahead."""
    catalog = load_catalog(data_root=root)
    app = CellmapApp(Settings(root, root / "runs", root / "config", root / "state"), start="home")
    app.driver_class = Meter
    running = asyncio.create_task(app.run_async(size=SIZE))
    times: dict[str, list[Cost]] = {"cold": [], "ahead": []}
    try:
        await asyncio.sleep(1)
        for _ in range(max(1, keys // 4)):  # a new source each time: nothing is read or drawn yet
            source = CropSlices(root, crop, catalog)
            screen = SliceScreen(source, Look(crop.grid, (2, 500, 500), kinds=kinds), "large")
            with app._context():
                await app.push_screen(screen)
            await quiet(app)
            screen.query_one(SliceView)._draws_ahead = False
            screen.query_one(SliceView)._frames.clear()
            source._source._pictures.clear()
            source._source._kept_bytes = 0
            if source._source._labels is not None:
                source._source._labels.cache.clear()
            for predicted in source._predicted.values():
                predicted._cache = PlaneCache()
            times["cold"].append(await press(app, "right_curly_bracket"))
            await quiet(app)
            with app._context():
                await app.pop_screen()
        source = CropSlices(root, crop, catalog)
        with app._context():
            await app.push_screen(SliceScreen(source, Look(crop.grid, (2, 500, 500), kinds=kinds), "large"))
        await quiet(app)
        for _ in range(keys):
            times["ahead"].append(await press(app, "right_square_bracket"))
            await quiet(app)
    finally:
        app.exit()
        await running
    return times


def drawing_cost(root: Path, crop: Crop, kinds: tuple[str, ...]) -> Cost:
    """Return what a scrubbing picture takes of which nothing was read before, without the app."""
    source = CropSlices(root, crop, load_catalog(data_root=root))
    look = Look(crop.grid, (12, 500, 500), kinds=kinds)
    start, worked = time.perf_counter(), time.process_time()
    source.draw(look.spec(80, 80, coarse=True))
    return Cost(time.perf_counter() - start, time.process_time() - worked)


async def frame_cost(root: Path, crop: Crop, *, coarse: bool, color_system: str) -> tuple[float, float, int, int]:
    """Return CPU seconds of making cells and of sending them, bytes, and bytes after zlib, for one 80x40 frame."""
    source = CropSlices(root, crop, load_catalog(data_root=root))
    look = Look(crop.grid, (20, 500, 500))
    drawings = [source.draw(look.moved(0, step).spec(80, 80, coarse=coarse)) for step in range(6)]
    forget_colours()  # Rich keeps the escapes of a style, whatever the terminal
    strips_of(drawings[0].rgb, coarse=coarse)
    made, sent, sizes, packed = [], [], [], []
    for drawing in drawings[1:]:
        if not coarse:  # every full frame has colours that were never seen before
            forget_colours()
        start = time.process_time()
        strips = strips_of(drawing.rgb, coarse=coarse)
        made.append(time.process_time() - start)
        lines = lean_strips(strips)
        console = Console(color_system=color_system, force_terminal=True, file=io.StringIO())  # type: ignore[arg-type]
        start = time.process_time()
        text = "\n".join(line.render(console) for line in lines)
        sent.append(time.process_time() - start)
        sizes.append(len(text.encode()))
        packed.append(len(zlib.compress(text.encode(), 6)))
    return float(np.median(made)), float(np.median(sent)), int(np.median(sizes)), int(np.median(packed))


def forget_colours() -> None:
    """Begin as a process does that has drawn nothing."""
    _style.cache_clear()
    _codes.cache_clear()
    color_of.cache_clear()


def p(values: list[float], share: float) -> float:
    """Return a percentile in ms."""
    ordered = sorted(values)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def shares(values: list[float]) -> str:
    """Return the least, the median and what is seldom exceeded, in ms."""
    return f"min {p(values, 0):5.1f} p50 {p(values, 0.5):5.1f} p99 {p(values, 0.99):5.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=40, help="keys of each kind (default: 40)")
    parser.add_argument("--rounds", type=int, default=3, help="turns that the kinds take (default: 3)")
    parser.add_argument("--edge", type=int, default=1024, help="voxels of a section's edge (default: 1024)")
    asked = parser.parse_args()
    os.environ["COLORTERM"] = "truecolor"
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        crop = make_crop(root, asked.edge)
        every: dict[tuple[tuple[str, ...], str], list[Cost]] = {}
        for _ in range(asked.rounds):
            for kinds in (("gt",), ("gt", "predictions"), ("error",)):
                for name, costs in asyncio.run(measure(root, crop, asked.keys // asked.rounds, kinds)).items():
                    every.setdefault((kinds, name), []).extend(costs)
                every.setdefault((kinds, "draw"), []).extend(drawing_cost(root, crop, kinds) for _ in range(4))
        for (kinds, name), costs in every.items():
            wall, cpu = [cost.wall_s for cost in costs], [cost.cpu_s for cost in costs]
            verdict = "ok" if p(wall, 0.99) <= 1000 * LIMITS[name] else "MISSED"
            missed += [name] if verdict == "MISSED" else []
            what = f"{'+'.join(kinds):14} {name:5} of {len(costs):3}, ms:"
            print(f"{what} wall {shares(wall)} | CPU {shares(cpu)} | limit {1000 * LIMITS[name]:.0f}: {verdict}")
        for coarse in (True, False):
            for system in ("truecolor", "256"):
                made, sent, size, packed = asyncio.run(frame_cost(root, crop, coarse=coarse, color_system=system))
                name = "scrubbing" if coarse else "full"
                good = made + sent <= FRAME_CPU_S and size <= FRAME_BYTES
                verdict = "ok" if good else "MISSED"
                missed += [] if good else [name]
                cpu = f"cells {1000 * made:5.1f} ms + escapes {1000 * sent:5.1f} ms CPU"
                sizes = f"{size / 1000:6.1f} kB ({packed / 1000:.1f} kB as ssh -C sends it)"
                print(f"frame 80x40 {name:9} {system:9} {cpu}  {sizes}: {verdict}")
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
