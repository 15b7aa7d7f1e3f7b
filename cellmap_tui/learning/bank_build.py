"""Building a bank: what the cache lacks is made crop by crop, several at a time, and then opened.

Each crop's EM and codes are a piece of work of their own that is kept as soon as it is done, so a
build that was killed goes on where it was.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui import text
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError, Stopped
from cellmap_tui.learning.bank import Bank, BankCrop
from cellmap_tui.learning.bank_cache import Entry, check_room, codes_entry, em_entry, mapped
from cellmap_tui.learning.bank_codes import BOOK, CODES, COUNTS, SEEDS, split_seeds, write_codes
from cellmap_tui.learning.bank_em import write_em
from cellmap_tui.learning.bank_sources import plan_crops
from cellmap_tui.learning.bank_states import state_source
from cellmap_tui.learning.codebook import CORE, column_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.learning.bank import BankRequest, LeftOut
    from cellmap_tui.learning.bank_sources import CropPlan
    from cellmap_tui.learning.listener import Listener

EM = "em.npy"
VALID = "valid.npy"
MAX_WORKERS = 8
_LISTEN_S = 0.2


@dataclass(frozen=True, slots=True)
class _Task:
    """A folder of the cache that has to be built."""

    entry: Entry
    """The folder."""
    voxels: int
    """How much work it is."""
    run: Callable[[Path, Callable[[int], None]], dict[str, Any]]
    """Fills the folder, telling the voxels done."""


@dataclass(frozen=True, slots=True)
class _Crop:
    """A crop and its two folders."""

    plan: CropPlan
    """The crop."""
    em: Entry
    """Its EM."""
    codes: Entry
    """Its codes."""


def build_bank(request: BankRequest, report: Listener) -> Bank:
    """Return a bank, building what the cache lacks; see `bank.open_bank`."""
    plans, left_out = plan_crops(request)
    for out in left_out:
        report.warning(f"{out.ref} is left out: {out.reason}")
    crops = []
    tasks = []
    for plan in plans:
        report.checkpoint()
        crop, missing = _looked_up(plan, request)
        crops.append(crop)
        tasks += missing
    if tasks:
        check_room((task.entry for task in tasks), request.cache_dir)
        _run(tasks, request, report)
    bank = _opened(request, crops, left_out)
    _tell(bank, report)
    return bank


def _looked_up(plan: CropPlan, request: BankRequest) -> tuple[_Crop, list[_Task]]:
    """Return a crop's folders, and work for those that cannot be used."""
    around = with_context(plan.grid, request.context_voxels)
    crop = _Crop(
        plan, em_entry(plan, request, around), codes_entry(plan, request, state_source(plan, request).levels)
    )
    tasks = []
    if _em_of(crop, around) is None:
        tasks.append(_Task(crop.em, around.voxels, lambda folder, step: _make_em(plan, around, folder, step)))
    if _codes_of(crop) is None:
        tasks.append(
            _Task(crop.codes, plan.grid.voxels, lambda folder, step: _make_codes(plan, request, folder, step))
        )
    return crop, tasks


def with_context(grid: Grid, context_voxels: Shape3) -> Grid:
    """Return a grid widened on both sides of each axis."""
    first = [t - c * s for t, c, s in zip(grid.translation_nm, context_voxels, grid.voxel_size_nm, strict=True)]
    z, y, x = (n + 2 * c for n, c in zip(grid.shape, context_voxels, strict=True))
    return Grid(grid.voxel_size_nm, (first[0], first[1], first[2]), (z, y, x))


def _make_em(plan: CropPlan, grid: Grid, folder: Path, step: Callable[[int], None]) -> dict[str, Any]:
    out = np.lib.format.open_memmap(folder / EM, mode="w+", dtype=np.uint8, shape=grid.shape)
    valid = write_em(plan.em, grid, out, step)
    out.flush()
    if valid is not None:
        np.save(folder / VALID, valid)
    return {"all_valid": valid is None}


def _make_codes(plan: CropPlan, request: BankRequest, folder: Path, step: Callable[[int], None]) -> dict[str, Any]:
    return write_codes(state_source(plan, request), plan.source.ref, request.seeds, folder, step)


def _run(tasks: Sequence[_Task], request: BankRequest, report: Listener) -> None:
    total = sum(task.voxels for task in tasks)
    work = _Work(total)
    workers = request.workers or min(MAX_WORKERS, os.cpu_count() or 1)
    # The largest first, so that none is left alone at the end.
    ordered = sorted(tasks, key=lambda task: task.voxels, reverse=True)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        futures = {pool.submit(work.do, task) for task in ordered}
        try:
            _watch(futures, work, report)
        except BaseException:
            work.give_up.set()
            pool.shutdown(cancel_futures=True)
            raise


def _watch(futures: set[Future[None]], work: _Work, report: Listener) -> None:
    while futures:
        finished, futures = wait(futures, timeout=_LISTEN_S, return_when=FIRST_COMPLETED)
        for future in finished:
            future.result()
        report.progress(work.done, work.total, "voxels")
        report.checkpoint()


class _Work:
    """What the workers have done, and whether they should stop."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.give_up = threading.Event()
        self._lock = threading.Lock()

    def do(self, task: _Task) -> None:
        """Build one folder."""
        task.entry.build(lambda folder: task.run(folder, self.step))

    def step(self, voxels: int) -> None:
        """Count voxels; Stopped when the build is given up."""
        if self.give_up.is_set():
            raise Stopped("the bank is not being built any more")
        with self._lock:
            self.done += voxels


def _opened(request: BankRequest, crops: Sequence[_Crop], left_out: Sequence[LeftOut]) -> Bank:
    books = []
    banked = []
    contradictions = []
    first_code = 0
    for crop in crops:
        found, book, bad_voxels = _open(crop, request, first_code)
        banked.append(found)
        books.append(book)
        first_code += len(book)
        if bad_voxels:
            contradictions.append((crop.plan.source.ref, bad_voxels))
    return Bank(
        crops=tuple(banked),
        columns=column_names(request.targets, cores=request.cores),
        book=np.concatenate(books),
        voxel_size_nm=request.voxel_size_nm,
        targets=request.targets,
        left_out=tuple(left_out),
        contradictions=tuple(contradictions),
    )


def _open(crop: _Crop, request: BankRequest, first_code: int) -> tuple[BankCrop, Any, int]:
    em = _em_of(crop, with_context(crop.plan.grid, request.context_voxels))
    codes = _codes_of(crop)
    meta = crop.codes.meta()
    if em is None or codes is None or meta is None:
        raise DataError(
            f"the bank of {crop.plan.source.ref} changed while it was made: {crop.codes.folder}", "try again"
        )
    book, counts, seeds = (np.load(crop.codes.folder / name) for name in (BOOK, COUNTS, SEEDS))
    banked = BankCrop(
        ref=crop.plan.source.ref,
        usage=crop.plan.source.usage,
        grid=crop.plan.grid,
        em=em[0],
        codes=codes,
        first_code=first_code,
        context_voxels=request.context_voxels,
        em_valid=em[1],
        counts=counts,
        seeds=split_seeds(seeds, book.shape[1]),
    )
    return banked, book, int(meta["contradictions"])


def _em_of(crop: _Crop, grid: Grid) -> tuple[Any, Any] | None:
    """Return EM and its valid voxels from the cache; None where they have to be made."""
    meta = crop.em.meta()
    em = mapped(crop.em.folder / EM, grid.shape, (np.uint8,)) if meta is not None else None
    if meta is None or em is None:
        return None
    if meta.get("all_valid"):
        return em, None
    valid = mapped(crop.em.folder / VALID, grid.shape, (np.bool_,))
    return (em, valid) if valid is not None else None


def _codes_of(crop: _Crop) -> Any:
    if crop.codes.meta() is None or not all((crop.codes.folder / name).is_file() for name in (BOOK, COUNTS, SEEDS)):
        return None
    return mapped(crop.codes.folder / CODES, crop.plan.grid.shape, (np.uint8, np.uint16))


def _tell(bank: Bank, report: Listener) -> None:
    for ref, voxels in bank.contradictions:
        report.warning(
            f"{ref}: {text.count(voxels)} voxels have annotations that exclude each other; they are left as they are"
        )
    for number, name in enumerate(bank.columns):
        if name.endswith(CORE) and not any(crop.present(number) for crop in bank.crops):
            report.warning(f"{name} has no voxel: no crop tells the objects of {name.removesuffix(CORE)} apart")
    report.note(f"{len(bank.crops)} crops in the bank, {text.size(bank.size_bytes)}")
