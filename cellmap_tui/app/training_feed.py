"""What one training has told: losses, validations, the look before, summed up from its events. No terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cellmap_tui.jobs.events import Event

TRAIN = "train"
"""Name of the command."""
MOST_POINTS = 4096
"""Losses that are kept; beyond, every second one goes."""


@dataclass(slots=True)
class TrainingTally:
    """Sums up what a training tells."""

    losses: list[tuple[int, float]] = field(default_factory=list)
    """Step and mean loss, in order."""
    dice: list[tuple[int, float]] = field(default_factory=list)
    """Epoch and mean Dice."""
    latest: dict[str, float] = field(default_factory=dict)
    """Newest value of every name."""
    step: int = 0
    """Newest step."""
    epoch: int | None = None
    """Newest epoch."""
    best: tuple[int, float] | None = None
    """Epoch and mean Dice of the best validation."""

    def take(self, events: Iterable[Event]) -> None:
        """Take new events; what is no metric does not count."""
        for event in events:
            if event.kind == "metric":
                self._take(event.fields)

    def _take(self, fields: Any) -> None:
        step, epoch, values = fields.get("step"), fields.get("epoch"), fields.get("values")
        if not isinstance(step, int) or not isinstance(values, dict):
            return
        if step < self.step:
            # Resumed: what was told of later steps is told again.
            self.losses = [point for point in self.losses if point[0] < step]
        self.step = step
        self.epoch = epoch if isinstance(epoch, int) else self.epoch
        for name, told in values.items():
            value = mean_of(told)
            if value is not None:
                self.latest[name] = value
                self._keep(name, value)

    def _keep(self, name: str, value: float) -> None:
        if name == "loss":
            self.losses.append((self.step, value))
            if len(self.losses) > MOST_POINTS:
                del self.losses[::2]
        elif name == "val/dice" and self.epoch is not None:
            self.dice = [*(point for point in self.dice if point[0] != self.epoch), (self.epoch, value)]
            self.best = max(self.dice, key=lambda point: point[1])

    def classes(self) -> list[tuple[str, float]]:
        """Return the newest Dice of each class, the worst first."""
        prefix = "val/dice/"
        found = [(name.removeprefix(prefix), value) for name, value in self.latest.items() if name.startswith(prefix)]
        return sorted(found, key=lambda item: item[1])

    def curve(self, columns: int) -> list[float | None]:
        """Return the mean loss of each of `columns` equal spans of steps; None where there was none."""
        if not self.losses or columns < 1:
            return []
        first, last = self.losses[0][0], self.losses[-1][0]
        span = max(1, last - first + 1)
        sums, counts = [0.0] * columns, [0] * columns
        for step, loss in self.losses:
            column = min(columns - 1, (step - first) * columns // span)
            sums[column] += loss
            counts[column] += 1
        found = [total / count if count else None for total, count in zip(sums, counts, strict=True)]
        return _filled(found)


def mean_of(told: object) -> float | None:
    """Return a value of a metric event: the number, or the mean of a window; None for anything else."""
    value = told.get("mean") if isinstance(told, dict) else told
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _filled(values: list[float | None]) -> list[float | None]:
    """Carry values over columns in which no step ended, so that a young run's curve has no gaps."""
    last: float | None = None
    filled = []
    for value in values:
        last = last if value is None else value
        filled.append(last)
    return filled


class TrainingFeed:
    """Follows one training; used from one thread at a time.

    Parameters
    ----------
    path
        Its run directory.
    """

    def __init__(self, path: Path) -> None:
        from cellmap_tui.jobs.rundir import RunDir
        from cellmap_tui.jobs.watch import RunReader

        self.path = path
        """Its run directory."""
        self.tally = TrainingTally()
        """What it has told so far."""
        self._reader = RunReader(RunDir(path))
        self._restarts = 0

    def poll(self) -> bool:
        """Read what is new, at most a chunk; return whether there was anything."""
        events = self._reader.poll()
        if self._reader.restarts != self._restarts:
            self._restarts, self.tally = self._reader.restarts, TrainingTally()
        self.tally.take(events)
        return bool(events)

    @property
    def at_end(self) -> bool:
        """Whether everything that is there was read."""
        return self._reader.at_end
