"""A bank in the memory of a device, and reading batches from it there: what `gather` does, for a GPU.

Every voxel of a batch is computed at once, by operations of torch. EM linear, codes nearest, and grey 0, code 0
and invalid where a crop has nothing, to the last bits as on the CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.learning.bank import BankCrop
    from cellmap_tui.learning.elastic import Displacement
    from cellmap_tui.learning.em_reach import EmReach

_EDGE = 0.5005
"""How far beyond the middle of an edge voxel a position counts as inside; the last bits are not known."""
_WEIGHTLESS = 1e-3
"""Weight below which a neighbour does not have to be valid."""


class DeviceBank:
    """The crops of a bank, copied to a device once.

    Parameters
    ----------
    crops
        The crops.
    reaches
        Where each has EM.
    device
        Where they go.
    """

    def __init__(self, crops: Sequence[BankCrop], reaches: Sequence[EmReach], device: torch.device) -> None:
        self.device = device
        wide = any(crop.codes.dtype != np.uint8 for crop in crops)
        self._em = _joined([crop.em for crop in crops], np.uint8, device)
        self._codes = _joined([crop.codes for crop in crops], np.int32 if wide else np.uint8, device)
        masked = any(not reach.is_box for reach in reaches)
        masks = [reach.mask if not reach.is_box else np.ones(crop.em.shape, np.bool_) for crop, reach in zip(
            crops, reaches, strict=True)] if masked else []  # fmt: skip
        self._valid = _joined(masks, np.bool_, device) if masked else None
        self._em_first = _firsts([crop.em.size for crop in crops])
        self._code_first = _firsts([crop.codes.size for crop in crops])
        self._em_shape = np.array([crop.em.shape for crop in crops], np.int64)
        self._code_shape = np.array([crop.codes.shape for crop in crops], np.int64)
        self._context = np.array([crop.context_voxels for crop in crops], np.float64)
        self._low = np.array([reach.low for reach in reaches], np.int64)
        self._high = np.array([reach.high for reach in reaches], np.int64)

    @staticmethod
    def bytes_of(crops: Sequence[BankCrop]) -> int:
        """Return about how much memory crops take on a device."""
        wide = any(crop.codes.dtype != np.uint8 for crop in crops)
        return sum(crop.em.size + crop.codes.size * (4 if wide else 1) for crop in crops)

    def read_em(
        self,
        crop: NDArray[np.int64],
        matrix: NDArray[np.float64],
        base: NDArray[np.float64],
        shape: Shape3,
        moved: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return grey values uint8 and where they are valid, bool; both ``[n, z, y, x]``.

        Parameters
        ----------
        crop
            Number of each sample's crop, ``[n]``.
        matrix, base
            Voxel ``v`` of sample ``n`` lies at ``base[n] + matrix[n] @ v`` of its crop's grid.
        shape
            Voxels of a patch.
        moved
            Displacements in voxels of the grid, float32 ``[n, 3, z, y, x]``.
        """
        at = self._positions(matrix, base + self._context[crop], shape, moved)
        low, high = self._vector(self._low[crop]), self._vector(self._high[crop] - 1)
        inside = [(at[k] >= low[k] - _EDGE) & (at[k] <= high[k] + _EDGE) for k in range(3)]
        valid = inside[0] & inside[1] & inside[2] & (low[0] <= high[0])
        first, second, weight = [], [], []
        for k in range(3):
            clamped = torch.minimum(torch.maximum(at[k], low[k]), torch.maximum(low[k], high[k]))
            whole = clamped.floor()
            weight.append(clamped - whole)
            first.append(whole.long())
            second.append(torch.minimum(whole + 1, torch.maximum(low[k], high[k])).long())
        grey, known = self._between(crop, first, second, weight)
        valid = valid if known is None else valid & known
        return torch.where(valid, (grey + 0.5).to(torch.uint8), 0), valid

    def read_codes(
        self,
        crop: NDArray[np.int64],
        matrix: NDArray[np.float64],
        base: NDArray[np.float64],
        shape: Shape3,
        moved: Tensor | None = None,
    ) -> Tensor:
        """Return label codes of the crops' own books, uint8 or int32 ``[n, z, y, x]``; see `read_em`."""
        at = self._positions(matrix, base + 0.5, shape, moved)
        size = self._vector(self._code_shape[crop])
        inside = [(at[k] >= 0) & (at[k] < size[k]) for k in range(3)]
        whole = [torch.minimum(at[k].clamp(min=0), size[k] - 1).long() for k in range(3)]
        place = self._place(self._code_first[crop], self._code_shape[crop], whole)
        return torch.where(inside[0] & inside[1] & inside[2], self._codes[place], 0)

    def displaced(self, displacements: Sequence[Displacement]) -> Tensor:
        """Return displacements of every voxel on the device, float32 ``[n, 3, z, y, x]``."""
        dense = []
        for one in displacements:
            parts = [torch.from_numpy(part.copy()).to(self.device) for part in (one.grid, *one.bases)]
            dense.append(torch.einsum("kabc,za,yb,xc->kzyx", *parts))
        return torch.stack(dense)

    def _positions(
        self, matrix: NDArray[np.float64], base: NDArray[np.float64], shape: Shape3, moved: Tensor | None
    ) -> list[Tensor]:
        steps = torch.from_numpy(matrix.astype(np.float32)).to(self.device)
        start = torch.from_numpy(base.astype(np.float32)).to(self.device)
        axes = [torch.arange(count, dtype=torch.float32, device=self.device) for count in shape]
        z, y, x = axes[0].view(1, -1, 1, 1), axes[1].view(1, 1, -1, 1), axes[2].view(1, 1, 1, -1)
        at = []
        for k in range(3):
            row = [steps[:, k, column].view(-1, 1, 1, 1) for column in range(3)]
            place = start[:, k].view(-1, 1, 1, 1) + row[0] * z + row[1] * y + row[2] * x
            at.append(place if moved is None else place + moved[:, k])
        return at

    def _between(
        self, crop: NDArray[np.int64], first: list[Tensor], second: list[Tensor], weight: list[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Return the grey value between eight voxels, and whether those with a weight are EM."""
        grey: Tensor | float = 0.0
        known: Tensor | None = None
        for corner in range(8):
            sides = [(corner >> 2) & 1, (corner >> 1) & 1, corner & 1]
            chosen = [second[k] if side else first[k] for k, side in enumerate(sides)]
            parts = [weight[k] if side else 1 - weight[k] for k, side in enumerate(sides)]
            place = self._place(self._em_first[crop], self._em_shape[crop], chosen)
            grey = grey + parts[0] * parts[1] * parts[2] * self._em[place]
            if self._valid is not None:
                needed = [weight[k] > _WEIGHTLESS for k, side in enumerate(sides) if side]
                good = self._valid[place]
                for heavy in needed:
                    good = good | ~heavy
                known = good if known is None else known & good
        assert isinstance(grey, torch.Tensor)
        return grey, known

    def _place(self, first: NDArray[np.int64], shape: NDArray[np.int64], whole: list[Tensor]) -> Tensor:
        start = torch.from_numpy(first).to(self.device).view(-1, 1, 1, 1)
        y, x = (torch.from_numpy(shape[:, axis].copy()).to(self.device).view(-1, 1, 1, 1) for axis in (1, 2))
        return start + (whole[0] * y + whole[1]) * x + whole[2]

    def _vector(self, values: NDArray[np.int64]) -> list[Tensor]:
        on_device = torch.from_numpy(values.astype(np.float32)).to(self.device)
        return [on_device[:, k].view(-1, 1, 1, 1) for k in range(3)]


def _joined(parts: Sequence[NDArray[np.generic]], dtype: type[np.generic], device: torch.device) -> Tensor:
    """Return arrays one after the other on a device; crop by crop, so that the host needs no copy of all."""
    whole = torch.empty(sum(part.size for part in parts), dtype=_TORCH[dtype], device=device)
    start = 0
    for part in parts:
        flat = torch.from_numpy(np.array(part, dtype).reshape(-1))
        whole[start : start + part.size].copy_(flat)
        start += part.size
    return whole


_TORCH: dict[type[np.generic], torch.dtype] = {
    np.uint8: torch.uint8,
    np.int32: torch.int32,
    np.bool_: torch.bool,
}


def _firsts(sizes: Sequence[int]) -> NDArray[np.int64]:
    ends = np.cumsum(np.array(sizes, np.int64))
    return ends - np.array(sizes, np.int64)
