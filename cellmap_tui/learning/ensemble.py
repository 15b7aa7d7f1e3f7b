"""One or several networks as one: which columns each gives, how much it counts, and on which grid it works.

Probabilities are averaged on the grid that is written, so networks may differ in scale, patch and
architecture. A network of many columns keeps no more than those that are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.learning.predictor import Predictor
from cellmap_tui.volumes.levels import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.learning.model_card import ModelCard


@dataclass(frozen=True, slots=True)
class Tiling:
    """How volumes are cut into tiles and what is averaged."""

    overlap: float = 0.25
    """Share of a tile that it has in common with the next one."""
    blending: str = "gaussian"
    """How tiles that overlap are joined."""
    flips: bool = False
    """Whether each tile is predicted in all its mirror images."""
    axes: str | None = None
    """Axes that slices are cut across by 2D networks; None: as in training."""
    precision: str = "fp32"
    """``fp32``, ``bf16`` or ``fp16``."""
    margin: float = 0.125
    """How far tiles reach beyond the volume, where the EM is whole there; share of a tile."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One network of an ensemble."""

    name: str
    """Its name for people."""
    card: ModelCard
    """What it takes and gives, at the voxel size that it is to work at."""
    weights: tuple[tuple[str, float], ...]
    """How much it counts for each column that is taken from it; those of a column add up to 1 over all members."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are taken from it."""
        return tuple(name for name, _ in self.weights)


class TakenColumns(nn.Module):
    """A network without the columns that nobody asked for.

    Parameters
    ----------
    network
        Answers logits ``[n, columns, …]``.
    taken
        Numbers of the columns that are kept.
    """

    def __init__(self, network: nn.Module, taken: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.taken = list(taken)

    def forward(self, values: Tensor) -> Tensor:
        """Return the logits of the columns that are kept."""
        found: Tensor = self.network(values)
        # What is no tensor of that many columns is the predictor's to refuse.
        is_whole = isinstance(found, torch.Tensor) and found.ndim > 1 and found.shape[1] > max(self.taken)
        return found[:, self.taken] if is_whole else found


def with_columns(card: ModelCard, columns: Sequence[str]) -> ModelCard:
    """Return a card of some of the columns."""
    return replace(card, columns=tuple(columns))


def at_voxel_size(card: ModelCard, voxel_size_nm: Vec3) -> ModelCard:
    """Return a card of the same network that works at another voxel size."""
    ratio = [new / old for new, old in zip(voxel_size_nm, card.voxel_size_nm, strict=True)]
    scales = []
    for part in card.input_scales:
        z, y, x = (old * by for old, by in zip(part.voxel_size_nm, ratio, strict=True))
        scales.append(replace(part, voxel_size_nm=(z, y, x)))
    return replace(card, voxel_size_nm=voxel_size_nm, input_scales=tuple(scales))


def predictor_of(
    member: Member,
    card: ModelCard,
    network: nn.Module,
    device: torch.device,
    batch_size: int,
    tiling: Tiling,
    margin: tuple[int, int, int],
) -> Predictor:
    """Return what predicts the columns of a member.

    Parameters
    ----------
    member
        Which columns are taken.
    card
        The network's own card, with all its columns.
    network
        On the device.
    margin
        How far tiles reach beyond the volume, in voxels.

    Raises
    ------
    RequestError
        If axes or flips do not fit the network.
    """
    from cellmap_tui.learning.predictor import all_flips

    taken = [card.columns.index(name) for name in member.columns]
    model = network if taken == list(range(len(card.columns))) else TakenColumns(network, taken)
    return Predictor(
        model,
        with_columns(member.card, member.columns),
        device,
        batch_size,
        overlap=tiling.overlap,
        flips=all_flips(card.dimensions) if tiling.flips else ((),),
        axes=tiling.axes if card.dimensions == 2 else None,
        precision=tiling.precision,
        blending="constant" if tiling.blending == "constant" else "gaussian",
        margin=margin,
    )


def covering_grid(place: Grid, voxel_size_nm: Vec3) -> Grid:
    """Return the grid of a voxel size from the lower corner of a place that covers all of it.

    The last voxels may reach beyond it, by less than a voxel.
    """
    if all(abs(a - b) <= 1e-9 * b for a, b in zip(voxel_size_nm, place.voxel_size_nm, strict=True)):
        return place
    first, count = [], []
    for low, extent, size in zip(place.lower_nm, place.extent_nm, voxel_size_nm, strict=True):
        first.append(low + size / 2)
        # Voxel sizes are measured: 5.24 nm is meant to divide what 5.2 nm nearly does.
        whole = round(extent / size)
        is_whole = abs(extent / size - whole) <= TOLERANCE
        count.append(max(1, whole if is_whole else int(-(-extent // size))))
    return Grid(voxel_size_nm, (first[0], first[1], first[2]), (count[0], count[1], count[2]))
