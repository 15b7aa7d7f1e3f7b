"""Connected objects split by a watershed, one object at a time and so the same however a volume is cut.

The flooding of one object does not depend on any other, and within an object it runs in the order in
which scikit-image runs it over the whole volume. Small objects are read together with their block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cellmap_tui.volumes.blocks import Computed, around
from cellmap_tui.volumes.object_labels import ordered
from cellmap_tui.volumes.parts import connected_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.blocks import Readable, Workspace, Writable
    from cellmap_tui.volumes.geometry import Box
    from cellmap_tui.volumes.object_labels import Objects

REACH = 64
"""Objects that reach no further beyond their block are read with it."""


@dataclass(frozen=True, slots=True)
class Split:
    """How objects are split."""

    by: Literal["distance", "boundary"]
    """Flood from the places farthest from the surface, or from the lowest places of a map of boundaries."""
    voxel_size_nm: Vec3
    """Edges of a voxel."""
    apart_nm: float = 0.0
    """Distance: two seeds are at least this far apart."""
    below: float = 0.3
    """Boundary: pieces where the map is below it are seeds."""
    least_voxels: int = 20
    """Boundary: smaller pieces are no seeds."""


def split_objects(
    objects: Objects,
    how: Split,
    work: Workspace,
    name: str,
    *,
    boundary: Readable | None = None,
    limit_voxels: int = 20_000_000,
    warn: Callable[[str], None] = lambda _: None,
) -> Objects:
    """Return the objects, each split into as many as it has seeds.

    Parameters
    ----------
    objects
        Connected objects.
    how
        What seeds are and what is flooded.
    work, name
        Where parts are kept, and under which name.
    boundary
        The map that is flooded; with ``by="boundary"`` only.
    limit_voxels
        An object with a larger box stays whole.
    warn
        Told about such objects.
    """
    parts = work.volume(f"{name}-parts", objects.shape, "uint32")
    stage = work.stage(f"{name}-split")
    blocks = work.blocks(objects.shape)
    owner = _owners(objects, blocks)
    total = objects.count + sum(int(note["more"]) for note in stage.notes.values())
    too_large = 0
    for number, box in enumerate(blocks):
        mine = owner.get(number, [])
        is_large = [objects.facts.box(n).voxels > limit_voxels for n in mine]
        too_large += sum(is_large)
        if number in stage.notes:
            continue
        work.checkpoint()
        doable = [n for n, large in zip(mine, is_large, strict=True) if not large]
        more = _split_block(objects, doable, box, how, boundary, parts, total)
        stage.mark(number, more=more)
        total += more
        work.advance(box.voxels)
    if too_large:
        warn(f"{too_large} objects are too large to be split in the memory that is allowed, and stay whole")

    def read(box: Box) -> Voxels:
        part = parts.read(box)
        return np.where(part > 0, part, objects.read(box))

    return ordered(Computed(objects.shape, read), total, work)


def _owners(objects: Objects, blocks: list[Box]) -> dict[int, list[int]]:
    """Return the objects by the block that the lowest corner of their box lies in."""
    if len(blocks) == 1:
        return {0: list(range(1, objects.count + 1))}
    edge = np.array(blocks[0].shape)
    by_cell = {tuple(int(v) for v in np.array(box.start) // edge): number for number, box in enumerate(blocks)}
    found: dict[int, list[int]] = {}
    cells = objects.facts.boxes[1:, :3] // edge
    for number, cell in enumerate(cells.tolist(), start=1):
        found.setdefault(by_cell[tuple(cell)], []).append(number)
    return found


def _split_block(
    objects: Objects,
    mine: list[int],
    block: Box,
    how: Split,
    boundary: Readable | None,
    parts: Writable,
    total: int,
) -> int:
    """Split the objects that begin in a block; return how many there are more than before."""
    mine = [n for n in mine if _may_split(objects, n, how)]
    if not mine:
        return 0
    wide, _ = around(block, (REACH, REACH, REACH), objects.shape)
    together = [n for n in mine if wide.contains(objects.facts.box(n))]
    more = 0
    for group, box in [(together, wide), *(([n], objects.facts.box(n)) for n in mine if n not in set(together))]:
        if group:
            more += _split_in(objects, group, box, how, boundary, parts, total + more)
    return more


def _split_in(
    objects: Objects, group: list[int], box: Box, how: Split, boundary: Readable | None, parts: Writable, total: int
) -> int:
    numbers = objects.read(box)
    heights = None if boundary is None else boundary.read(box)
    out: Voxels | None = None
    more = 0
    for number in group:
        inner = objects.facts.box(number)
        place = inner.shifted((-box.start[0], -box.start[1], -box.start[2])).slices
        mask = numbers[place] == number
        split = _parts(mask, how, _sides(inner, objects.shape), None if heights is None else heights[place])
        count = int(split.max(initial=0))
        if count < 2:
            continue
        if out is None:
            # What an earlier attempt left here is written again; other blocks' parts stay.
            out = parts.read(box).copy()
        renumbered = np.where(split > 1, split + np.uint32(total + more - 1), np.uint32(number))
        out[place] = np.where(mask, renumbered, out[place])
        more += count - 1
    if out is not None:
        parts.write(box, out)
    return more


def _may_split(objects: Objects, number: int, how: Split) -> bool:
    """Return whether an object is large enough for two seeds."""
    if how.by == "boundary":
        return bool(objects.facts.sizes[number] > 2 * how.least_voxels)
    longest = max(n * s for n, s in zip(objects.facts.box(number).shape, how.voxel_size_nm, strict=True))
    return longest > how.apart_nm


def _sides(box: Box, shape: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return a layer of background on each side of an object that is not a face of the volume."""
    return tuple((int(a > 0), int(b < n)) for a, b, n in zip(box.start, box.stop, shape, strict=True))


def _parts(
    mask: NDArray[np.bool_], how: Split, sides: tuple[tuple[int, int], ...], heights: Voxels | None
) -> NDArray[np.uint32]:
    """Return the parts of one object, numbered from 1; 0 outside of it."""
    from skimage.segmentation import watershed  # 0.3 s

    if how.by == "distance":
        heights, seeds = _by_distance(mask, how, sides)
    else:
        assert heights is not None
        seeds = _by_boundary(mask, how, heights)
    if seeds.max(initial=0) < 2:
        return mask.astype(np.uint32)
    flooded = watershed(heights, seeds, mask=mask, connectivity=np.ones((3, 3, 3)))  # type: ignore[no-untyped-call]
    return np.asarray(flooded, np.uint32)


def _by_distance(
    mask: NDArray[np.bool_], how: Split, sides: tuple[tuple[int, int], ...]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    from scipy.ndimage import distance_transform_edt, maximum_filter

    padded = np.pad(mask, sides)
    if padded.all():
        return np.zeros(mask.shape, np.float32), mask.astype(np.int32)
    distance = distance_transform_edt(padded, sampling=how.voxel_size_nm).astype(np.float32)
    inner = tuple(slice(a, a + n) for (a, _), n in zip(sides, mask.shape, strict=True))
    distance = distance[inner]
    width = [2 * max(1, math.ceil(how.apart_nm / 2 / size)) + 1 for size in how.voxel_size_nm]
    peaks = mask & (distance == maximum_filter(distance, size=width, mode="constant"))
    return -distance, _seeds(peaks, 1)


def _by_boundary(mask: NDArray[np.bool_], how: Split, heights: Voxels) -> NDArray[np.int32]:
    return _seeds(mask & (heights < how.below), how.least_voxels)


def _seeds(inside: NDArray[np.bool_], least_voxels: int) -> NDArray[np.int32]:
    labels, count = connected_parts(inside)
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= least_voxels
    keep[0] = False
    return np.where(keep, np.cumsum(keep), 0).astype(np.int32)[labels]
