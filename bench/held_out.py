"""Objects of a trained network on crops that it never saw: by its cores, and by connected components.

    python bench/held_out.py [--seconds S]           make two demos, train, predict, process, score
    python bench/held_out.py --run RUN --other DIR   score a network that is there

A small 2D network learns mito and ves with their cores on a demo, predicts crops of a demo of another seed, and
its predictions become objects: each connected component of the mask, or grown from the predicted cores, with seeds
of at least so many voxels. F1 at an IoU above 0.5, by the scorer's own matching, pooled over crops.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.challenge.layout import label_path
from cellmap_tui.challenge.local import read_local_crops
from cellmap_tui.scoring.components import label_components
from cellmap_tui.scoring.instances import score_components
from cellmap_tui.scoring.profiles import DEFAULT_PROFILE
from cellmap_tui.services.demo import DemoRequest, demo
from cellmap_tui.services.predict import PredictRequest, predict
from cellmap_tui.services.process import process
from cellmap_tui.services.process_model import ProcessRequest
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes.arrays import open_level, read_inside
from cellmap_tui.volumes.geometry import whole
from cellmap_tui.volumes.ngff import open_volume
from cellmap_tui.volumes.read import read_region

if TYPE_CHECKING:
    from cellmap_tui.challenge.crops import Crop

CLASSES = ("mito", "ves")
CROPS = (9001, 9002, 9004, 9006, 9013)
VALIDATED = 9004
SEEDS = (1, 2, 5, 10, 20)
BATCH = 16
TARGETS = "[targets]\n" + "".join(
    f'{name} = {{ classes = ["{name}"], kind = "instance", core = true }}\n' for name in CLASSES
)
STEP_S = 0.15
"""About what a step takes of a processor; the time is what is asked for, within a factor."""
CONFIG = """
targets_path = "targets.toml"
datasplit_path = "datasplit.csv"
model_name = "2d_unet"
model_kwargs = {{ features = 16 }}
input_array_info = {{ shape = [1, 64, 64], scale = [8, 8, 8] }}
batch_size = {batch}
learning_rate = 0.003
train_raw_value_transforms = []
spatial_transforms = {{ mirror = {{ axes = {{ z = 0.5, y = 0.5, x = 0.5 }} }}, transpose = {{ axes = ["y", "x"] }} }}
iterations_per_epoch = {steps}
epochs = 10
warmup_epochs = 1
ema_decay = 0.99
validation_time_limit = 5
device = "cpu"
workers = 1
precision = "{precision}"
"""


@dataclass
class Pooled:
    """Matched and all objects of several crops."""

    matched: int = 0
    true: int = 0
    predicted: int = 0

    def add(self, other: Pooled) -> None:
        """Take the objects of other crops in."""
        self.matched += other.matched
        self.true += other.true
        self.predicted += other.predicted

    @property
    def f1(self) -> float:
        """Twice the matched pairs over all objects of both sides."""
        return 2 * self.matched / max(1, self.true + self.predicted)


def made(folder: Path, seed: int, given: Path | None) -> Path:
    """Return the data root of a demo."""
    if given is not None:
        return given
    demo(DemoRequest(root=folder / f"demo-{seed}", seed=seed, make_only=True), SilentReporter())
    return folder / f"demo-{seed}" / "data"


def chosen(root: Path) -> list[Crop]:
    """Return the crops of a demo that have mito and ves at 8 nm or finer."""
    return [crop for crop in read_local_crops(root) if crop.id in CROPS]


def trained(folder: Path, root: Path, seconds: float) -> Path:
    """Train the network in a process of its own and return its run."""
    (folder / "targets.toml").write_text(TARGETS)
    with (folder / "datasplit.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        for crop in chosen(root):
            store, labels = f"{crop.dataset}/{crop.dataset}.zarr", label_path(crop, "").parent
            usage = "validate" if crop.id == VALIDATED else "train"
            inside = Path(str(labels)).relative_to(store) / crop.name
            em = "recon-1/em/fibsem-uint8"
            writer.writerow([usage, root / store, em, root / store, f"{inside}/[{','.join(CLASSES)}]"])
    has_bf16 = "amx_bf16" in Path("/proc/cpuinfo").read_text(errors="replace")
    steps = max(20, int(seconds / STEP_S / 10))
    (folder / "train.toml").write_text(
        CONFIG.format(batch=BATCH, steps=steps, precision="bf16" if has_bf16 else "fp32")
    )
    command = [sys.executable, "-m", "cellmap_tui", "--batch", "train", "train.toml", "--name", "cores"]
    own = {**os.environ, "OMP_NUM_THREADS": "1"}
    options = ["--data-root", str(root), "--runs-root", str(folder / "runs")]
    with (folder / "train.log").open("w") as log:
        subprocess.run([*command, *options], check=True, cwd=folder, env=own, stdout=log, stderr=log)
    return next((folder / "runs").glob("*/model.json")).parent


def ways() -> dict[str, str]:
    """Return recipes by their names."""
    apart = {"components": '{ step = "components" }'}
    apart |= {f"cores ≥{least}": f'{{ step = "cores", min_seed_voxels = {least} }}' for least in SEEDS}
    head = '[default.instance]\nsteps = [{ step = "threshold", above = 0.5 }, '
    return {name: f"{head}{step}]\n" for name, step in apart.items()}


def numbered(ids: np.ndarray) -> np.ndarray:
    """Return ids from 1 on, so that they fit uint32."""
    return np.unique(ids, return_inverse=True)[1].reshape(ids.shape).astype(np.uint32)


def scored(root: Path, crop: Crop, name: str, labels: Path) -> Pooled:
    """Return how the objects of a class in a crop match the true ones, on the voxels of the truth."""
    level = open_volume(root / label_path(crop, name)).finest
    truth = numbered(read_inside(level, open_level(level), whole(level.grid)))
    found = read_region(open_volume(labels), level.grid, "label").array
    parts, count = label_components(numbered(found))
    score = score_components(truth, parts, count, level.grid.voxel_size_nm, DEFAULT_PROFILE)
    return Pooled(score.pq_tp, score.n_true, score.n_predicted)


def measure(root: Path, run: Path, folder: Path) -> dict[str, dict[str, Pooled]]:
    """Predict, process in every way, and return what matches by way and class."""
    crops = chosen(root)
    asked = ",".join(crop.ref for crop in crops)
    output = str(folder / "predictions")
    state = folder / "state"
    predict(
        PredictRequest(
            (str(run),), data_root=root, crops=asked, classes=CLASSES, output=output, device="cpu", state_dir=state
        ),
        SilentReporter(),
    )
    found: dict[str, dict[str, Pooled]] = {}
    for name, text in ways().items():
        recipe, labels = folder / "recipe.toml", folder / "labels" / name.replace(" ≥", "-")
        recipe.write_text(text)
        process(
            ProcessRequest(recipe, asked, CLASSES, output, str(labels), data_root=root, state_dir=state, workers=1),
            SilentReporter(),
        )
        found[name] = {label: Pooled() for label in CLASSES}
        for crop in crops:
            for label in CLASSES:
                place = labels / f"{crop.dataset}.zarr" / crop.name / label
                found[name][label].add(scored(root, crop, label, place))
    return found


def told(found: dict[str, dict[str, Pooled]]) -> bool:
    """Print a line for each way; return whether cores are better than components."""
    pooled: dict[str, float] = {}
    print(
        f"{'objects by':12}" + "".join(f"{name + ' F1':>10}{'objects':>9}" for name in CLASSES) + f"{'both F1':>10}"
    )
    for name, by_class in found.items():
        both = Pooled()
        for one in by_class.values():
            both.add(one)
        pooled[name] = both.f1
        print(
            f"{name:12}"
            + "".join(f"{one.f1:10.3f}{one.predicted:9}" for one in by_class.values())
            + f"{both.f1:10.3f}"
        )
    true = {label: one.true for label, one in found["components"].items()}
    print(f"{'truth':12}" + "".join(f"{'':10}{count:9}" for count in true.values()))
    best = max((name for name in pooled if name != "components"), key=pooled.__getitem__)
    print(
        f"held out: components {pooled['components']:.3f}, {best} {pooled[best]:.3f}, "
        f"ratio {pooled[best] / max(1e-9, pooled['components']):.2f}"
    )
    return pooled[best] > pooled["components"]


def main() -> int:
    """Train where no run is given, and score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="data root of a demo to learn from")
    parser.add_argument("--other", type=Path, help="data root of a demo of another seed")
    parser.add_argument("--run", type=Path, help="a run that has learned already")
    parser.add_argument("--seconds", type=float, default=400.0, help="about how much processor time to learn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="held-out-bench-") as name:
        folder = Path(name)
        run = options.run or trained(folder, made(folder, 0, options.data), options.seconds)
        return 0 if told(measure(made(folder, 1, options.other), run.absolute(), folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
