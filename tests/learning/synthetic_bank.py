"""A bank in memory, for tests of what draws from one."""

from __future__ import annotations

import numpy as np

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.targets import Target, Targets
from cellmap_tui.learning.bank import Bank, BankCrop

BOOK = np.array([[255, 255], [0, 0], [1, 0], [0, 1], [255, 1], [0, 255]], np.uint8)
"""Of each crop: outside, nothing, mito, nucleus, nucleus with mito unknown, no mito with nucleus unknown."""


def crop_of(
    em: np.ndarray, codes: np.ndarray, *, ref="demo/crop1", usage="train", book=BOOK, first_code=0,
    voxel_size_nm=(8.0, 8.0, 8.0), em_valid=None,
) -> BankCrop:  # fmt: skip
    context = tuple((a - b) // 2 for a, b in zip(em.shape, codes.shape, strict=True))
    states = book[codes]
    counts = np.stack([(states == s).sum(axis=(0, 1, 2)) for s in (1, 0, 255)], axis=1).astype(np.int64)
    seeds = tuple(np.argwhere(states[..., c] == 1)[:500].astype(np.int32) for c in range(book.shape[1]))
    grid = Grid(voxel_size_nm, (0.0, 0.0, 0.0), codes.shape)
    return BankCrop(ref, usage, grid, em, codes, first_code, context, em_valid, counts, seeds)


def bank_of(*crops: BankCrop, book=BOOK, voxel_size_nm=(8.0, 8.0, 8.0)) -> Bank:
    targets = Targets((Target("mito", ("mito",), "instance", id=1), Target("nuc", ("nuc",), "instance", id=2)))
    return Bank(crops, ("mito", "nuc"), np.concatenate([book] * len(crops)), voxel_size_nm, targets)


def random_bank(seed=0, shapes=((40, 50, 60), (24, 70, 30)), context=8, voxel_size_nm=(8.0, 8.0, 8.0)) -> Bank:
    rng = np.random.default_rng(seed)
    crops = []
    for number, shape in enumerate(shapes):
        codes = np.ones(shape, np.uint8)
        for _ in range(6):
            low = [int(rng.integers(0, n - 6)) for n in shape]
            codes[tuple(slice(a, a + 6) for a in low)] = rng.integers(1, len(BOOK))
        codes[:6, :6, :6] = 2
        codes[-6:, -6:, -6:] = 3
        em = rng.integers(1, 256, [n + 2 * context for n in shape], dtype=np.uint8)
        crops.append(
            crop_of(
                em, codes, ref=f"demo/crop{number + 1}", first_code=number * len(BOOK), voxel_size_nm=voxel_size_nm
            )
        )
    return bank_of(*crops, voxel_size_nm=voxel_size_nm)
