"""The crop bank: crops as plain memory maps, EM and label codes on the crop's own grid at one voxel size.

Owns what a bank is and asking for one. How it is built and kept is the business of `bank_build` and
`bank_cache`; nothing here copies a voxel, so banks of any size open at once and are shared by processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.challenge.datasplit import Split
    from cellmap_tui.challenge.grid import Grid, Shape3, Vec3
    from cellmap_tui.challenge.targets import Targets
    from cellmap_tui.learning.codebook import Rows
    from cellmap_tui.learning.listener import Listener

CoarseLabels = Literal["drop", "upsample"]
"""What is done with a crop whose finest labels are coarser than the bank: left out, or enlarged."""


@dataclass(frozen=True, slots=True)
class CropSource:
    """Where a crop of a bank lies."""

    ref: str
    """``dataset/crop234``."""
    usage: str
    """``train`` or ``validate``."""
    em: Path
    """Multiscale group of its EM."""
    labels: Path
    """Folder of its label groups."""
    classes: tuple[str, ...] = ()
    """Label groups that may be used; empty: all that are there."""


@dataclass(frozen=True, slots=True)
class BankRequest:
    """Which bank is wanted."""

    crops: tuple[CropSource, ...]
    """The crops; see `sources_of`."""
    targets: Targets
    """What is to be learned, in the order of channels."""
    voxel_size_nm: Vec3
    """Voxel size of EM and labels."""
    cache_dir: Path
    """Folder in which banks are kept; not below the data."""
    context_voxels: Shape3 = (0, 0, 0)
    """EM beyond the crop on both sides of each axis, in voxels of the bank."""
    use_mutual_exclusion: bool = False
    """Whether unknown states are inferred from the class table: what is mitochondrion is no ER."""
    coarse_labels: CoarseLabels = "drop"
    """What is done with crops whose labels are coarser than the bank."""
    cores: bool = True
    """Whether targets that ask for a core get its column."""
    seeds: int = 4096
    """How many voxels of each column are remembered per crop, to centre samples on."""
    labels: tuple[str, ...] = ()
    """Names of classes that are not in the class table, as imported crops carry them."""
    workers: int | None = None
    """Crops built at the same time; None: as many as there are cores, at most 8."""


@dataclass(frozen=True, slots=True, eq=False)
class BankCrop:
    """A crop of a bank."""

    ref: str
    """``dataset/crop234``."""
    usage: str
    """``train`` or ``validate``."""
    grid: Grid
    """The crop's grid at the bank's voxel size; that of `codes`."""
    em: NDArray[np.uint8]
    """Grey values uint8 ``[z, y, x]`` on the grid and `context_voxels` around it; a read-only memory map."""
    codes: NDArray[Any]
    """Label codes, uint8 or uint16, of the grid's shape; a read-only memory map."""
    first_code: int
    """Row of the bank's book that stands for this crop's code 0."""
    context_voxels: Shape3
    """How far `em` reaches beyond the grid on both sides of each axis."""
    em_valid: NDArray[np.bool_] | None
    """Which voxels of `em` are inside the EM and on disk; None: all."""
    counts: NDArray[np.int64]
    """Voxels ``[columns, 3]`` that are present, absent and unknown."""
    seeds: tuple[NDArray[np.int32], ...]
    """For each column, positions ``[k, 3]`` of some of its present voxels, z, y, x on the grid."""

    def present(self, column: int) -> int:
        """Return how many voxels are known to be of a column."""
        return int(self.counts[column, 0])

    def known(self, column: int) -> int:
        """Return how many voxels are known to be or not to be of a column."""
        return int(self.counts[column, 0] + self.counts[column, 1])


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A crop that is not in the bank."""

    ref: str
    """``dataset/crop234``."""
    reason: str
    """Why, and what would help."""


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """Crops to draw samples from."""

    crops: tuple[BankCrop, ...]
    """The crops in the order asked for."""
    columns: tuple[str, ...]
    """Names of the targets, then ``<target>/core`` for each that has one."""
    book: Rows
    """States uint8 ``[codes, columns]``; the books of all crops one below the other."""
    voxel_size_nm: Vec3
    """Voxel size of all crops."""
    targets: Targets
    """What the columns mean."""
    left_out: tuple[LeftOut, ...] = ()
    """Crops that could not be used, and why."""
    contradictions: tuple[tuple[str, int], ...] = ()
    """Crops with the number of voxels whose annotations exclude each other; those were left as they are."""

    @property
    def size_bytes(self) -> int:
        """Bytes of all memory maps."""
        return sum(crop.em.nbytes + crop.codes.nbytes for crop in self.crops)

    def book_of(self, crop: BankCrop) -> Rows:
        """Return the rows of a crop's own book, code 0 first."""
        starts = sorted({other.first_code for other in self.crops} | {len(self.book)})
        following = next(start for start in starts if start > crop.first_code)
        return self.book[crop.first_code : following]

    def of_usage(self, usage: str) -> tuple[BankCrop, ...]:
        """Return the crops for training or validation."""
        return tuple(crop for crop in self.crops if crop.usage == usage)


def open_bank(request: BankRequest, report: Listener | None = None) -> Bank:
    """Return the bank that is asked for: from the cache, or built crop by crop and kept.

    Parameters
    ----------
    request
        Which bank.
    report
        Hears progress, what is left out and contradictions; asked between pieces of work whether to stop.

    Raises
    ------
    MissingDataError
        If paths are gone, or no crop knows any target; says for each class why.
    RefusedError
        If the disk has too little room.
    DataError
        If data are broken; names the file.
    """
    from cellmap_tui.learning.bank_build import build_bank
    from cellmap_tui.learning.listener import Silence

    return build_bank(request, report or Silence())


def sources_of(split: Split) -> tuple[CropSource, ...]:
    """Return the crops that a datasplit names."""
    from cellmap_tui.learning.bank_sources import source_of

    return tuple(source_of(row) for row in split.rows)
