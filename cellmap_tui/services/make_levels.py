"""Coarser EM levels that the bucket lacks, computed from the finer ones that were fetched.

A level is made where the group names it and the bucket has no array of it, and a chunk where the bucket
has none and the finer level has some. Nothing is invented: a voxel is made only under a crop, and only
when every finer chunk below it is on disk or known to be absent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path
from cellmap_tui.errors import DataError, RefusedError
from cellmap_tui.services.fetch_facts import read_em
from cellmap_tui.services.fetch_levels import (
    EmLevel,
    LevelPlace,
    Padding,
    indices,
    needed_voxels,
    touched_chunks,
    world_box,
)
from cellmap_tui.text import voxel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.services.fetch_facts import EmFacts
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.storage.ledger import Ledger
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.geometry import Box

MARK = "cellmap_tui"
"""Attribute of a level that was made here."""
_FAR_FROM_WHOLE = 0.01


@dataclass(frozen=True, slots=True)
class _Step:
    """How a level follows from the next finer one."""

    finer: EmLevel
    level: EmLevel
    factor: Shape3
    """Finer voxels in one voxel, z, y, x."""
    first: Shape3
    """Finer voxel at the lower corner of voxel 0."""

    def finer_voxels(self, voxels: Box) -> Box:
        """Return the finer voxels that some voxels are the mean of."""
        from cellmap_tui.volumes.geometry import Box

        starts = [a * f + o for a, f, o in zip(voxels.start, self.factor, self.first, strict=True)]
        stops = [b * f + o for b, f, o in zip(voxels.stop, self.factor, self.first, strict=True)]
        return Box((starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2])).clipped(self.finer.grid.shape)


def make_levels(
    data_root: Path, crops: Sequence[Crop], ledger: Ledger, report: Reporter, padding: Padding | None = None
) -> tuple[str, ...]:
    """Compute the coarser EM levels that the bucket lacks under some crops.

    Parameters
    ----------
    data_root
        Folder of the data.
    crops
        The crops.
    ledger
        Says which chunks the bucket does not have.
    report
        Told levels as they are made, and what cannot be made; its checkpoint is heeded.
    padding
        EM around the crops that is made too.

    Returns
    -------
    tuple
        Paths of the levels of which something was made, below the data root.

    Raises
    ------
    RefusedError
        If the data root cannot be written.
    DataError
        If a chunk of the finer level is broken.
    Stopped
        When the user asked to stop; what is made is whole.
    """
    groups: dict[str, list[Crop]] = {}
    for crop in crops:
        groups.setdefault(str(crop_em_path(crop)), []).append(crop)
    made: dict[str, None] = {}
    for group, members in groups.items():
        maker = _Maker(data_root, group, ledger, report, padding or Padding())
        try:
            made.update(dict.fromkeys(maker.make(members)))
        except OSError as error:
            raise RefusedError(
                f"{error.filename or data_root} cannot be written: {error.strerror}", "make room, then start again"
            ) from None
    return tuple(made)


class _Maker:
    """Makes the levels of one EM."""

    def __init__(self, data_root: Path, group: str, ledger: Ledger, report: Reporter, padding: Padding) -> None:
        self._root = data_root
        self._group = group
        self._ledger = ledger
        self._report = report
        self._padding = padding

    def make(self, crops: Sequence[Crop]) -> list[str]:
        """Make what is lacking, from the finer levels to the coarser; return the paths of the levels."""
        em = self._em()
        made: list[str] = []
        finer: EmLevel | None = None
        for place in em.places:
            level = em.levels.get(place.name)
            if finer is not None:
                step = self._step(finer, place, level)
                if step is not None and self._make_level(step, crops, is_new=level is None):
                    made.append(f"{self._group}/{place.name}")
                    level = step.level
            finer = level or finer
        return made

    def _em(self) -> EmFacts:
        from cellmap_tui.services.verify_scan import DiskReader
        from cellmap_tui.storage.running import run_until_done

        return run_until_done(read_em(DiskReader(self._root), self._group))

    def _step(self, finer: EmLevel, place: LevelPlace, level: EmLevel | None) -> _Step | None:
        """Return how a level follows from a finer one; None where its voxels do not lie on the finer ones."""
        sizes = list(zip(place.voxel_size_nm, finer.grid.voxel_size_nm, strict=True))
        factors = [coarse / fine for coarse, fine in sizes]
        corners = [
            (t - coarse / 2 - lower) / fine
            for t, (coarse, fine), lower in zip(place.translation_nm, sizes, finer.grid.lower_nm, strict=True)
        ]
        if any(abs(value - round(value)) > _FAR_FROM_WHOLE for value in (*factors, *corners)):
            sizes_nm = f"{voxel(place.voxel_size_nm)} nm on {voxel(finer.grid.voxel_size_nm)} nm"
            self._report.warning(f"{self._group}/{place.name} is not made: voxels of {sizes_nm} do not meet")
            return None
        z, y, x = (max(1, round(value)) for value in factors)
        first_z, first_y, first_x = (round(value) for value in corners)
        factor, first = (z, y, x), (first_z, first_y, first_x)
        return _Step(finer, level or _new_level(finer, place, factor, first), factor, first)

    def _make_level(self, step: _Step, crops: Sequence[Crop], *, is_new: bool) -> bool:
        if is_new:
            self._make_array(step)
        is_ours = is_new or self._is_made_here(step.level)
        is_made = False
        for crop in crops:
            voxels = needed_voxels(step.level, world_box(crop), self._padding)
            for index in indices(touched_chunks(step.level, voxels)):
                self._report.checkpoint()
                if is_ours or self._is_lacking(step.level, index):
                    is_made |= self._make_chunk(step, index, voxels)
        if is_made:
            self._report.note(f"made {self._group}/{step.level.name} from {step.finer.name}")
            self._report.artefact(self._root / self._group / step.level.name, "level")
        return is_made

    def _is_lacking(self, level: EmLevel, index: Shape3) -> bool:
        """Return whether the bucket has no such chunk; what was only not fetched is left to be fetched."""
        return self._ledger.is_absent(f"{self._group}/{level.name}/{level.chunk_name(index)}")

    def _is_made_here(self, level: EmLevel) -> bool:
        try:
            attributes = json.loads((self._root / self._group / level.name / ".zattrs").read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(attributes, dict) and MARK in attributes

    def _make_chunk(self, step: _Step, index: Shape3, voxels: Box) -> bool:
        """Make the part of a chunk under a crop; return whether there is anything in it."""
        from cellmap_tui.volumes.arrays import chunk_box, open_level, read_inside
        from cellmap_tui.volumes.downsample import reduced
        from cellmap_tui.volumes.ngff import open_multiscale

        part = chunk_box(index, step.level.chunks).intersected(voxels)
        source = step.finer_voxels(part)
        if source.is_empty or not self._has_finer(step, source):
            return False
        volume = open_multiscale(self._root / self._group)
        finer = volume.level(step.finer.name)
        block = read_inside(finer, open_level(finer), source)
        coarse = reduced(block, step.factor, "em")
        if (coarse == volume.level(step.level.name).fill_value).all():
            return False
        self._write(step, part, coarse)
        return True

    def _has_finer(self, step: _Step, source: Box) -> bool:
        """Return whether every finer chunk is on disk or known to be absent, and at least one is on disk."""
        folder = self._root / self._group / step.finer.name
        found = 0
        for index in indices(touched_chunks(step.finer, source)):
            name = step.finer.chunk_name(index)
            if (folder / name).exists():
                found += 1
            elif not self._ledger.is_absent(f"{self._group}/{step.finer.name}/{name}"):
                return False
        return found > 0

    def _write(self, step: _Step, part: Box, coarse: Voxels) -> None:
        import zarr

        array = zarr.open_array(self._root / self._group / step.level.name, mode="r+", zarr_format=2)
        array[tuple(slice(a, a + n) for a, n in zip(part.start, coarse.shape, strict=True))] = coarse

    def _make_array(self, step: _Step) -> None:
        """Write the metadata of a new level: those of the finer one with another shape."""
        from cellmap_tui.volumes.publish import write_json

        folder = self._root / self._group
        try:
            metadata = json.loads((folder / step.finer.name / ".zarray").read_bytes())
        except ValueError as error:
            raise DataError(f"{folder / step.finer.name / '.zarray'}: not JSON: {error}") from None
        (folder / step.level.name).mkdir(exist_ok=True)
        write_json(folder / step.level.name / ".zattrs", {MARK: {"made_from": step.finer.name}})
        write_json(folder / step.level.name / ".zarray", {**metadata, "shape": list(step.level.grid.shape)})


def _new_level(finer: EmLevel, place: LevelPlace, factor: Shape3, first: Shape3) -> EmLevel:
    """Return a level that covers what the finer one covers."""
    z, y, x = (max(1, -(-(n - o) // f)) for n, o, f in zip(finer.grid.shape, first, factor, strict=True))
    return EmLevel(
        place.name, Grid(place.voxel_size_nm, place.translation_nm, (z, y, x)), finer.chunks, finer.separator
    )
