"""Reads one patch out of a crop of a bank on the CPU: EM linear, label codes nearest, in one pass.

Positions are voxels of the crop's grid, 0 being the centre of its first voxel; the EM reaches
beyond the grid by the bank's context. Compiled code that lets go of the interpreter, so threads scale.
What stands in a patch where the crop has nothing is grey 0, code 0 and invalid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.learning.em_reach import em_reach
from cellmap_tui.learning.gather_kernel import gather
from cellmap_tui.learning.symmetric import copy_symmetric, is_symmetric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.learning.bank import BankCrop
    from cellmap_tui.learning.elastic import Displacement
    from cellmap_tui.learning.em_reach import EmReach


_NOTHING_U8 = np.zeros((0, 0, 0), np.uint8)
_NOTHING_BOOL = np.zeros((0, 0, 0), np.bool_)
_NO_GRID = np.zeros((3, 0, 0, 0), np.float32)
_NO_BASIS = np.zeros((0, 0), np.float32)


def read_patch(
    crop: BankCrop,
    matrix: NDArray[np.float64],
    base: NDArray[np.float64],
    em: NDArray[np.uint8] | None,
    codes: NDArray[Any] | None,
    valid: NDArray[np.bool_] | None,
    displacement: Displacement | None = None,
    reach: EmReach | None = None,
) -> bool:
    """Read a patch into arrays of the caller.

    Parameters
    ----------
    crop
        Where from.
    matrix, base
        The voxel ``v`` of the patch lies at ``base + matrix @ v`` of the crop's grid; ``[3, 3]`` and ``[3]``.
    em
        Takes grey values, ``[z, y, x]``; None: not wanted.
    codes
        Takes label codes of the crop's own book, ``[z, y, x]``; None: not wanted.
    valid
        Takes whether the grey value is one of the EM, ``[z, y, x]``; None: not wanted.
    displacement
        A smooth displacement on top.
    reach
        Where the crop has EM, if that was looked up before.

    Returns
    -------
    bool
        Whether all grey values are valid.
    """
    if displacement is None and is_symmetric(matrix, base):
        return copy_symmetric(crop, matrix, base, em, codes, valid)
    reach = em_reach(crop) if reach is None else reach
    wanted_codes = codes if codes is not None else np.zeros((0, 0, 0), crop.codes.dtype)
    basis_z, basis_y, basis_x = displacement.bases if displacement is not None else (_NO_BASIS,) * 3
    all_valid: bool = gather(
        np.asarray(crop.em),
        np.asarray(crop.codes),
        reach.low,
        reach.high,
        reach.mask,
        np.array(crop.context_voxels, np.int64),
        np.ascontiguousarray(matrix, np.float64),
        np.ascontiguousarray(base, np.float64),
        displacement.grid if displacement is not None else _NO_GRID,
        basis_z,
        basis_y,
        basis_x,
        np.array((em if em is not None else wanted_codes).shape, np.int64),
        em if em is not None else _NOTHING_U8,
        wanted_codes,
        valid if valid is not None else _NOTHING_BOOL,
    )
    return all_valid
