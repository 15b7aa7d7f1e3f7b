"""Trainings side by side: configuration, metrics, best epochs, and classes in pairs, each against the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.monitor.source import Source


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """A key of the configuration in which the trainings differ."""

    key: str
    """Name of the key."""
    values: tuple[str | None, ...]
    """Its value in each training, as text; None: it has none, or it is not known."""


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric in every training; None: never told, or nothing but broken numbers."""

    name: str
    """Name of the metric."""
    last: tuple[float | None, ...]
    """The last value."""
    best: tuple[float | None, ...]
    """The best value: lowest of losses, highest of Dice and its kin; the last of what is neither."""
    deltas: tuple[float | None, ...]
    """Best value less the first training's, for each training but the first."""
    is_low_best: bool | None
    """Whether lower is better; None: neither."""


@dataclass(frozen=True, slots=True)
class BestEpoch:
    """The best epoch of one training."""

    run: str
    """The training."""
    metric: str
    """What makes it the best; empty: nothing was validated."""
    value: float | None
    """Its value there."""
    epoch: float | None
    """The epoch; None where the log has no epochs."""
    step: int | None
    """The step."""
    time_s: float | None
    """Seconds from the start of the training; None: not known."""
    epochs_done: float | None
    """Epochs that the training has done."""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class at the best epoch of every training."""

    name: str
    """The class."""
    values: tuple[float | None, ...]
    """Its Dice in each; None: not validated."""
    deltas: tuple[float | None, ...]
    """The difference to the first, for each but the first."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The classes that two trainings share, in pairs."""

    run: str
    """The training that is compared with the first."""
    classes: int
    """Classes that both validated."""
    better: int
    """Classes that are better in it, by more than a thousandth."""
    worse: int
    """Classes that are worse in it, likewise."""
    mean: float | None
    """Mean difference over the shared classes; None: none is shared."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Trainings side by side; all texts come from files, so show them through `text.printable`."""

    runs: tuple[str, ...]
    """Their names, different from each other; the first is what the others are compared with."""
    config: tuple[ConfigRow, ...]
    """The keys in which they differ."""
    metrics: tuple[MetricRow, ...]
    """Metrics of the whole training; those of classes stand apart."""
    best: tuple[BestEpoch, ...]
    """The best epoch of each."""
    classes: tuple[ClassRow, ...]
    """Classes, the largest difference first."""
    paired: tuple[PairedDifference, ...]
    """A row for each training but the first."""
    warnings: tuple[str, ...]
    """Why numbers may not be comparable."""


def compare_trainings(sources: Sequence[Source]) -> Comparison:
    """Put trainings side by side as far as they have been read; poll the sources to their ends first.

    Raises
    ------
    RequestError
        If there are fewer than two.
    """
    raise NotImplementedError
