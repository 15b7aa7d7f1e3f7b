"""What `plan` is asked and what it proposes: groups of targets, each with a configuration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001 - models are read by their annotations
from cellmap_tui.errors import RequestError

MAX_GROUPS = 8
MAX_GPU_GB = 1024.0
Dimensions = Literal["auto", "2d", "3d"]
"""Whether patches are flat; auto: where voxels are long in one axis."""


@dataclass(frozen=True, slots=True)
class ProposeRequest:
    """For which classes, data and GPU configurations are wanted.

    Raises
    ------
    RequestError
        If a number is out of range or options contradict each other.
    """

    output: Path = Path()
    """Folder that the configurations are written into."""
    data_root: Path | None = None
    """Folder of the data."""
    state_dir: Path | None = None
    """Folder of what the tool remembers by itself."""
    classes: tuple[str, ...] = ()
    """Classes, each a target of its own; none: all scored classes that one of the crops annotates."""
    targets: Path | None = None
    """File of targets, in place of classes."""
    crops: str = ""
    """Crops to learn from, as in ``--crops``; empty: those on disk, or all where none is."""
    datasplit: Path | None = None
    """Split that is written into the configurations; its training crops are looked at in place of `crops`."""
    gpu_memory_gb: float | None = None
    """Memory of one GPU; None: that of this machine's, or 24."""
    hours: float | None = None
    """Most hours that one training may take; None: as the data ask."""
    max_groups: int = 3
    """Most configurations."""
    dimensions: Dimensions = "auto"
    """Whether patches are flat."""
    scan: bool = True
    """Whether labels on disk are looked through for the size of objects and how many touch."""
    overwrite: bool = False
    """Whether configurations that are there are replaced."""
    manifest: str | None = None
    """Path or address of a list of training crops, in place of the published one."""
    train_manifest: str | None = None
    """Path or address of the annotations of those crops."""
    test_manifest: str | None = None
    """Path or address of the test volumes, in place of the published ones."""

    def __post_init__(self) -> None:
        if self.classes and self.targets is not None:
            raise RequestError("classes and a file of targets contradict each other", "give one of them")
        if self.crops and self.datasplit is not None:
            raise RequestError("crops and a datasplit contradict each other", "give one of them")
        if not 1 <= self.max_groups <= MAX_GROUPS:
            raise RequestError(f"{self.max_groups} groups are asked for", f"from 1 to {MAX_GROUPS}")
        if self.gpu_memory_gb is not None and not 1 <= self.gpu_memory_gb <= MAX_GPU_GB:
            raise RequestError(
                f"a GPU with {self.gpu_memory_gb:g} GB", f"from 1 to {MAX_GPU_GB:g}, as in --gpu-memory 24"
            )
        if self.hours is not None and not (math.isfinite(self.hours) and self.hours > 0):
            raise RequestError(f"{self.hours:g} hours", "a number above 0")


@dataclass(frozen=True, slots=True)
class SizeShare:
    """Crops at one voxel size."""

    nominal_nm: int
    """Power of two nearest to the voxel."""
    crops: int
    """How many."""


@dataclass(frozen=True, slots=True)
class TargetProposal:
    """One target and why it is learned at its scale."""

    name: str
    """Its name."""
    crops: int
    """Crops in which something is known of it."""
    voxel_sizes: tuple[SizeShare, ...]
    """At which voxel sizes those are labelled."""
    scored: tuple[SizeShare, ...]
    """At which voxel sizes it is scored in test crops."""
    object_nm: float | None
    """Median diameter of its objects, from the scan; null where it is not known."""
    objects: int | None
    """Objects that the scan found; null where it is not known."""
    touching_share: float | None
    """Share of objects that touch another; null where it is not known."""
    core: bool
    """Whether its core is learned too."""
    reason: str
    """Why this scale."""


@dataclass(frozen=True, slots=True)
class GroupProposal:
    """Targets that are learned together."""

    name: str
    """Name of the group and of its files."""
    path: Path | None
    """Its configuration; null where none was written."""
    targets: tuple[TargetProposal, ...]
    """What it learns."""
    scale_nm: Vec3
    """Voxel size."""
    patch: Shape3
    """Voxels of a patch."""
    batch_size: int
    """Patches in a batch."""
    network: str
    """The network."""
    crops: int
    """Crops with labels fine enough."""
    crops_too_coarse: int
    """Crops that are left out because their labels are coarser."""
    labelled_voxels: int
    """Voxels of those crops at this scale."""
    epochs: int
    """Epochs."""
    iterations_per_epoch: int
    """Batches in an epoch."""
    memory_gb: float
    """GPU memory that a training step is expected to take."""
    hours: float
    """Hours that training is expected to take."""
    hours_range: tuple[float, float]
    """The same, if all goes well and if it does not."""
    reasons: tuple[str, ...]
    """Why, line by line; also the comments of the configuration."""


@dataclass(frozen=True, slots=True)
class LeftOutTarget:
    """A target that nothing can be learned of."""

    name: str
    """Its name."""
    reason: str
    """Why, with what was searched."""


@dataclass(frozen=True, slots=True)
class ProposeResult:
    """What was proposed."""

    groups: tuple[GroupProposal, ...]
    """The groups, the finest scale first."""
    left_out: tuple[LeftOutTarget, ...]
    """Targets that are in none."""
    gpu: str
    """The GPU that was planned for, in words."""
    gpu_memory_gb: float
    """Its memory."""
    crops: int
    """Crops that were looked at."""
    crops_from: str
    """Which crops those are, in words."""
    written: tuple[Path, ...]
    """Files that were written."""
    notes: tuple[str, ...]
    """What else there is to know."""
