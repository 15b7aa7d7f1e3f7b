"""Several targets in one label volume: a value for each, or for nnU-Net a value for each combination.

A target is read by `target_labels`; here their voxels are brought together. What cannot be one value is
refused by name.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from cellmap_tui.challenge.targets import Target
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.geometry import Box
    from cellmap_tui.volumes.target_labels import TargetReader

MAX_TARGETS = 62
"""Targets that can be told apart in the bits of a 64 bit number."""


class LabelReader(Protocol):
    """Label values of a region."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the values; known after `prepare`."""

    @property
    def unknown_value(self) -> int:
        """Value of voxels of which nothing is known."""

    def prepare(self, checkpoint: Callable[[], None] | None = None) -> None:
        """Find out what has to be known before voxels are read."""

    def read_with_unknown(self, box: Box) -> Voxels:
        """Return the values of a box of the region."""


@dataclass(slots=True, eq=False)
class CombinedReader:
    """The ids of targets that do not overlap.

    A voxel of which one target is known has its id; where none is present it is 0, or unknown where one is.
    """

    readers: tuple[tuple[Target, TargetReader], ...]
    """Targets that are known here and their masks."""
    has_unknown: bool
    """Whether a target is not known here at all, so that there is no background."""
    max_id: int
    """Largest id of all targets, of other regions too: types are the same everywhere."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Narrowest unsigned type that holds every id and one more."""
        return np.dtype(np.min_scalar_type(self.max_id + 1))

    @property
    def unknown_value(self) -> int:
        """The largest value of `dtype`."""
        return (1 << 8 * self.dtype.itemsize) - 1

    def prepare(self, checkpoint: Callable[[], None] | None = None) -> None:
        """Nothing has to be known: masks are read as they are."""

    def read_with_unknown(self, box: Box) -> Voxels:
        """Return the ids of a box; RequestError names targets that overlap."""
        ids = np.zeros(box.shape, self.dtype)
        is_unknown = np.full(box.shape, self.has_unknown)
        for target, reader in self.readers:
            present, known = reader.mask(box)
            taken = present & (ids != 0)
            if taken.any():
                self._refuse(int(ids[taken][0]), target)
            ids[present] = target.id
            is_unknown |= ~known
        ids[is_unknown & (ids == 0)] = self.unknown_value
        return ids

    def _refuse(self, first: int, second: Target) -> None:
        name = next(target.name for target, _ in self.readers if target.id == first)
        raise RequestError(
            f"targets {name!r} and {second.name!r} overlap and cannot share one volume",
            "write them apart (without --combined), or as nnU-Net's regions with --format nnunet",
        )


@dataclass(slots=True, eq=False)
class Combinations:
    """Which targets are present in each voxel of a region, as bits; bit i is target i."""

    readers: tuple[TargetReader | None, ...]
    """A mask for each target; None where it is not known here."""
    excluded_by: Sequence[Sequence[bool]]
    """Whether target i cannot be where target j is, as no class is part of both."""
    missing_is_absent: bool = False
    """Whether a target that is not known here counts as absent and not as unknown."""

    def read(self, box: Box) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """Return the bits and which voxels are wholly known, of a box."""
        found = [reader.mask(box) if reader is not None else None for reader in self.readers]
        bits = np.zeros(box.shape, np.uint64)
        for i, pair in enumerate(found):
            if pair is not None:
                bits[pair[0]] |= np.uint64(1 << i)
        known = np.ones(box.shape, np.bool_)
        for i, pair in enumerate(found):
            if pair is None and self.missing_is_absent:
                continue
            others = sum(1 << j for j, excludes in enumerate(self.excluded_by[i]) if excludes)
            is_absent = (bits & np.uint64(others)) != 0
            known &= is_absent if pair is None else is_absent | pair[1]
        return bits, known

    def count(self, box: Box) -> tuple[Counter[int], int]:
        """Return how many voxels of a box have each combination, and how many are not wholly known."""
        import fastremap

        bits, known = self.read(box)
        inside = bits[known]
        if not inside.size:
            return Counter(), bits.size
        values, counts = fastremap.unique(inside, return_counts=True)
        found = Counter({int(v): int(n) for v, n in zip(values, counts, strict=True)})
        return found, bits.size - inside.size


@dataclass(slots=True, eq=False)
class CodeReader:
    """A value for each combination of targets."""

    combinations: Combinations
    """The targets of the region."""
    codes: Mapping[int, int]
    """Bits of the targets that are present to the value; 0 stands for itself."""
    unknown_value: int
    """Value of voxels that are not wholly known."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """nnU-Net's predictions are uint8, so its labels are."""
        return np.dtype(np.uint8)

    def prepare(self, checkpoint: Callable[[], None] | None = None) -> None:
        """Nothing has to be known."""

    def read_with_unknown(self, box: Box) -> Voxels:
        """Return the values of a box."""
        import fastremap

        bits, known = self.combinations.read(box)
        bits[~known] = 0
        table = {0: 0, **self.codes}
        codes = fastremap.remap(bits, table, preserve_missing_labels=False, in_place=True)
        values = np.asarray(codes).astype(np.uint8)
        values[~known] = self.unknown_value
        return values
