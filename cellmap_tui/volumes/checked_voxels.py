"""Predictions watched while they are read: NaN, fractions, negative values, and how many values there are.

A volume as any other; what it gives is what may be packed: ids as whole numbers, thresholded
foreground. What it saw tells afterwards whether that was right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.arrays import Voxels


class _Volume(Protocol):
    @property
    def shape(self) -> Shape3: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def read(self, start: Shape3, stop: Shape3) -> Voxels: ...


@dataclass(slots=True)
class Seen:
    """What was seen in the voxels that were read."""

    has_nan: bool = False
    """NaN or infinity."""
    lowest: float = 0.0
    """Smallest value, 0 at most."""
    highest: float = 0.0
    """Largest value, 0 at least; not looked for among unsigned ids."""
    has_fractions: bool = False
    """A value that is no whole number."""
    has_several: bool = False
    """More than one value beside 0; not looked for among ids."""


class Checked:
    """A volume whose voxels are looked at as they pass.

    Parameters
    ----------
    volume
        The prediction as stored.
    is_ids
        Whether its values are ids: floats and signed integers then come out as unsigned ones.
    threshold
        Values above it become 1, others 0; None: values stay as they are.
    """

    def __init__(self, volume: _Volume, *, is_ids: bool, threshold: float | None = None) -> None:
        self._volume = volume
        self._is_ids = is_ids
        self._threshold = None if is_ids else threshold
        self.shape = volume.shape
        self.dtype = _ids_type(volume.dtype) if is_ids else volume.dtype
        if self._threshold is not None:
            self.dtype = np.dtype(np.uint8)
        self.chunks: Shape3 | None = getattr(volume, "chunks", None)
        self.seen = Seen()

    def read(self, start: Shape3, stop: Shape3) -> Voxels:
        """Return the voxels of a half-open box."""
        voxels = self._volume.read(start, stop)
        if voxels.size:
            self._look_at(voxels)
        if self._threshold is not None:
            return (voxels > self._threshold).view(np.uint8)
        if voxels.dtype == self.dtype:
            return voxels
        with np.errstate(invalid="ignore"):  # NaN was seen, and the volume is not packed
            return voxels.astype(self.dtype)

    def _look_at(self, voxels: Voxels) -> None:
        seen = self.seen
        if voxels.dtype.kind == "b":
            seen.highest = max(seen.highest, float(voxels.any()))
            return
        if self._is_ids and voxels.dtype.kind == "u":
            return
        # Both pass NaN on, so that one pass less is needed.
        highest = float(voxels.max())
        lowest = 0.0 if voxels.dtype.kind == "u" else float(voxels.min())
        if voxels.dtype.kind == "f":
            if not (np.isfinite(lowest) and np.isfinite(highest)):
                seen.has_nan = True
                voxels = voxels[np.isfinite(voxels)]
                lowest, highest = (float(voxels.min()), float(voxels.max())) if voxels.size else (0.0, 0.0)
            if not seen.has_fractions:
                seen.has_fractions = bool((voxels != np.rint(voxels)).any())
        seen.lowest = min(seen.lowest, lowest)
        if highest > 0 and not (self._is_ids or seen.has_several):
            is_other = seen.highest > 0 and highest != seen.highest
            is_mask = voxels.dtype.kind == "u" and highest == 1
            seen.has_several = is_other or (not is_mask and bool(((voxels > 0) & (voxels < highest)).any()))
        seen.highest = max(seen.highest, highest)


def _ids_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the unsigned type that ids of a type are read as."""
    if dtype.kind == "f":
        return np.dtype(np.uint64)
    return np.dtype(f"u{dtype.itemsize}")
