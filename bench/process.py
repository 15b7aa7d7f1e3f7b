"""Post-processing of a large volume in a fresh process: memory, time, and objects as in one pass.

    python bench/process.py                 1000^3 voxels, more than 65,535 objects, components
    python bench/process.py --size 512 --method cores

The prediction is made slab by slab: balls on a jittered lattice, closer to each other than blocks are
wide, so that many cross the borders of blocks. With ``--check`` (below about 600^3) the labels are
compared with those of one pass in memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PITCH = 24
"""Voxels between the middles of balls."""
RADIUS = 9.0


def main() -> int:
    """Make a prediction, process it in a process of its own, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--method", choices=("components", "cores", "watershed"), default="components")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", type=int, default=1_000_000_000)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--root", type=Path, default=None)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        return inside(args)
    root = args.root or Path(tempfile.mkdtemp(prefix="process-bench-"))
    try:
        make(root, args.size)
        command = [sys.executable, __file__, "--inside", "--root", str(root), "--size", str(args.size)]
        command += ["--method", args.method, "--workers", str(args.workers), "--memory", str(args.memory)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        for name, value in found.items():
            print(f"{name:24} {value}")
        if args.check:
            print(f"{'same as in one pass':24} {check(root, args.method)}")
    finally:
        if args.root is None:
            shutil.rmtree(root, ignore_errors=True)
    return 0


def inside(args: argparse.Namespace) -> int:
    """Process, and say what it took."""
    from cellmap_tui.services.process import process
    from cellmap_tui.services.process_model import ProcessRequest
    from cellmap_tui.services.report import SilentReporter

    recipe = args.root / f"{args.method}.toml"
    recipe.write_text(
        f'[classes.ves]\nsteps = [{{ step = "threshold", above = 0.5 }}, {{ step = "{args.method}" }},'
        ' { step = "remove_small", min_voxels = 20 }]\n'
    )
    request = ProcessRequest(
        recipe=recipe,
        crops="bench/crop1",
        classes=("ves",),
        data_root=args.root,
        overwrite=True,
        workers=args.workers,
        memory_bytes=args.memory,
    )
    started = time.perf_counter()
    volume = process(request, SilentReporter()).volumes[0]
    elapsed = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = {
        "voxels": volume.voxels,
        "objects": volume.objects,
        "dtype": volume.dtype,
        "problem": volume.problem,
        "seconds": round(elapsed, 1),
        "million voxels/s": round(volume.voxels / elapsed / 1e6, 1),
        "peak memory MB": round(peak / 1024),
    }
    print(json.dumps(told))
    return 0


def make(root: Path, size: int) -> None:
    """Write a prediction of balls, and of their cores, as a crop of a dataset of its own."""
    import numpy as np

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.challenge.local import add_local_crops
    from cellmap_tui.volumes.write import MultiscaleWriter

    grid = Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), (size, size, size))
    add_local_crops(root, [Crop(1, "bench", "train", grid, ("ves",), source="import")])
    rng = np.random.default_rng(0)
    count = size // PITCH
    middles = (np.stack(np.meshgrid(*[np.arange(count)] * 3, indexing="ij"), -1) + 0.5) * PITCH
    middles = middles + rng.uniform(-3, 3, middles.shape)
    folder = root / "predictions" / "bench.zarr" / "crop1"
    for name, radius in (("ves", RADIUS), ("ves/core", RADIUS - 3)):
        if (folder / name).exists():
            continue
        with MultiscaleWriter(folder / name, grid, np.uint8, "em", levels=1) as writer:
            for z in range(0, size, 64):
                writer.write(z, slab(middles, z, min(64, size - z), size, radius))
            writer.finish()


def slab(middles: Any, z_start: int, depth: int, size: int, radius: float) -> Any:
    """Return planes of balls: 255 inside, falling off over two voxels."""
    import numpy as np

    planes = np.zeros((depth, size, size), np.uint8)
    reach = int(radius) + 2
    for middle in middles.reshape(-1, 3):
        low = np.maximum(np.floor(middle).astype(int) - reach, (z_start, 0, 0))
        high = np.minimum(np.floor(middle).astype(int) + reach + 2, (z_start + depth, size, size))
        if (low >= high).any():
            continue
        z, y, x = (
            np.arange(a, b).reshape([-1 if k == axis else 1 for k in range(3)])
            for axis, (a, b) in enumerate(zip(low, high, strict=True))
        )
        distance = np.sqrt((z - middle[0]) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2)
        values = (np.clip((radius + 1 - distance) / 2, 0, 1) * 255).astype(np.uint8)
        part = planes[low[0] - z_start : high[0] - z_start, low[1] : high[1], low[2] : high[2]]
        np.maximum(part, values, out=part)
    return planes


def check(root: Path, method: str) -> bool:
    """Compare the labels with those of one pass in memory."""
    import numpy as np

    from cellmap_tui.services.process_class import Inputs, carry_out
    from cellmap_tui.services.process_recipe import read_recipe
    from cellmap_tui.services.process_sources import open_prediction
    from cellmap_tui.volumes.blocks import Workspace
    from cellmap_tui.volumes.geometry import whole
    from cellmap_tui.volumes.voxel_steps import stepped

    folder = root / "predictions" / "bench.zarr" / "crop1"
    own, core = (open_prediction(folder / name, name) for name in ("ves", "ves/core"))
    probability, cores = (stepped(one.opened(), one.to_probability()) for one in (own, core))
    inputs = Inputs(own.level.grid, probability, lambda _: cores, lambda _: cores, lambda _: cores)
    carried = carry_out(read_recipe(root / f"{method}.toml").classes["ves"], inputs, Workspace())
    written = open_prediction(root / "processed" / "bench.zarr" / "crop1" / "ves", "ves").opened()
    box = whole(own.level.grid)
    return bool(np.array_equal(carried.volume.read(box), written.read(box)))


if __name__ == "__main__":
    sys.exit(main())
