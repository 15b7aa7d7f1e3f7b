"""Our side: the crop bank, one thread, no reading ahead. Answers a JSON line for each on stdin."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from cellmap_tui.learning.config_arrays import SpatialTransforms
from cellmap_tui.learning.gather import read_patch
from cellmap_tui.learning.peer_batch import to_peer_batch
from cellmap_tui.services.patches_model import PatchesRequest
from cellmap_tui.services.patches_open import open_bank_of, open_loader
from cellmap_tui.services.report import SilentReporter

NOTHING = SpatialTransforms()
EVERYTHING = SpatialTransforms(
    mirror=(("x", 0.5), ("y", 0.5), ("z", 0.1)),
    transpose=("x", "y", "z"),
    rotate=(("x", -180.0, 180.0), ("y", -180.0, 180.0), ("z", -180.0, 180.0)),
)
"""The default 3D augmentation of the official toolbox."""


def opened(case):
    """Return a loader for a case, and its bank."""
    request = PatchesRequest(
        split=Path(case["csv"]),
        classes=tuple(case["classes"]),
        shape=tuple(case["shape"]),
        voxel_size_nm=tuple(float(size) for size in case["scale"]),
        spatial=EVERYTHING if case["spatial"] else NOTHING,
        values=(),
        augment=bool(case["spatial"]),
        slicing_axes=("z",),
        batch_size=case["batch_size"],
        batches=10**6,
        workers=0,
        empty_share=0.0,
        cache_dir=Path(case["cache"]),
        context_voxels=(64, 64, 64),
    )
    bank = open_bank_of(request, SilentReporter())
    return open_loader(request, bank), bank


def run(loader, batches, seconds, dense):
    """Return samples a second; `dense`: as the floats that the peer gives."""
    pool = loader.source.pool
    samples = 0
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        batch = next(batches)
        if dense:
            to_peer_batch(batch, pool)
        samples += len(batch)
    return samples / (time.perf_counter() - begun)


def slicing(bank, shape, seconds):
    """Return bytes a second of cutting EM and codes, and of copying as many bytes that lie in one piece."""
    random = np.random.default_rng(0)
    out = np.empty((2, *shape), np.uint8)
    crops = [crop for crop in bank.crops if min(np.array(crop.codes.shape) - shape) >= 0]
    flat = [(np.asarray(crop.em).reshape(-1), np.asarray(crop.codes).reshape(-1)) for crop in crops]
    places = [(int(random.integers(len(crops))), random.random(3)) for _ in range(512)]
    matrix = np.eye(3)

    def cut(number, at):
        crop = crops[number]
        base = np.floor(at * (np.array(crop.codes.shape) - shape + 1))
        read_patch(crop, matrix, base, out[0], out[1], None)

    def copy(number, at):
        for target, source in zip(out, flat[number], strict=True):
            start = int(at[0] * (len(source) - target.size))
            np.copyto(target.reshape(-1), source[start : start + target.size])

    rates = []
    for work in (cut, copy, cut, copy):
        done = 0
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            work(*places[done % len(places)])
            done += 1
        rates.append(done * out.nbytes / (time.perf_counter() - begun))
    return {"cut": max(rates[::2]), "copy": max(rates[1::2])}


def memory(loader, patches):
    """Return the anonymous memory of this process in MB after a tenth of the patches, and after all."""
    batches = iter(loader)
    seen = []
    for number in range(patches // loader.batch_size):
        next(batches)
        if number in (patches // loader.batch_size // 10, patches // loader.batch_size - 1):
            seen.append(anonymous_mb())
    return {"early": seen[0], "late": seen[-1]}


def anonymous_mb():
    """Return the memory of this process that is not a file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def compare(loader, path):
    """Return the share of samples of the peer that ours equal at the same place, and how many there were."""
    peer = np.load(path)
    source = loader.source
    crops = {crop.ref.rpartition("/")[2]: crop for crop in source.planner.sampler.crops}
    names = sorted({name.rpartition("-")[0] for name in peer.files})
    equal = 0
    for name in names:
        crop = next(crop for ref, crop in crops.items() if f"/{ref}/" in str(peer[f"{name}-path"]))
        shape = source.rules.target.shape
        em, codes = np.empty(shape, np.uint8), np.empty(shape, crop.codes.dtype)
        read_patch(crop, np.eye(3), peer[f"{name}-start"].astype(float), em, codes, None)
        states = np.moveaxis(source.bank.book_of(crop)[codes], -1, 0).astype(np.float32)
        states[states == 255] = np.nan
        theirs, grey = peer[f"{name}-output"], peer[f"{name}-input"][0]
        same = np.array_equal(states.reshape(theirs.shape), theirs, equal_nan=True)
        # The peer's scaling to 0..1 acts on floats, which it leaves as they are: 0 to 255.
        equal += same and np.allclose(em.reshape(grey.shape) / 255, grey / max(1, np.rint(grey.max() / 255) * 255))
    return {"equal": equal, "of": len(names)}


def main():
    torch.set_num_threads(1)
    loader = bank = batches = None
    for line in sys.stdin:
        order = json.loads(line)
        answer = {}
        if order["do"] == "open":
            loader, bank = opened(order["case"])
            batches = iter(loader)
            next(batches)
        elif order["do"] == "run":
            answer["rate"] = run(loader, batches, order["seconds"], order["dense"])
        elif order["do"] == "slice":
            answer = slicing(bank, loader.source.rules.target.shape, order["seconds"])
        elif order["do"] == "memory":
            answer = memory(loader, order["patches"])
        elif order["do"] == "compare":
            answer = compare(loader, order["path"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
