"""Prediction: complete, exact, fast and small.

    python bench/predict.py [--edge N] [--skip-large] [--keep DIR]

Coverage is looked at for the geometry of every test crop, without voxels: weights add up to 1 along each axis and
parts tile the volume. The speed of the whole way (EM on disk, tiles, sums, chunks on disk) is compared with that of
the network alone on data in memory, in turns. The largest memory is that of a fresh process that predicts a cube of
``--edge`` voxels with a small network, less that of one that has loaded the same network and predicted a tile.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cellmap_tui.challenge.catalog import load_catalog
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.learning.bank_em import open_em
from cellmap_tui.learning.ensemble import Member, Tiling, covering_grid, predictor_of
from cellmap_tui.learning.model_card import InputScale, ModelCard, OwnModel, write_card
from cellmap_tui.learning.part_plan import part_tiles, plan_parts
from cellmap_tui.learning.predictor import Predictor
from cellmap_tui.learning.stream_predict import Source, stream_part
from cellmap_tui.volumes.block_volume import BlockVolume
from cellmap_tui.volumes.write import MultiscaleWriter, write_multiscale

CHUNKS = (64, 64, 64)
BUDGET = 700_000_000
OWN = "import torch\ntorch.manual_seed(0)\nmodel = torch.nn.Conv3d(1, 1, 3, padding=1)\n"
CHILD = """
import resource, sys, torch
torch.set_num_threads(1)
from cellmap_tui.services.predict import PredictRequest, predict
from cellmap_tui.services.report import SilentReporter
em, run, out, box = sys.argv[1:5]
corner = ((0.0,) * 3, (float(box),) * 3) if float(box) else None
result = predict(PredictRequest((run,), em=em, box_nm=corner, output=out, device="cpu", trust=True), SilentReporter())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, result.tiles, result.seconds, result.crops[0].parts)
"""


def card(patch: int, path: Path | None = None) -> ModelCard:
    shape, size = (patch,) * 3, (8.0,) * 3
    own = None
    if path is not None:
        from cellmap_tui.learning.config_python import python_facts

        own = OwnModel(str(path), python_facts(path).sha256, "model")
    return ModelCard(
        architecture="basicunet" if own is None else "custom", columns=("mito",), dimensions=3, shape=shape,
        voxel_size_nm=size, input_scales=(InputScale("raw", shape, size),), model_name="bench", own_model=own,
    )  # fmt: skip


def coverage() -> None:
    """Look at every test crop at 8 nm or its own voxel size."""
    own = card(128)
    predictor = Predictor(nn.Identity(), own)
    crops = [crop for crop in load_catalog().crops if crop.split == "test"]
    worst, tiles = 0.0, 0
    for crop in crops:
        grid = covering_grid(crop.grid, own.voxel_size_nm)
        for plan in predictor.plans(grid.shape):
            for count, starts, weights in zip(grid.shape, plan.starts, plan.weights, strict=True):
                total = np.zeros(count)
                for start, line in zip(starts, weights, strict=True):
                    low, high = max(start, 0), min(start + len(line), count)
                    total[low:high] += line[low - start : high - start]
                worst = max(worst, float(np.abs(total - 1).max()))
        target = covering_grid(crop.grid, tuple(max(8.0, size) for size in crop.grid.voxel_size_nm))
        parts = plan_parts([(predictor, grid)], target, 1, CHUNKS, BUDGET)
        assert sum(part.voxels for part in parts) == target.voxels
        tiles += part_tiles([(predictor, grid)], target, parts)
    print(f"coverage: {len(crops)} test crops, {tiles} tiles of 128³; weights add up to 1 within {worst:.1e}")


def oracle() -> None:
    """Compare with MONAI's sliding window, and tiles with the whole volume for a network without padding effects."""
    from monai.inferers import sliding_window_inference

    torch.manual_seed(0)
    grey = np.random.default_rng(0).integers(0, 256, (70, 81, 92)).astype(np.uint8)
    network = nn.Conv3d(1, 1, 1)
    own = card(32)
    whole = torch.sigmoid(network(torch.from_numpy(grey)[None, None] / 255)).detach().numpy()[0]
    tiled = Predictor(network, own).predict_array(grey)
    print(f"tiled and whole: {np.abs(whole - tiled).max():.1e} apart at most (target 1e-4)")
    deep = nn.Sequential(nn.Conv3d(1, 4, 5, padding=2), nn.ReLU(), nn.Conv3d(4, 1, 5, padding=2))
    values = torch.from_numpy(grey)[None, None] / 255
    with torch.no_grad():
        found = sliding_window_inference(
            values, (32,) * 3, 4, lambda x: torch.sigmoid(deep(x)), overlap=0.25, mode="constant"
        )
    ours = Predictor(deep, own, blending="constant").predict_array(grey)
    print(f"MONAI's sliding window and ours: {np.abs(found.numpy()[0] - ours).max():.1e} apart at most")


def throughput(folder: Path) -> None:
    """Compare the whole way with the network alone, in turns."""
    torch.manual_seed(0)
    edge = 224
    grid = Grid((8.0,) * 3, (4.0,) * 3, (edge,) * 3)
    grey = np.random.default_rng(0).integers(0, 256, grid.shape).astype(np.uint8)
    write_multiscale(folder / "em", grey, grid, chunks=CHUNKS, levels=1)
    network = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv3d(8, 8, 3, padding=1), nn.ReLU(),
                            nn.Conv3d(8, 1, 3, padding=1)).eval()  # fmt: skip
    own = card(64)
    tile = torch.rand(1, 1, 64, 64, 64)
    ratios = []
    for number in range(3):
        predictor = predictor_of(
            Member("a", own, (("mito", 1.0),)), own, network, torch.device("cpu"), 1, Tiling(), (0,) * 3
        )
        tiles = predictor.tiles(grid.shape)
        begun = time.perf_counter()
        with torch.no_grad():
            for _ in range(tiles):
                torch.sigmoid(network(tile))
        alone = time.perf_counter() - begun
        volume = BlockVolume(folder / f"out{number}", grid, "uint8")
        source = Source(Member("a", own, (("mito", 1.0),)), predictor, open_em(folder / "em", grid), grid)
        parts = plan_parts([(predictor, grid)], grid, 1, CHUNKS, BUDGET)
        begun = time.perf_counter()
        for part in parts:
            with ExitStack() as closing:
                for box, values in stream_part([source], ("mito",), grid, part, 64, closing):
                    volume.write(box, values.mul(255).round_().to(torch.uint8)[0].numpy())
        ratios.append(alone / (time.perf_counter() - begun))
    middle = statistics.median(ratios)
    print(f"whole way against the network alone, {tiles} tiles of 64³: {middle:.2f} of its speed (target 0.9)")


def memory(folder: Path, edge: int) -> None:
    """Predict a large cube in a fresh process."""
    grid = Grid((8.0,) * 3, (4.0,) * 3, (edge,) * 3)
    block = np.random.default_rng(0).integers(0, 256, (64, edge, edge)).astype(np.uint8) // 32 * 32
    em = folder / "large.zarr" / "em"
    with MultiscaleWriter(em, grid, "uint8", levels=1) as writer:
        for start in range(0, edge, 64):
            writer.write(start, block[: min(64, edge - start)])
        writer.finish()
    own = folder / "own.py"
    own.write_text(OWN)
    run = folder / "run"
    run.mkdir()
    write_card(run / "model.json", card(128, own))
    torch.save(nn.Conv3d(1, 1, 3, padding=1).state_dict(), run / "bench_1.pth")
    peaks = []
    for box in (8 * 100, 0):
        words = [str(em), str(run), str(folder / f"out{box}"), str(box)]
        done = subprocess.run([sys.executable, "-c", CHILD, *words], check=True, capture_output=True, text=True)
        peak, tiles, seconds, parts = (float(word) for word in done.stdout.split())
        peaks.append(peak / 2**20)
    print(
        f"{edge}³ in {parts:.0f} parts, {tiles:.0f} tiles, {seconds:.0f} s: {peaks[1]:.2f} GB at most, "
        f"{peaks[1] - peaks[0]:.2f} GB more than for 100³ (target 1.5)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=int, default=1000)
    parser.add_argument("--skip-large", action="store_true")
    parser.add_argument("--keep", type=Path, help="folder for the data, kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    coverage()
    oracle()
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        throughput(folder)
        if not args.skip_large:
            memory(folder, args.edge)


if __name__ == "__main__":
    main()
