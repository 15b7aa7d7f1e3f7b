"""`patches`: builds or opens the bank of a split, draws patches, says what a network would be fed, and shows it."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from cellmap_tui.services.patches_model import ColumnStatistics, LeftOutCrop, PatchesResult
from cellmap_tui.services.patches_open import open_bank_of, open_loader
from cellmap_tui.services.replaceable import check_picture
from cellmap_tui.services.report import run_folder
from cellmap_tui.text import size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.learning.bank import Bank
    from cellmap_tui.learning.batch import PatchBatch, SampleNote
    from cellmap_tui.learning.loader import PatchLoader
    from cellmap_tui.services.patches_model import PatchesRequest
    from cellmap_tui.services.report import Reporter

_TIMED_S = 2.0


def make_patches(request: PatchesRequest, report: Reporter) -> PatchesResult:
    """Build the bank of a split, draw patches from it, measure and show them.

    Raises
    ------
    MissingDataError
        If paths of the split are gone, or nobody annotated a class.
    RefusedError
        If the disk has too little room for the bank, or the picture would replace a file that is none.
    """
    if request.output is not None:
        check_picture(request.output)
    begun = time.perf_counter()
    bank = open_bank_of(request, report)
    bank_s = time.perf_counter() - begun
    report.note(f"bank of {size(bank.size_bytes)} ready in {bank_s:.2f} s")
    loader = open_loader(request, bank)
    rate = _rate(loader, request.count, report)
    tally = _Tally(bank)
    _count(loader, request.count, tally, report)
    picture = draw_first(request, loader)
    if picture is not None and request.output is not None:
        from cellmap_tui.volumes.slices import save_png

        save_png(request.output, picture)
        report.artefact(request.output, "picture")
    _keep_looks(request, loader, report)
    return tally.result(request, bank_s, rate)


def _keep_looks(request: PatchesRequest, loader: PatchLoader, report: Reporter) -> None:
    """Keep patches in the folder of the run for the app, unless a file was named for their picture."""
    folder = run_folder(report)
    if not request.show or request.output is not None or folder is None:
        return
    from cellmap_tui.services.patch_looks import FILE, save_looks

    save_looks(folder / FILE, request, loader)
    report.artefact(folder / FILE, "patches")


def first_patches(request: PatchesRequest, report: Reporter) -> NDArray[np.uint8] | None:
    """Return the picture of the first patches of a request, RGB ``[h, w, 3]``."""
    return draw_first(request, open_loader(request, open_bank_of(request, report)))


def draw_first(request: PatchesRequest, loader: PatchLoader) -> NDArray[np.uint8] | None:
    """Return the picture of the first patches of an epoch, RGB ``[h, w, 3]``, or None where none is wanted."""
    if not request.show:
        return None
    from cellmap_tui.services.patches_picture import draw_patches

    batch = loader.source.augment(loader.source.read(request.epoch, range(request.show)))
    return draw_patches(batch, loader.source.bank.targets)


def _rate(loader: PatchLoader, wanted: int, report: Reporter) -> float:
    """Return how many patches are read and augmented in a second, over as many as are wanted or two seconds."""
    batches = iter(loader)
    # The first batch pays for compiling.
    next(batches)
    begun = time.perf_counter()
    patches = 0
    for batch in batches:
        patches += len(batch)
        report.checkpoint()
        if patches >= wanted or time.perf_counter() - begun > _TIMED_S:
            break
    loader.epoch -= 1
    return patches / (time.perf_counter() - begun)


def _count(loader: PatchLoader, wanted: int, tally: _Tally, report: Reporter) -> None:
    patches = 0
    while patches < wanted:
        for batch in loader:
            tally.add(batch)
            patches += len(batch)
            report.progress(min(patches, wanted), wanted, "patches")
            report.checkpoint()
            if patches >= wanted:
                break


class _Tally:
    """Counts what patches hold."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._states: NDArray[np.int64] | None = None
        self._with: NDArray[np.int64] | None = None
        self._draws: Counter[str] = Counter()
        self._drawn_for: Counter[str] = Counter()
        self._greys = [0.0, 0.0, 0.0, 0.0]
        self._patches = 0

    def add(self, batch: PatchBatch) -> None:
        """Count a batch."""
        import numpy as np

        states = batch.states.cpu().numpy()
        axes = tuple(range(2, states.ndim))
        present = (states == 1).sum(axis=axes)
        counts = np.stack([present, (states == 0).sum(axis=axes), (states == 255).sum(axis=axes)], axis=2)
        total, occurring = counts.sum(axis=0), (present > 0).sum(axis=0)
        self._states = total if self._states is None else self._states + total
        self._with = occurring if self._with is None else self._with + occurring
        raw = batch.raw.double()
        valid = batch.raw_valid()
        greys = (raw.sum().item(), (raw**2).sum().item(), raw.numel(), (~valid).sum().item())
        self._greys = [old + new for old, new in zip(self._greys, greys, strict=True)]
        self._patches += len(batch)
        self._count(batch.notes)

    def _count(self, notes: tuple[SampleNote, ...]) -> None:
        self._draws.update(note.draw for note in notes)
        self._drawn_for.update(note.drawn_for for note in notes)

    def result(self, request: PatchesRequest, bank_s: float, rate: float) -> PatchesResult:
        """Return what was counted."""
        total, squares, voxels, invalid = self._greys
        mean = total / voxels
        bank = self._bank
        return PatchesResult(
            patches=self._patches,
            columns=tuple(self._column(number, name) for number, name in enumerate(bank.columns)),
            draws={name: self._draws[name] for name in ("foreground", "anywhere", "empty")},
            crops=len(bank.crops),
            left_out=tuple(LeftOutCrop(one.ref, one.reason) for one in bank.left_out),
            contradictions=dict(bank.contradictions),
            bank_bytes=bank.size_bytes,
            codes=len(bank.book),
            raw_mean=mean,
            raw_deviation=max(0.0, squares / voxels - mean**2) ** 0.5,
            raw_invalid=invalid / voxels,
            bank_s=bank_s,
            patches_per_s=rate,
            picture=request.output if request.show else None,
        )

    def _column(self, number: int, name: str) -> ColumnStatistics:
        assert self._states is not None
        assert self._with is not None
        present, absent, unknown = (self._states[number] / max(1, self._states[number].sum())).tolist()
        crops_with = sum(crop.present(number) > 0 for crop in self._bank.crops)
        return ColumnStatistics(
            name, present, absent, unknown, int(self._with[number]), crops_with, self._drawn_for[name]
        )
