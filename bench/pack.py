"""What packing costs: against zipping the same bytes with the same compressor, and its memory at any size.

    python bench/pack.py                 two sizes of crop, a table
    python bench/pack.py --edge 1000     one size
    python bench/pack.py --json

The yardstick has the chunks in memory, compresses them with the same compressor in as many threads and
writes them into a zip: no reading, no aligning, no checking, no reading back. On a busy machine the processor
seconds say more than the others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import zarr

CHUNKS = (64, 128, 128)
VOXEL = (8.0, 8.0, 8.0)
VOLUMES = {"mito": np.uint32, "nuc": np.uint16, "er": np.uint8, "pm": np.uint8}
HEADER = "crop_name,dataset,class_label,voxel_size,translation,shape"


def block(seed: int) -> np.ndarray:
    """Return a block of objects as labels have them: smooth, apart, each with its id."""
    from scipy.ndimage import gaussian_filter, label

    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((128, 128, 128)).astype(np.float32), 6)
    return label(noise > noise.std())[0]


def volume(edge: int, dtype: type, seed: int, place: slice) -> np.ndarray:
    """Return some slices of a cube of objects."""
    tile = block(seed)
    z = np.arange(place.start, min(place.stop, edge))
    repeats = -(-edge // 128)
    plane = np.tile(tile[z % 128], (1, repeats, repeats))[:, :edge, :edge].astype(np.uint32)
    if dtype is np.uint8:
        return (plane > 0).astype(np.uint8)
    ids = np.add.outer(np.arange(edge) // 128 * repeats, np.arange(edge) // 128) * 60
    plane[plane > 0] += np.broadcast_to(ids, plane.shape)[plane > 0].astype(np.uint32)
    return plane.astype(dtype)


def make(folder: Path, edge: int) -> tuple[Path, Path, int]:
    """Write predictions and a manifest; return both and the bytes of the voxels."""
    rows, total = [HEADER], 0
    for seed, (name, dtype) in enumerate(VOLUMES.items()):
        array = zarr.create_array(
            str(folder / "in" / "crop1" / name), shape=(edge,) * 3, chunks=(64, 64, 64), dtype=dtype, zarr_format=2
        )
        for z in range(0, edge, 64):
            array[z : z + 64] = volume(edge, dtype, seed, slice(z, z + 64))
        array.attrs.update(voxel_size=VOXEL, translation=(0.0, 0.0, 0.0))
        rows.append(f"1,set,{name},[8;8;8],[0;0;0],[{edge};{edge};{edge}]")
        total += edge**3 * np.dtype(dtype).itemsize
    manifest = folder / "test.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return folder / "in", manifest, total


def yardstick(source: Path, target: Path, workers: int) -> tuple[float, float]:
    """Return seconds and processor seconds that compressing and zipping take, the chunks being in memory."""
    from numcodecs import Blosc

    elapsed, cpu = 0.0, 0.0
    with zipfile.ZipFile(target, "w") as archive, ThreadPoolExecutor(workers) as pool:
        for name in VOLUMES:
            array = zarr.open_array(str(source / "crop1" / name), mode="r")
            codec = Blosc("zstd", 3, Blosc.NOSHUFFLE if array.dtype.itemsize == 1 else Blosc.SHUFFLE)
            for z in range(0, array.shape[0], 64):
                slab = array[z : z + 64]
                pieces = [
                    np.ascontiguousarray(slab[:, y : y + 128, x : x + 128])
                    for y in range(0, slab.shape[1], 128)
                    for x in range(0, slab.shape[2], 128)
                ]
                started, used = time.perf_counter(), time.process_time()
                for number, data in enumerate(pool.map(codec.encode, pieces)):
                    archive.writestr(f"{name}/{z}.{number}", data)
                elapsed += time.perf_counter() - started
                cpu += time.process_time() - used
    return elapsed, cpu


def packed(source: Path, manifest: Path, target: Path, workers: int) -> tuple[float, float, int]:
    """Return seconds, processor seconds and largest memory of packing, in a process of its own."""
    code = (
        "import sys,time,resource\n"
        "from pathlib import Path\n"
        "from cellmap_tui.services.pack import PackRequest, pack_results\n"
        "from cellmap_tui.services.report import SilentReporter\n"
        "s, m, t, w = sys.argv[1:]\n"
        "r = PackRequest(input=s, output=Path(t), overwrite=True, workers=int(w), test_manifest=m,"
        " state_dir=Path(t).parent)\n"
        "n = time.perf_counter()\n"
        "assert pack_results(r, SilentReporter()).present == 4\n"
        "u = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(time.perf_counter() - n, u.ru_utime + u.ru_stime, u.ru_maxrss * 1024)\n"
    )
    words = [sys.executable, "-c", code, str(source), str(manifest), str(target), str(workers)]
    seconds, cpu, peak = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(cpu), int(peak)


def measure(edge: int, workers: int) -> dict[str, float]:
    """Return the figures of one size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, manifest, total = make(folder, edge)
        seconds, cpu, peak = packed(source, manifest, folder / "out.zip", workers)
        plain, plain_cpu = yardstick(source, folder / "plain.zip", workers)
        return {
            "edge": edge,
            "workers": workers,
            "voxel_gb": round(total / 1e9, 2),
            "pack_s": round(seconds, 2),
            "zip_s": round(plain, 2),
            "speed_ratio": round(plain / seconds, 2),
            "pack_cpu_s": round(cpu, 2),
            "zip_cpu_s": round(plain_cpu, 2),
            "cpu_ratio": round(plain_cpu / cpu, 2),
            "peak_gb": round(peak / 1e9, 2),
            "zip_mb": round((folder / "out.zip").stat().st_size / 1e6, 1),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, action="append", help="voxels along a side of the crop")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = [measure(edge, args.workers) for edge in args.edge or [400, 800]]
    if args.json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    for row in rows:
        sys.stdout.write("  ".join(f"{key} {value}" for key, value in row.items()) + "\n")


if __name__ == "__main__":
    main()
