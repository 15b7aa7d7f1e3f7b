"""Whether the EM under a crop is on disk as finely as it is wanted, and which fetch would help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError
from cellmap_tui.services.split_targets import is_fine
from cellmap_tui.text import voxel

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.grid import Grid, Vec3
    from cellmap_tui.services.split_sources import Candidate
    from cellmap_tui.volumes.ngff import Level, Multiscale


class EmLevels:
    """The EM pyramids of a split's datasets, each opened once."""

    def __init__(self) -> None:
        self._volumes: dict[Path, Multiscale | None] = {}

    def problem(self, candidate: Candidate, scale_nm: Vec3) -> str:
        """Return why the EM on disk cannot serve a scale though a finer level exists; empty where it can."""
        volume = self._volume(candidate.em_folder)
        if volume is None:
            return ""
        here = [level for level in volume.levels if _is_here(level, candidate.grid)]
        if not here or is_fine(here[0].grid.voxel_size_nm, scale_nm):
            return ""
        finest = here[0]
        finer = [level for level in volume.levels if _finer(level, finest)]
        if not finer:  # the microscope saw no more
            return ""
        helps = next((level for level in reversed(finer) if is_fine(level.grid.voxel_size_nm, scale_nm)), finer[0])
        return (
            f"EM on disk is {voxel(finest.grid.voxel_size_nm)} nm, coarser than {voxel(scale_nm)} nm: "
            f"cellmap-tui fetch-data --crops {candidate.ref} --levels {helps.name}"
        )

    def _volume(self, group: Path) -> Multiscale | None:
        from cellmap_tui.volumes.ngff import open_volume

        if group not in self._volumes:
            try:
                self._volumes[group] = open_volume(group)
            except CellmapError:
                self._volumes[group] = None  # reading it later tells what is wrong
        return self._volumes[group]


def _finer(level: Level, than: Level) -> bool:
    return level.grid.voxel_size_nm != than.grid.voxel_size_nm and is_fine(
        level.grid.voxel_size_nm, than.grid.voxel_size_nm
    )


def _is_here(level: Level, crop: Grid) -> bool:
    """Return whether the chunk under the crop's centre is on disk."""
    from cellmap_tui.volumes.arrays import has_chunk
    from cellmap_tui.volumes.geometry import voxel_at

    z, y, x = ((low + high) / 2 for low, high in zip(crop.lower_nm, crop.upper_nm, strict=True))
    index = voxel_at(level.grid, (z, y, x))
    if not all(0 <= i < n for i, n in zip(index, level.shape, strict=True)):
        return False
    c, b, a = (i // size for i, size in zip(index, level.chunks, strict=True))
    return has_chunk(level, (c, b, a))
