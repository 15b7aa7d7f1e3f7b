"""What `map-labels` is asked, what it would do, and what it did."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001 - msgspec reads the annotations
from cellmap_tui.challenge.layout import checked_name, template_fields
from cellmap_tui.errors import RequestError

Origin = Literal["auto", "classes", "all"]
"""Which arrays say what a voxel is; ``auto``: those of the classes, and ``all`` where they are missing."""

Method = Literal["components", "watershed"]
"""How a mask becomes objects: connected parts, or parts cut apart at their narrow places."""

VolumeKind = Literal["semantic", "instance", "combined"]
"""A mask of 0 and 1, object ids, or the ids of all targets in one volume."""

VolumeState = Literal["planned", "written", "kept", "unannotated", "missing", "failed"]
"""To be written; written now; there already, from the same input; nothing is known of it in this crop; arrays that
are needed are not on disk; could not be read."""

COMBINED = "combined"
"""Name of the volume with the ids of all targets."""
DEFAULT_CROPS = "local split:train"


@dataclass(frozen=True, slots=True)
class MapLabelsRequest:
    """Which labels are turned into which targets, and where they go.

    Raises
    ------
    RequestError
        If there are no targets, or options contradict each other.
    """

    data_root: Path
    """Folder of the challenge data."""
    crops: str = DEFAULT_CROPS
    """Crops as of ``--crops``; by default the training crops that are on disk."""
    targets: Path | None = None
    """A ``targets.toml``; None: a target for each of `classes`."""
    classes: tuple[str, ...] = ()
    """Classes, each of which is a target."""
    output: str = ""
    """Folder, or template with ``{dataset}`` and ``{crop}``; empty: ``mapped`` below the data root."""
    origin: Origin = "auto"
    """Which arrays are read."""
    kind: Literal["instance", "semantic"] | None = None
    """Objects or masks for every target, in place of each target's own kind."""
    method: Method = "components"
    """How objects are told apart where no array carries their ids."""
    seed_distance_nm: float | None = None
    """Watershed: centres of objects are at least about so far apart; None: ten voxels."""
    combined: bool = False
    """Write one volume with the ids of all targets for each crop."""
    separate: bool = True
    """Write a volume for each target."""
    input: str | None = None
    """A label volume of one's own in place of crops: zarr, TIFF, NIfTI, NPY or ``file.h5:/dataset``."""
    input_class: str | None = None
    """The one class that `input` holds, as a mask or as object ids; None: its values are ids of classes."""
    labels: dict[str, int] = field(default_factory=dict)
    """Names for the values of `input`; none: they are the ids of the class table."""
    unknown_value: int | None = None
    """Value of `input` that means "not annotated here"; None: what the file declares."""
    voxel_size_nm: Vec3 | None = None
    """Voxel size of `input`; None: what the file declares."""
    translation_nm: Vec3 | None = None
    """Centre of voxel 0 of `input`; None: what the file declares, else 0."""
    axes: str | None = None
    """Order of the axes of `input` where the file does not declare it."""
    memory_bytes: int | None = None
    """Memory that a watershed may take; None: most of what is free."""
    overwrite: bool = False
    """Replace volumes of an earlier mapping that differ."""
    ignore_disk: bool = False
    """Go on although the free disk space looks too small."""
    dry_run: bool = False
    """Say what would be written, and write nothing."""
    state_dir: Path | None = None
    """Folder of the refreshed catalog."""
    manifest: str | None = None
    """Path or address of a list of training crops, in place of the published one."""
    train_manifest: str | None = None
    """Path or address of the annotations of those crops."""
    test_manifest: str | None = None
    """Path or address of the test volumes, in place of the published ones."""

    def __post_init__(self) -> None:
        if self.targets is not None and self.classes:
            raise RequestError("--targets and --classes contradict each other", "put the classes into the file")
        if self.targets is None and not self.classes and self.input_class is None:
            raise RequestError("no targets are named", "give --targets FILE, or --classes mito,er for one each")
        if not (self.combined or self.separate):
            raise RequestError("nothing to write", "write a volume for each target, or one with all of them")
        if template_fields(self.output) and self.input is not None:
            raise RequestError("an input of one's own has no {dataset} and no {crop}", "give a folder with -o")
        _check_input(self)
        if self.seed_distance_nm is not None and not (
            math.isfinite(self.seed_distance_nm) and self.seed_distance_nm > 0
        ):
            raise RequestError(f"a seed distance of {self.seed_distance_nm} nm", "give a length above 0")
        # A job may run in another folder than the one in which these were named.
        for name in ("targets", "input"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, type(value)(Path(value).expanduser().absolute()))
        if self.output:
            object.__setattr__(self, "output", str(Path(self.output).expanduser().absolute()))

    @property
    def template(self) -> str:
        """Folder of a crop's targets, with ``{dataset}`` and ``{crop}`` in it."""
        own = str(self.data_root.absolute() / "mapped").replace("{", "{{").replace("}", "}}")
        folder = self.output or own
        return folder if self.output and "{" in folder else f"{folder}/{{dataset}}.zarr/{{crop}}"


@dataclass(frozen=True, slots=True)
class MappedVolume:
    """One volume of a mapping: a target in a crop, or all targets of it."""

    crop: str
    """Unambiguous name of the crop, or the name of the input."""
    target: str
    """Name of the target; ``combined`` for all of them."""
    kind: VolumeKind
    """What its values are."""
    path: str
    """The multiscale group."""
    source: str
    """What it is made from, in words."""
    shape: Shape3
    """Voxels z, y, x of the finest level."""
    voxel_size_nm: Vec3
    """Voxel size z, y, x of the finest level."""
    state: VolumeState
    """What became of it."""
    reason: str = ""
    """Why it is not written, where it is not."""
    dtype: str | None = None
    """Type of its values; None before it is known."""
    unknown_value: int | None = None
    """Value of voxels of which nothing is known; None before it is known."""
    present_voxels: int | None = None
    """Voxels of the target; None before they are counted."""
    unknown_voxels: int | None = None
    """Voxels of which nothing is known; None before they are counted."""
    objects: int | None = None
    """Objects; None of a mask, and before they are counted."""
    memory_bytes: int | None = None
    """Memory that telling objects apart takes; None of volumes that need no more than a slab."""
    size_bytes: int | None = None
    """Size on disk; None before it is written."""


@dataclass(frozen=True, slots=True)
class UnmappedId:
    """An id that occurs and belongs to no target."""

    id: int
    """The id."""
    name: str | None
    """Its class; None: nobody knows it, and its voxels are unknown in every target."""
    voxels: int | None
    """Voxels with it in all crops; None: only its class array is there, which was not counted."""
    crops: tuple[str, ...]
    """Crops in which it occurs."""


@dataclass(frozen=True, slots=True)
class MapLabelsPlan:
    """What a mapping would do."""

    output: str
    """Folder of a crop's targets, as a template."""
    targets: tuple[str, ...]
    """Names of the targets."""
    volumes: tuple[MappedVolume, ...]
    """Every volume, by crop."""
    unmapped: tuple[UnmappedId, ...]
    """Ids that belong to no target."""
    voxels: int
    """Voxels to look through, all passes together."""
    memory_bytes: int
    """Largest amount of memory that telling objects apart takes at a time."""
    needed_bytes: int
    """Disk space that may be needed: a tenth of the voxels without compression."""
    free_bytes: int
    """Free disk space where it goes."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""


@dataclass(frozen=True, slots=True)
class MapLabelsResult:
    """What a mapping did."""

    output: str
    """Folder of a crop's targets, as a template."""
    targets: tuple[str, ...]
    """Names of the targets."""
    volumes: tuple[MappedVolume, ...]
    """Every volume, by crop."""
    unmapped: tuple[UnmappedId, ...]
    """Ids that belong to no target."""
    size_bytes: int
    """Size on disk of all volumes that are there."""
    needed_bytes: int
    """Disk space that was expected at most."""
    dry_run: bool = False
    """Whether nothing was written."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""

    @property
    def exit_code(self) -> int:
        """1 where a volume could not be made, 0 otherwise."""
        return 1 if any(volume.state in ("missing", "failed") for volume in self.volumes) else 0


def _check_input(request: MapLabelsRequest) -> None:
    if request.input is None:
        for name in ("input_class", "labels", "unknown_value", "voxel_size_nm", "translation_nm", "axes"):
            if getattr(request, name):
                flag = {"labels": "label", "unknown_value": "unknown"}.get(name, name.removesuffix("_nm"))
                raise RequestError(
                    f"--{flag.replace('_', '-')} is about an input of one's own", "give it with --input"
                )
        return
    if not request.output:
        raise RequestError("an input of one's own needs a place to write to", "give a folder such as -o mapped.zarr")
    if request.crops != DEFAULT_CROPS:
        raise RequestError("--input and --crops contradict each other", "give one of them")
    if request.input_class is not None:
        checked_name(request.input_class, "class")
    if request.labels and request.input_class:
        raise RequestError("--label and --input-class contradict each other", "give one of them")
    for name, value in request.labels.items():
        checked_name(name, "label")
        if not 1 <= value < 2**63:
            raise RequestError(f"--label {name}={value}: not an id", "ids are whole numbers above 0")
