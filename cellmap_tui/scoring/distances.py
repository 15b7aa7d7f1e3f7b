"""The Hausdorff distance between two sets of voxels, exact, without a distance transform.

Only voxels of one set outside the other are asked for their nearest neighbour, and only among the other's
boundary voxels: the nearest voxel of a set, seen from outside, has a face neighbour that is not in the
set. Most of those need no answer either: once some distance is known, voxels that lie nearer than that
to the other set cannot change the maximum, and dilating the set finds most of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from scipy.spatial import cKDTree

    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.scoring.overlaps import Box
    from cellmap_tui.volumes.arrays import Voxels

Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

TILE_VOXELS = 4 * 2**20
"""Voxels of an object's box that are looked at together."""

FEW_POINTS = 256
"""Up to so many are simply asked."""

SAMPLE_STEP = 16
"""One in so many voxels is asked first."""

MOST_SAMPLES = 4096
"""But never more than so many."""

BLOCK_VOXELS = 4
"""Edge of the blocks of which one voxel is asked for all."""

MAX_STEPS = 12
"""Dilations by one voxel that are tried at most."""


@dataclass(frozen=True, slots=True)
class VoxelSet:
    """Voxels of a volume that carry one of a few numbers."""

    labels: Voxels
    """The volume."""
    numbers: tuple[int, ...]
    """Numbers of the voxels that belong to the set."""
    boxes: tuple[Box, ...]
    """The smallest box around each number."""

    def inside(self, box: Box) -> Mask:
        """Return which voxels of a box belong to the set."""
        block = self.labels[box]
        found = block == self.numbers[0]
        for number in self.numbers[1:]:
            found |= block == number
        return np.asarray(found)


def hausdorff(first: VoxelSet, second: VoxelSet, voxel_size_nm: Vec3, cap_nm: float) -> float:
    """Return the Hausdorff distance between two sets of voxel centres in nm, at most `cap_nm`."""
    size = np.asarray(voxel_size_nm, np.float64)
    distance = _directed(first, second, size, 0.0, cap_nm)
    return min(cap_nm, _directed(second, first, size, distance, cap_nm))


def _directed(from_set: VoxelSet, to_set: VoxelSet, size: NDArray[np.float64], known: float, cap: float) -> float:
    """Return the largest distance of a voxel of one set from the other set, at least `known`."""
    tree: cKDTree | None = None
    for box in from_set.boxes:
        for tile in _tiles(box):
            other = to_set.inside(tile)
            outside = from_set.inside(tile)
            outside &= ~other
            points = np.flatnonzero(outside)
            if len(points) == 0 or known >= cap:
                continue
            tree = tree or _boundary_tree(to_set, size)
            known = _farthest(_Points(outside, other, tile, points), tree, size, known)
    return known


@dataclass(frozen=True, slots=True)
class _Points:
    """Voxels of a tile that are outside the other set."""

    outside: Mask
    other: Mask
    tile: Box
    flat: NDArray[np.intp]

    def coordinates(self, flat: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return voxel coordinates in the volume, one point a row."""
        index = np.stack(np.unravel_index(flat, self.outside.shape), axis=1)
        index += [part.start for part in self.tile]
        return index


def _farthest(points: _Points, tree: cKDTree, size: NDArray[np.float64], known: float) -> float:
    left = points.flat
    if len(left) > FEW_POINTS:
        step = max(SAMPLE_STEP, len(left) // MOST_SAMPLES)
        known = max(known, _largest(points.coordinates(left[::step]), tree, size))
        left = np.flatnonzero(points.outside & ~_dilated(points.other, size, known))
    index = points.coordinates(left)
    if len(index) > FEW_POINTS * BLOCK_VOXELS:
        known, index = _promising(index, tree, size, known)
    return max(known, _largest(index, tree, size)) if len(index) else known


def _largest(index: NDArray[np.intp], tree: cKDTree, size: NDArray[np.float64]) -> float:
    """Return the largest distance of points from the tree, from whole numbers of voxels as a transform does."""
    positions = index * size
    distances, nearest = tree.query(positions)
    at = int(np.argmax(distances))
    steps = np.rint((positions[at] - tree.data[nearest[at]]) / size) * size
    return math.sqrt(float((steps * steps).sum()))


def _promising(
    index: NDArray[np.intp], tree: cKDTree, size: NDArray[np.float64], known: float
) -> tuple[float, NDArray[np.intp]]:
    """Return the points that may lie farther than any point asked, and the largest distance so far.

    Distances of two points of a block differ by its diagonal at most.
    """
    cells = (index - index.min(axis=0)) // BLOCK_VOXELS
    counts = cells.max(axis=0) + 1
    code = np.ravel_multi_index((cells[:, 0], cells[:, 1], cells[:, 2]), tuple(counts))
    chosen = np.full(int(counts.prod()), -1, np.intp)
    chosen[code] = np.arange(len(index))
    used = np.flatnonzero(chosen >= 0)
    distances, _ = tree.query(index[chosen[used]] * size)
    known = max(known, _largest(index[chosen[used[[int(np.argmax(distances))]]]], tree, size))
    reach = np.zeros(len(chosen))
    reach[used] = distances + (BLOCK_VOXELS - 1) * float(np.linalg.norm(size))
    return known, index[reach[code] > known]


def _boundary_tree(voxels: VoxelSet, size: NDArray[np.float64]) -> cKDTree:
    from scipy.spatial import cKDTree

    found = []
    for number, box in zip(voxels.numbers, voxels.boxes, strict=True):
        for tile in _tiles(box):
            found.append(_boundary(voxels.labels, number, box, tile))
    return cKDTree(np.concatenate(found) * size, balanced_tree=False, compact_nodes=False)


def _boundary(labels: Voxels, number: int, box: Box, tile: Box) -> NDArray[np.intp]:
    """Return the coordinates of voxels of a tile that have a face neighbour of another number.

    What is outside the object's box counts as another number: a voxel too many does no harm.
    """
    low, high = max(box[0].start, tile[0].start - 1), min(box[0].stop, tile[0].stop + 1)
    mask = labels[slice(low, high), tile[1], tile[2]] == number
    inner = mask.copy()
    for axis in range(3):
        here, there = inner.swapaxes(0, axis), mask.swapaxes(0, axis)
        here[1:] &= there[:-1]
        here[:-1] &= there[1:]
        if axis > 0 or low == tile[0].start:
            here[0] = False
        if axis > 0 or high == tile[0].stop:
            here[-1] = False
    edge = (mask & ~inner)[tile[0].start - low : tile[0].stop - low]
    index = np.stack(np.unravel_index(np.flatnonzero(edge), edge.shape), axis=1)
    index += [part.start for part in tile]
    return index


def _tiles(box: Box) -> Iterator[Box]:
    """Yield the box in pieces of whole planes that are not too large."""
    z, y, x = box
    planes = max(1, TILE_VOXELS // ((y.stop - y.start) * (x.stop - x.start)))
    for start in range(z.start, z.stop, planes):
        yield slice(start, min(start + planes, z.stop)), y, x


def _dilated(mask: Mask, size: NDArray[np.float64], reach: float) -> Mask:
    """Return voxels that are certainly within `reach` of the set, most of those that are.

    A step over corners is as long as the voxel's diagonal, one over faces as its longest edge; one of the
    first to two of the second keeps the shape round.
    """
    corner, face = float(np.linalg.norm(size)), float(size.max())
    found = mask
    for step in range(MAX_STEPS):
        if step % 3 == 0 and corner <= reach:
            found, reach = _grown_by_corners(found), reach - corner
        elif face <= reach:
            found, reach = _grown_by_faces(found), reach - face
        else:
            break
    return found


def _grown_by_faces(mask: Mask) -> Mask:
    found = mask.copy()
    for axis in range(3):
        here, there = found.swapaxes(0, axis), mask.swapaxes(0, axis)
        here[1:] |= there[:-1]
        here[:-1] |= there[1:]
    return found


def _grown_by_corners(mask: Mask) -> Mask:
    found = mask.copy()
    for axis in range(3):
        there = found.copy().swapaxes(0, axis)
        here = found.swapaxes(0, axis)
        here[1:] |= there[:-1]
        here[:-1] |= there[1:]
    return found
