"""What `predict` is asked, what it would do, and what it did."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001 - models are read by their annotations
from cellmap_tui.challenge.layout import template_fields
from cellmap_tui.errors import RequestError

Dtype = Literal["uint8", "float16", "float32"]
"""``uint8``: probability times 255."""
Unit = Literal["probability", "logits"]
"""What floats are."""
Which = Literal["best", "latest"]
"""Which checkpoint of a run."""
VolumeState = Literal["planned", "written", "kept", "missing", "failed", "nothing"]
"""To be predicted; predicted now; there already, from the same networks; EM that is needed is not on disk; could
not be read; the network knows none of the crop's classes."""

DEFAULT_CROPS = "test"
TEMPLATE = "predictions/{dataset}.zarr/{crop}"
"""Below the data root."""
MAX_DEVICES = 64
LEVELS = "blocks of coarser levels"
"""What progress counts once every tile is predicted, while coarser levels are made of what was predicted."""


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """Which networks predict what, and where it goes.

    Raises
    ------
    RequestError
        If there is no network, or options contradict each other.
    """

    checkpoints: tuple[str, ...] = ()
    """Runs, folders of checkpoints, ``.pth`` files or configurations; the probabilities of several are averaged."""
    ensemble: Path | None = None
    """An ``ensemble.toml``, in place of `checkpoints`."""
    which: Which = "best"
    """Which checkpoint of a run."""
    averaged: bool = True
    """Take averaged weights (EMA) where there are any; False: those of the last step."""
    data_root: Path | None = None
    """Folder of the challenge data."""
    crops: str = DEFAULT_CROPS
    """Crops as of ``--crops``."""
    em: str = ""
    """An EM volume in place of crops: a path, or the name of a dataset."""
    box_nm: tuple[Vec3, Vec3] | None = None
    """Lower and upper corner of what is predicted of `em`; None: all of it."""
    name: str = "box"
    """Name of that in place of the crop's."""
    classes: tuple[str, ...] = ()
    """Classes to predict; none: those of each crop that the networks know."""
    all_classes: bool = False
    """Predict every class that the networks know, whatever the crop asks for."""
    cores: bool = True
    """Predict ``<class>/core`` beside its class."""
    output: str = ""
    """Folder, or template with ``{dataset}`` and ``{crop}``; empty: `TEMPLATE` below the data root."""
    voxel_size: str = "auto"
    """``model``, ``crop``, ``auto`` (the coarser of both on each axis), or nm as ``8`` or ``8,8,8``."""
    dtype: Dtype = "uint8"
    """Type of what is written."""
    unit: Unit = "probability"
    """What floats are."""
    overlap: float = 0.25
    """Share of a tile that it has in common with the next one."""
    blending: Literal["gaussian", "constant"] = "gaussian"
    """How tiles that overlap are joined."""
    flips: bool = False
    """Average over all mirror images."""
    axes: str = ""
    """Axes that slices are cut across by 2D networks, of ``zyx``; empty: as in training."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``."""
    devices: int = 1
    """Devices that share the blocks."""
    batch_size: int | None = None
    """Tiles that go through the network together; None: what suits the device."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic; sums are float32 in any case."""
    memory_bytes: int | None = None
    """Memory beyond the networks' own; None: what suits the device."""
    max_bytes: int | None = None
    """Refuse to write more."""
    ignore_disk: bool = False
    """Go on although the free disk space looks too small."""
    overwrite: bool = False
    """Replace predictions of other networks or settings."""
    coarse_em: bool = False
    """Enlarge coarser EM where the level that is needed was not fetched."""
    remote: bool = False
    """Read the EM straight from the bucket."""
    endpoint_url: str = ""
    """Server of the bucket; empty for the published one."""
    bucket: str = "janelia-cosem-datasets"
    """The bucket."""
    profile: str = ""
    """AWS profile; empty to read anonymously."""
    search_path: str = ""
    """Where the EM lies, with ``{dataset}`` and ``{name}``; empty: as in the challenge's layout."""
    raw_name: str = ""
    """Name of the EM in `search_path`."""
    dry_run: bool = False
    """Say what would be predicted, and predict nothing."""
    trust: bool = False
    """Whether a Python configuration may run without asking."""
    state_dir: Path | None = None
    """Folder for what is kept between runs."""
    manifest: str | None = None
    """Path or address of a list of training crops, in place of the published one."""
    train_manifest: str | None = None
    """Path or address of the annotations of those crops."""
    test_manifest: str | None = None
    """Path or address of the test volumes, in place of the published ones."""

    def __post_init__(self) -> None:
        if bool(self.checkpoints) == (self.ensemble is not None):
            raise RequestError(
                "either checkpoints or an ensemble predict",
                "give runs, checkpoints or a configuration, or --ensemble FILE",
            )
        if not 0 <= self.overlap < 1:
            raise RequestError(f"an overlap of {self.overlap:g}", "give a share of the tile from 0 to below 1")
        if not 1 <= self.devices <= MAX_DEVICES:
            raise RequestError(f"--devices {self.devices} is out of range", f"1 to {MAX_DEVICES}, on one machine")
        if self.batch_size is not None and self.batch_size < 1:
            raise RequestError(f"--batch-size {self.batch_size}", "give 1 or more")
        if self.unit == "logits" and self.dtype == "uint8":
            raise RequestError("logits do not fit into uint8", "add --dtype float16 or float32")
        if self.classes and self.all_classes:
            raise RequestError("--classes and --all-classes contradict each other", "give one of them")
        _check_box(self)
        template_fields(self.output)
        # A job may run in another folder than the one in which these were named.
        object.__setattr__(self, "checkpoints", tuple(_absolute(place) for place in self.checkpoints))
        if self.ensemble is not None:
            object.__setattr__(self, "ensemble", self.ensemble.expanduser().absolute())
        if self.output:
            object.__setattr__(self, "output", _absolute(self.output))
        if "/" in self.em:
            object.__setattr__(self, "em", _absolute(self.em))

    @property
    def template(self) -> str:
        """Folder of a crop's predictions, with ``{dataset}`` and ``{crop}`` in it."""
        if not self.output:
            own = str((self.data_root or Path.cwd()).absolute()).replace("{", "{{").replace("}", "}}")
            return f"{own}/{TEMPLATE}"
        return self.output if "{" in self.output else f"{self.output}/{{dataset}}.zarr/{{crop}}"


@dataclass(frozen=True, slots=True)
class PredictedCrop:
    """The predictions of a crop or box."""

    crop: str
    """Unambiguous name."""
    path: str
    """Folder of its classes."""
    classes: tuple[str, ...]
    """Columns that are predicted, cores included."""
    shape: Shape3
    """Voxels z, y, x of the finest level."""
    voxel_size_nm: Vec3
    """Voxel size z, y, x of the finest level."""
    state: VolumeState
    """What became of it."""
    em: str = ""
    """Level of the EM that is read, and what is done with it."""
    reason: str = ""
    """Why it is not predicted, where it is not."""
    tiles: int = 0
    """Tiles that go through the networks, all of them together."""
    parts: int = 0
    """Parts that are predicted one after another, or side by side."""
    size_bytes: int = 0
    """Bytes of the voxels without compression, coarser levels included."""
    stored_bytes: int | None = None
    """Size on disk; None before it is written."""


@dataclass(frozen=True, slots=True)
class PredictPlan:
    """What a prediction would do."""

    networks: tuple[str, ...]
    """The networks, in words."""
    output: str
    """Folder of a crop's predictions, as a template."""
    device: str
    """Where it computes."""
    crops: tuple[PredictedCrop, ...]
    """Every crop."""
    tiles: int
    """Tiles of what is not there yet."""
    needed_bytes: int
    """Disk space that may be needed: all voxels without compression."""
    free_bytes: int
    """Free disk space where it goes."""
    memory_bytes: int
    """Memory that is planned with, beyond the networks' own."""
    tile_s: float | None
    """Seconds of a tile, as timed; None: not timed."""
    eta_s: float | None
    """Seconds of all tiles."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""


@dataclass(frozen=True, slots=True)
class PredictResult:
    """What a prediction did."""

    networks: tuple[str, ...]
    """The networks, in words."""
    output: str
    """Folder of a crop's predictions, as a template."""
    device: str
    """Where it computed."""
    crops: tuple[PredictedCrop, ...]
    """Every crop."""
    tiles: int
    """Tiles that went through the networks."""
    seconds: float
    """Time that this part of the work took."""
    needed_bytes: int
    """Disk space that was expected at most."""
    size_bytes: int
    """Size on disk of what is there."""
    batch_size: int
    """Tiles that went through the network together, at the end."""
    eta_s: float | None = None
    """Seconds that all tiles would take; only of a dry run."""
    dry_run: bool = False
    """Whether nothing was written."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""

    @property
    def exit_code(self) -> int:
        """1 where a crop could not be predicted, 0 otherwise."""
        return 1 if any(crop.state in ("missing", "failed") for crop in self.crops) else 0


def _absolute(place: str) -> str:
    return str(Path(place).expanduser().absolute())


def _check_box(request: PredictRequest) -> None:
    if request.box_nm is None:
        return
    if not request.em:
        raise RequestError("--box is about an EM volume", "name it with --em: a dataset, or a path")
    low, high = request.box_nm
    if not all(math.isfinite(a) and math.isfinite(b) and a < b for a, b in zip(low, high, strict=True)):
        raise RequestError(f"the box from {low} to {high} nm is empty", "give lower and upper corner, z, y, x")
