"""What is read for the codes of a bank's crop, block by block, and how targets follow from it.

Two ways with one face. Where each target is one array, or the bank has the labels' own voxels, states are
read on the bank's grid, from the level that fits. Where a target is the union of arrays, or is inferred from
others, and the bank is coarser, that is done on the labels' own voxels and the targets are put to the vote
after it: of a cell that is half membrane and half lumen no part has the majority, but the organelle does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cellmap_tui.learning.codebook import ABSENT, PRESENT, UNKNOWN, combinations
from cellmap_tui.learning.derivation import Derivation
from cellmap_tui.learning.label_states import ChunkReaders, CoreReader, StateReader, bank_grid
from cellmap_tui.volumes.geometry import Box, is_aligned, sub_grid
from cellmap_tui.volumes.resample import cells_for, nearest, needed, valid_mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid, Shape3
    from cellmap_tui.learning.bank import BankRequest
    from cellmap_tui.learning.bank_sources import CropPlan
    from cellmap_tui.learning.codebook import Rows, States
    from cellmap_tui.volumes.ngff import Level

_BLOCK_VOXELS = 128
"""Edge of a block in voxels of the labels, at most."""


class StateSource(Protocol):
    """Reads what the codes of a crop are made of."""

    grid: Grid
    """The crop's grid."""
    columns: tuple[str, ...]
    """Columns of the book."""

    @property
    def levels(self) -> list[Level]:
        """Every level that is read."""

    def blocks(self) -> Iterator[Box]:
        """Yield boxes that tile the grid."""

    def states(self, box: Box) -> list[States | int]:
        """Return the states of all that is read, in a box of the grid; one state where there is only one."""

    def project(self, rows: Rows) -> Rows:
        """Return rows of the book from rows of what was read."""

    def contradictory(self, rows: Rows) -> NDArray[np.bool_]:
        """Return which rows of what was read contradict themselves."""


def state_source(plan: CropPlan, request: BankRequest) -> StateSource:
    """Return how the states of a crop are read."""
    direct = DirectStates(plan, request)
    return VotedStates(plan, request) if direct.is_reduced and direct.derivation.joins else direct


class DirectStates:
    """Each class read on the bank's grid by itself."""

    def __init__(self, plan: CropPlan, request: BankRequest) -> None:
        self.grid = plan.grid
        self.derivation = derivation_of(plan, request)
        self.columns = self.derivation.columns
        chunks = ChunkReaders(len(plan.labels))
        self._classes = [StateReader(labels, plan.grid, chunks) for labels in plan.labels]
        self._cores = _Cores(plan, chunks)

    @property
    def is_reduced(self) -> bool:
        """Whether some class is put to the vote."""
        return any(reader.is_voted for reader in self._classes)

    @property
    def levels(self) -> list[Level]:
        """Every level that is read."""
        return [reader.level for reader in self._classes] + self._cores.levels

    def blocks(self) -> Iterator[Box]:
        """Yield boxes of about the labels' own chunks: a class without a chunk there costs nothing."""
        z, y, x = (chunk if 32 <= chunk <= _BLOCK_VOXELS else 64 for chunk in self._classes[0].level.chunks)
        return tiles(self.grid.shape, (z, y, x))

    def states(self, box: Box) -> list[States | int]:
        """Return the states of each class, then of each core."""
        return [reader.read(box) for reader in self._classes] + self._cores.read(box)

    def project(self, rows: Rows) -> Rows:
        """Return targets and cores from classes and cores."""
        classes = len(self._classes)
        return self.derivation.with_cores(self.derivation.targets_from(rows[:, :classes]), rows[:, classes:])

    def contradictory(self, rows: Rows) -> NDArray[np.bool_]:
        """Return which rows no voxel can have."""
        return self.derivation.contradictory(rows[:, : len(self._classes)])


class VotedStates:
    """Targets derived on the labels' own voxels and voted on in the voxels of the bank.

    A cell is of a target where at least half of it is, not of it where more than half of it is not, and
    unknown elsewhere: what is not known could not have turned the vote.
    """

    def __init__(self, plan: CropPlan, request: BankRequest) -> None:
        self.grid = plan.grid
        self._derivation = derivation_of(plan, request)
        self.columns = self._derivation.columns
        finest = min((group.grid for group in plan.labels), key=lambda grid: math.prod(grid.voxel_size_nm))
        fine = bank_grid(list(plan.labels), finest.voxel_size_nm)
        chunks = ChunkReaders(len(plan.labels))
        self._classes = [StateReader(labels, fine, chunks) for labels in plan.labels]
        self._cells = cells_for(fine, plan.grid)
        self._targets = len(request.targets.targets)
        self._cores = _Cores(plan, chunks)

    @property
    def levels(self) -> list[Level]:
        """Every level that is read."""
        return [reader.level for reader in self._classes] + self._cores.levels

    def blocks(self) -> Iterator[Box]:
        """Yield boxes of at most so many voxels of the labels."""
        z, y, x = (max(1, _BLOCK_VOXELS // factor) for factor in self._cells.factor)
        return tiles(self.grid.shape, (z, y, x))

    def states(self, box: Box) -> list[States | int]:
        """Return the states of each target, where annotations contradict each other, then those of each core."""
        target = sub_grid(self.grid, box)
        cells = needed(self._cells.grid, target)
        fine = self._cells.voxels(cells).clipped(self._cells.source.shape)
        keys, rows = combinations([reader.read(fine) for reader in self._classes], fine.shape)
        derived = self._derivation.targets_from(rows)
        inside = valid_mask(self._cells.source, target)
        voted = [self._voted(derived[:, n], keys, cells, target, inside) for n in range(self._targets)]
        return [*voted, self._contradiction(rows, keys, cells, target), *self._cores.read(box)]

    def project(self, rows: Rows) -> Rows:
        """Return targets and cores."""
        return self._derivation.with_cores(rows[:, : self._targets], rows[:, self._targets + 1 :])

    def contradictory(self, rows: Rows) -> NDArray[np.bool_]:
        """Return which rows hold a voxel that contradicts itself."""
        flags: NDArray[np.bool_] = rows[:, self._targets] == PRESENT
        return flags

    def _voted(
        self, column: States, keys: NDArray[np.unsignedinteger], cells: Box, target: Grid, inside: NDArray[np.bool_]
    ) -> States | int:
        if (column == column[0]).all() and (inside.all() or column[0] == UNKNOWN):
            return int(column[0])
        is_present = self._share(column == PRESENT, keys, cells, target) >= 0.5 - 1e-6
        is_absent = self._share(column == ABSENT, keys, cells, target) > 0.5 + 1e-6
        found = np.where(is_absent, np.uint8(ABSENT), np.uint8(UNKNOWN))
        found[is_present] = PRESENT
        found[~inside] = UNKNOWN
        return found

    def _contradiction(self, rows: Rows, keys: NDArray[np.unsignedinteger], cells: Box, target: Grid) -> States | int:
        wrong = self._derivation.contradictory(rows)
        if not wrong.any():
            return ABSENT
        return np.where(self._share(wrong, keys, cells, target) > 0, np.uint8(PRESENT), np.uint8(ABSENT))

    def _share(
        self, of_row: NDArray[np.bool_], keys: NDArray[np.unsignedinteger], cells: Box, target: Grid
    ) -> NDArray[np.float32]:
        """Return which share of each of the target's voxels has one of the rows."""
        reduced = self._cells.reduce(of_row.astype(np.float32).take(keys), cells, "em")
        return nearest(reduced, cells.start, self._cells.grid, target)


class _Cores:
    """The cores of a crop's targets on the bank's grid."""

    def __init__(self, plan: CropPlan, chunks: ChunkReaders) -> None:
        self._readers = [CoreReader(ids, plan.grid, chunks) if ids is not None else None for _, ids in plan.cores]

    @property
    def levels(self) -> list[Level]:
        return [reader.level for reader in self._readers if reader is not None]

    def read(self, box: Box) -> list[States | int]:
        return [reader.read(box) if reader is not None else UNKNOWN for reader in self._readers]


def derivation_of(plan: CropPlan, request: BankRequest) -> Derivation:
    """Return how targets follow from the classes of a crop."""
    # On other voxels than the rest a class is off by up to half a voxel, and would prove what is not so.
    finest = min((group.grid for group in plan.labels), key=lambda grid: math.prod(grid.voxel_size_nm))
    evidence = [group.name for group in plan.labels if is_aligned(group.grid, finest)]
    return Derivation(
        [labels.name for labels in plan.labels],
        request.targets,
        labels=request.labels,
        evidence=evidence if request.use_mutual_exclusion else (),
        cores=[name for name, _ in plan.cores],
    )


def tiles(shape: Shape3, edges: Shape3) -> Iterator[Box]:
    """Yield boxes of `edges` that tile `shape`, cut at its end."""
    for z in range(0, shape[0], edges[0]):
        for y in range(0, shape[1], edges[1]):
            for x in range(0, shape[2], edges[2]):
                yield Box((z, y, x), (z + edges[0], y + edges[1], x + edges[2])).clipped(shape)
