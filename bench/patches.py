"""Patches from the crop bank against cellmap-data's loader, memory copies and a flat line of memory.

    python bench/patches.py [--peer DIR] [--seconds S] [--rounds N] [--data DIR] [--memory N]

Six crops of 150 to 240³ at 8 nm with eight classes are made first (`bench/bank.py` makes the same), or kept
in ``--data``. ``--peer DIR`` names the environment of the peer, ``cellmap-data`` with zarr 2, and makes it there
if there is none (about 1.5 GB with a torch for CPUs); without it the peer's lines are left out. Both sides are
processes with one thread each that take turns; a ratio is that of one round, and the middle one is shown. Before any
clock runs, samples of both are compared voxel by voxel.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bank import EDGES, make, sources_in
from patching.environment import make as make_environment

HERE = Path(__file__).resolve().parent
CLASSES = ("nuc", "er", "ld", "mito", "ves", "ecs", "mito_mem", "mito_lum")
OFFICIAL = {
    "mirror": {"axes": {"x": 0.5, "y": 0.5, "z": 0.1}},
    "transpose": {"axes": ["x", "y", "z"]},
    "rotate": {"axes": {"x": [-180, 180], "y": [-180, 180], "z": [-180, 180]}},
}
SLICE_SHARE = 0.35
FLAT_MB = 16.0
"""Memory that may come to a process between a tenth of the patches and all: noise of allocators."""
LINES = (
    # what, shape, classes, augmented, dense, target
    ("3D plain, EM + codes", (128, 128, 128), 4, False, False, 60),
    ("3D default augmentation, EM + codes", (128, 128, 128), 4, True, False, 20),
    ("3D plain, identical floats and NaN", (128, 128, 128), 4, False, True, 5),
    ("3D plain, EM + codes", (64, 64, 64), 4, False, False, 60),
    ("3D default augmentation, EM + codes", (64, 64, 64), 4, True, False, 20),
    ("3D plain, identical floats and NaN", (64, 64, 64), 4, False, True, 5),
    ("2D plain, identical floats and NaN", (1, 128, 128), 4, False, True, 40),
)


class Side:
    """A process that answers orders."""

    def __init__(self, python: Path, script: str) -> None:
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
            "TQDM_DISABLE": "1",
        }
        self._process = subprocess.Popen(
            [str(python), str(HERE / "patching" / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, do: str, **order: object) -> dict:
        """Give an order and return the answer."""
        self._process.stdin.write(json.dumps({"do": do, **order}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a side ended at {do!r}")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait()


def write_csv(path: Path, folder: Path) -> None:
    """Write the made crops as a datasplit."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        for source in sources_in(folder):
            store = source.em.parents[2]
            labels = source.labels.relative_to(store)
            em = source.em.relative_to(store)
            writer.writerow(["train", store, em, store, f"{labels}/[{','.join(CLASSES)}]"])


def case(folder: Path, shape: tuple[int, ...], classes: int, augmented: bool) -> dict:
    return {
        "csv": str(folder / "split.csv"),
        "cache": str(folder / "banks"),
        "shape": shape,
        "scale": (8, 8, 8),
        "classes": CLASSES[:classes],
        "spatial": OFFICIAL if augmented else None,
        "batch_size": 2,
    }


def show(words: str, value: str, is_met: bool | None) -> None:
    verdict = "" if is_met is None else ("ok" if is_met else "MISSED")
    print(f"{words:<64} {value:>34}  {verdict}", flush=True)


def compared(ours: Side, peer: Side, folder: Path) -> bool:
    """Tell whether samples of both sides are the same."""
    asked = case(folder, (64, 64, 64), 4, False)
    ours.ask("open", case=asked)
    peer.ask("open", case=asked)
    path = str(folder / "peer.npz")
    peer.ask("dump", numbers=(0.0, 0.31, 0.77), path=path)
    found = ours.ask("compare", path=path)
    is_equal = found["equal"] == found["of"]
    show("samples equal to the peer's, voxel by voxel", f"{found['equal']} of {found['of']}", is_equal)
    return is_equal


def against_peer(ours: Side, peer: Side, folder: Path, options: argparse.Namespace) -> bool:
    all_met = True
    for words, shape, classes, augmented, dense, target in LINES:
        asked = case(folder, shape, classes, augmented)
        ours.ask("open", case=asked)
        peer.ask("open", case=asked)
        rounds = [
            (
                ours.ask("run", seconds=options.seconds, dense=dense)["rate"],
                peer.ask("run", seconds=options.seconds)["rate"],
            )
            for _ in range(options.rounds)
        ]
        ratio = statistics.median(one / other for one, other in rounds)
        mine, theirs = (statistics.median(side) for side in zip(*rounds, strict=True))
        name = f"{words}, {'×'.join(map(str, shape))}"
        show(name, f"{mine:.0f} against {theirs:.2f}/s: {ratio:.0f}× (≥ {target}×)", ratio >= target)
        all_met = all_met and ratio >= target
    return all_met


def alone(ours: Side, folder: Path, options: argparse.Namespace) -> bool:
    ours.ask("open", case=case(folder, (128, 128, 128), 8, False))
    rates = ours.ask("slice", seconds=options.seconds)
    share = rates["cut"] / rates["copy"]
    show(
        "slicing 128³ of EM and codes, share of a plain copy",
        f"{rates['cut'] / 1e9:.1f} of {rates['copy'] / 1e9:.1f} GB/s: {share:.2f} (≥ {SLICE_SHARE})",
        share >= SLICE_SHARE,
    )
    ours.ask("open", case=case(folder, (32, 64, 64), 8, True))
    grown = ours.ask("memory", patches=options.memory)
    more = grown["late"] - grown["early"]
    show(
        f"memory over {options.memory} augmented patches of 32×64×64",
        f"{grown['early']:.0f} to {grown['late']:.0f} MB",
        more <= FLAT_MB,
    )
    return share >= SLICE_SHARE and more <= FLAT_MB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, metavar="DIR", help="environment of the peer; made if it is not there")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep the crops and banks there")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round and side (default: 3)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default: 3)")
    parser.add_argument("--memory", type=int, default=10_000, help="patches over which memory is watched")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-patches-")))
        folder.mkdir(parents=True, exist_ok=True)
        if not sources_in(folder):
            make(folder, EDGES)
        write_csv(folder / "split.csv", folder)
        ours = Side(Path(sys.executable), "side_ours.py")
        stack.callback(ours.close)
        all_met = alone(ours, folder, options)
        if options.peer is not None:
            peer = Side(make_environment(options.peer.absolute()), "side_peer.py")
            stack.callback(peer.close)
            all_met = compared(ours, peer, folder) and against_peer(ours, peer, folder, options) and all_met
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
