"""Where an object or a class lies in a label volume, found chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.errors import Stopped
from cellmap_tui.volumes.arrays import chunk_box, chunks_of, has_chunk, open_level, read_inside
from cellmap_tui.volumes.geometry import Box, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.ngff import Level


@dataclass(frozen=True, slots=True)
class Wanted:
    """The voxels of an object, or of a whole class, read chunk by chunk."""

    level: Level
    """Where."""
    number: int | None
    """Value of the object; None: everything that is not background."""
    unknown_value: int | None
    """Value of voxels that were not annotated."""
    is_stale: Callable[[], bool]
    """True ends the search with `Stopped`."""

    def areas(self, axis: int) -> NDArray[np.int64]:
        """Return how many voxels lie in each slice."""
        areas = np.zeros(self.level.shape[axis], np.int64)
        across = tuple(a for a in range(3) if a != axis)
        for mask, box in self._masks(whole(self.level.grid)):
            areas[box.start[axis] : box.stop[axis]] += mask.sum(axis=across)
        return areas

    def middle(self, axis: int, index: int) -> Shape3:
        """Return a voxel of a slice that is the object's, as near to the middle of its section as there is one."""
        start, stop = [0, 0, 0], list(self.level.shape)
        start[axis], stop[axis] = index, index + 1
        plane = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
        places = np.concatenate([np.argwhere(mask) + np.array(box.start) for mask, box in self._masks(plane)])
        z, y, x = places[np.abs(places - places.mean(axis=0)).sum(axis=1).argmin()].tolist()
        return (z, y, x)

    def _masks(self, within: Box) -> Iterator[tuple[NDArray[np.bool_], Box]]:
        array = open_level(self.level)
        for index in chunks_of(within, self.level.chunks):
            if self.is_stale():
                raise Stopped("another place was asked for")
            if not has_chunk(self.level, index):
                continue
            box = chunk_box(index, self.level.chunks).clipped(self.level.shape).intersected(within)
            block = read_inside(self.level, array, box)
            mask = (block != 0) if self.number is None else (block == self.number)
            if self.number is None and self.unknown_value is not None:
                mask &= block != self.unknown_value
            yield mask, box
