"""The draw: which units of crops train and which validate, seeded and stratified.

A unit is what must not be torn apart: a crop, crops that overlap, or a dataset. First every class that two
units or more have is brought to both sides as far as any choice can, with as few units as a good order of trying
finds; then validation is filled up to its share so that classes and datasets are as well represented in it
as the whole. Pure arithmetic on counts; nothing here knows files.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cellmap_tui.challenge.datasplit import Usage

MOST_STEPS = 20_000
"""Steps of the search for a choice that shows every class on both sides; real splits need a few dozen."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Crops that stay together."""

    name: str
    """Unambiguous name."""
    crops: int
    """Number of its crops."""
    classes: Mapping[str, int]
    """Class to the number of its crops that show it."""
    datasets: Mapping[str, int] = field(default_factory=dict)
    """Dataset to the number of its crops."""
    side: Usage | None = None
    """The side that it is bound to; None: free."""


def assign(units: Sequence[Unit], ratio: float, seed: int) -> dict[str, Usage]:
    """Return the side of each unit.

    Parameters
    ----------
    units
        What is divided; their order does not matter.
    ratio
        Share of the crops that validates, 0 to 1. More do where classes could not be validated otherwise; at
        least one unit is on each side when there are two free ones, and with 0 none validates.
    seed
        Of the draw.
    """
    draw = _Draw(units, seed)
    if ratio > 0:
        draw.cover(ratio)
        draw.fill(ratio)
    return {unit.name: "validate" if unit.name in draw.chosen else "train" for unit in units}


class _Draw:
    """A choice of validation units in the making."""

    def __init__(self, units: Iterable[Unit], seed: int) -> None:
        self.units = _shuffled(units, seed)
        self.chosen = {unit.name for unit in self.units if unit.side == "validate"}
        self.free = [unit for unit in self.units if unit.side is None]
        self._crops = {unit.name: unit.crops for unit in self.units}
        self._holders: dict[str, set[str]] = {}
        for unit in self.units:
            for name, number in unit.classes.items():
                if number:
                    self._holders.setdefault(name, set()).add(unit.name)
        # A class of one unit has nothing to divide: it is learned from, never only checked on.
        self._shared = {name: holders for name, holders in self._holders.items() if len(holders) > 1}
        self._steps = 0
        self._best: set[str] = set()
        self._wanted = 1.0

    def cover(self, ratio: float) -> None:
        """Choose units until every class that can be is on both sides."""
        self._wanted = max(1.0, ratio * sum(self._crops.values()))
        self._best = set(self.chosen)
        found = self._search(set(self.chosen), {unit.name for unit in self.free})
        self.chosen = found if found is not None else self._best

    def fill(self, ratio: float) -> None:
        """Choose more units until their crops are nearest to the share that was asked for."""
        total = sum(self._crops.values())
        wanted = max(1.0, ratio * total)
        size = sum(self._crops[name] for name in self.chosen)
        totals = _features(self.units)
        held = _features(unit for unit in self.units if unit.name in self.chosen)
        while True:
            able = [unit for unit in self.free if self._may_add(unit, size, wanted)]
            if not able:
                return
            best = min(able, key=lambda unit: _imbalance(held, unit, totals, ratio))  # first in the drawn order
            self.chosen.add(best.name)
            held.update(_features([best]))
            size += best.crops

    def _may_add(self, unit: Unit, size: int, wanted: float) -> bool:
        if unit.name in self.chosen or not self._leaves_training(unit.name, self.chosen):
            return False
        return not self.chosen or abs(size + unit.crops - wanted) < abs(size - wanted)

    def _leaves_training(self, name: str, chosen: set[str]) -> bool:
        """Whether training keeps a unit, and each class one, when this unit validates too."""
        after = chosen | {name}
        if all(unit.name in after for unit in self.units):
            return False
        return not any(name in holders and holders <= after for holders in self._holders.values())

    def _search(self, chosen: set[str], free: set[str]) -> set[str] | None:
        """Return a choice that shows every shared class on both sides; None where none was found."""
        self._steps += 1
        unmet = [holders for holders in self._shared.values() if not holders & chosen]
        if self._covered(chosen) > self._covered(self._best):
            self._best = set(chosen)
        if not unmet:
            return chosen
        if self._steps > MOST_STEPS:
            return None
        ways = [[n for n in holders & free if self._leaves_training(n, chosen)] for holders in unmet]
        fewest: list[str] = min(ways, key=len)
        for name in sorted(fewest, key=self._order(unmet)):
            found = self._search(chosen | {name}, free - {name})
            if found is not None or self._steps > MOST_STEPS:
                return found
            free = free - {name}  # every choice with it has been tried
        return None

    def _order(self, unmet: list[set[str]]) -> _Order:
        excess = {unit.name: max(0.0, unit.crops - self._wanted) for unit in self.units}
        return _Order(unmet, excess, {unit.name: place for place, unit in enumerate(self.units)})

    def _covered(self, chosen: set[str]) -> int:
        return sum(bool(holders & chosen) for holders in self._shared.values())


class _Order:
    """Sorts units for trying: most of the missing classes first, then not larger than validation, then as drawn."""

    def __init__(self, unmet: list[set[str]], excess: Mapping[str, float], places: Mapping[str, int]) -> None:
        self._unmet = unmet
        self._excess = excess
        self._places = places

    def __call__(self, name: str) -> tuple[int, float, int]:
        return (-sum(name in holders for holders in self._unmet), self._excess[name], self._places[name])


def assign_folds(units: Sequence[Unit], folds: int, seed: int) -> dict[str, int | None]:
    """Return the fold, from 0, in which each unit validates; None for units bound to training.

    Iterative stratification: the class with the fewest units left is dealt out next, each of its units to
    the fold that lacks most of it (Sechidis, Tsoumakas and Vlahavas 2011).
    """
    order = _shuffled(units, seed)
    left = {unit.name: unit for unit in order if unit.side is None}
    fold_of: dict[str, int | None] = dict.fromkeys((unit.name for unit in order), None)
    totals = _features(left.values())
    sizes = [0.0] * folds
    held: list[Counter[str]] = [Counter() for _ in range(folds)]
    while left:
        rarest = _rarest(left.values())
        members = [unit for unit in left.values() if rarest is None or unit.classes.get(rarest)]
        unit = max(members, key=lambda one: one.crops)  # the first of the drawn order among equals
        empty = [fold for fold in range(folds) if not sizes[fold]]
        # Every fold gets a unit: once as many are left as folds are empty, only these are served.
        open_folds = empty if len(left) <= len(empty) else range(folds)
        fold = min(open_folds, key=lambda one: (_load(held[one], unit, totals, rarest), sizes[one], one))
        fold_of[unit.name] = fold
        sizes[fold] += unit.crops
        held[fold].update(_features([unit]))
        del left[unit.name]
    return fold_of


def _rarest(units: Iterable[Unit]) -> str | None:
    """Return the class that the fewest units have, None where no unit has any."""
    counts: Counter[str] = Counter()
    for unit in units:
        counts.update(name for name, number in unit.classes.items() if number)
    return min(sorted(counts), key=lambda name: counts[name], default=None)


def _load(held: Counter[str], unit: Unit, totals: Counter[str], rarest: str | None) -> tuple[float, float]:
    """Return how much a fold has of the class that is dealt out, then of all features of a unit."""
    own = _features([unit])
    everything = sum(held[name] / totals[name] for name in own if totals[name])
    return (held[f"class {rarest}"] if rarest is not None else 0, everything)


def _shuffled(units: Iterable[Unit], seed: int) -> list[Unit]:
    order = sorted(units, key=lambda unit: unit.name)
    random.Random(seed).shuffle(order)  # noqa: S311 - a draw to be repeated, not a secret
    return order


def _features(units: Iterable[Unit]) -> Counter[str]:
    """Return how many crops have each class and come from each dataset."""
    counts: Counter[str] = Counter()
    for unit in units:
        counts.update({f"class {name}": number for name, number in unit.classes.items()})
        counts.update({f"dataset {name}": number for name, number in unit.datasets.items()})
    return counts


def _imbalance(held: Counter[str], unit: Unit, totals: Counter[str], ratio: float) -> float:
    """Return how far the shares of all classes and datasets are from the wanted one with this unit added."""
    added = _features([unit])
    return math.fsum(((held[name] + added[name]) / total - ratio) ** 2 for name, total in totals.items() if total)
