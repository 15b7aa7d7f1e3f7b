"""Patch, batch, network and hours of a group: what its crops hold and what the GPU carries.

Memory is counted in tensors that a training step keeps, hours in arithmetic at a tenth of the card's peak, which
is what nnU-Net publishes for its own training on an A100. Both are forecasts; training measures before it starts.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001 - read by their annotations
from cellmap_tui.learning.networks import TFLOP_VOXELS, known_network
from cellmap_tui.services.class_facts import nominal_nm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.learning.networks import Network
    from cellmap_tui.services.propose_gpu import Gpu

FLAT_RATIO = 4.0
"""From this ratio of the voxel's edges on, patches are flat: sections are too far apart to convolve over."""
LONG_RATIO = 1.5
"""From this ratio on the patch keeps the voxel's proportions."""
STEP = 16
"""Patches are multiples of this, which every network of `NETWORKS` but Swin transformers takes."""
LEAST_EDGE = 32
FILL = 0.85
"""Share of the GPU's memory that is planned for."""
FIXED_BYTES = 1.5e9
"""Context and workspaces of CUDA and cuDNN, an estimate."""
BACKWARD = 1.5
"""Gradients and workspaces on top of what is kept, an estimate; what is kept is in bf16."""
BYTES_PER_PARAMETER = 20
"""fp32 weight, gradient, two moments of Adam and the averaged weight."""
BYTES_PER_OUTPUT = 10
"""Per voxel and channel: bf16 logit and gradient, fp32 in the loss."""
PASSES = 100
"""How often each labelled voxel is seen."""
LEAST_PATCHES = 10_000
MOST_VOXELS = 200_000 * 128**3
"""A bound on what is shown: about the patches of nnU-Net's long schedule at this share of its volume."""
ITERATIONS = 250
LEAST_EPOCHS, MOST_EPOCHS = 20, 1000
USUAL_SHARE, BEST_SHARE, WORST_SHARE = 0.10, 0.25, 0.05
"""Shares of the peak: nnU-Net's published one, fused and compiled, a card that waits for memory."""
_FLAT_EDGES = (768, 512, 384, 256, 192, 128, 64)
_EDGES = (192, 160, 128, 112, 96, 80, 64, 48, LEAST_EDGE)
_SMALL_GPU_GB = 12.0
_LARGE_GPU_GB = 38.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How a group is trained."""

    scale_nm: Vec3
    """Voxel size of patches."""
    patch: Shape3
    """Voxels of a patch."""
    batch_size: int
    """Patches in a batch."""
    network: Network
    """The network."""
    memory_gb: float
    """Memory that a step is expected to take."""
    gpu_memory_gb: float
    """Memory that there is."""
    extent: Shape3
    """Median extent of the crops, in voxels of the scale."""
    labelled_voxels: int
    """Voxels of the crops at the scale."""
    epochs: int
    """Epochs."""
    iterations: int
    """Batches in an epoch."""
    hours: float
    """Hours at the usual share of the peak."""
    hours_range: tuple[float, float]
    """At the best and the worst share."""

    @property
    def fits(self) -> bool:
        """Whether the GPU is expected to carry a step of a single patch."""
        return self.memory_gb <= self.gpu_memory_gb

    @property
    def is_flat(self) -> bool:
        """Whether patches are one voxel thick."""
        return 1 in self.patch


def sizes_of(
    crops: Mapping[str, Grid], scale_nm: int, channels: int, gpu: Gpu, dimensions: str, hours: float | None
) -> Sizes:
    """Return patch, batch, network and hours.

    Parameters
    ----------
    crops
        Crops whose labels are fine enough, with their label grids; at least one.
    scale_nm
        The group's scale.
    channels
        Outputs, cores included.
    gpu
        The GPU.
    dimensions
        ``auto``, ``2d`` or ``3d``.
    hours
        Most hours; None: as the data ask.
    """
    scale = _scale(list(crops.values()), scale_nm)
    flat_axis = _flat_axis(list(crops.values()), dimensions)
    network = known_network("basicunet" if gpu.memory_gb < _SMALL_GPU_GB else "resencunet")
    extents = [[max(1, round(e / s)) for e, s in zip(grid.extent_nm, scale, strict=True)] for grid in crops.values()]
    z, y, x = (int(statistics.median(axis)) for axis in zip(*extents, strict=True))
    patch = _patch((z, y, x), flat_axis, network, channels, gpu)
    batch = _batch(patch, network, channels, gpu)
    labelled = sum(math.prod(extent) for extent in extents)
    epochs, iterations, taken, span = _duration(labelled, patch, batch, network, gpu, hours)
    memory = step_bytes(patch, batch, network, channels) / 1e9
    return Sizes(
        scale, patch, batch, network, memory, gpu.memory_gb, (z, y, x), labelled, epochs, iterations, taken, span
    )


def step_bytes(patch: Shape3, batch: int, network: Network, channels: int) -> float:
    """Return the bytes that a training step is expected to hold on the GPU."""
    cost = network.cost(is_flat=1 in patch)
    per_voxel = 2 * BACKWARD * cost.kept_channels + BYTES_PER_OUTPUT * channels
    return FIXED_BYTES + BYTES_PER_PARAMETER * cost.parameters + batch * math.prod(patch) * per_voxel


def edge_ratio(grid: Grid) -> float:
    """Return the longest edge of a voxel over its shortest."""
    return max(grid.voxel_size_nm) / min(grid.voxel_size_nm)


def _scale(grids: Sequence[Grid], scale_nm: int) -> Vec3:
    """Return the voxel size: a cube, or in the proportions that most of the crops have."""
    if statistics.median(map(edge_ratio, grids)) < LONG_RATIO:
        return (float(scale_nm),) * 3
    z, y, x = (statistics.median(grid.voxel_size_nm[axis] for grid in grids) for axis in range(3))
    factor = scale_nm / nominal_nm((z, y, x))
    return (round(z * factor, 3), round(y * factor, 3), round(x * factor, 3))


def _flat_axis(grids: Sequence[Grid], dimensions: str) -> int | None:
    if dimensions == "3d" or (dimensions == "auto" and statistics.median(map(edge_ratio, grids)) < FLAT_RATIO):
        return None
    medians = [statistics.median(grid.voxel_size_nm[axis] for grid in grids) for axis in range(3)]
    return medians.index(max(medians))


def _patch(extent: Shape3, flat_axis: int | None, network: Network, channels: int, gpu: Gpu) -> Shape3:
    """Return the largest patch that the crops fill and two of which the GPU carries."""
    wanted = _wanted_edge(gpu, is_flat=flat_axis is not None)
    patch: Shape3 = (1, 1, 1)
    for edge in _FLAT_EDGES if flat_axis is not None else _EDGES:
        lengths = [
            1 if axis == flat_axis else max(LEAST_EDGE, min(edge, -(-length // STEP) * STEP))
            for axis, length in enumerate(extent)
        ]
        patch = (lengths[0], lengths[1], lengths[2])
        if edge <= wanted and step_bytes(patch, 2, network, channels) <= FILL * gpu.memory_gb * 1e9:
            break
    return patch


def _wanted_edge(gpu: Gpu, *, is_flat: bool) -> int:
    if is_flat:
        return 512
    return 160 if gpu.memory_gb >= _LARGE_GPU_GB else 128


def _batch(patch: Shape3, network: Network, channels: int, gpu: Gpu) -> int:
    """Return the largest power of two that fits, at most eight (flat: 32) and at least one."""
    batch = 32 if 1 in patch else 8
    while batch > 1 and step_bytes(patch, batch, network, channels) > FILL * gpu.memory_gb * 1e9:
        batch //= 2
    return batch


def _duration(
    labelled: int, patch: Shape3, batch: int, network: Network, gpu: Gpu, most_hours: float | None
) -> tuple[int, int, float, tuple[float, float]]:
    """Return epochs, batches in an epoch, hours, and the range of hours."""
    voxels = math.prod(patch)
    patches = max(LEAST_PATCHES, min(MOST_VOXELS, PASSES * labelled) // voxels)
    tflop = network.cost(is_flat=1 in patch).train_tflop * voxels / TFLOP_VOXELS
    hours_of = {
        share: patches * tflop / (share * gpu.peak_tflops) / 3600 for share in (BEST_SHARE, USUAL_SHARE, WORST_SHARE)
    }
    if most_hours is not None and hours_of[USUAL_SHARE] > most_hours:
        cut = most_hours / hours_of[USUAL_SHARE]
        patches = max(batch * LEAST_EPOCHS, int(patches * cut))
        hours_of = {share: hours * cut for share, hours in hours_of.items()}
    usual = max(ITERATIONS, math.ceil(patches / (MOST_EPOCHS * batch)))
    iterations = min(usual, max(1, patches // (LEAST_EPOCHS * batch)))
    epochs = max(LEAST_EPOCHS, math.ceil(patches / (iterations * batch)))
    return epochs, iterations, hours_of[USUAL_SHARE], (hours_of[BEST_SHARE], hours_of[WORST_SHARE])
