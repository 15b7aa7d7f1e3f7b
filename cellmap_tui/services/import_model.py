"""What `import` is asked, what it would do, and what it did."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001 - msgspec reads the annotations
from cellmap_tui.challenge.layout import checked_name
from cellmap_tui.errors import RequestError

LabelKind = Literal["binary", "instance"]
"""A mask of 0 and 1, or an id for each object."""

ArrayKind = Literal["em", "binary", "instance", "ids"]
"""EM, a mask, object ids, or the array of all class ids."""

ArrayState = Literal["planned", "written", "kept"]
"""Not written yet; written by this import; already there from the same source."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Stacks of one's own, and where they go in the challenge layout.

    Raises
    ------
    RequestError
        If a name cannot be a folder, a number is out of range, or there is nothing to import.
    """

    data_root: Path
    """Folder of the challenge data."""
    dataset: str
    """Name of the dataset that is made or added to."""
    raw: str | None = None
    """EM stack: TIFF file or folder, NPY, zarr or ``file.h5:/dataset``; None: the dataset's EM is there already."""
    labels: dict[str, str] = field(default_factory=dict)
    """Class name to label stack."""
    voxel_size_nm: Vec3 | None = None
    """Voxel size z, y, x of the EM; None: what its file declares."""
    translation_nm: Vec3 | None = None
    """World position z, y, x of the centre of the EM's voxel 0; None: what its file declares, else 0."""
    crop: int = 1
    """Number of the crop that the labels become."""
    box: tuple[int, int, int, int, int, int] | None = None
    """Voxels z0, z1, y0, y1, x0, x1 of the EM that the crop covers; None: all."""
    label_voxel_size_nm: Vec3 | None = None
    """Voxel size of the labels where it is not the EM's; they must cover the crop's box."""
    kinds: dict[str, LabelKind] = field(default_factory=dict)
    """Class name to what its labels are, where the values do not say it."""
    foreground: dict[str, int] = field(default_factory=dict)
    """Class name to the one value that is its foreground."""
    unknown_value: int | None = None
    """Value that means "not annotated here" in every label stack."""
    unknown_values: dict[str, int] = field(default_factory=dict)
    """Class name to that value, where it differs."""
    axes: str | None = None
    """Order of the axes of files that do not declare it, such as ``xyz``; None: ``zyx``."""
    scaling: Literal["percentile", "full"] = "percentile"
    """Which values of an EM stack wider than 8 bits become 0 and 255."""
    value_range: tuple[float, float] | None = None
    """The EM values that become 0 and 255, in place of `scaling`."""
    invert: bool = False
    """Swap dark and bright in the EM."""
    overwrite: bool = False
    """Replace the dataset's EM and the crop where they differ."""
    ignore_disk: bool = False
    """Go on although the free disk space looks too small."""
    dry_run: bool = False
    """Check everything and say what would be written, and write nothing."""

    def __post_init__(self) -> None:
        checked_name(self.dataset, "dataset")
        if not self.raw and not self.labels:
            raise RequestError("nothing to import", "give --raw FILE, --label CLASS=FILE, or both")
        if not 1 <= self.crop <= 9_999_999:
            raise RequestError(f"crop {self.crop} is not a crop number", "give --crop a number from 1 up")
        for name in ("kinds", "foreground", "unknown_values"):
            _check_classes(self, name)
        _check_numbers("voxel size", self.voxel_size_nm, positive=True)
        _check_numbers("label voxel size", self.label_voxel_size_nm, positive=True)
        _check_numbers("translation", self.translation_nm, positive=False)
        # A job may run in another folder than the one in which the stacks were named.
        object.__setattr__(self, "raw", _absolute(self.raw) if self.raw else None)
        object.__setattr__(self, "labels", {name: _absolute(spec) for name, spec in self.labels.items()})

    def unknown_of(self, class_name: str) -> int | None:
        """Return the value that means unknown in the stack given for a class."""
        return self.unknown_values.get(class_name, self.unknown_value)


@dataclass(frozen=True, slots=True)
class ImportedArray:
    """One multiscale group of an import."""

    name: str
    """``em``, the class name, or ``all``."""
    path: str
    """Folder below the data root."""
    kind: ArrayKind
    """What its values are."""
    dtype: str
    """Type of its values."""
    shape: Shape3
    """Voxels z, y, x of the finest level."""
    voxel_size_nm: Vec3
    """Voxel size z, y, x of the finest level."""
    levels: int
    """Number of pyramid levels."""
    voxels_bytes: int
    """Size of all levels without compression."""
    state: ArrayState = "planned"
    """Whether it is written, to be written, or was there already."""
    unknown_value: int | None = None
    """Stored value of voxels that are not annotated; None where all are."""
    size_bytes: int | None = None
    """Size on disk; None before it is written."""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import would do."""

    data_root: Path
    """Folder of the challenge data."""
    dataset: str
    """Name of the dataset."""
    crop: int
    """Number of the crop."""
    ref: str
    """Unambiguous name of the crop."""
    voxel_size_nm: Vec3
    """Voxel size z, y, x of the crop."""
    translation_nm: Vec3
    """World position z, y, x of the centre of the crop's voxel 0."""
    shape: Shape3
    """Voxels z, y, x of the crop."""
    arrays: tuple[ImportedArray, ...]
    """What would be written or kept, EM first."""
    needed_bytes: int
    """Disk space that may be needed: EM without compression, labels at a tenth."""
    free_bytes: int
    """Free disk space at the data root."""
    notes: tuple[str, ...] = ()
    """What a person should know."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did."""

    data_root: Path
    """Folder of the challenge data."""
    dataset: str
    """Name of the dataset."""
    crop: int
    """Number of the crop."""
    ref: str
    """Unambiguous name of the crop, such as ``mine/crop1``."""
    voxel_size_nm: Vec3
    """Voxel size z, y, x of the crop."""
    translation_nm: Vec3
    """World position z, y, x of the centre of the crop's voxel 0."""
    shape: Shape3
    """Voxels z, y, x of the crop."""
    classes: tuple[str, ...]
    """Classes of the crop."""
    arrays: tuple[ImportedArray, ...]
    """What was written or kept, EM first."""
    size_bytes: int
    """Size on disk of all arrays of this import."""
    dry_run: bool = False
    """Whether nothing was written."""
    notes: tuple[str, ...] = ()
    """What a person should know."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""


def _check_classes(request: ImportRequest, name: str) -> None:
    flags = {"kinds": "--as", "foreground": "--foreground", "unknown_values": "--unknown"}
    for class_name in getattr(request, name):
        if class_name not in request.labels:
            given = ", ".join(request.labels) or "none"
            raise RequestError(f"{flags[name]} {class_name}: no label of that class is imported", f"labels: {given}")


def _check_numbers(what: str, values: Vec3 | None, *, positive: bool) -> None:
    if values is None:
        return
    if not all(math.isfinite(value) and (value > 0 or not positive) for value in values):
        raise RequestError(f"{what} {values} nm is not three {'positive ' if positive else ''}numbers")


def _absolute(spec: str) -> str:
    return os.path.abspath(Path(spec).expanduser())  # noqa: PTH100 - takes out "..", and links stay as they were named
