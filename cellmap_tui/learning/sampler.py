"""Where samples are taken from: which crop, which place, by class, as a function of seed, epoch and number.

Every class gets the same number of draws however rare it is, half of the draws are centred on a voxel of
the class, some hold nothing at all, and a crop that is smaller than the patch lies anywhere in it.
No list of positions is ever made.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.learning.draws import uniforms
from cellmap_tui.learning.emptiness import has_present

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cellmap_tui.learning.bank import Bank, BankCrop

_PLACE = 1
"""Stream of random numbers; attempts at an empty place take the streams from `_ATTEMPT` on."""
_ATTEMPT = 100
_ATTEMPTS = 16
"""Places that are looked at for one without any target before the last is taken as it is."""


class Draw(IntEnum):
    """What a sample was drawn for."""

    FOREGROUND = 0
    """Centred on a voxel of the class."""
    ANYWHERE = 1
    """Anywhere in a crop in which the class is annotated, whether it occurs or not."""
    EMPTY = 2
    """Where no target occurs."""


@dataclass(frozen=True, slots=True)
class SamplerRules:
    """How places are chosen.

    Raises
    ------
    RequestError
        If the shares are not shares, or a weight is negative.
    """

    foreground_share: float = 0.5
    """Share of samples centred on a voxel of their class."""
    empty_share: float = 0.1
    """Share of samples in which no target occurs."""
    balanced: bool = True
    """Whether every target is drawn as often; else by how many of its voxels are known."""
    class_weights: Mapping[str, float] | None = None
    """Factor for each target in the choice of the class; 1 for those that are not named."""

    def __post_init__(self) -> None:
        shares = (self.foreground_share, self.empty_share)
        if any(not 0 <= share <= 1 for share in shares) or sum(shares) > 1:
            raise RequestError(
                f"shares {self.foreground_share} of foreground and {self.empty_share} of empty patches",
                "two numbers from 0 to 1 that add up to 1 at most",
            )
        if any(not weight >= 0 for weight in (self.class_weights or {}).values()):
            raise RequestError("a class weight below 0", "weights are 0 or more")


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Places of samples, `n` of them."""

    crop: NDArray[np.int64]
    """Number of the crop in the sampler's `crops`, ``[n]``."""
    column: NDArray[np.int64]
    """Column of the book it was drawn for, ``[n]``."""
    draw: NDArray[np.int64]
    """A `Draw`, ``[n]``."""
    start: NDArray[np.int64]
    """First voxel of the patch's box on the crop's grid, ``[n, 3]``; negative where it begins before the crop."""
    anchor: NDArray[np.int64]
    """A voxel of the crop that must stay in the patch, however it is turned, ``[n, 3]``."""


class Sampler:
    """Draws places from the crops of a bank.

    Parameters
    ----------
    bank
        The crops.
    usage
        ``train`` or ``validate``.
    rules
        How to choose.
    seed
        Same seed, same samples.

    Raises
    ------
    MissingDataError
        If no crop of that usage knows any target.
    """

    def __init__(self, bank: Bank, usage: str, rules: SamplerRules, seed: int) -> None:
        self.crops: tuple[BankCrop, ...] = bank.of_usage(usage)
        self._rules = rules
        self._seed = seed
        self._targets = len(bank.targets.targets)
        names = bank.columns[: self._targets]
        if not self.crops:
            raise MissingDataError(f"no crop of the bank is for {usage}", "check the first column of the datasplit")
        self._shapes = np.array([crop.codes.shape for crop in self.crops], np.int64)
        self._seeds, self._first_seed, self._seed_count = _seed_table(self.crops, self._targets)
        self._present = _class_table(self.crops, self._targets, known=False) * (self._seed_count > 0)
        self._known = _class_table(self.crops, self._targets, known=True)
        if not self._known.any():
            raise MissingDataError(
                f"no crop for {usage} says anything about {', '.join(names)}", "choose classes that were annotated"
            )
        self._weights = np.array([(rules.class_weights or {}).get(name, 1.0) for name in names])
        if not rules.balanced:
            self._weights = self._weights * sum(crop.counts[: self._targets, :2].sum(axis=1) for crop in self.crops)
        if not (self._weights * self._known.any(axis=1)).any():
            raise RequestError("the class weights leave nothing to draw", "give an annotated class a weight above 0")
        self._foreground = _foreground_codes(bank, self.crops)

    def places(self, epoch: int, indices: NDArray[np.int64], box: NDArray[np.int64]) -> Places:
        """Return where samples are.

        Parameters
        ----------
        epoch
            Number of the epoch.
        indices
            Numbers of the samples in the epoch, ``[n]``.
        box
            Voxels of the crop's grid that each patch covers, ``[n, 3]``.
        """
        draws = uniforms(self._seed, epoch, indices, _PLACE, 8)
        kind = np.where(draws[:, 0] < self._rules.foreground_share, Draw.FOREGROUND, Draw.ANYWHERE)
        empty = draws[:, 0] >= 1 - self._rules.empty_share
        kind = np.where(empty, Draw.EMPTY, kind).astype(np.int64)
        places = self._drawn(kind, draws, box)
        if empty.any():
            self._empty(places, epoch, indices, box)
        return places

    def _drawn(self, kind: NDArray[np.int64], draws: NDArray[np.float64], box: NDArray[np.int64]) -> Places:
        # A class that is annotated but occurs nowhere cannot be centred on; it is drawn for the other kinds alone.
        occurring = _chosen(self._weights * self._present.any(axis=1), draws[:, 1])
        annotated = _chosen(self._weights * self._known.any(axis=1), draws[:, 1])
        if not (self._weights * self._present.any(axis=1)).any():
            kind = np.where(kind == Draw.FOREGROUND, Draw.ANYWHERE, kind)
        is_foreground = kind == Draw.FOREGROUND
        column = np.where(is_foreground, occurring, annotated)
        tables = np.where(is_foreground[:, None], self._present[column], self._known[column])
        crop = _chosen_rows(tables, draws[:, 2])
        shape = self._shapes[crop]
        room = shape - box
        anywhere = np.minimum(room, 0) + np.floor(draws[:, 4:7] * (np.abs(room) + 1)).astype(np.int64)
        seed = self._seed_position(column, crop, draws[:, 3])
        centred = np.clip(seed - box // 2, np.minimum(room, 0), np.maximum(room, 0))
        # Where the crop is the smaller one, the box may lie anywhere around it: the crop stays in it as a whole.
        centred = np.where(room < 0, anywhere, centred)
        start = np.where(is_foreground[:, None], centred, anywhere)
        middle = (np.maximum(start, 0) + np.minimum(start + box, shape) - 1) // 2
        return Places(crop, column, kind, start, np.where(is_foreground[:, None], seed, middle))

    def _seed_position(
        self, column: NDArray[np.int64], crop: NDArray[np.int64], draw: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        count = self._seed_count[column, crop]
        number = self._first_seed[column, crop] + np.floor(draw * count).astype(np.int64)
        return self._seeds[np.where(count > 0, number, 0)]

    def _empty(self, places: Places, epoch: int, indices: NDArray[np.int64], box: NDArray[np.int64]) -> None:
        """Move the samples that should be empty to where they are, in place."""
        pending = np.flatnonzero(places.draw == Draw.EMPTY)
        for attempt in range(_ATTEMPTS):
            draws = uniforms(self._seed, epoch, indices[pending], _ATTEMPT + attempt, 8)
            tried = self._drawn(np.full(len(pending), Draw.EMPTY), draws, box[pending])
            for name in ("crop", "column", "start", "anchor"):
                getattr(places, name)[pending] = getattr(tried, name)
            pending = np.array(
                [number for number in pending if not self._is_empty(places, int(number), box)], np.int64
            )
            if not len(pending):
                return
        places.draw[pending] = Draw.ANYWHERE

    def _is_empty(self, places: Places, number: int, box: NDArray[np.int64]) -> bool:
        crop = places.crop[number]
        low = np.maximum(places.start[number], 0)
        high = np.minimum(places.start[number] + box[number], self._shapes[crop])
        return not has_present(np.asarray(self.crops[crop].codes), low, high, self._foreground[crop])


def patch_box(extent_nm: NDArray[np.float64], grid_nm: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many voxels of a grid patches of an extent cover, at least one, ``[n, 3]``."""
    return np.maximum(np.rint(extent_nm / grid_nm), 1).astype(np.int64)


def _class_table(crops: tuple[BankCrop, ...], columns: int, *, known: bool) -> NDArray[np.float64]:
    """Return the weight of each crop for each column, ``[columns, crops]``.

    A crop counts by the root of its voxels of the class: a large one is not forgotten, nor does
    it drown the others.
    """
    counts = np.array([crop.counts[:columns] for crop in crops], np.float64).transpose(1, 0, 2)
    return np.sqrt(counts[:, :, 0] + counts[:, :, 1] if known else counts[:, :, 0])


def _seed_table(
    crops: tuple[BankCrop, ...], columns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return all seeds in one list, and for each column and crop where its own begin and how many there are."""
    lists = [crop.seeds[column] for column in range(columns) for crop in crops]
    count = np.array([len(seeds) for seeds in lists], np.int64).reshape(columns, len(crops))
    first = (np.cumsum(count.ravel()) - count.ravel()).reshape(count.shape)
    seeds = np.concatenate([*lists, np.zeros((1, 3), np.int32)]).astype(np.int64)
    return seeds, first, count


def _foreground_codes(bank: Bank, crops: tuple[BankCrop, ...]) -> list[NDArray[np.bool_]]:
    """Return for each crop which of its codes are of any target."""
    return [(bank.book_of(crop) == 1).any(axis=1) for crop in crops]


def _chosen(weights: NDArray[np.float64], draw: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return numbers drawn with weights, ``[n]``."""
    edges = np.cumsum(weights)
    chosen = np.searchsorted(edges, draw * edges[-1], side="right")
    numbers: NDArray[np.int64] = np.minimum(chosen, len(weights) - 1, dtype=np.int64)
    return numbers


def _chosen_rows(weights: NDArray[np.float64], draw: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a number drawn by each row's own weights ``[n, k]``, ``[n]``."""
    edges = np.cumsum(weights, axis=1)
    chosen = (edges <= (draw * edges[:, -1])[:, None]).sum(axis=1)
    numbers: NDArray[np.int64] = np.minimum(chosen, weights.shape[1] - 1, dtype=np.int64)
    return numbers
