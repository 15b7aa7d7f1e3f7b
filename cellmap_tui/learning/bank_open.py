"""Opening what the cache has of a crop: memory maps, its book, counts and seeds, or nothing at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.learning.bank import BankCrop
from cellmap_tui.learning.bank_codes import BOOK, CODES, COUNTS, SEEDS, split_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid, Shape3
    from cellmap_tui.learning.bank_cache import Entry
    from cellmap_tui.learning.bank_sources import CropPlan
    from cellmap_tui.learning.codebook import Rows

EM = "em.npy"
VALID = "valid.npy"


@dataclass(frozen=True, slots=True)
class OpenEm:
    """The EM of a crop."""

    em: NDArray[np.uint8]
    """Grey values."""
    valid: NDArray[np.bool_] | None
    """Where they are known; None: everywhere."""


@dataclass(frozen=True, slots=True)
class OpenCodes:
    """The codes of a crop."""

    codes: NDArray[Any]
    """Codes."""
    book: Rows
    """Their book."""
    counts: NDArray[np.int64]
    """Voxels of each state of each column."""
    seeds: NDArray[np.int32]
    """Column and position of voxels."""
    contradictions: int
    """Voxels whose annotations exclude each other."""


def open_em_entry(entry: Entry, grid: Grid) -> OpenEm | None:
    """Return the EM on a grid, None where it has to be made."""
    meta = entry.meta()
    em = _mapped(entry.folder / EM, grid.shape, (np.uint8,)) if meta is not None else None
    if meta is None or em is None:
        return None
    if meta.get("all_valid"):
        return OpenEm(em, None)
    valid = _mapped(entry.folder / VALID, grid.shape, (np.bool_,))
    return OpenEm(em, valid) if valid is not None else None


def open_codes_entry(entry: Entry, grid: Grid, columns: Sequence[str]) -> OpenCodes | None:
    """Return the codes on a grid, None where they have to be made."""
    meta = entry.meta()
    if meta is None or not isinstance(meta.get("contradictions"), int):
        return None
    codes = _mapped(entry.folder / CODES, grid.shape, (np.uint8, np.uint16))
    book, counts, seeds = (_loaded(entry.folder / name) for name in (BOOK, COUNTS, SEEDS))
    if codes is None or book is None or counts is None or seeds is None:
        return None
    is_whole = book.ndim == 2 and book.shape[1] == len(columns) == len(counts) and seeds.shape[1:] == (4,)
    return OpenCodes(codes, book, counts, seeds, meta["contradictions"]) if is_whole else None


def banked(plan: CropPlan, em: OpenEm, codes: OpenCodes, context_voxels: Shape3, first_code: int) -> BankCrop:
    """Return the crop of a bank."""
    return BankCrop(
        ref=plan.source.ref,
        usage=plan.source.usage,
        grid=plan.grid,
        em=em.em,
        codes=codes.codes,
        first_code=first_code,
        context_voxels=context_voxels,
        em_valid=em.valid,
        counts=codes.counts,
        seeds=split_seeds(codes.seeds, codes.book.shape[1]),
    )


def _mapped(file: Path, shape: Shape3, dtypes: tuple[type[np.generic], ...]) -> NDArray[Any] | None:
    array = _loaded(file, mmap_mode="r")
    return array if array is not None and array.shape == shape and array.dtype in dtypes else None


def _loaded(file: Path, mmap_mode: Any = None) -> NDArray[Any] | None:
    try:
        array: NDArray[Any] = np.load(file, mmap_mode=mmap_mode, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array
