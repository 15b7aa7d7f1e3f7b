"""Planes of volumes that are looked at: sampled at the pixels of a picture, chunk by chunk, and kept.

A chunk is decoded whole, so the planes that it holds besides the one that is looked at are sampled with it.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid, Shape3

PLANES = ((1, 2), (0, 2), (0, 1))
"""Axes down and across a plane, for planes across z, y and x."""
BUDGET_BYTES = 128 * 2**20
MOST_TILE = 256
"""Largest edge of what is read at once."""
THREADS = min(4, os.cpu_count() or 1)
"""Chunks are decoded outside of Python's lock."""
THREADED_BYTES = 512 * 2**10
"""Tiles below this size are decoded one by one: threads would wait for each other longer than they work."""


class _Span(NamedTuple):
    """A tile on an axis, and which of the wanted positions lie in it."""

    low: int
    """Its first voxel."""
    high: int
    """The voxel behind it."""
    which: slice
    """The positions, among all that are wanted."""
    inside: NDArray[np.int64]
    """Where they lie in the tile."""


@dataclass(frozen=True, slots=True)
class PixelPlane:
    """Where the pixels of a picture lie."""

    axis: int
    """Axis across the picture: 0 z, 1 y, 2 x."""
    at_nm: float
    """Where the picture lies on that axis."""
    down_nm: Sequence[float]
    """Centres of the rows."""
    across_nm: Sequence[float]
    """Centres of the columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """What a volume holds at the pixels of a picture."""

    values: NDArray[Any]
    """Values ``[rows, columns]``, 0 outside the volume."""
    known: NDArray[np.bool_]
    """Which pixels lie inside the volume and are not declared unknown."""


class Volume(Protocol):
    """A three-dimensional array that is read box by box."""

    @property
    def shape(self) -> Shape3:
        """Voxels on each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its voxels."""

    def read(self, start: Shape3, stop: Shape3) -> NDArray[Any]:
        """Return the voxels of a half-open box that lies inside; good until the thread reads again."""


class Predicted(Protocol):
    """The predictions of one crop, and the truth that they are compared with."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that are predicted."""

    def prediction(self, label: str, plane: PixelPlane) -> Sampled | None:
        """Return what was predicted at each pixel; None where the class is not predicted."""

    def truth(self, label: str, plane: PixelPlane) -> Sampled | None:
        """Return what is there, on the very voxels that `prediction` uses; None where it is not known."""


class PlaneCache:
    """What was sampled from volumes, the least recently used dropped first; threads may share it."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._budget_bytes = budget_bytes
        self._held_bytes = 0
        self._stacks: OrderedDict[tuple[str, int, int, bytes, bytes], NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def plane(
        self, key: str, volume: Volume, axis: int, index: int, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[Any]:
        """Return rows and columns of one plane of a volume that is called `key`; do not write into it."""
        tiles = Tiles.of(volume, axis)
        first = tiles.start_of(axis, index)
        place = (key, axis, first, rows.tobytes(), columns.tobytes())
        with self._lock:
            stack = self._stacks.get(place)
            if stack is None:
                stack = tiles.sampled(axis, index, rows, columns)
                self._stacks[place] = stack
                self._held_bytes += stack.nbytes
            self._stacks.move_to_end(place)
            while self._held_bytes > self._budget_bytes and len(self._stacks) > 1:
                self._held_bytes -= self._stacks.popitem(last=False)[1].nbytes
        plane: NDArray[Any] = stack[index - first]
        return plane


@dataclass(frozen=True, slots=True)
class Tiles:
    """How a volume is cut into pieces that cost least to read: its own chunks, where it has some."""

    volume: Volume
    """What is read."""
    size: Shape3
    """Voxels of a tile."""
    origin: Shape3
    """Voxel at which a tile begins."""
    threads: int
    """How many tiles may be read at once."""

    @classmethod
    def of(cls, volume: Any, axis: int) -> Tiles:
        """Look for the chunks behind a volume that only places them."""
        inner = getattr(volume, "volume", volume)
        chunks, store = getattr(inner, "chunks", None), getattr(inner, "store", None)
        if chunks is None:
            return cls(volume, (16, 64, 64), (0, 0, 0), 1)
        z, y, x = (min(n, MOST_TILE) for n in chunks)
        # Across z a volume may unpack less than a chunk.
        planes = getattr(inner, "planes_at_once", z) if axis == 0 else z
        # Whole chunks of a folder pass through nothing that threads would have to share.
        is_simple = (z, y, x) == tuple(chunks) and store is not None and store.path.is_dir()
        z = min(z, planes)
        is_large = z * y * x * inner.dtype.itemsize >= THREADED_BYTES
        shift = getattr(volume, "shift", (0, 0, 0))
        origin = tuple(s % n for s, n in zip(shift, (z, y, x), strict=True))
        return cls(volume, (z, y, x), (origin[0], origin[1], origin[2]), THREADS if is_simple and is_large else 1)

    def start_of(self, axis: int, index: int) -> int:
        """Return where the tile begins that holds a plane."""
        return max(0, index - (index - self.origin[axis]) % self.size[axis])

    def sampled(self, axis: int, index: int, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[Any]:
        """Return rows and columns of all planes that lie in one tile with a plane ``[planes, rows, columns]``."""
        from concurrent.futures import ThreadPoolExecutor

        import numpy as np

        first = self.start_of(axis, index)
        last = min(index + self.size[axis] - (index - self.origin[axis]) % self.size[axis], self.volume.shape[axis])
        stack = np.zeros((last - first, len(rows), len(columns)), self.volume.dtype)
        on_down, on_across = PLANES[axis]

        def read(spans: tuple[_Span, _Span]) -> None:
            down, across = spans
            start, stop = [0, 0, 0], [0, 0, 0]
            for on, low, high in ((axis, first, last), (on_down, *down[:2]), (on_across, *across[:2])):
                start[on], stop[on] = low, high
            block = self.volume.read((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
            planes = np.moveaxis(block, axis, 0) if axis else block
            stack[:, down.which, across.which] = planes[:, down.inside[:, None], across.inside]

        downs, acrosses = self._spans(on_down, rows), self._spans(on_across, columns)
        spans = [(down, across) for down in downs for across in acrosses]
        if self.threads == 1 or len(spans) == 1:
            for one in spans:
                read(one)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(read, spans))
        return stack

    def _spans(self, axis: int, positions: NDArray[np.int64]) -> list[_Span]:
        """Return the tiles on an axis that hold one of ascending positions, with which positions."""
        import numpy as np

        size, origin = self.size[axis], self.origin[axis]
        tile = (positions - origin) // size
        cuts = [0, *(np.flatnonzero(np.diff(tile)) + 1).tolist(), len(positions)]
        spans = []
        for first, last in itertools.pairwise(cuts):
            if first == last:
                continue
            low = int(tile[first]) * size + origin
            start, stop = max(0, low), min(low + size, self.volume.shape[axis])
            spans.append(_Span(start, stop, slice(first, last), positions[first:last] - start))
        return spans


def sample(cache: PlaneCache, key: str, volume: Volume, grid: Grid, plane: PixelPlane) -> Sampled:
    """Return the voxel of a volume at the centre of each pixel.

    Parameters
    ----------
    cache, key
        Keeps what was read under this name.
    volume
        Voxels on `grid`.
    grid
        Where they lie.
    plane
        The pixels, in ascending order.
    """
    import numpy as np

    index = int(_indices(grid, plane.axis, [plane.at_nm])[0])
    on_down, on_across = PLANES[plane.axis]
    rows, columns = _indices(grid, on_down, plane.down_nm), _indices(grid, on_across, plane.across_nm)
    inside = np.zeros((len(rows), len(columns)), np.bool_)
    values = np.zeros(inside.shape, volume.dtype)
    in_rows = (rows >= 0) & (rows < grid.shape[on_down])
    in_columns = (columns >= 0) & (columns < grid.shape[on_across])
    if not 0 <= index < grid.shape[plane.axis] or not in_rows.any() or not in_columns.any():
        return Sampled(values, inside)
    read = cache.plane(key, volume, plane.axis, index, rows[in_rows], columns[in_columns])
    values[np.ix_(in_rows, in_columns)] = read
    inside[np.ix_(in_rows, in_columns)] = True
    return Sampled(values, inside)


def _indices(grid: Grid, axis: int, positions_nm: Sequence[float]) -> NDArray[np.int64]:
    """Return the voxel of a grid's axis at each position; outside of it, one that does not exist."""
    import numpy as np

    offset_nm = np.asarray(positions_nm, np.float64) - grid.translation_nm[axis]
    return np.floor(offset_nm / grid.voxel_size_nm[axis] + 0.5 + 1e-6).astype(np.int64)
