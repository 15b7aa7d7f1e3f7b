"""A batch of samples as a training loop gets it: grey values and label codes, decoded where they are needed.

What crosses the bus is one byte of EM and one of label code a voxel; float targets are made on the
device, on demand.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from cellmap_tui.learning.codebook import UNKNOWN
from cellmap_tui.learning.decode import decode_states, float_targets, to_unit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class SampleNote:
    """Where a sample comes from."""

    index: int
    """Its number in the epoch."""
    crop: str
    """``dataset/crop234``."""
    drawn_for: str
    """The target it was drawn for."""
    draw: str
    """``foreground``, ``anywhere`` or ``empty``."""


@dataclass(frozen=True, slots=True, eq=False)
class PatchBatch:
    """Samples of one batch; a flat patch has lost its axis of one voxel wherever values come as floats."""

    em: dict[str, Tensor]
    """By input: grey values uint8 ``[n, z, y, x]``."""
    em_valid: dict[str, Tensor | None]
    """By input: bool ``[n, z, y, x]``, whether a grey value is one of the EM; None: all are."""
    codes: Tensor
    """Label codes of the crops' own books, uint8 or int32 ``[n, z, y, x]``."""
    first_code: Tensor
    """Row of `book` at which each sample's own book starts, int64 ``[n]``."""
    book: Tensor
    """States uint8 ``[codes, columns]``: 0 absent, 1 present, 255 unknown."""
    columns: tuple[str, ...]
    """Names of the channels of a target."""
    epoch: int
    """Number of the epoch."""
    notes: tuple[SampleNote, ...] = ()
    """Where the samples come from."""
    augmented: dict[str, Tensor] = field(default_factory=dict)
    """By input: grey values after augmentation, float32 ``[n, 1, z, y, x]``; empty: not augmented."""

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def flat_axis(self) -> int | None:
        """The axis of the patch that has a single voxel, or None."""
        flat = [axis for axis, count in enumerate(self.codes.shape[1:]) if count == 1]
        return flat[0] if flat else None

    @property
    def raw(self) -> Tensor:
        """The first input, float32 ``[n, 1, z, y, x]`` (flat: ``[n, 1, h, w]``), 0 to 1."""
        return self.input(next(iter(self.em)))

    def input(self, name: str) -> Tensor:
        """Return an input as float32, 0 to 1, shaped as `raw`."""
        values = self.augmented[name] if name in self.augmented else to_unit(self.em[name])[:, None]
        return self._squeezed(values)

    def raw_valid(self, name: str | None = None) -> Tensor:
        """Return where an input is EM, bool shaped as `raw`; the first input if none is named."""
        name = next(iter(self.em)) if name is None else name
        mask = self.em_valid[name]
        if mask is None:
            mask = torch.ones((), dtype=torch.bool, device=self.codes.device).expand(self.em[name].shape)
        return self._squeezed(mask[:, None])

    @property
    def states(self) -> Tensor:
        """What is known, uint8 ``[n, columns, z, y, x]``: 0 absent, 1 present, 255 unknown."""
        return self._squeezed(decode_states(self.codes, self.first_code, self.book))

    @property
    def target(self) -> Tensor:
        """What to predict, float32 ``[n, columns, z, y, x]`` of 0 and 1; 0 where nothing is known: see `known`."""
        return self._squeezed(float_targets(self.codes, self.first_code, self.book, 0.0))

    @property
    def known(self) -> Tensor:
        """Where the target is known, bool shaped as `target`."""
        return self.states != UNKNOWN

    @property
    def mask(self) -> Tensor:
        """Where the target is known and the first input is EM, bool shaped as `target`."""
        valid = next(iter(self.em_valid.values()))
        known = self.known
        return known if valid is None else known & self._squeezed(valid[:, None])

    def to(self, device: Any, *, non_blocking: bool = False) -> PatchBatch:
        """Return the batch with its tensors on a device."""

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        return replace(
            self,
            em={name: moved(part) for name, part in self.em.items()},
            em_valid={name: None if part is None else moved(part) for name, part in self.em_valid.items()},
            codes=moved(self.codes),
            first_code=moved(self.first_code),
            book=moved(self.book),
            augmented={name: moved(part) for name, part in self.augmented.items()},
        )

    def _squeezed(self, values: Tensor) -> Tensor:
        axis = self.flat_axis
        return values if axis is None else values.squeeze(axis + 2)
