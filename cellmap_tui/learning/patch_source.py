"""Reads samples of a bank into batches, on whichever thread asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cellmap_tui.learning.batch import PatchBatch, SampleNote
from cellmap_tui.learning.decode import to_unit
from cellmap_tui.learning.device_bank import DeviceBank
from cellmap_tui.learning.gather import read_patch
from cellmap_tui.learning.patch_plan import Planner
from cellmap_tui.learning.sampler import Draw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellmap_tui.learning.augment_values import GreyAugmentation
    from cellmap_tui.learning.bank import Bank
    from cellmap_tui.learning.buffers import BufferPool
    from cellmap_tui.learning.config_arrays import ArrayInfo
    from cellmap_tui.learning.patch_plan import PatchRules, Plan


class PatchSource:
    """Samples of a bank by epoch and number.

    Parameters
    ----------
    bank
        Crops.
    rules
        What a sample is.
    pool
        Memory to read into.
    grey
        How grey values are varied, or None.
    """

    def __init__(self, bank: Bank, rules: PatchRules, pool: BufferPool, grey: GreyAugmentation | None = None) -> None:
        self.bank = bank
        self.rules = rules
        self.planner = Planner(bank, rules)
        self.pool = pool
        self._grey = grey
        self._book = torch.from_numpy(np.array(bank.book, np.uint8))
        crops = self.planner.sampler.crops
        self._first_codes = np.array([crop.first_code for crop in crops], np.int64)
        # torch cannot look up by uint16; a crop with so many combinations is rare enough for four bytes.
        self.device_bank: DeviceBank | None = None
        self._code_dtype = np.dtype(np.uint8 if all(crop.codes.dtype == np.uint8 for crop in crops) else np.int32)

    def move_to(self, device: torch.device) -> None:
        """Copy the bank to a device; from now on samples are read there."""
        self.device_bank = DeviceBank(self.planner.sampler.crops, self.planner.reaches, device)
        self._book = self._book.to(device)

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample as it is read: EM, label codes and, at worst, where the EM is valid."""
        inputs = sum(int(np.prod(info.shape)) for info in self.rules.inputs)
        floats = 4 * inputs if self._grey else 0
        return 2 * inputs + int(np.prod(self.rules.target.shape)) * self._code_dtype.itemsize + floats

    def read(self, epoch: int, indices: Sequence[int]) -> PatchBatch:
        """Return samples as grey values and label codes, in the memory of the host."""
        count = len(indices)
        target, inputs = self.rules.target, self.rules.inputs
        rows = [self.planner.row(epoch, index) for index in indices]
        em = {info.name: self.pool.take((count, *info.shape), np.uint8) for info in inputs}
        valid: dict[str, NDArray[Any] | None] = {info.name: None for info in inputs}
        codes = self.pool.take((count, *target.shape), self._code_dtype)
        # The labels come along with the input that lies on their grid.
        along = next(
            (info.name for info in inputs if (info.shape, info.scale_nm) == (target.shape, target.scale_nm)), ""
        )
        for number, (index, (plan, row)) in enumerate(zip(indices, rows, strict=True)):
            for info in inputs:
                wanted = codes[number] if info.name == along else None
                mask = valid[info.name]
                if mask is None and not plan.readings[info.shape, info.scale_nm].is_inside[row]:
                    mask = valid[info.name] = self.pool.take((count, *info.shape), np.bool_)
                    mask[:number] = True
                self._read(epoch, index, plan, row, info, em[info.name][number], wanted, _part(mask, number))
            if not along:
                self._read(epoch, index, plan, row, target, None, codes[number], None)
        crops = np.array([plan.places.crop[row] for plan, row in rows])
        return PatchBatch(
            em={name: torch.from_numpy(part) for name, part in em.items()},
            em_valid={name: None if part is None else torch.from_numpy(part) for name, part in valid.items()},
            codes=torch.from_numpy(codes),
            first_code=torch.from_numpy(self._first_codes[crops]),
            book=self._book,
            columns=self.bank.columns,
            epoch=epoch,
            notes=tuple(self._note(index, plan, row) for index, (plan, row) in zip(indices, rows, strict=True)),
        )

    def read_on_device(self, epoch: int, indices: Sequence[int]) -> PatchBatch:
        """Return samples as `read` does, read by the device that `move_to` named."""
        bank = self.device_bank
        assert bank is not None
        rows = [self.planner.row(epoch, index) for index in indices]
        crops = np.array([plan.places.crop[row] for plan, row in rows])
        em, valid = {}, {}
        for info in self.rules.inputs:
            matrix, base, moved = self._maps(epoch, indices, rows, info, bank)
            em[info.name], mask = bank.read_em(crops, matrix, base, info.shape, moved)
            key = (info.shape, info.scale_nm)
            all_inside = all(plan.readings[key].is_inside[row] for plan, row in rows)
            valid[info.name] = None if all_inside else mask
        matrix, base, moved = self._maps(epoch, indices, rows, self.rules.target, bank)
        return PatchBatch(
            em=em,
            em_valid=valid,
            codes=bank.read_codes(crops, matrix, base, self.rules.target.shape, moved),
            first_code=torch.from_numpy(self._first_codes[crops]).to(bank.device),
            book=self._book,
            columns=self.bank.columns,
            epoch=epoch,
            notes=tuple(self._note(index, plan, row) for index, (plan, row) in zip(indices, rows, strict=True)),
        )

    def _maps(
        self, epoch: int, indices: Sequence[int], rows: list[tuple[Plan, int]], info: ArrayInfo, bank: DeviceBank
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], torch.Tensor | None]:
        """Return matrices, bases and displacements of an array of some samples."""
        key = (info.shape, info.scale_nm)
        matrix = np.stack([plan.readings[key].matrix[row] for plan, row in rows])
        base = np.stack([plan.readings[key].base[row] for plan, row in rows])
        if self.rules.spatial.elastic is None:
            return matrix, base, None
        asked = [
            self.planner.displacement(epoch, index, info, part) for index, part in zip(indices, matrix, strict=True)
        ]
        return matrix, base, bank.displaced([one for one in asked if one is not None])

    def _read(
        self,
        epoch: int,
        index: int,
        plan: Plan,
        row: int,
        info: ArrayInfo,
        grey: NDArray[np.uint8] | None,
        codes: NDArray[Any] | None,
        valid: NDArray[np.bool_] | None,
    ) -> None:
        """Read an array of a sample."""
        number = plan.places.crop[row]
        crop, reach = self.planner.sampler.crops[number], self.planner.reaches[number]
        reading = plan.readings[info.shape, info.scale_nm]
        matrix = reading.matrix[row]
        moved = self.planner.displacement(epoch, index, info, matrix)
        read_patch(crop, matrix, reading.base[row], grey, codes, valid, moved, reach)

    def augment(self, batch: PatchBatch) -> PatchBatch:
        """Return a batch with its grey values varied, on the device where it is."""
        if not self._grey:
            return batch
        indices = np.array([note.index for note in batch.notes])
        for name, grey in batch.em.items():
            batch.augmented[name] = self._grey.apply(to_unit(grey)[:, None], batch.epoch, indices)
        return batch

    def _note(self, index: int, plan: Plan, row: int) -> SampleNote:
        places = plan.places
        crop = self.planner.sampler.crops[places.crop[row]]
        drawn_for = self.bank.columns[places.column[row]]
        return SampleNote(index, crop.ref, drawn_for, Draw(int(places.draw[row])).name.lower())


def _part(mask: NDArray[np.bool_] | None, number: int) -> NDArray[np.bool_] | None:
    return None if mask is None else mask[number]
