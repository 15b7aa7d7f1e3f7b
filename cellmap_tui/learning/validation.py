"""Validation: whole crops by the predictor's tiles, every voxel once, and what is known of each compared.

Metrics are those of all validation crops taken together: the counts of the crops are added before anything
is divided, so a crop weighs as much as is known in it. Owns going through the crops; which weights, when
and where results go is the caller's business.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from cellmap_tui.errors import MissingDataError
from cellmap_tui.learning.codebook import CORE
from cellmap_tui.learning.em_reader import CropReader
from cellmap_tui.learning.loss_labels import CodedLabels, precise
from cellmap_tui.learning.loss_sums import SUMS
from cellmap_tui.learning.losses import LossSpec, loss_of_sums
from cellmap_tui.learning.validation_parts import Part, drawn_parts, parts_of
from cellmap_tui.learning.validation_sums import COUNTS, KNOWN, METRICS, PRESENT, BlockSums, block_sums, metric_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from cellmap_tui.learning.bank import Bank
    from cellmap_tui.learning.predictor import Predictor
    from cellmap_tui.volumes.geometry import Box


class BlockListener(Protocol):
    """Who sees probabilities while they exist: example slices, a scorer that is passed in."""

    def block(self, reader: CropReader, box: Box, probabilities: Tensor) -> None:
        """See a block of a crop: float32 ``[columns, z, y, x]`` on the device, on the reader's grid.

        Blocks of a crop come in the order of z and hold each voxel once.
        """

    def crop_ended(self, reader: CropReader) -> None:
        """Hear that a crop was seen whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """What a validation found."""

    columns: tuple[str, ...]
    """Names of the network's columns."""
    crops: tuple[str, ...]
    """``dataset/crop234`` of each crop."""
    counts: NDArray[np.int64]
    """Voxels ``[crops, columns, 4]``: rightly predicted, predicted, present, known; over known voxels."""
    loss: float
    """The loss over all crops as one; NaN if nothing is known."""
    loss_by_column: NDArray[np.float64]
    """Loss of each column, NaN where nothing is known of it."""
    tiles: int
    """Tiles that were predicted."""
    all_tiles: int
    """Tiles of a validation without a limit."""
    seconds: float
    """How long it took."""

    def metric(self, name: str) -> NDArray[np.float64]:
        """Return a metric of each column over all crops; NaN where the class is not present in any."""
        return metric_values(self.counts.sum(axis=0), name)

    def mean(self, name: str) -> float:
        """Return the mean of a metric over the classes present, cores left out; NaN if none is."""
        is_class = np.array([not column.endswith(CORE) for column in self.columns])
        values = self.metric(name)[is_class]
        present = values[~np.isnan(values)]
        return float(present.mean()) if len(present) else float("nan")

    def values(self, metrics: Sequence[str] = METRICS) -> dict[str, float]:
        """Return everything by its name in events: ``val/dice``, ``val/dice/mito`` …; NaN: could not be measured."""
        told = {"val/loss": self.loss}
        told |= {f"val/{name}": self.mean(name) for name in metrics}
        for name in metrics:
            told |= {
                f"val/{name}/{column}": float(v) for column, v in zip(self.columns, self.metric(name), strict=True)
            }
        pairs = zip(self.columns, self.loss_by_column, strict=True)
        return told | {f"val/loss/{column}": float(value) for column, value in pairs}

    def not_measured(self) -> tuple[str, ...]:
        """Return the columns that occur in no validation crop."""
        present = self.counts[..., PRESENT].sum(axis=0)
        return tuple(column for column, voxels in zip(self.columns, present, strict=True) if not voxels)


@dataclass(slots=True)
class Limit:
    """How much of the tiles is predicted; decided once, so that validations compare."""

    batches: int | None = None
    """Most batches of tiles."""
    seconds: float | None = None
    """Most seconds; at the first validation it is timed how many tiles that allows."""
    seed: int = 42
    """Decides which tiles."""
    tiles: int | None = None
    """How many tiles, once decided; None: not yet, or all."""
    is_decided: bool = field(default=False)
    """Whether `tiles` stands."""


def validate(
    predictor: Predictor,
    bank: Bank,
    *,
    loss: Any = None,
    limit: Limit | None = None,
    ignore_padding: bool = True,
    listeners: Sequence[BlockListener] = (),
    told: Callable[[int, int], None] | None = None,
) -> Validation:
    """Compare a network's predictions with what is known of the validation crops.

    Parameters
    ----------
    predictor
        The network.
    bank
        The crops; those of usage ``validate``.
    loss
        The loss of training: `MaskedLoss` or `CriterionLoss`; BCE + Dice if None.
    limit
        How much to predict; a limit of time is decided at the first call and written into it. None: everything.
    ignore_padding
        Whether voxels beyond the EM count as unknown.
    listeners
        Who sees the probabilities; not called when a limit leaves tiles out.
    told
        Called with tiles done and tiles in all; may raise to give up.

    Raises
    ------
    MissingDataError
        If nothing is known in any validation crop.
    """
    began_s = time.monotonic()
    crops = tuple(crop for crop in bank.of_usage("validate") if crop.counts[:, :2].any())
    if not crops:
        raise MissingDataError(
            "no crop for validation has a voxel that something is known about",
            "give the datasplit a row `validate`, or set validation_prob above 0",
        )
    readers = [CropReader(crop, predictor.card, only_known=True) for crop in crops]
    work = _Work(predictor, bank, readers, loss, ignore_padding)
    all_tiles = sum(predictor.tiles(reader.shape) for reader in readers)
    parts = _parts(work, limit, all_tiles)
    total = all_tiles if parts is None else len(parts)
    progress = _Progress(total, told)
    progress(0)
    if parts is None:
        for number in range(len(readers)):
            work.whole_crop(number, listeners, progress)
    else:
        work.some_tiles(parts, progress)
    return work.result(total, all_tiles, time.monotonic() - began_s)


class _Progress:
    def __init__(self, total: int, told: Callable[[int, int], None] | None) -> None:
        self._done, self._total, self._told = 0, total, told

    def __call__(self, tiles: int) -> None:
        self._done += tiles
        if self._told is not None:
            self._told(self._done, self._total)


class _Work:
    """A validation being made."""

    def __init__(
        self, predictor: Predictor, bank: Bank, readers: list[CropReader], loss: Any, ignore_padding: bool
    ) -> None:
        self.predictor, self.readers = predictor, readers
        device, columns = predictor.device, len(bank.columns)
        self._columns = bank.columns
        self._books = [torch.from_numpy(np.array(bank.book_of(reader.crop))).to(device) for reader in readers]
        self._ignore_padding = ignore_padding
        self._spec, self._pos_weight, self._criterion = _loss_parts(loss)
        kind = precise(torch.empty(0, device=device))
        self._sums = [
            BlockSums(
                torch.zeros(columns, SUMS, dtype=kind, device=device),
                torch.zeros(columns, COUNTS, dtype=kind, device=device),
            )
            for _ in readers
        ]
        self._criterion_sums: list[tuple[Tensor, Tensor]] = []

    def whole_crop(self, number: int, listeners: Sequence[BlockListener], progress: _Progress) -> None:
        reader = self.readers[number]
        for box, probabilities in self.predictor.stream(reader, told=progress):
            self._count(number, box, probabilities)
            for listener in listeners:
                listener.block(reader, box, probabilities)
        for listener in listeners:
            listener.crop_ended(reader)

    def some_tiles(self, parts: Sequence[Part], progress: _Progress) -> None:
        size = self.predictor.batch_size
        for start in range(0, len(parts), size):
            self.batch(parts[start : start + size], counted=True)
            progress(len(parts[start : start + size]))

    def batch(self, parts: Sequence[Part], *, counted: bool) -> None:
        """Predict some tiles; count them or only take the time."""
        asked = [(self.readers[part.crop], part.tile) for part in parts]
        for part, probabilities in zip(parts, self.predictor.predict_tiles(asked), strict=True):
            if counted and probabilities is not None:
                z, y, x = (-first for first in part.tile.box.start)
                inside = part.own.shifted((z, y, x)).slices
                self._count(part.crop, part.own, probabilities[(slice(None), *inside)])
        if self.predictor.device.type == "cuda":
            torch.cuda.synchronize(self.predictor.device)

    def result(self, tiles: int, all_tiles: int, seconds: float) -> Validation:
        counts = torch.stack([sums.counts for sums in self._sums]).round().to(torch.int64).cpu().numpy()
        loss, by_column = loss_of_sums(torch.stack([s.loss for s in self._sums]).sum(dim=0), *self._loss_rule())
        if self._criterion is not None:
            loss = self._criterion_loss()
        return Validation(
            columns=self._columns,
            crops=tuple(reader.crop.ref for reader in self.readers),
            counts=counts,
            loss=float(loss) if counts[..., KNOWN].any() else float("nan"),
            loss_by_column=by_column.to(torch.float64).cpu().numpy(),
            tiles=tiles,
            all_tiles=all_tiles,
            seconds=seconds,
        )

    @torch.no_grad()
    def _count(self, number: int, box: Box, probabilities: Tensor) -> None:
        labels = self._labels(number, box)
        sums = block_sums(probabilities, labels, self._spec.gamma if self._spec.kind == "focal" else 0.0)
        self._sums[number] = self._sums[number] + sums
        if self._criterion is not None:
            logits = torch.logit(probabilities, 1e-7)[None]
            weight = sums.counts[:, KNOWN].sum()
            self._criterion_sums.append((self._criterion(logits, labels).loss.to(weight.dtype) * weight, weight))

    def _labels(self, number: int, box: Box) -> CodedLabels:
        reader, device = self.readers[number], self.predictor.device
        codes = reader.codes(box)
        codes = codes if codes.dtype == np.uint8 else codes.astype(np.int32)
        valid = None
        if self._ignore_padding and reader.crop.em_valid is not None:
            valid = torch.from_numpy(reader.em(box)[1]).to(device)[None]
        return CodedLabels(torch.from_numpy(codes).to(device)[None], self._books[number], None, valid)

    def _loss_rule(self) -> tuple[LossSpec, Tensor | None]:
        weight = self._pos_weight
        return self._spec, None if weight is None else weight.to(self.predictor.device)

    def _criterion_loss(self) -> Tensor:
        losses, weights = (torch.stack(list(parts)) for parts in zip(*self._criterion_sums, strict=True))
        return losses.sum() / weights.sum().clamp(min=1)


def _loss_parts(loss: Any) -> tuple[LossSpec, Tensor | None, Any]:
    spec = getattr(loss, "spec", None)
    if isinstance(spec, LossSpec):
        return spec, getattr(loss, "pos_weight", None), None
    return LossSpec("bce" if loss is not None else "dice_bce"), None, loss


def _parts(work: _Work, limit: Limit | None, all_tiles: int) -> tuple[Part, ...] | None:
    """Return the tiles to predict alone; None: everything, with tiles that overlap."""
    if limit is None or (limit.batches is None and limit.seconds is None and limit.tiles is None):
        return None
    every = parts_of(work.predictor, work.readers)
    if not limit.is_decided:
        limit.tiles = _decided(work, limit, all_tiles, drawn_parts(every, len(every), limit.seed))
        limit.is_decided = True
    return None if limit.tiles is None else drawn_parts(every, limit.tiles, limit.seed)


def _decided(work: _Work, limit: Limit, all_tiles: int, drawn: Sequence[Part]) -> int | None:
    """Return how many tiles the limits allow; None: all of them."""
    size = work.predictor.batch_size
    allowed = float("inf") if limit.batches is None else limit.batches * size
    if limit.seconds is not None:
        began_s = time.monotonic()
        work.batch(drawn[:size], counted=False)  # the first one compiles and chooses kernels
        if time.monotonic() - began_s < limit.seconds:
            began_s = time.monotonic()
            work.batch(drawn[:size], counted=False)
        took_s = max(time.monotonic() - began_s, 1e-6)
        allowed = min(allowed, max(1, int(limit.seconds / took_s)) * size)
    return None if allowed >= all_tiles else min(int(allowed), len(drawn))
