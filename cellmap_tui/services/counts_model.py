"""What `get-counts` is asked, and what it counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - models are read by their annotations
from typing import Literal

from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001
from cellmap_tui.errors import RequestError

CountState = Literal["present", "absent", "unknown", "missing", "broken"]
"""Voxels of the class; annotated without one; not annotated; annotated but not on disk; not readable."""


@dataclass(frozen=True, slots=True)
class CountsRequest:
    """Which classes to count, and where.

    Raises
    ------
    RequestError
        If no class is named, or nowhere to look.
    """

    data_root: Path | None = None
    """Folder of the data."""
    classes: tuple[str, ...] = ("nuc", "er")
    """Classes; a group that is not annotated itself counts as its annotated members. None: every annotated class."""
    targets: Path | None = None
    """File of targets in place of `classes`."""
    datasets: tuple[str, ...] = ()
    """Only these datasets, patterns allowed; none: all."""
    crops: str = "all"
    """Only these crops, as in ``--crops``."""
    objects: bool = True
    """Whether the parts of masks are counted too."""
    search_path: str = ""
    """Where datasets are searched, with ``{dataset}`` and ``{name}``, in place of the catalog."""
    raw_name: str = ""
    """What ``{name}`` is for the EM."""
    crop_name: str = ""
    """What ``{name}`` is for labels, with ``{crop}`` and ``{label}``."""
    output: Path | None = None
    """CSV to write, a row per crop and class."""
    state_dir: Path | None = None
    """Folder of what the tool remembers."""
    manifest: str | None = None
    """Path or address of a list of training crops, in place of the published one."""
    train_manifest: str | None = None
    """Path or address of the annotations of those crops."""
    test_manifest: str | None = None
    """Path or address of the test volumes, in place of the published ones."""

    def __post_init__(self) -> None:
        if self.data_root is None and not self.search_path:
            raise RequestError("where the data are is not said", "give --data-root or --search-path")


@dataclass(frozen=True, slots=True)
class CropCount:
    """One class in one crop."""

    ref: str
    """The crop, as ``dataset/crop234``."""
    dataset: str
    """Its dataset."""
    name: str
    """The class."""
    state: CountState
    """How it stands with it."""
    is_complete: bool
    """Whether it is known in every voxel; not where only some members of a group are annotated."""
    voxel_size_nm: Vec3
    """Voxel size of its labels."""
    shape: Shape3
    """Voxels of its labels."""
    voxels: int | None
    """Voxels of the class; None where it was not read."""
    share: float | None
    """Share of the known voxels, 0 to 1."""
    volume_um3: float | None
    """Volume of the class in cubic micrometres."""
    objects: int | None
    """Objects: ids, or connected parts of a mask; None: not counted, or known from several arrays."""
    touching: int | None
    """Objects that touch another; None for masks."""
    object_nm: float | None
    """Diameter of a ball as large as the middle one of the objects."""


@dataclass(frozen=True, slots=True)
class ClassCount:
    """One class in one dataset, or in all."""

    name: str
    """The class."""
    dataset: str
    """The dataset; empty: all together."""
    annotated: int
    """Crops on disk in which it is annotated."""
    present: int
    """Crops with voxels of it."""
    missing: int
    """Crops in which it is annotated, but not on disk."""
    voxels: int
    """Voxels of it."""
    volume_um3: float
    """Volume of it in cubic micrometres."""
    objects: int | None
    """Objects; None where they were not counted everywhere."""
    touching_share: float | None
    """Share of the objects with ids that touch another; None where there are none."""


@dataclass(frozen=True, slots=True)
class CountsResult:
    """What `get-counts` counted."""

    classes: tuple[str, ...]
    """The classes."""
    totals: tuple[ClassCount, ...]
    """A row per class, over all datasets."""
    datasets: tuple[ClassCount, ...]
    """A row per class and dataset that has it."""
    crops: tuple[CropCount, ...]
    """A row per crop and class."""
    not_local: int
    """Training crops of the catalog of which no label is on disk."""
    output: Path | None
    """CSV that was written."""

    @property
    def exit_code(self) -> int:
        """1 when a label array could not be read."""
        return 1 if any(row.state == "broken" for row in self.crops) else 0
