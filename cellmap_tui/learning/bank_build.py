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
from cellmap_tui.learning.bank import Bank
from cellmap_tui.learning.bank_cache import Entry, check_room, codes_entry, em_entry
from cellmap_tui.learning.bank_codes import write_codes
from cellmap_tui.learning.bank_em import write_em
from cellmap_tui.learning.bank_open import EM, VALID, banked, open_codes_entry, open_em_entry
from cellmap_tui.learning.bank_sources import plan_crops
from cellmap_tui.learning.bank_states import state_source
from cellmap_tui.learning.codebook import CORE, column_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.learning.bank import BankRequest, LeftOut
    from cellmap_tui.learning.bank_open import OpenCodes, OpenEm
    from cellmap_tui.learning.bank_sources import CropPlan
    from cellmap_tui.learning.listener import Listener

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
    stale: int | None
    """Identity of what is there and cannot be used."""


def _task(entry: Entry, grid: Grid, run: Callable[[Path, Callable[[int], None]], dict[str, Any]]) -> _Task:
    return _Task(entry, grid.voxels, run, entry.identity())


class _Crop:
    """A crop, its two folders, and what is open of them."""

    def __init__(self, plan: CropPlan, request: BankRequest) -> None:
        self.plan = plan
        self.around = with_context(plan.grid, request.context_voxels)
        self._request = request
        self._columns = column_names(request.targets, cores=request.cores)
        self._em_entry = em_entry(plan, request, self.around)
        self._codes_entry = codes_entry(plan, request, state_source(plan, request).levels)
        self.em: OpenEm | None = None
        self.codes: OpenCodes | None = None

    def look(self) -> list[_Task]:
        """Open what is there; return the work that makes the rest."""
        self.em = self.em or open_em_entry(self._em_entry, self.around)
        self.codes = self.codes or open_codes_entry(self._codes_entry, self.plan.grid, self._columns)
        missing = []
        if self.em is None:
            missing.append(_task(self._em_entry, self.around, self._make_em))
        if self.codes is None:
            missing.append(_task(self._codes_entry, self.plan.grid, self._make_codes))
        return missing

    def _make_em(self, folder: Path, step: Callable[[int], None]) -> dict[str, Any]:
        out = np.lib.format.open_memmap(folder / EM, mode="w+", dtype=np.uint8, shape=self.around.shape)
        valid = write_em(self.plan.em, self.around, out, step)
        out.flush()
        if valid is not None:
            np.save(folder / VALID, valid)
        return {"all_valid": valid is None}

    def _make_codes(self, folder: Path, step: Callable[[int], None]) -> dict[str, Any]:
        # Read by readers of its own: those of every crop would keep their chunks until the end.
        source = state_source(self.plan, self._request)
        return write_codes(source, self.plan.source.ref, self._request.seeds, folder, step)


def build_bank(request: BankRequest, report: Listener) -> Bank:
    """Return a bank, building what the cache lacks; see `bank.open_bank`."""
    plans, left_out = plan_crops(request)
    for out in left_out:
        report.warning(f"{out.ref} is left out: {out.reason}")
    crops = []
    tasks: dict[Path, _Task] = {}
    for plan in plans:
        report.checkpoint()
        _tell_enlarged(plan, report)
        crops.append(_Crop(plan, request))
        tasks |= {task.entry.folder: task for task in crops[-1].look()}
    if tasks:
        check_room((task.entry for task in tasks.values()), request.cache_dir)
        _run(list(tasks.values()), request, report)
    bank = _opened(request, crops, left_out)
    _tell(bank, report)
    return bank


def with_context(grid: Grid, context_voxels: Shape3) -> Grid:
    """Return a grid widened on both sides of each axis."""
    first = [t - c * s for t, c, s in zip(grid.translation_nm, context_voxels, grid.voxel_size_nm, strict=True)]
    z, y, x = (n + 2 * c for n, c in zip(grid.shape, context_voxels, strict=True))
    return Grid(grid.voxel_size_nm, (first[0], first[1], first[2]), (z, y, x))


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
        task.entry.build(lambda folder: task.run(folder, self.step), task.stale)

    def step(self, voxels: int) -> None:
        """Count voxels; Stopped when the build is given up."""
        if self.give_up.is_set():
            raise Stopped("the bank is not being built any more")
        with self._lock:
            self.done += voxels


def _opened(request: BankRequest, crops: Sequence[_Crop], left_out: Sequence[LeftOut]) -> Bank:
    found = []
    books = []
    first_code = 0
    for crop in crops:
        crop.look()
        if crop.em is None or crop.codes is None:
            raise DataError(f"the data of {crop.plan.source.ref} changed while its bank was made", "try again")
        found.append(banked(crop.plan, crop.em, crop.codes, request.context_voxels, first_code))
        books.append(crop.codes.book)
        first_code += len(crop.codes.book)
    wrong = ((crop.plan.source.ref, crop.codes.contradictions) for crop in crops if crop.codes is not None)
    return Bank(
        crops=tuple(found),
        columns=column_names(request.targets, cores=request.cores),
        book=np.concatenate(books),
        voxel_size_nm=request.voxel_size_nm,
        targets=request.targets,
        left_out=tuple(left_out),
        contradictions=tuple((ref, voxels) for ref, voxels in wrong if voxels),
    )


def _tell_enlarged(plan: CropPlan, report: Listener) -> None:
    """Say where grey values are made up between coarser voxels."""
    choice, lacks_nm = plan.em.choice, plan.em.lacks_nm
    if not choice.must_upsample:
        return
    have = f"{plan.source.ref}: its EM is at {text.voxel(choice.level.grid.voxel_size_nm)} nm"
    want = f"enlarged to {text.voxel(plan.grid.voxel_size_nm)} nm"
    if lacks_nm is None:
        report.note(f"{have} at best, {want}")
    else:
        finer = f"the level of {text.voxel(lacks_nm)} nm was not fetched"
        report.warning(
            f"{have} on disk, {want}: {finer}; fetch --crops {plan.source.ref} --fetch-all-em-resolutions brings it"
        )


def _tell(bank: Bank, report: Listener) -> None:
    for ref, voxels in bank.contradictions:
        report.warning(
            f"{ref}: {text.count(voxels)} voxels have annotations that exclude each other; they are left as they are"
        )
    for number, name in enumerate(bank.columns):
        if name.endswith(CORE) and not any(crop.present(number) for crop in bank.crops):
            report.warning(f"{name} has no voxel: no crop tells the objects of {name.removesuffix(CORE)} apart")
    report.note(f"{text.counted(len(bank.crops), 'crop')} in the bank, {text.size(bank.size_bytes)}")
