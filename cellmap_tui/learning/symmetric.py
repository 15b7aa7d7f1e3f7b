"""Patches that fall on the voxels of a crop, mirrored or with axes exchanged: plain copies, no arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.learning.bank import BankCrop

_EXACT = 1e-9


def is_symmetric(matrix: NDArray[np.float64], base: NDArray[np.float64]) -> bool:
    """Return whether a patch's voxels are voxels of the grid: axes exchanged or mirrored, whole positions."""
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    if not all(value in (0.0, 1.0, -1.0) for value in (a, b, c, d, e, f, g, h, i)):
        return False
    rows = (a * a + b * b + c * c, d * d + e * e + f * f, g * g + h * h + i * i)
    columns = (a * a + d * d + g * g, b * b + e * e + h * h)
    return rows == (1, 1, 1) and columns == (1, 1) and all(value == round(value) for value in base.tolist())


def snapped(
    matrix: NDArray[np.float64], base: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return matrices and bases in which those that exchange or mirror axes lie on whole voxels.

    Parameters
    ----------
    matrix, base
        ``[n, 3, 3]`` and ``[n, 3]``.
    """
    whole = np.rint(matrix)
    close = (np.abs(matrix - whole) < _EXACT).all(axis=(1, 2))
    close &= (np.abs(whole).sum(axis=1) == 1).all(axis=1) & (np.abs(whole).sum(axis=2) == 1).all(axis=1)
    return np.where(close[:, None, None], whole, matrix), np.where(close[:, None], np.rint(base), base)


def copy_symmetric(
    crop: BankCrop,
    matrix: NDArray[np.float64],
    base: NDArray[np.float64],
    em: NDArray[np.uint8] | None,
    codes: NDArray[Any] | None,
    valid: NDArray[np.bool_] | None,
) -> bool:
    """Copy a patch; parameters and result as those of `gather.read_patch`."""
    shape = (em if em is not None else codes).shape  # type: ignore[union-attr]
    axes, signs, starts = _order(matrix, base)
    if codes is not None:
        _copy(crop.codes, codes, axes, signs, starts, shape)
    if em is None:
        return True
    starts = [start + margin for start, margin in zip(starts, crop.context_voxels, strict=True)]
    complete = _copy(crop.em, em, axes, signs, starts, shape)
    if crop.em_valid is not None:
        mask = valid if valid is not None else np.empty(shape, np.bool_)
        _copy(crop.em_valid, mask, axes, signs, starts, shape)
        return bool(mask.all())
    if valid is not None:
        valid[...] = complete
        if not complete:
            _mark(crop.em.shape, valid, axes, signs, starts, shape)
    return complete


def _order(matrix: NDArray[np.float64], base: NDArray[np.float64]) -> tuple[list[int], list[int], list[int]]:
    """Return for each axis of the patch the grid's axis and direction, and where the first voxel lies."""
    rows = matrix.tolist()
    axes = [next(axis for axis in range(3) if rows[axis][column] != 0) for column in range(3)]
    return (
        axes,
        [int(rows[axis][column]) for column, axis in enumerate(axes)],
        [int(value) for value in base.tolist()],
    )


def _copy(
    source: NDArray[Any],
    out: NDArray[Any],
    axes: list[int],
    signs: list[int],
    starts: list[int],
    shape: tuple[int, ...],
) -> bool:
    """Copy what there is and put 0 elsewhere; tell whether all was there."""
    taken, placed, complete = _ranges(source.shape, axes, signs, starts, shape)
    if not complete:
        out[...] = 0
    out[placed] = np.asarray(source)[taken].transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
    return complete


def _mark(
    extent: tuple[int, ...],
    valid: NDArray[np.bool_],
    axes: list[int],
    signs: list[int],
    starts: list[int],
    shape: tuple[int, ...],
) -> None:
    valid[_ranges(extent, axes, signs, starts, shape)[1]] = True


def _ranges(
    extent: tuple[int, ...], axes: list[int], signs: list[int], starts: list[int], shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...], bool]:
    """Return which voxels of the source go to which of the patch, and whether these are all."""
    taken = [slice(0, 0)] * 3
    placed = []
    complete = True
    for axis, sign, count in zip(axes, signs, shape, strict=True):
        low = starts[axis] if sign > 0 else starts[axis] - count + 1
        first, last = max(low, 0), min(low + count, extent[axis])
        last = max(first, last)
        taken[axis] = slice(first, last)
        before, after = first - low, max(low + count - last, 0)
        complete = complete and before == 0 and after == 0
        if last == first:
            placed.append(slice(0, 0))
        else:
            placed.append(slice(before, count - after) if sign > 0 else slice(after, count - before))
    return tuple(taken), tuple(placed), complete
