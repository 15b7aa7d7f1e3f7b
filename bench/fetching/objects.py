"""Buckets to measure with: many objects of a given mean size, and their listing."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fetching.servers import BUCKET

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "bench/bench.zarr/recon-1/em/fibsem-uint8/s0"


@dataclass(frozen=True)
class Objects:
    """Objects in a bucket and the file that lists them."""

    folder: Path
    """Folder of buckets."""
    listing: Path
    """A line per object: key, size, MD5."""
    count: int
    """How many."""
    size_bytes: int
    """Their bytes."""

    @property
    def bucket(self) -> Path:
        """Folder of the bucket."""
        return self.folder / BUCKET


def make_objects(root: Path, count: int, mean_bytes: int) -> Objects:
    """Write objects of half to one and a half times the mean size, in rows of 16 as chunks are."""
    folder = root / f"objects-{count}-{mean_bytes}"
    listing = folder / "listing.tsv"
    (folder / BUCKET).mkdir(parents=True)
    rng = random.Random(count)
    noise = rng.randbytes(mean_bytes * 2)
    total = 0
    with listing.open("w") as lines:
        for number in range(count):
            key = f"{PREFIX}/{number // 256}/{number // 16 % 16}/{number % 16}"
            body = number.to_bytes(8, "little") + noise[: rng.randrange(mean_bytes // 2, mean_bytes * 3 // 2)]
            path = folder / BUCKET / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            lines.write(f"{key}\t{len(body)}\t{hashlib.md5(body, usedforsecurity=False).hexdigest()}\n")
            total += len(body)
    return Objects(folder, listing, count, total)


def is_identical(objects: Objects, below: Path) -> bool:
    """Return whether every object is below a folder, with the same bytes."""
    for line in objects.listing.read_text().splitlines():
        key, _, md5 = line.split("\t")
        try:
            body = (below / key).read_bytes()
        except FileNotFoundError:
            return False
        if hashlib.md5(body, usedforsecurity=False).hexdigest() != md5:
            return False
    return True
