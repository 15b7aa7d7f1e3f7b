"""The points of one metric: arrays side by side, ordered by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """What was told of one metric. The arrays are views that never change; ask again for newer ones."""

    step: NDArray[np.int64]
    """Step of each point, ``[n]``, strictly rising."""
    epoch: NDArray[np.float64]
    """Its epoch, as told; NaN: not known."""
    time_s: NDArray[np.float64]
    """When it was told, Unix seconds of the writer's clock, which may jump; NaN: not known."""
    mean: NDArray[np.float64]
    """The value, or the mean of what was gathered; NaN: what was measured is no number."""
    low: NDArray[np.float64]
    """The least of what was gathered; the value itself where it stood alone."""
    high: NDArray[np.float64]
    """The most of what was gathered."""

    def __len__(self) -> int:
        return len(self.step)

    def taken(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Points:
        """Return a part of the points."""
        return Points(*(getattr(self, name)[index] for name in FIELDS))


FIELDS = ("step", "epoch", "time_s", "mean", "low", "high")
"""Names of the arrays, in the order of `Points`."""


def no_points() -> Points:
    """Return points of length 0."""
    return Points(np.empty(0, np.int64), *(np.empty(0) for _ in FIELDS[1:]))


def make_points(
    step: Sequence[int],
    mean: Sequence[float],
    *,
    epoch: Sequence[float] | None = None,
    time_s: Sequence[float] | None = None,
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
) -> Points:
    """Return points from plain numbers; what is left out is not known, and bounds are then the value."""
    steps, means = np.asarray(step, np.int64), np.asarray(mean, np.float64)
    unknown = np.full(len(steps), np.nan)
    return Points(
        steps,
        unknown if epoch is None else np.asarray(epoch, np.float64),
        unknown if time_s is None else np.asarray(time_s, np.float64),
        means,
        means if low is None else np.asarray(low, np.float64),
        means if high is None else np.asarray(high, np.float64),
    )


def joined(parts: Sequence[Points]) -> Points:
    """Return points one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Points(*(np.concatenate([getattr(part, name) for part in parts]) for name in FIELDS))
