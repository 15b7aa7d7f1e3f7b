"""Sizes of the U-Net with a residual encoder, and the patch and batch that fill a GPU with each.

Nothing here imports torch. The totals were counted by `net_cost` for 48 outputs with bf16.
"""

from __future__ import annotations

from dataclasses import dataclass

from cellmap_tui.errors import RequestError
from cellmap_tui.text import nearest


@dataclass(frozen=True, slots=True)
class ResencSize:
    """A size."""

    name: str
    """Name for ``size``, and after ``resenc_``."""
    memory_gb: int
    """Memory of the GPU it is made for."""
    features: int
    """Channels at full resolution; each level doubles them."""
    most: int
    """No level has more channels than this in 3D; in 2D it is 1.6 times as many."""
    blocks: tuple[int, ...]
    """Residual blocks of each level; the last number holds for all that follow."""
    edge_3d: int
    """Edge of the cube to train on."""
    batch_3d: int
    """Cubes in a batch."""
    edge_2d: int
    """Edge of the square to train on in 2D."""
    batch_2d: int
    """Squares in a batch."""


SIZES = (
    ResencSize("s", 6, 16, 160, (1, 2, 2, 2, 2, 2), 128, 2, 256, 48),
    ResencSize("m", 10, 32, 320, (1, 3, 4, 6, 6, 6), 128, 2, 512, 12),
    ResencSize("l", 24, 48, 480, (1, 3, 4, 6, 6, 6), 128, 4, 512, 20),
    ResencSize("xl", 40, 64, 640, (1, 3, 4, 6, 6, 6), 128, 4, 512, 24),
    ResencSize("xxl", 80, 64, 640, (2, 4, 6, 8, 8, 8), 160, 4, 512, 44),
)
"""Sizes, the smallest first; m is nnU-Net's own width and depth."""
DEFAULT_SIZE = "m"


def resenc_size(name: object) -> ResencSize:
    """Return the size of that name.

    Raises
    ------
    RequestError
        If there is none; names the nearest.
    """
    for size in SIZES:
        if size.name == str(name).lower():
            return size
    names = [size.name for size in SIZES]
    near = nearest(str(name), names)
    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(names)}"
    raise RequestError(f"model_kwargs: the network has no size {name!r}", hint)


def size_for(memory_gb: float) -> ResencSize:
    """Return the largest size made for a GPU of that memory, or the smallest of all."""
    return max((size for size in SIZES if size.memory_gb <= memory_gb), default=SIZES[0], key=lambda s: s.memory_gb)
