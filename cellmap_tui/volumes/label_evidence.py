"""In which voxels of a box a class is present, and in which nobody can say: from class arrays, or from ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.challenge.target_ids import State
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.geometry import Box
    from cellmap_tui.volumes.label_volumes import LabelVolume

_CODES: dict[State, int] = {"absent": 0, "present": 1, "unknown": 2}
_TABLE_IDS = 2**16
"""Ids up to this are looked up in a table; more than the class table will ever have."""


class Evidence(Protocol):
    """What is known of one class."""

    @property
    def words(self) -> str:
        """Where it is known from, for people."""

    @property
    def volumes(self) -> tuple[LabelVolume, ...]:
        """What is read."""

    def states(self, grid: Grid, box: Box) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return present and unknown voxels of a box of `grid`; never both."""


@dataclass(frozen=True, slots=True, eq=False)
class ArrayEvidence:
    """The union of class arrays."""

    name: str
    """The class."""
    volumes: tuple[LabelVolume, ...]
    """Its own array, or those of its parts; at least one."""
    complete: bool
    """Whether what is in none of them is absent, not unknown."""

    @property
    def words(self) -> str:
        """Where the class is known from."""
        names = "+".join(volume.name for volume in self.volumes)
        return names if self.complete else f"{names} (part)"

    def states(self, grid: Grid, box: Box) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return present and unknown voxels of a box of `grid`."""
        present = np.zeros(box.shape, np.bool_)
        unknown = np.full(box.shape, not self.complete)
        for volume in self.volumes:
            values, valid = volume.read(grid, box)
            here = values != 0
            if volume.unknown_value is not None:
                unsure = values == volume.unknown_value
                here &= ~unsure
                unknown |= unsure
            present |= here & valid
            unknown |= ~valid
        return present, unknown & ~present


class IdEvidence:
    """The ids of one volume, each of which says something of the class.

    Parameters
    ----------
    name
        The class.
    volume
        The volume of ids.
    states
        What each id says; one that is not listed says nothing: unknown.
    """

    def __init__(self, name: str, volume: LabelVolume, states: Mapping[int, State]) -> None:
        self.name = name
        self.volumes: tuple[LabelVolume, ...] = (volume,)
        self.words = f"ids of {volume.name}"
        self._table, self._large = _lookup(states)

    def states(self, grid: Grid, box: Box) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return present and unknown voxels of a box of `grid`."""
        volume = self.volumes[0]
        values, valid = volume.read(grid, box)
        codes = self._codes(values)
        unknown = (codes == 2) | ~valid
        if volume.unknown_value is not None:
            unknown |= values == volume.unknown_value
        return (codes == 1) & ~unknown, unknown

    def _codes(self, values: Voxels) -> NDArray[np.uint8]:
        last = len(self._table) - 1
        if values.dtype.kind == "b":
            values = values.view(np.uint8)
        is_narrow = values.dtype.kind == "u" and int(np.iinfo(values.dtype).max) <= last
        index = values if is_narrow else np.where(values < 0, last, np.minimum(values, last))
        codes: NDArray[np.uint8] = self._table[index]
        for number, code in self._large.items():
            codes[values == number] = code
        return codes


def _lookup(states: Mapping[int, State]) -> tuple[NDArray[np.uint8], dict[int, int]]:
    """Return codes by id, the last of them for every id beyond, and the codes of very large ids."""
    small = {number: _CODES[state] for number, state in states.items() if number < _TABLE_IDS}
    table = np.full(max(max(small, default=0) + 2, 256), _CODES["unknown"], np.uint8)
    for number, code in small.items():
        table[number] = code
    large = {number: _CODES[state] for number, state in states.items() if number >= _TABLE_IDS}
    return table, large
