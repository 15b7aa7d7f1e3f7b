"""Scoring against the plain way, its memory, two workers against one, and a full-size semantic pair.

    python bench/scoring.py [--samples 4] [--size 1000] [--only instances,memory,workers,semantic]

The plain way is the official method: for every truth object a Euclidean distance transform (SciPy) of either
side, on the box of both padded by half of the crop and cut to it. It is run on every so many-th object
and extrapolated to all; its components and matching are not counted. Both sides work on the same arrays in this
process, times are CPU seconds, and the distances are compared before anything is timed; a small crop is
scored whole by both ways too. Memory is `ru_maxrss` of a fresh process less the arrays it was given, the
interpreter and its libraries included. Limits: 500 times less CPU time, 12 bytes a voxel for instances and 3 for
semantic classes, 1.8 times faster with two workers, and a semantic pair in 4 times one pass over both arrays.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import zarr
from scipy import ndimage

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.scoring.components import label_components
from cellmap_tui.scoring.instances import score_components, score_instance
from cellmap_tui.scoring.matching import match_by_cost
from cellmap_tui.scoring.overlaps import boxes, count_overlaps
from cellmap_tui.scoring.pairs import PairRequest, score_pair
from cellmap_tui.scoring.profiles import DEFAULT_PROFILE
from cellmap_tui.scoring.semantic import score_semantic
from cellmap_tui.scoring.submission import VolumeRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.scoring.overlaps import Box
    from cellmap_tui.volumes.arrays import Voxels

VOXEL_SIZE_NM = (8.0, 8.0, 8.0)
PARTS = ("instances", "memory", "workers", "semantic")
LIMIT_RATIO = 500.0
LIMIT_WORKERS = 1.8
LIMIT_BYTES = {"instance": 12.0, "semantic": 3.0}
LIMIT_PASSES = 4.0


@dataclass(frozen=True)
class Scene:
    """A crop with objects and a prediction that moved them."""

    name: str
    length: int
    objects: int
    radii: tuple[int, int]
    seed: int = 1

    def draw(self) -> tuple[Voxels, Voxels]:
        """Return truth and prediction: ellipsoids, and the same ones moved by up to two voxels."""
        rng = np.random.default_rng(self.seed)
        truth = np.zeros((self.length,) * 3, np.uint16)
        prediction = np.zeros_like(truth)
        placed = 0
        while placed < self.objects:
            radii = rng.integers(self.radii[0], self.radii[1] + 1, 3)
            centre = rng.integers(0, self.length, 3)
            where, inside = _ellipsoid(truth.shape, centre, radii)
            if (truth[where][inside] > 0).any():
                continue
            placed += 1
            truth[where][inside] = placed
            where, inside = _ellipsoid(truth.shape, centre + rng.integers(-2, 3, 3), radii)
            prediction[where][inside] = placed
        return truth, prediction


SCENES = (Scene("mitochondria", 400, 300, (10, 40)), Scene("vesicles", 200, 3000, (3, 6)))


def _ellipsoid(shape: tuple[int, ...], centre: Voxels, radii: Voxels) -> tuple[Box, Voxels]:
    low = np.clip(centre - radii, 0, shape)
    high = np.clip(centre + radii + 1, 0, shape)
    where = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    axes = np.ogrid[where]
    inside = sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radii, strict=True)) <= 1
    return where, np.asarray(inside)


# --- the plain way -----------------------------------------------------------------------------------------


def plain_distance(truth: Voxels, renamed: Voxels, number: int, box: Box, other: Box) -> float:
    """Return the capped Hausdorff distance of one object by distance transforms of the padded box."""
    cap = min(size * length / 2 for size, length in zip(VOXEL_SIZE_NM, truth.shape, strict=True))
    around = []
    for axis, size in enumerate(VOXEL_SIZE_NM):
        pad = math.ceil(cap / size) + 2
        low, high = min(box[axis].start, other[axis].start), max(box[axis].stop, other[axis].stop)
        around.append(slice(max(0, low - pad), min(truth.shape[axis], high + pad)))
    here = truth[tuple(around)] == number
    there = renamed[tuple(around)] == number
    to_there = ndimage.distance_transform_edt(~there, sampling=VOXEL_SIZE_NM)
    to_here = ndimage.distance_transform_edt(~here, sampling=VOXEL_SIZE_NM)
    return min(cap, max(float(to_there[here].max()), float(to_here[there].max())))


@dataclass(frozen=True)
class Matched:
    """What both ways start from: the prediction's components carry the ids of their truth objects."""

    truth: Voxels
    renamed: Voxels
    ids: tuple[int, ...]
    truth_boxes: list[Box | None]
    renamed_boxes: list[Box | None]

    def distance(self, number: int) -> float:
        """Return the plain way's distance of one object."""
        box, other = self.truth_boxes[number - 1], self.renamed_boxes[number - 1]
        assert box is not None
        assert other is not None
        return plain_distance(self.truth, self.renamed, number, box, other)


def matched(truth: Voxels, prediction: Voxels) -> Matched:
    """Return the objects that have a partner, and nothing else."""
    labels, count = label_components(prediction)
    rows, columns = match_by_cost(count_overlaps(truth, labels, count))
    table = np.zeros(count + 1, np.uint16)
    table[columns] = rows
    renamed = table[labels]
    return Matched(truth, renamed, tuple(rows.tolist()), boxes(truth), boxes(renamed))


def check_small() -> None:
    """Score a small crop whole by both ways; SystemExit if they differ."""
    truth, prediction = Scene("small", 80, 25, (4, 10)).draw()
    both = matched(truth, prediction)
    ours = score_instance(truth, both.renamed, VOXEL_SIZE_NM, DEFAULT_PROFILE)
    cap = min(size * length / 2 for size, length in zip(VOXEL_SIZE_NM, truth.shape, strict=True))
    distances = [both.distance(number) if number in both.ids else cap for number in range(1, 26)]
    worth = 1.01 ** (-np.float32(distances).astype(np.float64) / np.linalg.norm(VOXEL_SIZE_NM))
    if ours.fp or not math.isclose(ours.hausdorff_norm_sum, float(worth.sum()), rel_tol=1e-9):
        raise SystemExit(f"the small crop differs: {ours.hausdorff_norm_sum} and {worth.sum()}")


def check_sampled(scene: Scene, both: Matched, prediction: Voxels, sampled: list[int], plain: list[float]) -> None:
    """Compare our distances with the plain way's; SystemExit if they differ."""
    labels, count = label_components(prediction)
    score = score_components(both.truth, labels, count, VOXEL_SIZE_NM, DEFAULT_PROFILE, ids=prediction)
    ours = {row.truth_id: row.distance_nm for row in score.objects}
    for number, expected in zip(sampled, plain, strict=True):
        found = ours[number]
        if found is None or not math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9):
            raise SystemExit(f"{scene.name}: object {number} differs: {found} and {expected} nm")


def instances(samples: int) -> bool:
    """Compare CPU times on both scenes; return whether the limit is kept."""
    check_small()
    kept = True
    for scene in SCENES:
        truth, prediction = scene.draw()
        both = matched(truth, prediction)
        sampled = list(both.ids[:: max(1, len(both.ids) // samples)])[:samples]
        plain = [both.distance(number) for number in sampled]
        check_sampled(scene, both, prediction, sampled, plain)
        # Timed after the check, so that both sides find the same caches and loaded libraries.
        each = _cpu_s(lambda both=both, sampled=sampled: [both.distance(number) for number in sampled]) / len(sampled)
        ours = min(
            _cpu_s(lambda t=truth, p=prediction: score_instance(t, p, VOXEL_SIZE_NM, DEFAULT_PROFILE))
            for _ in range(3)
        )
        whole = each * len(both.ids)
        ratio = whole / ours
        kept &= ratio >= LIMIT_RATIO
        print(
            f"{scene.name}, {scene.length}³, {scene.objects} objects ({len(both.ids)} matched): ours {ours:.2f} s, "
            f"plain way {whole:.0f} s (extrapolated from {len(sampled)} objects, {each:.2f} s each), "
            f"ratio {ratio:.0f} (limit {LIMIT_RATIO:.0f}); distances equal",
            flush=True,
        )
    return kept


# --- memory ------------------------------------------------------------------------------------------------


def memory(size: int) -> bool:
    """Measure the peak of fresh processes; return whether the limits are kept."""
    kept = True
    for kind, length in (("instance", SCENES[0].length), ("semantic", size)):
        command = [sys.executable, __file__, "--peak", kind, "--size", str(length)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        kept &= found["over"] <= LIMIT_BYTES[kind]
        print(
            f"memory, {kind} pair of {length}³: {found['over']:.1f} bytes a voxel over the inputs, libraries "
            f"included (limit {LIMIT_BYTES[kind]:.0f}); {found['work']:.1f} without them",
            flush=True,
        )
    return kept


def peak(kind: str, length: int) -> None:
    """Score a pair in this process and print its peak memory; in a process of its own, made for it."""
    libraries = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.npz"
        subprocess.run([sys.executable, __file__, "--draw", kind, "--size", str(length), "--to", inputs], check=True)
        with np.load(inputs) as arrays:
            truth, prediction = arrays["truth"], arrays["prediction"]
    if kind == "instance":
        score_instance(truth, prediction, VOXEL_SIZE_NM, DEFAULT_PROFILE)
    else:
        score_semantic(truth, prediction)
    over = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - truth.nbytes - prediction.nbytes
    print(json.dumps({"over": over / truth.size, "work": (over - libraries) / truth.size}))


def draw(kind: str, length: int, file: Path) -> None:
    """Write the inputs of `peak`."""
    truth, prediction = SCENES[0].draw() if kind == "instance" else masks(length)
    np.savez(file, truth=truth, prediction=prediction)


# --- two workers -------------------------------------------------------------------------------------------


def workers() -> bool:
    """Score the same pairs on one and on two processes; return whether the limit is kept."""
    with tempfile.TemporaryDirectory() as folder:
        requests = [
            _stored(Path(folder), scene) for scene in (Scene("", 200, 1000, (3, 6), seed) for seed in range(12))
        ]
        took: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        for _ in range(4):  # in turns, so that other work on the machine falls on both
            for count, found in took.items():
                found.append(_pool_s(count, requests))
    (one, one_cpu), (two, two_cpu) = min(took[1]), min(took[2])
    print(
        f"{len(requests)} instance pairs of 200³: one worker {one:.2f} s ({one_cpu:.2f} s CPU), two {two:.2f} s "
        f"({two_cpu:.2f} s CPU together), ratio {one / two:.2f} (limit {LIMIT_WORKERS})",
        flush=True,
    )
    return one / two >= LIMIT_WORKERS


def _pool_s(count: int, requests: list[PairRequest]) -> tuple[float, float]:
    """Return wall and CPU seconds of the workers, their start left out."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        list(pool.map(score_pair, requests[:1] * 4 * count))  # libraries loaded before the clock starts
        start = time.perf_counter()
        cpu_s = sum(pool.map(_scored_cpu_s, requests))
        return time.perf_counter() - start, cpu_s


def _scored_cpu_s(request: PairRequest) -> float:
    return _cpu_s(lambda: score_pair(request))


def _stored(folder: Path, scene: Scene) -> PairRequest:
    truth, prediction = scene.draw()
    refs = []
    for name, array in (("truth", truth), ("prediction", prediction)):
        refs.append(_write(folder / f"{name}{scene.seed}", array, 64, compressed=True))
    grid = Grid(VOXEL_SIZE_NM, (0.0, 0.0, 0.0), (scene.length,) * 3)
    return PairRequest(f"crop{scene.seed}", "ves", "instance", refs[0], refs[1], grid)


def _write(path: Path, array: Voxels, chunk: int, *, compressed: bool) -> VolumeRef:
    found = zarr.create_array(
        path,
        shape=array.shape,
        dtype=array.dtype,
        chunks=(chunk,) * 3,
        zarr_format=2,
        compressors="auto" if compressed else None,
        attributes={"voxel_size": VOXEL_SIZE_NM, "translation": (0.0, 0.0, 0.0)},
    )
    found[:] = array
    return VolumeRef(str(path), "")


# --- a full-size semantic pair -----------------------------------------------------------------------------


def masks(length: int) -> tuple[Voxels, Voxels]:
    """Return truth and prediction of a semantic class: layers that are a little apart."""
    z, y, x = np.ogrid[:length, :length, :length]
    truth = ((z // 7 + y // 11 + x // 13) % 3 == 0).view(np.uint8)
    return truth, np.roll(truth, 1, axis=2)


def semantic(size: int) -> bool:
    """Score a semantic pair from memory and from disk; return whether the limit is kept."""
    truth, prediction = masks(size)
    one_pass = _best_s(lambda: (np.count_nonzero(truth), np.count_nonzero(prediction)))
    expected, predicted = int(np.count_nonzero(truth)), int(np.count_nonzero(prediction))
    shared = int(np.count_nonzero(truth & prediction))
    in_memory = _best_s(lambda: score_semantic(truth, prediction))
    with tempfile.TemporaryDirectory() as folder:
        refs = [
            _write(Path(folder) / name, array, 128, compressed=False)
            for name, array in (("truth", truth), ("prediction", prediction))
        ]
        grid = Grid(VOXEL_SIZE_NM, (0.0, 0.0, 0.0), (size,) * 3)
        request = PairRequest("crop1", "er", "semantic", refs[0], refs[1], grid)
        score = score_pair(request)
        if (score.tp, score.fp, score.fn) != (shared, predicted - shared, expected - shared):
            raise SystemExit(f"the semantic counts differ: {score}")
        stored = _best_s(lambda: score_pair(request))
    print(
        f"semantic pair of {size}³ uint8: one pass over both arrays {one_pass:.2f} s, scored from memory "
        f"{in_memory / one_pass:.1f} times that, read from uncompressed chunks of 128³ and scored "
        f"{stored / one_pass:.1f} times (limit {LIMIT_PASSES:.0f}); counts equal",
        flush=True,
    )
    return stored / one_pass <= LIMIT_PASSES


def _cpu_s(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _best_s(work: Callable[[], object]) -> float:
    took = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return min(took)


def main() -> None:
    """Run the parts that are asked for; exit 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=4, help="objects the plain way is run on, per crop")
    parser.add_argument("--size", type=int, default=1000, help="edge of the semantic pair in voxels")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run")
    parser.add_argument("--peak", choices=LIMIT_BYTES, help=argparse.SUPPRESS)
    parser.add_argument("--draw", choices=LIMIT_BYTES, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.draw:
        return draw(options.draw, options.size, options.to)
    if options.peak:
        return peak(options.peak, options.size)
    parts = {
        "instances": lambda: instances(options.samples),
        "memory": lambda: memory(options.size),
        "workers": workers,
        "semantic": lambda: semantic(options.size),
    }
    kept = [parts[name]() for name in options.only.split(",")]
    return sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
