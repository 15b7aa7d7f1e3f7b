"""What `patches` is asked and what it found; the same request opens `cm.patches`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - models are read by their annotations
from typing import Literal

from cellmap_tui.challenge.datasplit import Usage  # noqa: TC001
from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001
from cellmap_tui.errors import RequestError
from cellmap_tui.learning.config_arrays import ArrayInfo, SpatialTransforms, ValueTransform
from cellmap_tui.text import triple, voxel

MAX_EDGE = 4096
MAX_COUNT = 1_000_000

DEFAULT_SPATIAL = SpatialTransforms(
    mirror=(("z", 0.5), ("y", 0.5), ("x", 0.5)), transpose=("y", "x"), rotate=(("z", -180.0, 180.0),)
)
"""How patches are moved where nothing else is asked for: what configurations start from."""
DEFAULT_VALUES = (
    ValueTransform("GainOffset", (("gain_range", (0.8, 1.2)), ("offset_range", (-0.1, 0.1)))),
    ValueTransform("RandomGamma", (("gamma_range", (0.8, 1.25)),)),
    ValueTransform("GaussianNoise", (("std", 0.03), ("probability", 0.3))),
)
"""How grey values are varied where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class PatchesRequest:
    """Which patches to draw from which crops.

    Raises
    ------
    RequestError
        If a number is out of range.
    """

    split: Path
    """Datasplit CSV."""
    classes: tuple[str, ...] = ()
    """Classes, a channel each; none: every class that the split names. Not used when `targets` is given."""
    targets: Path | None = None
    """File of targets."""
    shape: Shape3 = (128, 128, 128)
    """Voxels of a patch, z, y, x; a single voxel along one axis makes it flat."""
    voxel_size_nm: Vec3 = (8.0, 8.0, 8.0)
    """Voxel size of a patch and of the bank."""
    inputs: tuple[ArrayInfo, ...] = ()
    """EM arrays of a sample with names, shapes and scales; none: one, called ``raw``, on the target's grid."""
    usage: Usage = "train"
    """Crops to draw from."""
    augment: bool = True
    """Whether patches are moved and their grey values varied."""
    spatial: SpatialTransforms = DEFAULT_SPATIAL
    """How patches are moved."""
    values: tuple[ValueTransform, ...] = DEFAULT_VALUES
    """How grey values are varied, in order."""
    slicing_axes: tuple[str, ...] | None = None
    """Axes that flat patches are cut across. None: all three where voxels are cubes, else the flat one."""
    foreground_share: float = 0.5
    """Share of patches centred on a voxel of the drawn class."""
    empty_share: float = 0.1
    """Share of patches in which no target occurs."""
    balanced: bool = True
    """Whether rare classes are drawn as often as common ones."""
    use_mutual_exclusion: bool = False
    """Whether unknown states are inferred from the class table."""
    coarse_labels: Literal["drop", "upsample"] = "drop"
    """What is done with crops whose labels are coarser than the voxel size."""
    cores: tuple[str, ...] = ()
    """Targets that get a channel for their objects' cores, beside those that say so in the file of targets."""
    context_voxels: Shape3 | None = None
    """EM kept around each crop; None: half a patch."""
    seed: int = 42
    """Same seed, same patches."""
    epoch: int = 0
    """Number of the first epoch."""
    batch_size: int = 2
    """Patches in a batch."""
    batches: int = 250
    """Batches in an epoch."""
    workers: int | None = None
    """Threads that read; 0: none. None: as the machine has cores, at most 8."""
    buffer_bytes: int = 2**30
    """Memory for batches read ahead, over all threads."""
    device: str | None = None
    """Device of torch that batches go to; None: they stay in host memory."""
    cache_dir: Path | None = None
    """Folder of banks; None: ``banks`` in the state folder."""
    state_dir: Path | None = None
    """Folder for what is kept between runs."""
    count: int = 64
    """Patches that the statistics are made of."""
    show: int = 4
    """Patches in the picture; 0: no picture."""
    output: Path | None = None
    """PNG file to write; None: the picture is only returned to the terminal."""

    def __post_init__(self) -> None:
        if any(not 1 <= count <= MAX_EDGE for count in self.shape):
            raise RequestError(f"a patch of {triple(self.shape)} voxels", f"1 to {MAX_EDGE} voxels along each axis")
        if any(not 0.1 <= size <= 10_000 for size in self.voxel_size_nm):
            raise RequestError(f"voxel size {voxel(self.voxel_size_nm)} nm", "0.1 to 10,000 nm along each axis")
        if min(self.batch_size, self.batches, self.count) < 1 or self.count > MAX_COUNT:
            raise RequestError("a number of patches below 1 or beyond a million", "choose one between")
        shares = (self.foreground_share, self.empty_share)
        if not (min(shares) >= 0 and sum(shares) <= 1):
            raise RequestError(
                f"shares {self.foreground_share} of foreground and {self.empty_share} of empty patches",
                "two numbers from 0 to 1 that add up to 1 at most",
            )
        if min(self.show, self.epoch, self.workers or 0) < 0:
            raise RequestError("a negative number", "0 or more")

    @property
    def target_info(self) -> ArrayInfo:
        """The labels of a sample."""
        return ArrayInfo("labels", self.shape, self.voxel_size_nm)

    @property
    def input_infos(self) -> tuple[ArrayInfo, ...]:
        """The EM arrays of a sample."""
        return self.inputs or (ArrayInfo("raw", self.shape, self.voxel_size_nm),)


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """How often a channel's voxels are known, over the patches drawn."""

    name: str
    """The target, or ``<target>/core``."""
    present: float
    """Share of voxels known to be of it."""
    absent: float
    """Share of voxels known not to be."""
    unknown: float
    """Share of voxels about which nobody said anything."""
    patches_with: int
    """Patches in which it occurs."""
    crops_with: int
    """Crops of the bank in which it occurs."""
    drawn_for: int
    """Patches that were drawn for it."""


@dataclass(frozen=True, slots=True)
class LeftOutCrop:
    """A crop of the split that is not used."""

    ref: str
    """``dataset/crop234``."""
    reason: str
    """Why, and what would help."""


@dataclass(frozen=True, slots=True)
class PatchesResult:
    """What a network would be fed."""

    patches: int
    """Patches drawn."""
    columns: tuple[ColumnStatistics, ...]
    """Channels of the target."""
    draws: dict[str, int]
    """Patches by what they were drawn as: foreground, anywhere, empty."""
    crops: int
    """Crops in the bank."""
    left_out: tuple[LeftOutCrop, ...]
    """Crops of the split that could not be used."""
    contradictions: dict[str, int]
    """Crops with voxels whose annotations exclude each other, and how many; left as they are."""
    bank_bytes: int
    """Size of the bank on disk."""
    codes: int
    """Distinct combinations of states."""
    raw_mean: float
    """Mean grey value, 0 to 1."""
    raw_deviation: float
    """Standard deviation of grey values."""
    raw_invalid: float
    """Share of voxels beyond the EM."""
    bank_s: float
    """Seconds to open the bank, building included."""
    patches_per_s: float
    """Patches read and augmented in a second."""
    picture: Path | None
    """The PNG, if one was asked for."""
