"""How patches are turned, mirrored and stretched: one linear map per sample, in nanometres.

All maps but `scale` keep lengths and angles, whatever the voxels' shape, and none of them is decided by
anything but the sample's own random numbers.
"""

from __future__ import annotations

import math
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.learning.draws import uniforms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.learning.config_arrays import SpatialTransforms

_STREAM = 2
_ELASTIC_STREAM = 3
_AXES = {"z": 0, "y": 1, "x": 2}


def orientations(draw: NDArray[np.float64], normal: int | None, slicing_axes: tuple[str, ...]) -> NDArray[np.float64]:
    """Return which axes of the world a patch's axes lie along, before any other map.

    Parameters
    ----------
    draw
        A random number in [0, 1) for each sample, ``[n]``.
    normal
        The axis of a flat patch that has one voxel; None: the patch is no slice and keeps its axes.
    slicing_axes
        Axes of the world that a slice may be cut across.

    Returns
    -------
    NDArray[np.float64]
        Permutation matrices ``[n, 3, 3]``, world from patch.
    """
    if normal is None:
        return np.broadcast_to(np.eye(3), (len(draw), 3, 3))
    choices = np.stack([_slicing(normal, _AXES[axis]) for axis in slicing_axes])
    chosen: NDArray[np.float64] = choices[np.floor(draw * len(choices)).astype(np.int64)]
    return chosen


def spatial_maps(
    transforms: SpatialTransforms, seed: int, epoch: int, indices: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the map of each sample in the patch's own frame, lengths in nm.

    Parameters
    ----------
    transforms
        What may happen. A flat patch that is turned about an axis in its plane is an oblique slice.
    seed, epoch, indices
        Which samples; `indices` is ``[n]``.

    Returns
    -------
    NDArray[np.float64]
        ``[n, 3, 3]``: mirror, then transpose, then rotate about x, y and z in this order, then scale.
    """
    draws = uniforms(seed, epoch, indices, _STREAM, 8)
    maps = _mirrors(transforms.mirror, draws[:, 0:3])
    maps = _transposes(transforms.transpose, draws[:, 3]) @ maps
    # The order in which turns about several axes follow one another is a convention: x first, z last.
    turns = sorted(transforms.rotate, key=lambda turn: -_AXES[turn[0]])
    for axis, low, high in turns:
        degrees = low + (high - low) * draws[:, 4 + _AXES[axis]]
        maps = _rotations(_AXES[axis], degrees) @ maps
    if transforms.scale is not None:
        low, high = (math.log(factor) for factor in transforms.scale)
        # An object twice as large in the patch is read with steps half as long.
        maps = maps / np.exp(low + (high - low) * draws[:, 7])[:, None, None]
    return maps


def elastic_normals(seed: int, epoch: int, index: int, count: int) -> NDArray[np.float64]:
    """Return standard normal numbers for the knots of a sample's displacement, ``[count]``."""
    draws = uniforms(seed, epoch, np.array([index]), _ELASTIC_STREAM, 2 * count)[0]
    normals: NDArray[np.float64] = np.sqrt(-2 * np.log1p(-draws[:count])) * np.cos(2 * np.pi * draws[count:])
    return normals


def grid_maps(
    maps: NDArray[np.float64], orientation: NDArray[np.float64], voxel_size_nm: Vec3, grid_nm: Vec3
) -> NDArray[np.float64]:
    """Return the maps from voxels of the patch to voxels of a grid, ``[n, 3, 3]``."""
    steps = (orientation @ maps) * np.array(voxel_size_nm)[None, None, :]
    result: NDArray[np.float64] = steps / np.array(grid_nm)[None, :, None]
    return result


def _slicing(normal: int, axis: int) -> NDArray[np.float64]:
    """Return the permutation that lays the patch's normal along an axis and keeps the others in order."""
    rest = [other for other in range(3) if other != axis]
    order = iter(rest)
    matrix = np.zeros((3, 3))
    for column in range(3):
        matrix[axis if column == normal else next(order), column] = 1
    return matrix


def _mirrors(mirror: tuple[tuple[str, float], ...], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    signs = np.ones((len(draws), 3))
    for axis, probability in mirror:
        number = _AXES[axis]
        signs[:, number] = np.where(draws[:, number] < probability, -1, 1)
    return signs[:, :, None] * np.eye(3)


def _transposes(axes: tuple[str, ...], draw: NDArray[np.float64]) -> NDArray[np.float64]:
    numbers = [_AXES[axis] for axis in axes]
    choices = []
    for order in permutations(numbers):
        matrix = np.eye(3)
        matrix[:, numbers] = np.eye(3)[:, list(order)]
        choices.append(matrix)
    return np.stack(choices)[np.floor(draw * len(choices)).astype(np.int64)]


def _rotations(axis: int, degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rotations about an axis, ``[n, 3, 3]``; multiples of a quarter turn are exact."""
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    quarter = degrees % 90 == 0
    cosine, sine = np.where(quarter, np.rint(cosine), cosine), np.where(quarter, np.rint(sine), sine)
    first, second = ((1, 2), (0, 2), (0, 1))[axis]
    matrices = np.broadcast_to(np.eye(3), (len(degrees), 3, 3)).copy()
    matrices[:, first, first] = matrices[:, second, second] = cosine
    matrices[:, first, second], matrices[:, second, first] = -sine, sine
    return matrices
