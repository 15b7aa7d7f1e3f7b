"""What each sample reads: crop, place and map, as a function of seed, epoch and number alone.

Joins the sampler's place with the map of augmentation. A patch is turned about its own middle; where
that would lose the place it was drawn for, it is moved by as little as brings it back, so that no map
empties a patch.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.augment_spatial import elastic_normals, grid_maps, orientations, spatial_maps
from cellmap_tui.learning.config_arrays import ArrayInfo, SpatialTransforms
from cellmap_tui.learning.draws import uniforms
from cellmap_tui.learning.elastic import Displacement, bases_of, lattice_shape, scaled_knots
from cellmap_tui.learning.em_reach import em_reach
from cellmap_tui.learning.sampler import Places, Sampler, SamplerRules, patch_box
from cellmap_tui.learning.symmetric import snapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.learning.bank import Bank

_STREAM = 4
_BLOCK = 256
"""Samples planned at a time: alone, one costs as much as a block of them."""
_BLOCKS_KEPT = 16


@dataclass(frozen=True, slots=True)
class PatchRules:
    """What a sample is.

    Raises
    ------
    RequestError
        If there is no input, or the slicing axes are none or unknown.
    """

    inputs: tuple[ArrayInfo, ...]
    """EM of a sample; the arrays share their middle and map."""
    target: ArrayInfo
    """Labels of a sample; an input of the same shape and scale is read along with it."""
    usage: str = "train"
    """Crops to draw from: ``train`` or ``validate``."""
    sampler: SamplerRules = field(default_factory=SamplerRules)
    """How places are chosen."""
    spatial: SpatialTransforms = field(default_factory=SpatialTransforms)
    """How samples are turned, mirrored and stretched."""
    slicing_axes: tuple[str, ...] | None = None
    """Axes of the world that flat patches are cut across. None: all three where voxels are cubes, else their own."""
    seed: int = 42
    """Same seed, same samples."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise RequestError("a patch without an input", "name at least one array of EM")
        if self.slicing_axes is not None and (not self.slicing_axes or set(self.slicing_axes) - set("zyx")):
            raise RequestError(f"slicing axes {self.slicing_axes!r}", "any of z, y and x")


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What an array of a sample reads: voxel ``v`` lies at ``base + matrix @ v`` of the crop's grid."""

    matrix: NDArray[np.float64]
    """``[n, 3, 3]``."""
    base: NDArray[np.float64]
    """``[n, 3]``."""
    is_inside: NDArray[np.bool_]
    """Whether every voxel is certain to lie in the EM, ``[n]``."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What samples read."""

    indices: NDArray[np.int64]
    """Their numbers in the epoch, ``[n]``."""
    places: Places
    """Crops and what they were drawn for."""
    readings: dict[tuple[Shape3, Vec3], Reading]
    """By shape and voxel size of the array."""


class Planner:
    """Plans samples, a block of numbers at a time; any number of threads may ask.

    Parameters
    ----------
    bank
        Crops to draw from.
    rules
        What a sample is.
    """

    def __init__(self, bank: Bank, rules: PatchRules) -> None:
        self.rules = rules
        self.sampler = Sampler(bank, rules.usage, rules.sampler, rules.seed)
        self._grid_nm = np.array(bank.voxel_size_nm, np.float64)
        self.normal = _normal(rules.target)
        self._axes = rules.slicing_axes or _slicing_axes(bank.voxel_size_nm, self.normal)
        self._arrays = tuple(dict.fromkeys((info.shape, info.scale_nm) for info in (rules.target, *rules.inputs)))
        crops = self.sampler.crops
        self.reaches = tuple(em_reach(crop) for crop in crops)
        context = np.array([crop.context_voxels for crop in crops])
        self._low = np.array([reach.low for reach in self.reaches]) - context
        self._high = np.array([reach.high for reach in self.reaches]) - context - 1
        self._is_whole = np.array([reach.is_box for reach in self.reaches])
        self._reach_nm = _reach_nm(self._arrays)
        self._kept: OrderedDict[tuple[int, int], Plan] = OrderedDict()
        self._lock = threading.Lock()

    def row(self, epoch: int, index: int) -> tuple[Plan, int]:
        """Return the plan that holds a sample, and its row there."""
        key = (epoch, index // _BLOCK)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key], index % _BLOCK
        plan = self.plan(epoch, np.arange(key[1] * _BLOCK, (key[1] + 1) * _BLOCK))
        with self._lock:
            self._kept[key] = plan
            while len(self._kept) > _BLOCKS_KEPT:
                self._kept.popitem(last=False)
        return plan, index % _BLOCK

    def plan(self, epoch: int, indices: NDArray[np.int64]) -> Plan:
        """Return what the samples of these numbers read."""
        rules = self.rules
        voxel = np.array(rules.target.scale_nm, np.float64)
        orientation = orientations(uniforms(rules.seed, epoch, indices, _STREAM, 1)[:, 0], self.normal, self._axes)
        maps = spatial_maps(rules.spatial, rules.seed, epoch, indices)
        covered = (orientation @ (np.array(rules.target.shape) * voxel)[:, None])[:, :, 0]
        box = patch_box(covered, self._grid_nm)
        places = self.sampler.places(epoch, indices, box)
        middle = self._middle(places, box, orientation, maps)
        readings = {}
        for shape, scale in self._arrays:
            matrix = grid_maps(maps, orientation, scale, self._grid())
            base = middle - (matrix @ ((np.array(shape) - 1) / 2))
            matrix, base = snapped(matrix, base)
            readings[shape, scale] = Reading(matrix, base, self._is_inside(places.crop, matrix, base, shape))
        return Plan(indices, places, readings)

    def displacement(
        self, epoch: int, index: int, info: ArrayInfo, matrix: NDArray[np.float64]
    ) -> Displacement | None:
        """Return how an array's voxels are displaced, if they are; one field for all arrays of a sample."""
        elastic = self.rules.spatial.elastic
        if elastic is None:
            return None
        sigma_nm, spacing_nm = elastic
        shape = lattice_shape(self._reach_nm, spacing_nm)
        normal = elastic_normals(self.rules.seed, epoch, index, 3 * int(np.prod(shape))).reshape(3, -1)
        if self.normal is not None:
            normal[self.normal] = 0
        # Knots are lengths in the patch's frame; the map without its voxel size brings them to the grid.
        knots = (matrix / np.array(info.scale_nm)[None, :]) @ scaled_knots(normal, sigma_nm)
        grid = np.ascontiguousarray(knots.reshape(3, *shape), np.float32)
        return Displacement(grid, bases_of(info.shape, info.scale_nm, shape, spacing_nm))

    def _grid(self) -> Vec3:
        z, y, x = self._grid_nm.tolist()
        return (z, y, x)

    def _middle(
        self,
        places: Places,
        box: NDArray[np.int64],
        orientation: NDArray[np.float64],
        maps: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the middle of each patch on the crop's grid, ``[n, 3]``, such that its anchor is inside."""
        target = self.rules.target
        matrix = grid_maps(maps, orientation, target.scale_nm, self._grid())
        middle = places.start + (box - 1) / 2
        last = np.array(target.shape) - 1
        margin = np.minimum(self._margin(), last // 2)
        at = np.linalg.solve(matrix, (places.anchor - middle)[:, :, None])[:, :, 0] + last / 2
        # On a voxel of the patch, so that an object of a single voxel is not stepped over.
        wanted = np.clip(np.rint(at), margin, last - margin)
        moved: NDArray[np.float64] = middle + (matrix @ (at - wanted)[:, :, None])[:, :, 0]
        return moved

    def _is_inside(
        self, crop: NDArray[np.int64], matrix: NDArray[np.float64], base: NDArray[np.float64], shape: Shape3
    ) -> NDArray[np.bool_]:
        last = matrix * (np.array(shape) - 1)
        low = base + np.minimum(last, 0).sum(axis=2)
        high = base + np.maximum(last, 0).sum(axis=2)
        is_inside = (low >= self._low[crop]) & (high <= self._high[crop])
        inside: NDArray[np.bool_] = (
            is_inside.all(axis=1) & self._is_whole[crop] & (self.rules.spatial.elastic is None)
        )
        return inside

    def _margin(self) -> NDArray[np.float64]:
        """Return how many voxels an anchor stays from the patch's edge, so that no displacement takes it out."""
        elastic = self.rules.spatial.elastic
        reach_nm = 3 * elastic[0] if elastic is not None else 0.0
        return np.ceil(reach_nm / np.array(self.rules.target.scale_nm))


def _normal(target: ArrayInfo) -> int | None:
    flat = [axis for axis, count in enumerate(target.shape) if count == 1]
    return flat[0] if flat else None


def _reach_nm(arrays: tuple[tuple[Shape3, Vec3], ...]) -> Vec3:
    """Return the largest distance between first and last voxel of any array along each axis."""
    z, y, x = (max((shape[axis] - 1) * scale[axis] for shape, scale in arrays) for axis in range(3))
    return (z, y, x)


def _slicing_axes(voxel_size_nm: Vec3, normal: int | None) -> tuple[str, ...]:
    is_cube = max(voxel_size_nm) <= 1.01 * min(voxel_size_nm)
    return ("z", "y", "x") if is_cube or normal is None else ("zyx"[normal],)
