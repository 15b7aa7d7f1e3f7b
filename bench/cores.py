"""What cores are worth: perfect masks cut into objects by components, and grown back from their cores.

    python bench/cores.py [--data-root DIR] [--classes mito ves ...]

Truth is what the demo's annotators made (or the crops of another data root); both ways start from the same
flawless mask, so what is measured is only what touching costs. Scored with the scorer's own matching: F1 at an
IoU of 0.5, pooled over crops. Cores are taken at the labels' own voxel size, and through a bank of twice that.
The last lines pool the classes that touch in the demo, mito and ves.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellmap_tui.challenge.layout import crop_em_path, crop_path
from cellmap_tui.challenge.local import read_local_crops
from cellmap_tui.challenge.targets import Target, Targets
from cellmap_tui.errors import CellmapError
from cellmap_tui.learning.bank import BankRequest, CropSource, open_bank
from cellmap_tui.learning.codebook import PRESENT, decode
from cellmap_tui.learning.cores import core_ids, grow_back
from cellmap_tui.scoring.components import label_components
from cellmap_tui.scoring.instances import score_components
from cellmap_tui.scoring.profiles import DEFAULT_PROFILE
from cellmap_tui.services.demo import DemoRequest, demo
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes.arrays import open_level, read_inside
from cellmap_tui.volumes.geometry import whole
from cellmap_tui.volumes.ngff import open_volume
from cellmap_tui.volumes.read import read_region

CLASSES = ("mito", "ves", "ld", "lyso", "endo", "perox", "nuc")
TOUCHING = ("mito", "ves")
SEEDS = (1, 2, 5, 20)
WAYS = ("components", *(f"seeds ≥{least}" for least in SEEDS))


@dataclass
class Pooled:
    """Matched and all objects of several crops."""

    matched: int = 0
    true: int = 0
    predicted: int = 0

    def add(self, truth: np.ndarray, found: np.ndarray) -> None:
        """Score the objects of a crop."""
        labels, count = label_components(found)
        score = score_components(truth, labels, count, (8.0, 8.0, 8.0), DEFAULT_PROFILE)
        self.matched += score.pq_tp
        self.true += score.n_true
        self.predicted += score.n_predicted

    @property
    def f1(self) -> float:
        """Twice the matched pairs over all objects of both sides."""
        return 2 * self.matched / max(1, self.true + self.predicted)


def numbered(ids: np.ndarray) -> np.ndarray:
    """Return ids from 1 on, so that they fit uint32."""
    return np.unique(ids, return_inverse=True)[1].reshape(ids.shape).astype(np.uint32)


def at_own_size(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and cores of a class at its finest level."""
    level = open_volume(folder).finest
    ids = read_inside(level, open_level(level), whole(level.grid))
    return ids, core_ids(ids) > 0


def through_a_bank(folder: Path, source: CropSource, name: str, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and cores of a class as a bank of twice the voxel size has them."""
    volume = open_volume(folder)
    size = tuple(2 * s for s in volume.finest.grid.voxel_size_nm)
    targets = Targets((Target(name, (name,), "instance", core=True),))
    bank = open_bank(BankRequest((source,), targets, size, cache))
    crop = bank.crops[0]
    ids = read_region(volume, crop.grid, "label").array
    states = decode(crop.codes, bank.book, crop.first_code)
    return np.where(states[0] == PRESENT, ids, 0), states[1] == PRESENT


def add_crop(found: dict[str, Pooled], ids: np.ndarray, core: np.ndarray) -> None:
    """Add the objects of a crop, made in every way."""
    truth = numbered(ids)
    found["components"].add(truth, (truth > 0).astype(np.uint8))
    for least in SEEDS:
        found[f"seeds ≥{least}"].add(truth, grow_back(core, truth > 0, least))


def measured(root: Path, name: str, is_own: bool, cache: Path) -> dict[str, Pooled]:
    """Return what matches of a class over all crops, by way."""
    found = {way: Pooled() for way in WAYS}
    for crop in read_local_crops(root):
        labels = root / crop_path(crop)
        if not (labels / name).is_dir():
            continue
        source = CropSource(crop.ref, "train", root / crop_em_path(crop), labels)
        try:
            both = at_own_size(labels / name) if is_own else through_a_bank(labels / name, source, name, cache)
        except CellmapError as error:
            print(f"  {crop.ref}: {error}", file=sys.stderr)
            continue
        add_crop(found, *both)
    return found


def pooled(parts: list[dict[str, Pooled]]) -> dict[str, Pooled]:
    """Return several classes as one."""
    return {
        way: Pooled(*(sum(getattr(part[way], key) for part in parts) for key in ("matched", "true", "predicted")))
        for way in WAYS
    }


def measure(root: Path, names: list[str], cache: Path) -> None:
    """Print a line for each class and voxel size."""
    print(f"{'class':10} {'voxels':8} {'objects':>8}" + "".join(f"{way:>12}" for way in WAYS))
    touching: dict[str, list[dict[str, Pooled]]] = {"own": [], "twice": []}
    for name in names:
        for size in touching:
            found = measured(root, name, size == "own", cache)
            tell(name, size, found)
            if name in TOUCHING:
                touching[size].append(found)
    for size, parts in touching.items():
        if parts:
            tell("touching", size, pooled(parts))


def tell(name: str, size: str, found: dict[str, Pooled]) -> None:
    """Print a line."""
    figures = "".join(f"{found[way].f1:12.3f}" for way in WAYS)
    print(f"{name:10} {size:8} {found['components'].true:8}{figures}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="data with local crops (default: a demo is made)")
    parser.add_argument("--classes", nargs="+", default=list(CLASSES))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cores-bench-"))
    try:
        root = options.data_root
        if root is None:
            demo(DemoRequest(root=folder / "demo", make_only=True), SilentReporter())
            root = folder / "demo" / "data"
        measure(root, options.classes, folder / "bank")
        return 0
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
