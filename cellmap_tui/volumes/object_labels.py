"""Connected objects of a mask, found block by block and the same as in one pass.

Every block is labelled with one layer of its neighbours; where two blocks number the same voxel, the
numbers are of one object. Objects are numbered in the order of their first voxels, so that neither the
size of blocks nor a restart shows in the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellmap_tui.volumes.blocks import Computed, around
from cellmap_tui.volumes.geometry import Box
from cellmap_tui.volumes.object_kernels import looked_up, survey
from cellmap_tui.volumes.parts import connected_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.blocks import Readable, Stage, Workspace

Connectivity = Literal[6, 26]
"""Neighbours of a voxel: over faces, or over edges and corners as well."""
_NOWHERE = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of objects; index 0 is what belongs to none."""

    sizes: NDArray[np.int64]
    """Voxels ``[objects + 1]``."""
    first: NDArray[np.int64]
    """Place of the first voxel in the order of the volume's voxels ``[objects + 1]``."""
    boxes: NDArray[np.int32]
    """Lowest and highest voxel (inclusive) on each axis ``[objects + 1, 6]``."""

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.sizes) - 1

    def box(self, number: int) -> Box:
        """Return the box of an object."""
        z, y, x, z1, y1, x1 = (int(v) for v in self.boxes[number])
        return Box((z, y, x), (z1 + 1, y1 + 1, x1 + 1))


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects numbered from 1 in the order of their first voxels."""

    numbered: Readable
    """Numbers that stand for objects, through `table`."""
    table: NDArray[np.uint32]
    """Object of each number; 0: none."""
    facts: Facts
    """What is known of the objects."""

    @property
    def shape(self) -> Shape3:
        """Voxels on each axis."""
        return self.numbered.shape

    @property
    def count(self) -> int:
        """Number of objects."""
        return self.facts.count

    def read(self, box: Box) -> Voxels:
        """Return object numbers, uint32."""
        return taken(self.table, self.numbered.read(box))

    def kept(self, keep: NDArray[np.bool_]) -> Objects:
        """Return some of the objects, numbered anew.

        Parameters
        ----------
        keep
            bool ``[objects + 1]``; index 0 does not count.
        """
        keep = keep.copy()
        keep[0] = False
        number = np.where(keep, np.cumsum(keep), 0).astype(np.uint32)
        chosen = keep.copy()
        chosen[0] = True
        facts = Facts(self.facts.sizes[chosen], self.facts.first[chosen], self.facts.boxes[chosen])
        return Objects(self.numbered, number[self.table], facts)


def find_objects(
    mask: Readable, work: Workspace, name: str, *, connectivity: Connectivity = 26, background: bool = False
) -> Objects:
    """Return the connected objects of a mask.

    Parameters
    ----------
    mask
        The class where it is not 0.
    work
        Where numbers are kept.
    name
        Name of the pass and its volume there.
    connectivity
        What counts as connected.
    background
        Whether the objects are those of everything that is not in the mask.
    """
    numbers = work.volume(name, mask.shape, "uint32")
    stage = work.stage(name)
    blocks = work.blocks(mask.shape)
    offset = sum(int(note["count"]) for block, note in stage.notes.items() if block >= 0)
    rest = [number for number in range(len(blocks)) if number not in stage.notes]

    def label(number: int) -> tuple[Voxels, int]:
        return _labelled(mask, blocks[number], connectivity, background)

    for number, (labels, count) in work.each(rest, label):
        box = blocks[number]
        core = labels[tuple(slice(0, n) for n in box.shape)]
        facts = survey_block(core, count, box, mask.shape)
        stage.keep(str(number), sizes=facts.sizes, first=facts.first, boxes=facts.boxes, **_beyond(labels, box))
        if count:
            numbers.write(box, np.where(core > 0, core + np.uint32(offset), np.uint32(0)) if offset else core)
        stage.mark(number, count=count, offset=offset)
        offset += count
        work.advance(box.voxels)
    return _joined(numbers, stage, blocks, offset, work)


def taken(table: Voxels, numbers: Voxels) -> Voxels:
    """Return what stands in a table for each number; as ``np.take``, without turning the numbers into indices first.

    Parameters
    ----------
    table
        One value a number, ``[n]``.
    numbers
        uint32, all below `n`.
    """
    found = np.empty(numbers.shape, table.dtype)
    looked_up(table, np.ascontiguousarray(numbers).ravel(), found.ravel())
    return found


def empty_facts(count: int) -> Facts:
    """Return facts of objects of which nothing has been seen."""
    boxes = np.zeros((count + 1, 6), np.int32)
    boxes[:, :3], boxes[:, 3:] = np.iinfo(np.int32).max, -1
    return Facts(np.zeros(count + 1, np.int64), np.full(count + 1, _NOWHERE, np.int64), boxes)


def survey_block(labels: Voxels, count: int, box: Box, shape: Shape3, facts: Facts | None = None) -> Facts:
    """Return the facts of the numbers in a block, added to those of other blocks where these are given."""
    facts = empty_facts(count) if facts is None else facts
    start, size = np.array(box.start, np.int64), np.array(shape, np.int64)
    survey(np.ascontiguousarray(labels, np.uint32), count, start, size, facts.sizes, facts.first, facts.boxes)
    return facts


def surveyed(volume: Readable, count: int, work: Workspace) -> Facts:
    """Return the facts of the numbers 1 to `count` of a volume."""
    facts = empty_facts(count)
    for box, numbers in work.each(work.blocks(volume.shape), volume.read):
        survey_block(numbers, count, box, volume.shape, facts)
    return facts


def ordered(volume: Readable, count: int, work: Workspace) -> Objects:
    """Return the objects of a volume that is numbered 1 to `count` in any order; numbers may be unused."""
    return in_order(volume, np.arange(count + 1, dtype=np.uint32), surveyed(volume, count, work))


def in_order(numbered: Readable, table: NDArray[np.uint32], facts: Facts) -> Objects:
    """Return objects numbered in the order of their first voxels; those without a voxel are dropped.

    Parameters
    ----------
    numbered
        A volume of numbers.
    table
        Object of each number.
    facts
        Of the objects as `table` numbers them.
    """
    present = np.flatnonzero(facts.sizes[1:]) + 1
    order = present[np.argsort(facts.first[present], kind="stable")]
    number = np.zeros(facts.count + 1, np.uint32)
    number[order] = np.arange(1, len(order) + 1)
    rows = np.concatenate([[0], order])
    return Objects(numbered, number[table], Facts(facts.sizes[rows], facts.first[rows], facts.boxes[rows]))


def without_holes(mask: Readable, work: Workspace, name: str, max_voxels: int | None = None) -> Readable:
    """Return a mask whose holes are filled: background that is cut off from the volume's faces.

    Parameters
    ----------
    mask
        The class where it is not 0.
    work, name
        As in `find_objects`.
    max_voxels
        Larger holes stay; None: none does.
    """
    outside = find_objects(mask, work, name, connectivity=6, background=True)
    boxes, last = outside.facts.boxes, np.array(mask.shape) - 1
    holes = ~((boxes[:, :3] == 0).any(axis=1) | (boxes[:, 3:] == last).any(axis=1))
    if max_voxels is not None:
        holes &= outside.facts.sizes <= max_voxels
    holes[0] = False
    if not holes.any():
        return mask
    is_hole = holes[outside.table]
    return Computed(mask.shape, lambda box: (mask.read(box) != 0) | taken(is_hole, outside.numbered.read(box)))


def sized(objects: Objects, least: int = 0, most: int | None = None) -> Objects:
    """Return the objects of a range of sizes in voxels."""
    sizes = objects.facts.sizes
    return objects.kept((sizes >= least) & (sizes <= (most if most is not None else _NOWHERE)))


def _labelled(mask: Readable, box: Box, connectivity: Connectivity, background: bool) -> tuple[Voxels, int]:
    """Return the numbers of a block and one layer beyond its far faces, and how many there are."""
    wide = Box(box.start, around(box, (1, 1, 1), mask.shape)[0].stop)
    values = mask.read(wide)
    inside = values == 0 if background else values != 0
    if not inside.any():
        return np.zeros(wide.shape, np.uint32), 0
    return connected_parts(inside, connectivity, np.uint32)


def _beyond(labels: Voxels, box: Box) -> dict[str, Voxels]:
    return {f"beyond{axis}": labels[place] for axis, (place, _) in enumerate(_layers(box, labels.shape))}


def _layers(box: Box, wide: tuple[int, ...]) -> Iterator[tuple[tuple[slice, ...], Box]]:
    """Yield where each layer beyond the far faces lies: in the block's numbers, and in the volume."""
    for axis in range(3):
        low = [0, 0, 0]
        high = [n if a < axis else w for a, (n, w) in enumerate(zip(box.shape, wide, strict=True))]
        low[axis], high[axis] = box.shape[axis], wide[axis]
        start = tuple(s + a for s, a in zip(box.start, low, strict=True))
        stop = tuple(s + b for s, b in zip(box.start, high, strict=True))
        place = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        yield place, Box(start, stop)  # type: ignore[arg-type]


def _joined(numbers: Readable, stage: Stage, blocks: list[Box], total: int, work: Workspace) -> Objects:
    """Join what blocks know of the same objects."""
    kept = stage.kept("joined")
    if kept is None:
        kept = _join(numbers, stage, blocks, total, work)
        stage.keep("joined", **kept)
    return in_order(numbers, kept["table"], Facts(kept["sizes"], kept["first"], kept["boxes"]))


def _join(numbers: Readable, stage: Stage, blocks: list[Box], total: int, work: Workspace) -> dict[str, Any]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs: list[Voxels] = []
    parts: list[tuple[int, dict[str, Voxels]]] = []
    for number, box in enumerate(blocks):
        work.checkpoint()
        part = stage.kept(str(number))
        assert part is not None  # kept before the block was marked
        offset = int(stage.notes[number]["offset"])
        parts.append((offset, {name: part[name] for name in ("sizes", "first", "boxes")}))
        beyond = [part[f"beyond{axis}"] for axis in range(3)]
        wide = tuple(n + layer.shape[a] for a, (n, layer) in enumerate(zip(box.shape, beyond, strict=True)))
        pairs += [
            _same(layer, offset, numbers.read(place))
            for layer, (_, place) in zip(beyond, _layers(box, wide), strict=True)
            if layer.any()
        ]
    links = np.concatenate(pairs) if pairs else np.zeros((0, 2), np.int64)
    ones = np.ones(len(links), np.uint8)
    graph = coo_array((ones, (links[:, 0], links[:, 1])), shape=(total + 1, total + 1))
    groups, group = connected_components(graph, directed=False)
    # Number 0 is in no pair, so it is a group of its own; it becomes object 0.
    group = np.where(group == group[0], 0, np.where(group < group[0], group + 1, group)).astype(np.uint32)
    facts = empty_facts(groups - 1)
    for offset, part in parts:
        to = group[offset + 1 : offset + len(part["sizes"])]
        np.add.at(facts.sizes, to, part["sizes"][1:])
        np.minimum.at(facts.first, to, part["first"][1:])
        np.minimum.at(facts.boxes[:, :3], to, part["boxes"][1:, :3])
        np.maximum.at(facts.boxes[:, 3:], to, part["boxes"][1:, 3:])
    return {"table": group, "sizes": facts.sizes, "first": facts.first, "boxes": facts.boxes}


def _same(layer: Voxels, offset: int, owned: Voxels) -> Voxels:
    """Return the pairs of numbers that two blocks gave to the same voxels, each once."""
    both = layer > 0
    mine, theirs = layer[both].astype(np.uint64) + np.uint64(offset), owned[both].astype(np.uint64)
    keys = np.unique(mine << np.uint64(32) | theirs)
    return np.stack([keys >> np.uint64(32), keys & np.uint64(0xFFFFFFFF)], axis=1).astype(np.int64)
