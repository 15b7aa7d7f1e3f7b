"""Grey values of a volume of any size for tiles that come in order of their first row.

Rows are resampled to the network's grid slab by slab, once, ahead of the tiles that need them, and forgotten
behind them: by the same function that makes a training bank, so level, scaling and padding are those of training.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

import numpy as np

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.learning.bank import BankCrop
from cellmap_tui.learning.bank_em import write_em
from cellmap_tui.learning.em_reader import normal_of
from cellmap_tui.learning.gather import read_patch
from cellmap_tui.learning.symmetric import snapped
from cellmap_tui.volumes.geometry import Box, sub_grid

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.learning.bank_em import CropEm
    from cellmap_tui.learning.model_card import ModelCard

ROWS = 32
"""Rows that are resampled together."""
AHEAD = 2
"""Slabs that are read ahead of the tiles."""


class RollingEm:
    """Hands tiles their grey values; tiles come in order of their first row. See `em_reader.EmReader`.

    Parameters
    ----------
    em
        From `open_em`.
    grid
        The output grid of the network.
    card
        The network.
    region
        Voxels of `grid` that tiles may ask for, those beyond it included; see `reach_of`.
    before
        Called with the grid of a slab before it is read, to bring its chunks.
    """

    def __init__(
        self,
        em: CropEm,
        grid: Grid,
        card: ModelCard,
        region: Box,
        before: Callable[[Grid], None] | None = None,
    ) -> None:
        self._em, self._grid, self._region, self._before = em, grid, region, before
        self._normal = normal_of(card)
        self._ratios = ratios_of(card)
        self._slabs: dict[int, Future[NDArray[np.uint8]]] = {}
        self._pool = ThreadPoolExecutor(AHEAD, "cellmap-em")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._slabs.clear()

    @property
    def shape(self) -> Shape3:
        """Voxels of the output grid."""
        return self._grid.shape

    def read(self, box: Box, axis: int | None, out: NDArray[np.uint8]) -> bool:
        """Read a tile; see `EmReader.read`."""
        ratios = [_turned(ratio, self._normal, axis) for ratio in self._ratios]
        wide = [widened(box, ratio) for ratio in ratios]
        self._forget(min(part.start[0] for part in wide))
        for channel, ratio, part in zip(out, ratios, wide, strict=True):
            if part == box:
                self._copy(box, channel)
            else:
                self._sample(box, part, ratio, channel)
        return True

    def _copy(self, box: Box, out: NDArray[np.uint8]) -> None:
        """Fill `out` with the voxels of a box; 0 where they are not in the region."""
        inside = box.intersected(self._region)
        if inside != box:
            out[...] = 0
        for number in range(inside.start[0] // ROWS, -(-inside.stop[0] // ROWS)):
            held = self._held(number)
            part = held.intersected(inside)
            if not part.is_empty:
                put, taken = part.shifted(_minus(box.start)), part.shifted(_minus(held.start))
                out[put.slices] = self._slab(number)[taken.slices]

    def _sample(self, box: Box, wide: Box, ratio: NDArray[np.float64], out: NDArray[np.uint8]) -> None:
        """Fill `out` with a coarser view around the middle of a box, linearly between voxels as in training."""
        around = np.zeros(wide.shape, np.uint8)
        self._copy(wide, around)
        half = (np.array(box.shape) - 1) / 2
        matrix = np.diag(ratio)
        middle = np.array(box.start) + half - np.array(wide.start)
        exact, base = snapped(matrix[None], (middle - matrix @ half)[None])
        nothing = np.zeros((0, 3), np.int64)
        codes = np.zeros(wide.shape, np.uint8)  # never touched
        grid = Grid(self._grid.voxel_size_nm, (0.0, 0.0, 0.0), wide.shape)
        crop = BankCrop("view", "predict", grid, around, codes, 0, (0, 0, 0), None, nothing, ())
        read_patch(crop, exact[0], base[0], out, None, None)

    def _held(self, number: int) -> Box:
        """Return the voxels of a slab."""
        start, stop = self._region.start, self._region.stop
        first, last = max(number * ROWS, start[0]), min((number + 1) * ROWS, stop[0])
        return Box((first, start[1], start[2]), (max(first, last), stop[1], stop[2]))

    def _slab(self, number: int) -> NDArray[np.uint8]:
        for ahead in range(number, number + AHEAD + 1):
            if ahead not in self._slabs and not self._held(ahead).is_empty:
                self._slabs[ahead] = self._pool.submit(self._made, self._held(ahead))
        return self._slabs[number].result()

    def _made(self, box: Box) -> NDArray[np.uint8]:
        grid = sub_grid(self._grid, box)
        if self._before is not None:
            self._before(grid)
        out = np.zeros(box.shape, np.uint8)
        write_em(self._em, grid, out)
        return out

    def _forget(self, row: int) -> None:
        for number in [number for number in self._slabs if (number + 1) * ROWS <= row]:
            del self._slabs[number]


def ratios_of(card: ModelCard) -> list[NDArray[np.float64]]:
    """Return the voxel size of each input by that of the patch, along z, y, x."""
    own = np.array(card.voxel_size_nm, np.float64)
    scales = [part.voxel_size_nm for part in card.input_scales] or [card.voxel_size_nm]
    return [np.array(scale, np.float64) / own for scale in scales]


def widened(box: Box, ratio: NDArray[np.float64]) -> Box:
    """Return the voxels that a view of a tile with larger voxels reaches; the tile itself where they are its own."""
    if np.allclose(ratio, 1, rtol=1e-9):
        return box
    half = (np.array(box.shape) - 1) / 2
    middle = np.array(box.start) + half
    z0, y0, x0 = (int(low) for low in np.floor(middle - half * ratio) - 1)
    z1, y1, x1 = (int(high) for high in np.ceil(middle + half * ratio) + 2)
    return Box((z0, y0, x0), (z1, y1, x1))


def _turned(ratio: NDArray[np.float64], normal: int | None, axis: int | None) -> NDArray[np.float64]:
    """Return an input's voxel size along the axes of the world, the patch's normal laid along `axis`."""
    if normal is None or axis is None or axis == normal:
        return ratio
    rest = [float(part) for place, part in enumerate(ratio) if place != normal]
    rest.insert(axis, float(ratio[normal]))
    return np.array(rest)


def _minus(start: Shape3) -> Shape3:
    z, y, x = start
    return (-z, -y, -x)
