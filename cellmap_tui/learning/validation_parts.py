"""Single tiles of validation crops, for a validation that must not take long: always the same, so epochs compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.learning.predictor import Tile
from cellmap_tui.volumes.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.learning.em_reader import CropReader
    from cellmap_tui.learning.predictor import Predictor
    from cellmap_tui.learning.tiling import TilePlan


@dataclass(frozen=True, slots=True)
class Part:
    """A tile that is predicted alone."""

    crop: int
    """Number of its crop."""
    tile: Tile
    """The tile."""
    own: Box
    """Its voxels that belong to no other tile of the same slicing direction."""


def parts_of(predictor: Predictor, readers: Sequence[CropReader]) -> tuple[Part, ...]:
    """Return tiles that cover the crops, each voxel once in each slicing direction, where anything is known."""
    parts = []
    for number, reader in enumerate(readers):
        for view, plan in enumerate(predictor.plans(reader.shape, overlap=0.0)):
            for numbers in plan.tiles():
                own = _own(plan, numbers)
                if reader.codes(own).any():
                    parts.append(Part(number, Tile(view, numbers, plan.reach(numbers)), own))
    return tuple(parts)


def drawn_parts(parts: Sequence[Part], count: int, seed: int) -> tuple[Part, ...]:
    """Return some of the tiles; a smaller draw of the same seed is the beginning of a larger one."""
    order = np.random.default_rng(seed).permutation(len(parts))[:count]
    return tuple(parts[number] for number in order.tolist())


def _own(plan: TilePlan, numbers: tuple[int, int, int]) -> Box:
    """Return the voxels of a tile that the tile before it, where it was moved back, does not hold."""
    box = plan.box(numbers)
    start = list(box.start)
    for axis, number in enumerate(numbers):
        if number:
            before = plan.starts[axis][number - 1] + plan.patch[axis]
            start[axis] = max(start[axis], before)
    return Box((start[0], start[1], start[2]), box.stop)
