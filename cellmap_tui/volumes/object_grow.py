"""Objects grown from seeds inside a mask, block by block and the same as in one pass.

Every voxel of the mask goes to the seed with the shortest way inside the mask, in nm; of two that are
equally far, to the one with the lower number. That has one solution only, so blocks may be worked on in
any order, and again where a neighbour found a shorter way, until nothing changes.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.challenge.targets import CORE_SEED_VOXELS
from cellmap_tui.volumes.blocks import Computed, around
from cellmap_tui.volumes.object_kernels import compare_keys, fill_keys, relax
from cellmap_tui.volumes.object_labels import find_objects, ordered, sized

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.blocks import Readable, Stage, Workspace, Writable
    from cellmap_tui.volumes.geometry import Box
    from cellmap_tui.volumes.object_labels import Objects

_SIDES = (-1, 0, 1)
_NEIGHBOURS = [step for step in itertools.product(_SIDES, _SIDES, _SIDES) if any(step)]
_FINENESS = 16
"""Lengths are whole numbers of sixteenths of the shortest voxel edge."""


def grown_from_cores(
    cores: Readable,
    mask: Readable,
    work: Workspace,
    name: str,
    voxel_size_nm: Vec3,
    least_voxels: int = CORE_SEED_VOXELS,
) -> Objects:
    """Return the objects of a mask, told apart by their cores.

    Parameters
    ----------
    cores
        What is core where it is not 0; only the part inside the mask counts.
    mask
        What is of any object.
    work, name
        Where volumes in between are kept, and their names.
    voxel_size_nm
        Edges of a voxel.
    least_voxels
        Smaller pieces of core are no seeds. A piece of the mask without a seed is an object of its own.
    """
    inside = Computed(mask.shape, lambda box: (cores.read(box) != 0) & (mask.read(box) != 0))
    seeds = sized(find_objects(inside, work, f"{name}-seeds"), least_voxels)
    return grown(seeds, mask, work, name, voxel_size_nm)


def grown(seeds: Objects, mask: Readable, work: Workspace, name: str, voxel_size_nm: Vec3) -> Objects:
    """Return seeds grown inside a mask, and the pieces of it that no seed reaches; see `grown_from_cores`."""
    keys = work.volume(f"{name}-keys", mask.shape, "uint64")
    _grow(seeds, mask, keys, work, work.stage(f"{name}-grow"), voxel_size_nm)
    without = Computed(mask.shape, lambda box: (mask.read(box) != 0) & (keys.read(box) == 0))
    pieces = find_objects(without, work, f"{name}-pieces")

    def read(box: Box) -> Voxels:
        numbers = keys.read(box).astype(np.uint32)
        if pieces.count:
            others = pieces.read(box)
            numbers = np.where(others > 0, others + np.uint32(seeds.count), numbers)
        return numbers

    return ordered(Computed(mask.shape, read), seeds.count + pieces.count, work)


def _grow(seeds: Objects, mask: Readable, keys: Writable, work: Workspace, stage: Stage, voxel_size_nm: Vec3) -> None:
    """Work on blocks, round by round, until no block changes a voxel at its faces."""
    blocks = work.blocks(mask.shape)
    by_start = {box.start: number for number, box in enumerate(blocks)}
    neighbours = _Neighbours(voxel_size_nm)
    due, turn = list(range(len(blocks))), 0
    while due:
        waiting, later = set(due), set[int]()
        for number in due:
            waiting.discard(number)
            note = stage.notes.get(turn * len(blocks) + number)
            if note is None:
                work.checkpoint()
                steps = _grow_block(seeds, mask, keys, blocks[number], neighbours, is_first=turn == 0)
                wakes = [
                    by_start[s] for step in steps if (s := _beside(blocks[number], step, work.block)) in by_start
                ]
                stage.mark(turn * len(blocks) + number, wakes=wakes)
                if turn == 0:
                    work.advance(blocks[number].voxels)
            else:
                wakes = note["wakes"]
            later |= set(wakes) - waiting
        due, turn = sorted(later), turn + 1


def _grow_block(
    seeds: Objects, mask: Readable, keys: Writable, box: Box, neighbours: _Neighbours, *, is_first: bool
) -> list[Shape3]:
    """Grow inside one block; return the directions in which the layer at its faces changed."""
    inside = np.zeros(tuple(n + 2 for n in box.shape), np.bool_)
    core = (slice(1, -1),) * 3
    inside[core] = mask.read(box) != 0
    if not inside.any():
        return []
    wide, place = around(box, (1, 1, 1), mask.shape)
    before = keys.read(wide)
    numbers = seeds.read(box) if is_first else np.zeros((0, 0, 0), np.uint32)
    given = np.empty(inside.shape, np.uint64)
    fill_keys(before, numbers, np.array([1 - p.start for p in place]), given)
    relax(given, inside, neighbours.steps, neighbours.weights)
    after = given[core]
    changed = np.empty(box.shape, np.bool_)
    if not compare_keys(before[place], after, changed):
        return []
    keys.write(box, after)
    return [step for step in _NEIGHBOURS if changed[_face(step)].any()]


class _Neighbours:
    """Half of the 26 neighbours and the ways to them."""

    def __init__(self, voxel_size_nm: Vec3) -> None:
        half = [step for step in _NEIGHBOURS if step < (0, 0, 0)]
        self.steps: NDArray[np.int64] = np.array(half, np.int64)
        lengths = np.sqrt(((self.steps * np.array(voxel_size_nm)) ** 2).sum(axis=1)) / min(voxel_size_nm)
        self.weights: NDArray[np.uint64] = np.rint(_FINENESS * lengths).astype(np.uint64) << np.uint64(32)


def _face(step: Shape3) -> tuple[slice, ...]:
    return tuple({-1: slice(0, 1), 0: slice(None), 1: slice(-1, None)}[side] for side in step)


def _beside(box: Box, step: Shape3, edge: int) -> Shape3:
    z, y, x = (start + side * edge for start, side in zip(box.start, step, strict=True))
    return (z, y, x)
