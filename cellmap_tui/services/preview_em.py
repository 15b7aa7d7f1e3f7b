"""The EM under the slice of a preview, on the voxels of the prediction; kept while the slice stays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.volumes.cache import ChunkCache

    Plane = np.ndarray[tuple[int, ...], np.dtype[Any]]

CACHE_BYTES = 64 * 2**20
"""Chunks that are kept: those of a slice and of its neighbours."""


@dataclass(frozen=True, slots=True)
class _Place:
    ref: str
    axis: int
    index: int
    grid: Grid


class PreviewEm:
    """EM of one slice after the other; used from one thread at a time."""

    def __init__(self) -> None:
        self._cache: ChunkCache | None = None
        self._place: _Place | None = None
        self._plane: Plane | None = None

    def plane(self, data_root: Path, crop: Crop, grid: Grid, axis: int, index: int) -> Plane | None:
        """Return grey values of a slice.

        Parameters
        ----------
        data_root
            Folder of the data.
        crop
            The crop.
        grid
            Voxels of its prediction.
        axis, index
            Axis that the slice is across, and the voxel along it.

        Returns
        -------
        np.ndarray or None
            uint8 ``[rows, columns]``; None where there is no EM on this disk, or none that can be read.
        """
        place = _Place(crop.ref, axis, index, grid)
        if place != self._place:
            try:
                self._plane = self._read(data_root, crop, grid, axis, index)
            except (CellmapError, OSError):
                # Labels are shown over the probability then; the slice view tells what is wrong.
                self._plane = None
            self._place = place
        return self._plane

    def _read(self, data_root: Path, crop: Crop, grid: Grid, axis: int, index: int) -> Plane | None:
        import numpy as np

        from cellmap_tui.volumes.cache import ChunkCache
        from cellmap_tui.volumes.crop_em import read_em
        from cellmap_tui.volumes.geometry import Box, sub_grid
        from cellmap_tui.volumes.pixels import Pixels
        from cellmap_tui.volumes.slices import grey_levels

        start, stop = [0, 0, 0], list(grid.shape)
        start[axis], stop[axis] = index, index + 1
        slice_grid = sub_grid(grid, Box(tuple(start), tuple(stop)))  # type: ignore[arg-type]
        nm = min(size for at, size in enumerate(grid.voxel_size_nm) if at != axis)
        self._cache = self._cache or ChunkCache(CACHE_BYTES)
        # The grey window of EM that is not 8 bit is that of all that was predicted.
        em = read_em(data_root, replace(crop, grid=grid), Pixels(slice_grid, axis, nm, (0, 0), (1, 1)), self._cache)
        if em.notes:
            return None
        return np.asarray(np.where(em.valid, grey_levels(em.grey, em.window), 0), np.uint8)
