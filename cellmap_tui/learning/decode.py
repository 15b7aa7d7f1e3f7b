"""From label codes to what a loss needs, on the device where the codes are.

On the CPU a compiled loop writes each channel in one pass; elsewhere it is a look-up of the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch

from cellmap_tui.learning.codebook import UNKNOWN

if TYPE_CHECKING:
    from torch import Tensor


def decode_states(codes: Tensor, first_code: Tensor, book: Tensor) -> Tensor:
    """Return the states of each column.

    Parameters
    ----------
    codes
        Label codes, uint8 or int32 ``[n, ...]``.
    first_code
        Row of `book` at which each sample's own book starts, int64 ``[n]``.
    book
        States uint8 ``[codes, columns]``.

    Returns
    -------
    Tensor
        uint8 ``[n, columns, ...]``: 0 absent, 1 present, 255 unknown.
    """
    return _looked_up(codes, first_code, book)


def float_targets(
    codes: Tensor, first_code: Tensor, book: Tensor, unknown: float = float("nan"), out: Tensor | None = None
) -> Tensor:
    """Return float32 ``[n, columns, ...]`` of 0 and 1, and `unknown` where nothing is known.

    Parameters are those of `decode_states`; `out` takes the result.
    """
    values = book.to(torch.float32).masked_fill(book == UNKNOWN, unknown)
    return _looked_up(codes, first_code, values, out)


def column_states(codes: Tensor, first_code: Tensor, book: Tensor, column: int) -> Tensor:
    """Return the states of one column, uint8 shaped as `codes`: what a loss that walks over classes takes."""
    return _looked_up(codes, first_code, book[:, column : column + 1])[:, 0]


def to_unit(grey: Tensor, out: Tensor | None = None) -> Tensor:
    """Return grey values uint8 as float32 from 0 to 1; the one place where values are scaled."""
    if out is None:
        return grey.to(torch.float32).div_(255)
    return out.copy_(grey).div_(255)


def _looked_up(codes: Tensor, first_code: Tensor, table: Tensor, out: Tensor | None = None) -> Tensor:
    """Return rows of a table ``[codes, columns]`` for each voxel, channels first."""
    shape = (codes.shape[0], table.shape[1], *codes.shape[1:])
    if out is None:
        out = torch.empty(shape, dtype=table.dtype, device=codes.device)
    if codes.device.type == "cpu":
        columns = np.ascontiguousarray(table.numpy().T)
        _look_up(
            codes.reshape(codes.shape[0], -1).numpy(),
            first_code.numpy(),
            columns,
            out.view(shape[0], shape[1], -1).numpy(),
        )
        return out
    look_up_rows(codes, first_code, table, out)
    return out


def look_up_rows(codes: Tensor, first_code: Tensor, table: Tensor, out: Tensor) -> None:
    """Write the rows of a table for each voxel with operations of torch alone: what a GPU does.

    Parameters are those of `decode_states`; `out` is ``[n, columns, ...]`` of the table's dtype.
    """
    columns = table.T.contiguous()
    for number in range(codes.shape[0]):
        rows = codes[number].reshape(-1).to(torch.int32) + first_code[number].to(torch.int32)
        for column in range(table.shape[1]):
            torch.index_select(columns[column], 0, rows, out=out[number, column].view(-1))


@numba.njit(nogil=True, cache=True)
def _look_up(codes: Any, first_code: Any, columns: Any, out: Any) -> None:
    # Pieces of a sample small enough that the codes stay in the first cache for all columns.
    piece = 16384
    for sample in range(codes.shape[0]):
        first = first_code[sample]
        for start in range(0, codes.shape[1], piece):
            end = min(start + piece, codes.shape[1])
            for column in range(columns.shape[0]):
                values = columns[column, first:]
                for at in range(start, end):
                    out[sample, column, at] = values[codes[sample, at]]
