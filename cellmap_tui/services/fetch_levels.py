"""Which levels of the EM a crop needs, and which chunks of each: pure arithmetic over metadata.

The levels follow the rule of the official toolbox. The chunks do not: the range is half-open and holds
the crop's last voxel, and levels whose voxels lie half a voxel off are covered from edge to edge.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import RequestError
from cellmap_tui.text import number, voxel
from cellmap_tui.volumes.geometry import Box, covering_box

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid, Shape3, Vec3

NEEDED_FINENESS = 0.8
"""A level is fetched when its voxels are larger than this share of the labels' on every axis, as in the
official toolbox: nothing much finer than the labels is worth its bytes."""


@dataclass(frozen=True, slots=True)
class LevelPlace:
    """What a pyramid's group says about one of its levels."""

    name: str
    """Path below the group, such as ``s0``."""
    voxel_size_nm: Vec3
    """Its voxel size, z, y, x."""
    translation_nm: Vec3
    """Centre of its first voxel, z, y, x."""


@dataclass(frozen=True, slots=True)
class EmLevel:
    """One array of an EM pyramid, as the bucket describes it."""

    name: str
    """Path below the group, such as ``s0``."""
    grid: Grid
    """Where its voxels lie."""
    chunks: Shape3
    """Shape of its chunks."""
    separator: str = "."
    """Between the numbers of a chunk's name: ``/`` or ``.``."""

    @property
    def chunk_grid(self) -> Shape3:
        """Number of chunks on each axis."""
        z, y, x = (-(-n // c) for n, c in zip(self.grid.shape, self.chunks, strict=True))
        return (z, y, x)

    def chunk_name(self, index: Sequence[int]) -> str:
        """Return the name of a chunk below the level, such as ``3/0/12``."""
        return self.separator.join(map(str, index))


@dataclass(frozen=True, slots=True)
class WorldBox:
    """What is wanted of the EM: a box of the world, and how fine the labels in it are."""

    lower_nm: Vec3
    """Lower corner, z, y, x."""
    upper_nm: Vec3
    """Upper corner, z, y, x."""
    voxel_size_nm: Vec3
    """Finest voxel size of the labels on each axis."""


@dataclass(frozen=True, slots=True)
class Padding:
    """How much EM is wanted around a crop: the larger of the two on each axis."""

    voxels: int = 0
    """Voxels of each level."""
    nm: float = 0.0
    """Nanometres, rounded up to whole voxels of each level."""

    def of(self, voxel_size_nm: Vec3) -> Shape3:
        """Return the padding in voxels of a level, z, y, x."""
        z, y, x = (max(self.voxels, math.ceil(self.nm / s - 1e-6)) for s in voxel_size_nm)
        return (z, y, x)


@dataclass(frozen=True, slots=True)
class LevelChoice:
    """Whether a level is fetched, and why."""

    place: LevelPlace
    """The level."""
    is_wanted: bool
    """Whether it is fetched."""
    reason: str
    """The decision in one sentence, with both voxel sizes where they decide."""


def world_box(crop: Crop) -> WorldBox:
    """Return the box that all label volumes of a crop cover together.

    The rows of a test crop may differ in voxel size and translation. The official toolbox merges them into
    the smallest voxel size, the smallest translation and the largest extent; that box is inside this one.
    """
    grids = {crop.grid, *(note.grid for note in crop.annotations())}
    sizes = [min(grid.voxel_size_nm[axis] for grid in grids) for axis in range(3)]
    lower = [min(grid.lower_nm[axis] for grid in grids) for axis in range(3)]
    merged = [
        min(grid.translation_nm[axis] for grid in grids) - sizes[axis] / 2 + max(g.extent_nm[axis] for g in grids)
        for axis in range(3)
    ]
    upper = [max(merged[axis], *(grid.upper_nm[axis] for grid in grids)) for axis in range(3)]
    return WorldBox(_vec3(lower), _vec3(upper), _vec3(sizes))


def choose_levels(
    places: Sequence[LevelPlace], labels_nm: Vec3, *, everything: bool = False, names: Sequence[str] = ()
) -> tuple[LevelChoice, ...]:
    """Decide for each level of a pyramid whether a crop needs it.

    Parameters
    ----------
    places
        The pyramid.
    labels_nm
        Voxel size of the crop's labels.
    everything
        Take every level.
    names
        Take these levels alone, whatever their voxel size.

    Raises
    ------
    RequestError
        If none of the names is a level of this pyramid.
    """
    if names and not {place.name for place in places} & set(names):
        known = ", ".join(place.name for place in places)
        raise RequestError(f"the EM has no level {' or '.join(names)}", f"it has {known}")
    choices = [_choice(place, labels_nm, everything, names) for place in places]
    if choices and not any(choice.is_wanted for choice in choices):
        coarsest = max(choices, key=lambda choice: math.prod(choice.place.voxel_size_nm))
        sizes = f"voxels of {voxel(coarsest.place.voxel_size_nm)} nm, labels {voxel(labels_nm)} nm"
        better = LevelChoice(coarsest.place, True, f"{sizes}: the coarsest level there is, and all are finer")
        choices = [better if choice is coarsest else choice for choice in choices]
    return tuple(choices)


def _choice(place: LevelPlace, labels_nm: Vec3, everything: bool, names: Sequence[str]) -> LevelChoice:
    if names:
        asked = place.name in names
        return LevelChoice(place, asked, "asked for by name" if asked else "other levels were asked for by name")
    if everything:
        return LevelChoice(place, True, "all EM resolutions were asked for")
    shares = [have / labels for have, labels in zip(place.voxel_size_nm, labels_nm, strict=True)]
    sizes = f"voxels of {voxel(place.voxel_size_nm)} nm, labels {voxel(labels_nm)} nm"
    limit = f"{number(NEEDED_FINENESS)} ×"
    if min(shares) > NEEDED_FINENESS:
        return LevelChoice(place, True, f"{sizes}: above {limit} the labels on every axis")
    axis = "zyx"[shares.index(min(shares))]
    share = number(float(f"{min(shares):.2g}"))
    return LevelChoice(place, False, f"{sizes}: {share} × the labels on {axis}, and {limit} or less is left out")


def needed_voxels(level: EmLevel, box: WorldBox, padding: Padding) -> Box:
    """Return the voxels of a level that cover a box of the world with its padding; empty where they do not meet."""
    around = covering_box(level.grid, box.lower_nm, box.upper_nm).padded(padding.of(level.grid.voxel_size_nm))
    return around.clipped(level.grid.shape)


def touched_chunks(level: EmLevel, voxels: Box) -> Box:
    """Return the box of chunk indices that a box of voxels touches."""
    if voxels.is_empty:
        return Box((0, 0, 0), (0, 0, 0))
    z0, y0, x0 = (start // n for start, n in zip(voxels.start, level.chunks, strict=True))
    z1, y1, x1 = (-(-stop // n) for stop, n in zip(voxels.stop, level.chunks, strict=True))
    return Box((z0, y0, x0), (z1, y1, x1))


def indices(box: Box) -> Iterator[Shape3]:
    """Yield the indices of a box, the last axis fastest."""
    return itertools.product(*(range(a, b) for a, b in zip(box.start, box.stop, strict=True)))  # type: ignore[return-value]


def holds(box: Box, index: Sequence[int]) -> bool:
    """Return whether an index lies in a box."""
    return all(a <= i < b for a, i, b in zip(box.start, index, box.stop, strict=True))


def _vec3(values: Sequence[float]) -> Vec3:
    z, y, x = values
    return (z, y, x)
