"""Grey values of a foreign stack as 8-bit EM: which range becomes 0 to 255, and the conversion itself.

The challenge's EM is ``uint8``. Stacks of 8 bits pass unchanged; wider ones are scaled linearly,
and what was done is told in words and kept as plain values, so that it can be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cellmap_tui.errors import DataError, RequestError
from cellmap_tui.text import number, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.stacks import Stack

Scaling = Literal["percentile", "full"]
"""Which values become 0 and 255: the 0.1 and 99.9 percentiles, or the smallest and the largest."""

PERCENTILES = (0.1, 99.9)  # a few hot pixels or torn edges must not take the whole range
_SAMPLED_SLICES = 32
_SAMPLED_VALUES = 4_000_000
_STEPS = 255
_PIECE = 2_000_000  # values converted at once: indices and floats take eight bytes each


@dataclass(frozen=True, slots=True)
class Greys:
    """How stored values become 8-bit greys."""

    how: Literal["unchanged", "percentile", "full", "given"]
    """What chose the range; ``unchanged`` for values that are 8-bit already."""
    low: float
    """Value that becomes 0."""
    high: float
    """Value that becomes 255."""
    invert: bool = False
    """Whether dark and bright are swapped afterwards."""

    def describe(self) -> str:
        """Return in words what happens to the values."""
        span = f"values {number(self.low)} to {number(self.high)}"
        words = {
            "unchanged": "8-bit values kept as they are",
            "percentile": f"{span} (0.1 and 99.9 percentile) scaled to 0-255",
            "full": f"{span} (smallest and largest) scaled to 0-255",
            "given": f"{span} scaled to 0-255",
        }[self.how]
        return f"{words}, then inverted" if self.invert else words

    def applied(self, block: Voxels) -> Voxels:
        """Return a block as uint8 of the same shape; values outside the range are clipped, NaN becomes `low`."""
        if block.dtype == np.uint8 and self.how == "unchanged" and not self.invert:
            return block
        table = self._table(block.dtype)
        greys = np.empty(block.shape, np.uint8)
        rows = max(1, _PIECE // block.shape[2])
        for plane, out in zip(block, greys, strict=True):
            for y in range(0, len(plane), rows):
                part = plane[y : y + rows]
                out[y : y + rows] = self._computed(part) if table is None else table[_as_index(part)]
        return greys

    def _table(self, dtype: np.dtype[np.generic]) -> Voxels | None:
        """Return the grey of every value of a small integer type; negative values stand behind the others."""
        if dtype.kind not in "ui" or dtype.itemsize > 2:
            return None
        info = np.iinfo(dtype.str)
        values = np.arange(info.min, int(info.max) + 1)
        return np.roll(self._computed(values), int(info.min))

    def _computed(self, values: Voxels) -> Voxels:
        wide: Voxels = values.astype(np.float64)
        np.nan_to_num(wide, copy=False, nan=self.low)
        np.clip(wide, self.low, self.high, out=wide)
        wide -= self.low
        wide *= _STEPS / (self.high - self.low)
        greys: Voxels = np.rint(wide, out=wide).astype(np.uint8)
        return _STEPS - greys if self.invert else greys


def _as_index(values: Voxels) -> Voxels:
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def choose_greys(
    stack: Stack,
    *,
    scaling: Scaling = "percentile",
    value_range: tuple[float, float] | None = None,
    invert: bool = False,
    checkpoint: Callable[[], None] | None = None,
) -> Greys:
    """Choose how the values of an EM stack become 8-bit greys.

    Parameters
    ----------
    stack
        The stack; slices of it are read, all of them for ``full``.
    scaling
        Which range is used when none is given.
    value_range
        The values that become 0 and 255.
    invert
        Swap dark and bright afterwards.
    checkpoint
        Called between slices; may raise to give up.

    Raises
    ------
    DataError
        If the stack is a mask of booleans.
    RequestError
        If the range given is empty.
    """
    if stack.dtype.kind == "b":
        raise DataError(f"{printable(stack.spec)} is a mask of booleans, not EM", "give it with --label CLASS=FILE")
    if value_range is not None:
        low, high = value_range
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise RequestError(f"value range {low} to {high} is empty", "give the lower value first")
        return Greys("given", float(low), float(high), invert)
    if stack.dtype == np.uint8:
        return Greys("unchanged", 0, _STEPS, invert)
    how: Scaling = scaling
    low, high = _full_range(stack, checkpoint) if scaling == "full" else _percentile_range(stack, checkpoint)
    if stack.dtype.kind in "ui" and low >= 0 and high <= _STEPS:
        return Greys("unchanged", 0, _STEPS, invert)
    return Greys(how, low, high if high > low else low + 1, invert)


def _full_range(stack: Stack, checkpoint: Callable[[], None] | None) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for z in range(stack.shape[0]):
        if checkpoint is not None:
            checkpoint()
        values = _finite(stack.read(z, z + 1))
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return (low, high) if low <= high else (0.0, 1.0)


def _percentile_range(stack: Stack, checkpoint: Callable[[], None] | None) -> tuple[float, float]:
    count = min(_SAMPLED_SLICES, stack.shape[0])
    samples = []
    for z in np.linspace(0, stack.shape[0] - 1, count).astype(int):
        if checkpoint is not None:
            checkpoint()
        values: Voxels = stack.read(int(z), int(z) + 1).reshape(-1)
        values = values[:: 1 + values.size * count // _SAMPLED_VALUES]
        values = _finite(values)
        samples.append(values[values != 0])  # zeros are the padding that alignment leaves
    sampled = np.concatenate(samples)
    if not sampled.size:
        return 0.0, 1.0
    low, high = np.percentile(sampled.astype(np.float64), PERCENTILES)
    return float(low), float(high)


def _finite(values: Voxels) -> Voxels:
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values
