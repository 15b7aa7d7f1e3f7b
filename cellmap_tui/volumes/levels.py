"""Which level of a pyramid serves a wanted voxel size.

The coarsest level that is not coarser than what is asked on any axis: nothing is invented by
upsampling while something finer is there, and no more is read than needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui import text

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.volumes.ngff import Level, Multiscale

TOLERANCE = 0.01
"""Voxel sizes are measured, not chosen: 5.24 nm serves a request for 5.2 nm."""


@dataclass(frozen=True, slots=True)
class LevelChoice:
    """The level to read for a wanted voxel size, and what has to be done with it."""

    level: Level
    """The level."""
    must_upsample: bool
    """Whether it is coarser than asked on some axis, so that values between voxels are interpolated."""
    factor: Vec3
    """Wanted voxel size divided by the level's, per axis: above 1 it is brought down, below 1 up."""
    reason: str
    """The choice in one sentence, with both voxel sizes."""


def choose_level(volume: Multiscale, voxel_size_nm: Vec3) -> LevelChoice:
    """Return the level to read for a voxel size.

    Parameters
    ----------
    volume
        The pyramid.
    voxel_size_nm
        What is wanted, z, y, x.

    Returns
    -------
    LevelChoice
        The coarsest level that is at most 1 % coarser on every axis; if there is none, the finest,
        which must be upsampled.
    """
    fine_enough = [level for level in volume.levels if _serves(level, voxel_size_nm)]
    level = max(fine_enough, key=_voxel_volume) if fine_enough else volume.finest
    z, y, x = (want / have for want, have in zip(voxel_size_nm, level.grid.voxel_size_nm, strict=True))
    return LevelChoice(level, not fine_enough, (z, y, x), _reason(level, voxel_size_nm, (z, y, x)))


def _serves(level: Level, voxel_size_nm: Vec3) -> bool:
    return all(
        have <= want * (1 + TOLERANCE) for have, want in zip(level.grid.voxel_size_nm, voxel_size_nm, strict=True)
    )


def _voxel_volume(level: Level) -> float:
    return math.prod(level.grid.voxel_size_nm)


def _reason(level: Level, voxel_size_nm: Vec3, factor: Vec3) -> str:
    name = level.name or level.path.name
    have = f"{name} at {text.voxel(level.grid.voxel_size_nm)} nm"
    want = f"{text.voxel([float(f'{length:.4g}') for length in voxel_size_nm])} nm"
    if min(factor) < 1 / (1 + TOLERANCE):
        return f"no level is as fine as {want} on every axis: {have} is upsampled"
    if max(factor) <= 1 + TOLERANCE:
        return f"{have}, as asked"
    return f"{have}, brought down to {want}"
