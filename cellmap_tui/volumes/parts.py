"""Parts of a mask that touch by faces, edges or corners, numbered by cc3d."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from cellmap_tui.volumes.arrays import Voxels

_FEW_VOXELS = 27


def connected_parts(
    values: NDArray[Any], connectivity: Literal[6, 18, 26] = 26, out_dtype: DTypeLike | None = None
) -> tuple[Voxels, int]:
    """Return the number of the part of every voxel, and how many parts there are.

    Parameters
    ----------
    values
        ``[z, y, x]``; 0 and False are background, equal values that touch are one part.
    connectivity
        6, 18 or 26 neighbours.
    out_dtype
        Type of the numbers; by default the narrowest that cc3d finds wide enough.
    """
    import cc3d  # 50 ms

    values = np.ascontiguousarray(values)
    # For masks cc3d keeps a table for as many parts as fit; for planes, lines and 3×3×3 that is one too few.
    if values.dtype == np.bool_ and (1 in values.shape or values.size <= _FEW_VOXELS):
        values = values.view(np.uint8)
    options: dict[str, Any] = {} if out_dtype is None else {"out_dtype": out_dtype}
    labels, count = cc3d.connected_components(values, connectivity=connectivity, return_N=True, **options)
    return labels, int(count)
