"""Compiled reading of a patch under a linear map and a displacement: see `gather`.

Goes tile by tile: a rotated row of 128 voxels crosses as many pages, a tile stays in the caches; and a
tile that lies inside as a whole is read without a check on any voxel.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_TILE = 16
"""Edge of a tile in voxels."""
_OUTSIDE, _INSIDE, _ACROSS = 0, 1, 2


@numba.njit(nogil=True, cache=True, fastmath=True)
def gather(
    em: Any, codes: Any, low: Any, high: Any, em_valid: Any, context: Any, matrix: Any, base: Any, grid: Any,
    basis_z: Any, basis_y: Any, basis_x: Any, shape: Any, out_em: Any, out_codes: Any, out_valid: Any,
) -> Any:  # fmt: skip
    """Read a patch tile by tile; arrays of size 0 are not wanted or not there. See `gather.read_patch`."""
    all_valid = True
    moved = np.zeros((3, shape[2]), np.float32)
    base_em = base + context
    corner = np.zeros(3, np.int64)
    reach = np.abs(grid).max() if grid.size else 0.0
    for z0 in range(0, shape[0], _TILE):
        for y0 in range(0, shape[1], _TILE):
            for x0 in range(0, shape[2], _TILE):
                tile = (z0, y0, x0, min(z0 + _TILE, shape[0]), min(y0 + _TILE, shape[1]), min(x0 + _TILE, shape[2]))
                em_state = _state(matrix, base_em, reach, low, high, tile) if out_em.size else _OUTSIDE
                code_state = (
                    _state(matrix, base, reach, corner, np.array(codes.shape), tile) if out_codes.size else _OUTSIDE
                )
                if grid.size:
                    for z in range(tile[0], tile[3]):
                        for y in range(tile[1], tile[4]):
                            _displace(grid, basis_z, basis_y, basis_x, z, y, tile[2], tile[5], moved)
                            row = (z, z + 1, y, y + 1, tile[2], tile[5])
                            _codes_checked(codes, matrix, base, moved, row, out_codes)
                            good = _em_checked(
                                em, low, high, em_valid, matrix, base_em, moved, row, out_em, out_valid
                            )
                            all_valid = all_valid and good
                elif em_state == _INSIDE and code_state == _INSIDE and em_valid.size == 0:
                    _inside(em, codes, context, matrix, base_em, tile, out_em, out_codes)
                    _fill(out_valid, tile, True)
                else:
                    good = _tile(
                        em, codes, low, high, em_valid, context, matrix, base, base_em, moved, tile, em_state,
                        code_state, out_em, out_codes, out_valid,
                    )  # fmt: skip
                    all_valid = all_valid and good
    return all_valid


@numba.njit(nogil=True, cache=True)
def _tile(
    em: Any, codes: Any, low: Any, high: Any, em_valid: Any, context: Any, matrix: Any, base: Any, base_em: Any,
    moved: Any, tile: Any, em_state: Any, code_state: Any, out_em: Any, out_codes: Any, out_valid: Any,
) -> Any:  # fmt: skip
    """Read a tile that is not wholly inside; tell whether all its grey values are valid."""
    rows = (tile[0], tile[3], tile[1], tile[4], tile[2], tile[5])
    if code_state == _OUTSIDE:
        _fill(out_codes, tile, 0)
    else:
        _codes_checked(codes, matrix, base, moved, rows, out_codes)
    if em_state == _INSIDE and em_valid.size == 0:
        _inside(em, codes, context, matrix, base_em, tile, out_em, out_codes[:0])
        _fill(out_valid, tile, True)
        return True
    if em_state == _OUTSIDE:
        _fill(out_em, tile, 0)
        _fill(out_valid, tile, False)
        return out_em.size == 0
    return _em_checked(em, low, high, em_valid, matrix, base_em, moved, rows, out_em, out_valid)


@numba.njit(nogil=True, cache=True)
def _fill(out: Any, tile: Any, value: Any) -> None:
    if out.size:
        out[tile[0] : tile[3], tile[1] : tile[4], tile[2] : tile[5]] = value


@numba.njit(nogil=True, cache=True)
def _state(matrix: Any, base: Any, reach: Any, low: Any, high: Any, tile: Any) -> Any:
    """Tell whether all voxels of a tile have their eight neighbours in a box, none has any, or some have.

    The image of a tile under a linear map lies between those of its corners.
    """
    state = _INSIDE
    for axis in range(3):
        first = base[axis]
        last = first
        for column in range(3):
            one = matrix[axis, column] * tile[column]
            other = matrix[axis, column] * (tile[column + 3] - 1)
            first += min(one, other)
            last += max(one, other)
        if last + reach < low[axis] - 0.51 or first - reach > high[axis] - 0.49:
            return _OUTSIDE
        if first - reach < low[axis] + 0.01 or last + reach > high[axis] - 1.01:
            state = _ACROSS
    return state


@numba.njit(nogil=True, cache=True, fastmath=True)
def _inside(
    em: Any, codes: Any, context: Any, matrix: Any, base: Any, tile: Any, out_em: Any, out_codes: Any
) -> None:
    grey, code = em.ravel(), codes.ravel()
    em_y, em_z = em.shape[2], em.shape[1] * em.shape[2]
    code_y, code_z = codes.shape[2], codes.shape[1] * codes.shape[2]
    shift = context[0] * code_z + context[1] * code_y + context[2]
    step_z, step_y, step_x = np.float32(matrix[0, 2]), np.float32(matrix[1, 2]), np.float32(matrix[2, 2])
    half = np.float32(0.5)
    with_codes = out_codes.size > 0
    for z in range(tile[0], tile[3]):
        for y in range(tile[1], tile[4]):
            start_z = np.float32(base[0] + matrix[0, 0] * z + matrix[0, 1] * y)
            start_y = np.float32(base[1] + matrix[1, 0] * z + matrix[1, 1] * y)
            start_x = np.float32(base[2] + matrix[2, 0] * z + matrix[2, 1] * y)
            for x in range(tile[2], tile[5]):
                at_z = start_z + step_z * np.float32(x)
                at_y = start_y + step_y * np.float32(x)
                at_x = start_x + step_x * np.float32(x)
                k_z, k_y, k_x = np.int32(at_z), np.int32(at_y), np.int32(at_x)
                w_z, w_y, w_x = at_z - np.float32(k_z), at_y - np.float32(k_y), at_x - np.float32(k_x)
                i = k_z * em_z + k_y * em_y + k_x
                j = i + em_z
                a = np.float32(grey[i])
                b = np.float32(grey[i + em_y])
                c = np.float32(grey[j])
                d = np.float32(grey[j + em_y])
                a += (np.float32(grey[i + 1]) - a) * w_x
                b += (np.float32(grey[i + em_y + 1]) - b) * w_x
                c += (np.float32(grey[j + 1]) - c) * w_x
                d += (np.float32(grey[j + em_y + 1]) - d) * w_x
                a += (b - a) * w_y
                c += (d - c) * w_y
                out_em[z, y, x] = np.uint8(np.int32(a + (c - a) * w_z + half))
                if with_codes:
                    n = np.int32(at_z + half) * code_z + np.int32(at_y + half) * code_y
                    out_codes[z, y, x] = code[n + np.int32(at_x + half) - shift]


@numba.njit(nogil=True, cache=True)
def _codes_checked(codes: Any, matrix: Any, base: Any, moved: Any, rows: Any, out: Any) -> None:
    if out.size == 0:
        return
    n_z, n_y, n_x = codes.shape
    step_z, step_y, step_x = np.float32(matrix[0, 2]), np.float32(matrix[1, 2]), np.float32(matrix[2, 2])
    nothing = np.float32(0)
    for z in range(rows[0], rows[1]):
        for y in range(rows[2], rows[3]):
            start_z = np.float32(base[0] + matrix[0, 0] * z + matrix[0, 1] * y + 0.5)
            start_y = np.float32(base[1] + matrix[1, 0] * z + matrix[1, 1] * y + 0.5)
            start_x = np.float32(base[2] + matrix[2, 0] * z + matrix[2, 1] * y + 0.5)
            for x in range(rows[4], rows[5]):
                at_z = start_z + step_z * np.float32(x) + moved[0, x]
                at_y = start_y + step_y * np.float32(x) + moved[1, x]
                at_x = start_x + step_x * np.float32(x) + moved[2, x]
                value = 0
                if nothing <= at_z < n_z and nothing <= at_y < n_y and nothing <= at_x < n_x:
                    value = codes[np.int32(at_z), np.int32(at_y), np.int32(at_x)]
                out[z, y, x] = value


@numba.njit(nogil=True, cache=True)
def _em_checked(
    em: Any,
    low: Any,
    high: Any,
    em_valid: Any,
    matrix: Any,
    base: Any,
    moved: Any,
    rows: Any,
    out: Any,
    out_valid: Any,
) -> Any:
    """Read rows of grey values of which some may lie outside; tell whether all are valid."""
    all_valid = True
    if out.size == 0:
        return all_valid
    step_z, step_y, step_x = np.float32(matrix[0, 2]), np.float32(matrix[1, 2]), np.float32(matrix[2, 2])
    for z in range(rows[0], rows[1]):
        for y in range(rows[2], rows[3]):
            start_z = np.float32(base[0] + matrix[0, 0] * z + matrix[0, 1] * y)
            start_y = np.float32(base[1] + matrix[1, 0] * z + matrix[1, 1] * y)
            start_x = np.float32(base[2] + matrix[2, 0] * z + matrix[2, 1] * y)
            for x in range(rows[4], rows[5]):
                at_z = start_z + step_z * np.float32(x) + moved[0, x]
                at_y = start_y + step_y * np.float32(x) + moved[1, x]
                at_x = start_x + step_x * np.float32(x) + moved[2, x]
                grey, good = _grey(em, low, high, em_valid, at_z, at_y, at_x)
                out[z, y, x] = grey
                all_valid = all_valid and good
                if out_valid.size:
                    out_valid[z, y, x] = good
    return all_valid


@numba.njit(nogil=True, cache=True, fastmath=True)
def _grey(em: Any, low: Any, high: Any, em_valid: Any, at_z: Any, at_y: Any, at_x: Any) -> Any:
    """Return the grey value at a position, and whether everything it is made of is EM."""
    # The last bits of a computed position are not known: the edge of the edge voxel is inside.
    edge = np.float32(0.5005)
    first_z, first_y, first_x = np.float32(low[0]), np.float32(low[1]), np.float32(low[2])
    last_z, last_y, last_x = np.float32(high[0] - 1), np.float32(high[1] - 1), np.float32(high[2] - 1)
    if at_z < first_z - edge or at_y < first_y - edge or at_x < first_x - edge:
        return np.uint8(0), False
    if at_z > last_z + edge or at_y > last_y + edge or at_x > last_x + edge or last_z < first_z:
        return np.uint8(0), False
    at_z = min(max(at_z, first_z), last_z)
    at_y = min(max(at_y, first_y), last_y)
    at_x = min(max(at_x, first_x), last_x)
    z0, y0, x0 = np.int32(at_z), np.int32(at_y), np.int32(at_x)
    z1, y1, x1 = min(z0 + 1, high[0] - 1), min(y0 + 1, high[1] - 1), min(x0 + 1, high[2] - 1)
    w_z, w_y, w_x = at_z - np.float32(z0), at_y - np.float32(y0), at_x - np.float32(x0)
    if em_valid.size:
        # Voxels with next to no weight do not count, so that a patch on the grid asks for its own voxels only.
        u_z = z1 if w_z > 1e-3 else z0
        u_y = y1 if w_y > 1e-3 else y0
        u_x = x1 if w_x > 1e-3 else x0
        low = em_valid[z0, y0, x0] and em_valid[z0, y0, u_x] and em_valid[z0, u_y, x0] and em_valid[z0, u_y, u_x]
        high = em_valid[u_z, y0, x0] and em_valid[u_z, y0, u_x] and em_valid[u_z, u_y, x0] and em_valid[u_z, u_y, u_x]
        if not (low and high):
            return np.uint8(0), False
    a, b = np.float32(em[z0, y0, x0]), np.float32(em[z0, y1, x0])
    c, d = np.float32(em[z1, y0, x0]), np.float32(em[z1, y1, x0])
    a += (np.float32(em[z0, y0, x1]) - a) * w_x
    b += (np.float32(em[z0, y1, x1]) - b) * w_x
    c += (np.float32(em[z1, y0, x1]) - c) * w_x
    d += (np.float32(em[z1, y1, x1]) - d) * w_x
    a += (b - a) * w_y
    c += (d - c) * w_y
    return np.uint8(np.int32(a + (c - a) * w_z + np.float32(0.5))), True


@numba.njit(nogil=True, cache=True, fastmath=True)
def _displace(
    grid: Any, basis_z: Any, basis_y: Any, basis_x: Any, z: Any, y: Any, x0: Any, x1: Any, row: Any
) -> None:
    """Put the displacement of a row's voxels ``[3, x]`` into `row`."""
    knots = np.zeros((3, grid.shape[3]), np.float32)
    for a in range(grid.shape[1]):
        if basis_z[z, a] == 0:
            continue
        for b in range(grid.shape[2]):
            weight = basis_z[z, a] * basis_y[y, b]
            if weight != 0:
                knots += weight * grid[:, a, b, :]
    for x in range(x0, x1):
        for axis in range(3):
            total = np.float32(0)
            for c in range(grid.shape[3]):
                total += basis_x[x, c] * knots[axis, c]
            row[axis, x] = total
