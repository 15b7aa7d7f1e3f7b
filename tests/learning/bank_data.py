"""Small crops on disk, for tests of what is built from them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.challenge.targets import targets_of
from cellmap_tui.learning.bank import BankRequest, CropSource
from cellmap_tui.volumes.write import write_multiscale

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.grid import Grid

CHUNKS = (32, 32, 32)


def write_em(root: Path, data: np.ndarray, grid: Grid, levels: int = 1) -> Path:
    path = root / "set" / "set.zarr" / "recon-1" / "em" / "fibsem-uint8"
    write_multiscale(path, data, grid, chunks=CHUNKS, levels=levels, overwrite=True)
    return path


def write_labels(root: Path, crop: int, grid: Grid, levels: int = 1, attributes=None, **classes: np.ndarray) -> Path:
    folder = root / "set" / "set.zarr" / "recon-1" / "labels" / "groundtruth" / f"crop{crop}"
    for name, data in classes.items():
        write_multiscale(
            folder / name, data, grid, chunks=CHUNKS, levels=levels, kind="label", attributes=attributes,
            overwrite=True,
        )  # fmt: skip
    return folder


def noise(shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, shape).astype(np.uint8)


def blobs(shape, seed=0, share=0.3) -> np.ndarray:
    """Return a mask of cubes, uint8."""
    random = np.random.default_rng(seed)
    coarse = random.random([-(-n // 6) for n in shape]) < share
    large = np.kron(coarse, np.ones((6, 6, 6), bool))
    return large[tuple(slice(0, n) for n in shape)].astype(np.uint8)


def source(em: Path, labels: Path, usage="train", classes=()) -> CropSource:
    return CropSource(f"set/{labels.name}", usage, em, labels, tuple(classes))


def request(root: Path, *sources: CropSource, targets=("mito",), scale=8.0, **options) -> BankRequest:
    wanted = targets_of(targets) if isinstance(targets, tuple) else targets
    size = (scale,) * 3 if isinstance(scale, float) else scale
    return BankRequest(sources, wanted, size, root / "bank", **options)


def dense(bank, number=0) -> np.ndarray:
    """Return the states ``[columns, z, y, x]`` of a crop of a bank."""
    from cellmap_tui.learning.codebook import decode

    crop = bank.crops[number]
    return decode(crop.codes, bank.book, crop.first_code)


def tree_hash(folder: Path) -> str:
    """Return a digest of every path, size, time and byte below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        stat = path.stat()
        digest.update(f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


class Heard:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.steps: list[tuple[float, float | None]] = []

    def progress(self, done, total, unit):
        self.steps.append((done, total))

    def note(self, message):
        self.notes.append(message)

    def warning(self, message):
        self.warnings.append(message)

    def checkpoint(self):
        pass
