"""What is known about the voxels of a batch, in the form a loss walks over: a few at a time, never all as floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from cellmap_tui.learning.codebook import ABSENT, PRESENT, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from cellmap_tui.learning.batch import PatchBatch


class Labels(Protocol):
    """States of each column at each voxel, looked up on demand."""

    @property
    def columns(self) -> int:
        """Number of columns."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples and voxels along each axis."""

    def at(self, shape: Sequence[int]) -> Labels:
        """Return the labels on a coarser grid over the same patch, by the nearest voxel."""

    def counts(self) -> Tensor:
        """Return how many voxels are present and how many are known, float64 ``[columns, 2]``."""

    def table(self, absent: Tensor, present: Tensor) -> Tensor:
        """Return what `take` looks values up in: one for each column where it is absent, and where present."""

    def take(self, table: Tensor, sample: int, start: int, stop: int, *, columns_last: bool) -> Tensor:
        """Return the values of voxels ``[columns, voxels]`` of a sample, 0 where nothing is known."""


class CodedLabels:
    """Labels as codes of a book.

    Parameters
    ----------
    codes
        Label codes, uint8 or int32 ``[n, (z,) y, x]``.
    book
        States uint8 ``[codes, columns]``.
    first_code
        Row of `book` at which each sample's own book starts, int64 ``[n]``; None: the first.
    valid
        Bool shaped as `codes`: where labels count; None: everywhere.
    """

    def __init__(
        self, codes: Tensor, book: Tensor, first_code: Tensor | None = None, valid: Tensor | None = None
    ) -> None:
        nothing = torch.full((1, book.shape[1]), UNKNOWN, dtype=book.dtype, device=book.device)
        self._book = torch.cat([book, nothing])
        rows = codes.to(torch.int32)
        if first_code is not None:
            rows = rows + first_code.to(torch.int32).view(-1, *[1] * (codes.ndim - 1))
        if valid is not None:
            rows = rows.masked_fill(~valid, book.shape[0])
        self._rows = rows
        self._flat = rows.reshape(len(rows), -1)

    @property
    def columns(self) -> int:
        """Number of columns."""
        return int(self._book.shape[1])

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples and voxels along each axis."""
        return tuple(self._rows.shape)

    def at(self, shape: Sequence[int]) -> CodedLabels:
        """Return the labels on a coarser grid."""
        return CodedLabels(nearest_voxels(self._rows, shape), self._book)

    def counts(self) -> Tensor:
        """Return present and known voxels, ``[columns, 2]``."""
        rows = torch.bincount(self._flat.reshape(-1), minlength=len(self._book)).to(precise(self._book))
        present, known = self._book == PRESENT, self._book != UNKNOWN
        return torch.stack([rows @ present.to(rows.dtype), rows @ known.to(rows.dtype)], dim=1)

    def table(self, absent: Tensor, present: Tensor) -> Tensor:
        """Return the value of each column at each code, float32 ``[columns, codes]``."""
        book = self._book.T
        values = torch.where(book == PRESENT, present[:, None], absent[:, None])
        return torch.where(book == UNKNOWN, torch.zeros_like(values), values).to(torch.float32).contiguous()

    def take(self, table: Tensor, sample: int, start: int, stop: int, *, columns_last: bool) -> Tensor:
        """Return the values of voxels ``[columns, voxels]``."""
        rows = self._flat[sample, start:stop].long()  # twice as fast as with 32 bits
        if columns_last:
            return table.T.contiguous().index_select(0, rows).T
        return table.index_select(1, rows)


class StateLabels:
    """Labels as states.

    Parameters
    ----------
    states
        uint8 ``[n, columns, (z,) y, x]``: 0 absent, 1 present, 255 unknown.
    """

    def __init__(self, states: Tensor) -> None:
        self._states = states
        self._flat = states.reshape(*states.shape[:2], -1)

    @property
    def columns(self) -> int:
        """Number of columns."""
        return int(self._states.shape[1])

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples and voxels along each axis."""
        return (self._states.shape[0], *self._states.shape[2:])

    def at(self, shape: Sequence[int]) -> StateLabels:
        """Return the labels on a coarser grid."""
        return StateLabels(nearest_voxels(self._states, shape))

    def counts(self) -> Tensor:
        """Return present and known voxels, ``[columns, 2]``."""
        present, known = self._flat == PRESENT, self._flat != UNKNOWN
        return torch.stack([present.sum(dim=(0, 2)), known.sum(dim=(0, 2))], dim=1).to(precise(self._states))

    def table(self, absent: Tensor, present: Tensor) -> Tensor:
        """Return the value of each column where it is absent and present, float32 ``[columns, 2]``."""
        return torch.stack([absent, present], dim=1).to(torch.float32)

    def take(self, table: Tensor, sample: int, start: int, stop: int, *, columns_last: bool) -> Tensor:
        """Return the values of voxels ``[columns, voxels]``."""
        states = self._flat[sample, :, start:stop]
        return (states == ABSENT) * table[:, :1] + (states == PRESENT) * table[:, 1:]


def labels_of(batch: PatchBatch, *, ignore_padding: bool = True) -> CodedLabels:
    """Return the labels of a batch; a flat patch loses its axis, and so do they.

    Parameters
    ----------
    batch
        A batch.
    ignore_padding
        Whether voxels beyond the EM of the first input count as unknown.
    """
    valid = next(iter(batch.em_valid.values())) if ignore_padding else None
    axis = batch.flat_axis
    if axis is None:
        return CodedLabels(batch.codes, batch.book, batch.first_code, valid)
    return CodedLabels(
        batch.codes.squeeze(axis + 1),
        batch.book,
        batch.first_code,
        None if valid is None else valid.squeeze(axis + 1),
    )


def nearest_voxels(values: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the last axes of an array on a grid of another shape over the same space, by the nearest voxel."""
    offset = values.ndim - len(shape)
    for axis, count in enumerate(shape, start=offset):
        have = values.shape[axis]
        if have == count:
            continue
        places = ((torch.arange(count, device=values.device) * 2 + 1) * have).div(2 * count, rounding_mode="floor")
        values = values.index_select(axis, places)
    return values


def precise(tensor: Tensor) -> torch.dtype:
    """Return float64, or float32 on a device that has nothing finer."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64
