"""A small bucket for the tests of fetching: one EM pyramid, two training crops, one test crop."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.services.fetch_listing import is_metadata
from cellmap_tui.services.fetch_model import FetchRequest
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes.write import write_multiscale
from tests.s3 import data_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.storage.proxy import FaultProxy

BUCKET = "cells"
STORE = "tiny/tiny.zarr/recon-1"
EM = f"{STORE}/em/fibsem-uint8"
TRUTH = f"{STORE}/labels/groundtruth"


@dataclass
class Told(SilentReporter):
    """What a service reported."""

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    artefacts: list[tuple[str, str]] = field(default_factory=list)
    amounts: list[tuple[float, float | None, str]] = field(default_factory=list)

    def progress(self, done, total, unit):
        self.amounts.append((done, total, unit))

    def note(self, message):
        self.notes.append(message)

    def warning(self, message):
        self.warnings.append(message)

    def artefact(self, path, kind):
        self.artefacts.append((str(path), kind))


@dataclass(frozen=True)
class World:
    """A served bucket, its manifests, and a data root to fetch into."""

    url: str
    source: Path
    folder: Path
    proxy: FaultProxy

    def request(self, crops="1,2", **options):
        options.setdefault("data_root", self.folder / "data")
        manifests = {
            name: str(self.folder / f"{name}.csv") for name in ("manifest", "train_manifest", "test_manifest")
        }
        return replace(
            FetchRequest(
                crops=crops,
                endpoint_url=self.url,
                bucket=BUCKET,
                state_dir=self.folder / "state",
                data_root=options.pop("data_root"),
                **manifests,
            ),
            **options,
        )

    @property
    def data(self):
        return self.folder / "data"

    @property
    def chunk_gets(self):
        """Keys of the chunks that were asked for, in their order."""
        return [r.key for r in self.proxy.log if r.method == "GET" and r.key and not is_metadata(r.key)]

    def chunks(self, level, low=(0, 0, 0), high=(9, 9, 9)):
        """Return the chunks of an EM level on disk within a box of indices."""
        root = self.data / EM / level
        found = [tuple(map(int, p.relative_to(root).parts)) for p in root.glob("*/*/*")]
        return {i for i in found if all(a <= n < b for a, n, b in zip(low, i, high, strict=True))}

    def same_bytes(self):
        """Return whether every fetched file is the bucket's; groups that were made here aside."""
        for path in data_files(self.data):
            original = self.source / path.relative_to(self.data)
            if original.exists():
                if original.read_bytes() != path.read_bytes():
                    return False
            elif path.name != ".zgroup":
                return False
        return True


def make_bucket(root):
    """Write the bucket; returns its folder.

    The EM has 8 nm voxels and three levels of 16³ chunks; crop 1 ends one voxel into a chunk, crop 2 has labels of
    16 nm and overlaps it, crop 3 is a test crop.
    """
    source = root / BUCKET
    rng = np.random.default_rng(5)
    em = rng.integers(1, 255, (64, 64, 64), np.uint8)
    grid = Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), em.shape)
    write_multiscale(source / EM, em, grid, levels=3, kind="em", chunks=(16, 16, 16))
    for crop, size, start, shape, classes in (
        (1, 8.0, (8, 8, 8), (25, 9, 9), ("mito", "er", "nuc")),
        (2, 16.0, (8.0, 12.0, 12.0), (6, 8, 8), ("mito", "cell")),
    ):
        for name in classes:
            labels = np.zeros(shape, np.uint8)
            if name != "nuc":
                labels[1:4, 2:5, 2:5] = 1
            place = tuple(8.0 * s + (size - 8) / 2 for s in start)
            labels_grid = Grid((size,) * 3, place, shape)
            write_multiscale(
                source / f"{TRUTH}/crop{crop}/{name}", labels, labels_grid, levels=1, kind="label", chunks=(8, 8, 8)
            )
    return source


def write_manifests(folder):
    prefix = f"s3://{BUCKET}/{TRUTH}/crop"
    em = f"s3://{BUCKET}/{EM}"
    (folder / "manifest.csv").write_text(
        "crop_number,collection,alignment,crop_url,em_url\n"
        + "".join(f"{n},tiny,recon-1,{prefix}{n},{em}\n" for n in (1, 2))
    )
    head = "crop_name,dataset,class_label,voxel_size,translation,shape\n"
    rows = [(1, name, "[8;8;8]", "[64;64;64]", "[25;9;9]") for name in ("mito", "er", "nuc")]
    rows += [(2, name, "[16;16;16]", "[68;100;100]", "[6;8;8]") for name in ("mito", "cell")]
    (folder / "train_manifest.csv").write_text(
        head + "".join(f"{n},tiny,{c},{v},{t},{s}\n" for n, c, v, t, s in rows)
    )
    (folder / "test_manifest.csv").write_text(head + "3,tiny,mito,[8;8;8],[256;256;256],[17;17;17]\n")
