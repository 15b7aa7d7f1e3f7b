"""What `export` is asked, what it would write, and what it wrote."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - msgspec reads the annotations
from typing import Literal

from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001 - msgspec reads the annotations
from cellmap_tui.errors import RequestError
from cellmap_tui.text import triple

Format = Literal["ome-zarr", "zarr", "tiff", "ome-tiff", "nifti", "hdf5", "npz", "nnunet"]
"""What is written; ``nnunet`` is the raw layout of nnU-Net."""

FORMATS: tuple[Format, ...] = ("ome-zarr", "zarr", "tiff", "ome-tiff", "nifti", "hdf5", "npz", "nnunet")

RawChoice = Literal["match", "native", "none"]
"""EM on the voxels of the labels; on its own finest voxels; or none."""

LabelSource = Literal["auto", "classes", "all"]
"""From which arrays targets are read; see `map-labels`."""

Incomplete = Literal["skip", "ignore", "absent"]
"""What nnU-Net is given of a crop in which a target is not annotated."""

VolumeKind = Literal["raw", "semantic", "instance", "ids"]
"""Grey values; 0 and 1; object ids; the values of several targets."""

State = Literal["planned", "written", "kept"]
"""Not written yet; written now; there already from an earlier export of the same."""

LOCAL_CROPS = "local -excluded"
"""Crops that are exported where none are named."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Which regions go out, and in which format.

    Raises
    ------
    RequestError
        If a number is out of range or options contradict each other.
    """

    data_root: Path
    """Folder of the challenge data."""
    output: Path
    """Folder that is written into."""
    format: Format = "ome-zarr"
    """What is written."""
    crops: str = ""
    """Which crops; empty: those of `datasplit`, else those on disk that are not set aside."""
    classes: tuple[str, ...] = ()
    """A target for each of these classes; empty, without `targets`: every class that a crop annotates."""
    targets: Path | None = None
    """File of targets, in place of `classes`."""
    scale: Vec3 | None = None
    """Voxel size z, y, x in nm; None: that of the crop's labels."""
    margin: Shape3 = (0, 0, 0)
    """Voxels z, y, x around the crop, as far as there is EM."""
    margin_nm: Vec3 | None = None
    """The same in nm, rounded up to voxels."""
    raw: RawChoice = "match"
    """Whether EM is written, and on which voxels."""
    combined: bool = False
    """Write one volume with a value for each target, in place of a volume for each."""
    source: LabelSource = "auto"
    """From which arrays targets are read."""
    datasplit: Path | None = None
    """Datasplit whose crops are exported with their usage; the split of nnU-Net."""
    dataset_id: int = 501
    """Number of nnU-Net's dataset."""
    dataset_name: str = "CellMap"
    """Name of nnU-Net's dataset."""
    file_ending: Literal[".nii.gz", ".tif"] = ".nii.gz"
    """Kind of nnU-Net's files."""
    incomplete: Incomplete = "skip"
    """For nnU-Net: leave out crops in which a target is not annotated; ignore their voxels; or take it as absent."""
    compress: bool = True
    """Whether voxels are compressed, where the format leaves the choice."""
    overwrite: bool = False
    """Replace what is there from something else."""
    ignore_disk: bool = False
    """Go on although the free disk space looks too small."""
    dry_run: bool = False
    """Check everything and say what would be written, and write nothing."""
    state_dir: Path | None = None
    """Folder in which a refreshed table of crops is looked for."""
    manifest: str | None = None
    """Path or address of a list of training crops, in place of the published one."""
    train_manifest: str | None = None
    """Path or address of the annotations of those crops."""
    test_manifest: str | None = None
    """Path or address of the test volumes, in place of the published ones."""

    def __post_init__(self) -> None:
        if self.classes and self.targets is not None:
            raise RequestError("both classes and a file of targets are given", "use one of them")
        if self.scale is not None and not all(math.isfinite(v) and 0 < v <= 1e6 for v in self.scale):
            raise RequestError(f"voxel size {triple(self.scale, ' ')} nm is not three positive numbers")
        if not all(0 <= n <= 100_000 for n in self.margin):
            raise RequestError(f"margin {triple(self.margin, ' ')} is not three numbers of voxels from 0 up")
        if self.margin_nm is not None:
            if any(self.margin):
                raise RequestError("a margin is given in voxels and in nm", "use one of them")
            if not all(math.isfinite(v) and 0 <= v <= 1e7 for v in self.margin_nm):
                raise RequestError(f"margin {triple(self.margin_nm, ' ')} nm is not three numbers from 0 up")
        if self.format == "nnunet":
            _check_nnunet(self)


@dataclass(frozen=True, slots=True)
class ExportedVolume:
    """One volume of an export; a row of the manifest."""

    crop: str
    """Crop it is of, such as ``jrc_cos7-1a/crop234``."""
    split: str
    """``train`` or ``test``."""
    usage: str
    """``train`` or ``validate`` as the datasplit says; empty where it says nothing."""
    name: str
    """``raw``, the target, or ``labels`` for all targets together."""
    kind: VolumeKind
    """What its values are."""
    path: str
    """File or folder below the output folder."""
    inside: str
    """Its name inside of that; empty where the file holds one volume."""
    dtype: str
    """Type of its values."""
    shape: Shape3
    """Voxels z, y, x."""
    voxel_size_nm: Vec3
    """Voxel size z, y, x."""
    translation_nm: Vec3
    """World position z, y, x of the centre of voxel 0."""
    size_bytes: int
    """Size of its voxels without compression."""
    classes: tuple[str, ...] = ()
    """Classes of the target; for volumes of all targets, of all of them."""
    arrays: tuple[str, ...] = ()
    """Label arrays that it was read from."""
    ids: dict[str, int] = field(default_factory=dict)
    """Target to its value, in a volume of all targets that do not overlap."""
    unknown_value: int | None = None
    """Value of voxels of which nothing is known; None where there can be none."""
    foreground_voxels: int | None = None
    """Voxels with an object or class; None for EM and before it is written."""
    unknown_voxels: int | None = None
    """Voxels with the unknown value; None for EM and before it is written."""
    level: str = ""
    """Level of the EM that was read."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file or folder of an export."""

    path: str
    """Place below the output folder."""
    volumes: tuple[ExportedVolume, ...]
    """What it holds."""
    state: State = "planned"
    """Whether it was written."""
    size_bytes: int | None = None
    """Size on disk; None before it is written."""


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What an export would write."""

    output: Path
    """Folder that is written into."""
    format: Format
    """What is written."""
    files: tuple[ExportedFile, ...]
    """Files in their order."""
    targets: tuple[str, ...]
    """Targets of all crops."""
    voxels: int
    """Voxels that are still to be written."""
    needed_bytes: int
    """Disk space that may be needed: EM without compression, labels at a tenth where they are compressed."""
    free_bytes: int
    """Free disk space at the output folder."""
    notes: tuple[str, ...] = ()
    """What a person should know."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""
    problems: tuple[str, ...] = ()
    """Crops that cannot be exported, and why."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export wrote."""

    output: Path
    """Folder that was written into."""
    format: Format
    """What was written."""
    manifest: Path | None
    """Table of all volumes as CSV, beside it the same as JSON; None when nothing was written."""
    files: tuple[ExportedFile, ...]
    """Files in their order."""
    targets: tuple[str, ...]
    """Targets of all crops."""
    crops: int
    """How many crops."""
    size_bytes: int
    """Size on disk of all files."""
    dry_run: bool = False
    """Whether nothing was written."""
    notes: tuple[str, ...] = ()
    """What a person should know."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""
    problems: tuple[str, ...] = ()
    """Crops that were not exported, and why."""

    @property
    def exit_code(self) -> int:
        """1 where a crop could not be exported."""
        return 1 if self.problems else 0


def _check_nnunet(request: ExportRequest) -> None:
    if not request.classes and request.targets is None:
        raise RequestError("nnU-Net needs to know its targets", "name --classes, or a file with --targets")
    if request.raw != "match":
        raise RequestError("nnU-Net needs EM on the voxels of the labels", "leave out --raw")
    if not 1 <= request.dataset_id <= 999:
        raise RequestError(f"dataset number {request.dataset_id} is not one of nnU-Net's", "use 1 to 999")
    if not _NAME.fullmatch(request.dataset_name):
        raise RequestError(
            f"dataset name {request.dataset_name!r} cannot be a folder", "use letters, digits, _ and -"
        )
