"""Objects of a prediction: 26-connected components of each id, numbered by their first voxel.

In one piece by cc3d, as the official scorer does it, or slab by slab with the same numbers: components
that cross from slab to slab are joined over the touching planes.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.volumes.parts import connected_parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.scoring.sources import Volume
    from cellmap_tui.volumes.arrays import Voxels

Labels = np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]]
"""Component numbers, z, y, x; 0 is background."""


def label_components(prediction: Voxels) -> tuple[Labels, int]:
    """Return the component number of every voxel, and how many components there are.

    Parameters
    ----------
    prediction
        Ids ``[z, y, x]`` of any numeric type, 0 is background; equal ids that touch by a face, edge or
        corner are one component.
    """
    return connected_parts(prediction)


def label_in_slabs(prediction: Volume, labels: Labels, planes: int) -> int:
    """Write the component number of every voxel into `labels`, reading a few planes at a time.

    The numbers are those of `label_components` on the whole.

    Parameters
    ----------
    prediction
        Ids, read in slabs.
    labels
        Of the same shape, wide enough for the components before they are joined; may be a file in memory.
    planes
        Planes of a slab.

    Returns
    -------
    int
        How many components there are.
    """
    depth, height, width = prediction.shape
    count = 0
    touching: list[NDArray[np.int64]] = []
    last_ids: Voxels | None = None
    for start in range(0, depth, planes):
        stop = min(start + planes, depth)
        ids = np.ascontiguousarray(prediction.read((start, 0, 0), (stop, height, width)))
        found, found_count = label_components(ids)
        slab = found.astype(np.int64)
        slab[slab > 0] += count
        if last_ids is not None:
            last = labels[start - 1].astype(np.int64)
            touching.append(_touching(last_ids, last, ids[0], slab[0]))
        labels[start:stop] = slab
        last_ids, count = ids[-1].copy(), count + found_count
    number_of, joined = _joined(count, touching)
    for start in range(0, depth, planes):
        stop = min(start + planes, depth)
        labels[start:stop] = number_of[labels[start:stop]]
    return joined


def _touching(
    ids: Voxels, labels: NDArray[np.int64], next_ids: Voxels, next_labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return pairs of labels of equal ids that touch between two planes, one pair a row."""
    pairs = []
    for dy, dx in itertools.product((-1, 0, 1), repeat=2):
        here, there = _shifted(dy), _shifted(-dy)
        here_x, there_x = _shifted(dx), _shifted(-dx)
        same = (ids[here, here_x] == next_ids[there, there_x]) & (labels[here, here_x] > 0)
        pairs.append(np.stack((labels[here, here_x][same], next_labels[there, there_x][same]), axis=1))
    found: NDArray[np.int64] = np.unique(np.concatenate(pairs), axis=0)
    return found


def _shifted(step: int) -> slice:
    return slice(max(0, step), None if step >= 0 else step)


def _joined(count: int, touching: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], int]:
    """Return the final number of every label, and how many there are."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate(touching) if touching else np.zeros((0, 2), np.int64)
    weights = np.ones(len(edges), np.uint8)
    graph = coo_array((weights, (edges[:, 0], edges[:, 1])), shape=(count + 1, count + 1))
    _, group = connected_components(graph, directed=False)
    # Labels rise with their first voxel, so a component's place is that of its smallest label.
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    numbers: NDArray[np.int64] = order[inverse].astype(np.int64)
    return numbers, len(first) - 1
