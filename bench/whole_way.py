"""From EM to labelled objects in one fresh process: predict and process a large cube, and what memory that takes.

    python bench/whole_way.py              1000^3 voxels, about 358,000 objects
    python bench/whole_way.py --edge 300

The EM is of balls on a jittered lattice, the network a fixed one that answers 1 inside and 0 outside, so
that the number of objects is known. The memory beyond the network's own is that of the process less that of one
that has predicted a cube of 100 voxels with the same network.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import em_path
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.learning.config_python import python_facts
from cellmap_tui.learning.model_card import InputScale, ModelCard, OwnModel, write_card
from cellmap_tui.volumes.blocks import block_for
from cellmap_tui.volumes.write import MultiscaleWriter

PITCH, RADIUS, JITTER = 14, 4.5, 1
OWN = "import torch\nmodel = torch.nn.Conv3d(1, 1, 1)\n"
MEMORY_BYTES = 500_000_000
CHILD = """
import json, resource, sys, time, torch
torch.set_num_threads(1)
from pathlib import Path
from cellmap_tui.services.predict import PredictRequest, predict
from cellmap_tui.services.process import process
from cellmap_tui.services.process_model import ProcessRequest
from cellmap_tui.services.report import SilentReporter

root, run, crop, memory = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

request = PredictRequest((run,), data_root=root, crops=crop, device="cpu", memory_bytes=memory, trust=True)
predicted = predict(request, SilentReporter())
after_predict = peak()
started = time.perf_counter()
recipe = root / "components.toml"
processed = process(
    ProcessRequest(recipe=recipe, crops=crop, data_root=root, workers=2, memory_bytes=memory), SilentReporter()
)
volume = processed.volumes[0]
print(json.dumps({"predict_s": predicted.seconds, "tiles": predicted.tiles, "predict_peak": after_predict,
                  "process_s": time.perf_counter() - started, "peak": peak(), "objects": volume.objects,
                  "dtype": volume.dtype, "problem": volume.problem}))
"""


def main() -> int:
    """Make the data, run both cubes, print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edge", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "components.toml").write_text(
            '[classes.ves]\nsteps = [{ step = "threshold", above = 0.5 }, { step = "components" }]\n'
        )
        run = write_run(root / "run")
        small, large = (measured(root / str(edge), run, root, edge) for edge in (100, args.edge))
    expected = (args.edge // PITCH) ** 3
    print(
        f"{args.edge}³: predicted in {large['predict_s']:.0f} s ({large['tiles']} tiles), processed in "
        f"{large['process_s']:.0f} s; {large['objects']} objects of {expected} ({large['dtype']}), "
        f"{large['crossing']} of them cross borders of blocks of {large['block']}³; memory beyond 100³: "
        f"{(large['predict_peak'] - small['peak']) / 1e9:.2f} GB after predict, "
        f"{(large['peak'] - small['peak']) / 1e9:.2f} GB after both (target 1.5)"
    )
    return 0 if large["objects"] == expected and not large["problem"] else 1


def write_run(run: Path) -> Path:
    """Write a network that answers whether a voxel is bright."""
    run.mkdir()
    own = run / "own.py"
    own.write_text(OWN)
    shape, size = (128, 128, 128), (8.0, 8.0, 8.0)
    write_card(
        run / "model.json",
        ModelCard(
            architecture="custom", columns=("ves",), dimensions=3, shape=shape, voxel_size_nm=size,
            input_scales=(InputScale("raw", shape, size),), model_name="bright",
            own_model=OwnModel(str(own), python_facts(own).sha256, "model"),
        ),
    )  # fmt: skip
    network = nn.Conv3d(1, 1, 1)
    with torch.no_grad():
        network.weight.fill_(40.0)
        network.bias.fill_(-20.0)  # type: ignore[union-attr]
    torch.save(network.state_dict(), run / "bright_1.pth")
    return run


def measured(root: Path, run: Path, recipes: Path, edge: int) -> dict[str, object]:
    """Predict and process a cube in a process of its own."""
    root.mkdir()
    middles = make(root, edge)
    (root / "components.toml").write_text((recipes / "components.toml").read_text())
    words = [str(root), str(run), "bench/crop1", str(MEMORY_BYTES)]
    done = subprocess.run([sys.executable, "-c", CHILD, *words], check=True, capture_output=True, text=True)
    block = block_for(MEMORY_BYTES, 2)
    first, last = np.floor((middles - RADIUS) / block), np.floor((middles + RADIUS) / block)
    crossing = int((first != last).any(axis=1).sum())
    return {**json.loads(done.stdout), "crossing": crossing, "block": block}


def make(root: Path, edge: int) -> np.ndarray:
    """Write the EM of a crop that is a cube of balls, and return the middles of the balls in voxels."""
    grid = Grid((8.0,) * 3, (4.0,) * 3, (edge,) * 3)
    add_local_crops(root, [Crop(1, "bench", "train", grid, ("ves",), source="import")])
    count = edge // PITCH
    rng = np.random.default_rng(0)
    cells = np.stack(np.meshgrid(*[np.arange(count)] * 3, indexing="ij"), -1).reshape(-1, 3)
    middles = cells * PITCH + PITCH // 2 + rng.integers(-JITTER, JITTER + 1, cells.shape)
    reach = int(RADIUS) + 1
    offsets = np.indices((2 * reach + 1,) * 3) - reach
    ball = np.sqrt((offsets**2).sum(axis=0)) <= RADIUS
    with MultiscaleWriter(root / em_path("bench"), grid, "uint8", levels=1) as writer:
        for layer in range(0, edge, PITCH):
            depth = min(PITCH, edge - layer)
            slab = np.full((PITCH, edge, edge), 40, np.uint8)
            for z, y, x in middles[cells[:, 0] == layer // PITCH]:
                part = slab[z - layer - reach :, y - reach : y + reach + 1, x - reach : x + reach + 1]
                part[: 2 * reach + 1][ball] = 230
            writer.write(layer, slab[:depth])
        writer.finish()
    return middles


if __name__ == "__main__":
    sys.exit(main())
