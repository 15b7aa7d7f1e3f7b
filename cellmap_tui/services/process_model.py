"""What `process` is asked, what it plans and what it answers; what a preview shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - requests are read by their annotations
from typing import TYPE_CHECKING, Any, Literal

from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    import numpy as np

PREDICTIONS = "predictions/{dataset}.zarr/{crop}"
"""Where predictions lie below the data root."""
PROCESSED = "processed/{dataset}.zarr/{crop}"
"""Where labels go below the data root."""
DEFAULT_MEMORY_BYTES = 1_200_000_000
"""Memory for voxels unless another is allowed; the libraries take about 300 MB beside it."""

VolumeState = Literal["process", "go-on", "kept", "other", "missing", "broken"]
"""``kept``: there already, made by the same recipe from the same prediction. ``other``: something else is there.
``missing``: a class that was named has no prediction. ``broken``: the prediction cannot be read."""


@dataclass(frozen=True, slots=True)
class ProcessRequest:
    """Which predictions become labels, and how.

    Raises
    ------
    RequestError
        If a figure makes no sense.
    """

    recipe: Path | None = None
    """Recipe as TOML, or a Python configuration with a ``process_func``; None: the built-in recipe."""
    crops: str = "test"
    """Crops, as ``--crops`` takes them."""
    classes: tuple[str, ...] = ()
    """Only these classes; empty: all that are predicted or have a recipe of their own."""
    predictions: str | None = None
    """Folder or template with ``{dataset}`` and ``{crop}``; None: ``predictions`` below the data root."""
    output: str | None = None
    """Template or folder of the labels; None: ``processed`` below the data root."""
    overwrite: bool = False
    """Whether labels that were made otherwise may be replaced."""
    workers: int | None = None
    """Blocks at once; None: as many as processors, two at most."""
    memory_bytes: int | None = None
    """Memory for voxels; None: 1.2 GB, or less where less is free."""
    device: str | None = None
    """Where the tensors of a ``process_func`` are, such as ``cuda``; None: ``cpu``."""
    whole: bool = True
    """Whether a ``process_func`` is given whole crops; else blocks that know nothing of each other."""
    trust: bool = False
    """Whether a Python configuration may run without asking."""
    data_root: Path | None = None
    """Data root with predictions and labels."""
    state_dir: Path | None = None
    """Folder of what the tool remembers; None: as the settings say."""
    manifest: str | None = None
    """Training crops in place of the published ones."""
    train_manifest: str | None = None
    """Their annotations."""
    test_manifest: str | None = None
    """Test volumes in place of the published ones."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise RequestError(f"{self.workers} workers", "give 1 or more")
        if self.memory_bytes is not None and self.memory_bytes < 200_000_000:
            raise RequestError(f"{self.memory_bytes} bytes of memory are too few", "allow 200M or more")


@dataclass(frozen=True, slots=True)
class VolumePlan:
    """One class of one crop that is to be processed."""

    crop: str
    """``dataset/crop``."""
    label: str
    """The class."""
    state: VolumeState
    """What will be done."""
    voxels: int
    """Voxels of the prediction; 0 where it is not known."""
    steps: str
    """The recipe in one line."""
    output: Path
    """Where the labels go."""
    words: str = ""
    """Why it is not processed; empty where it is."""


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """What processing would do."""

    volumes: tuple[VolumePlan, ...]
    """Every class of every crop, in the order of the work."""
    voxels: int
    """Voxels to process."""
    scratch_bytes: int
    """Most that the files in between take while a volume is processed."""
    output_bytes: int
    """About what the labels take."""
    free_bytes: int
    """Room on the disk of the labels."""
    memory_bytes: int
    """Memory for voxels."""
    workers: int
    """Blocks at once."""
    block: int
    """Edge of a block in voxels."""
    eta_s: float
    """About how long it takes."""
    notes: tuple[str, ...] = ()
    """What is worth knowing."""

    def count(self, *states: VolumeState) -> int:
        """Return how many volumes are in one of these states."""
        return sum(volume.state in states for volume in self.volumes)


@dataclass(frozen=True, slots=True)
class ProcessedVolume:
    """One class of one crop, processed."""

    crop: str
    """``dataset/crop``."""
    label: str
    """The class."""
    path: Path | None
    """The labels; None where there are none."""
    kind: Literal["instance", "semantic"]
    """Whether the voxels hold object ids, or 0 and 1."""
    dtype: str
    """Type of the voxels."""
    objects: int | None
    """Objects; None of a semantic class."""
    foreground: int | None
    """Voxels of the class; None where they were not counted now."""
    voxels: int
    """All voxels."""
    kept: bool = False
    """Whether it was there already."""
    problem: str = ""
    """Why there are no labels; empty where there are."""
    elapsed_s: float = 0.0
    """How long it took."""


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """What was processed."""

    output: str
    """Template or folder of the labels."""
    volumes: tuple[ProcessedVolume, ...]
    """Every class of every crop."""
    done: int
    """Volumes that were made now."""
    kept: int
    """Volumes that were there already."""
    failed: int
    """Volumes that could not be made."""
    elapsed_s: float = 0.0
    """How long it took."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""

    @property
    def exit_code(self) -> int:
        """1 when a volume could not be made."""
        return 1 if self.failed else 0


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """A slice of one class of one crop through the steps of a recipe."""

    crop: str
    """The crop, such as ``dataset/crop234``."""
    label: str
    """The class."""
    recipe: str = ""
    """The recipe as TOML text; empty: the built-in one."""
    axis: Literal["z", "y", "x"] = "z"
    """Axis that the slice is across."""
    index: int | None = None
    """Voxel of the prediction along that axis; None: the middle."""
    context: int = 32
    """Voxels on both sides that objects and filters see; what lies beyond is not known to a preview."""
    predictions: str | None = None
    """As in `ProcessRequest`."""
    data_root: Path | None = None
    """As in `ProcessRequest`."""
    state_dir: Path | None = None
    """As in `ProcessRequest`."""
    manifest: str | None = None
    """As in `ProcessRequest`."""
    train_manifest: str | None = None
    """As in `ProcessRequest`."""
    test_manifest: str | None = None
    """As in `ProcessRequest`."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A slice through a recipe; arrays ``[rows, columns]`` in the order of the other two axes."""

    probability: np.ndarray[tuple[int, ...], np.dtype[Any]]
    """uint8, 255 is certain."""
    labels: np.ndarray[tuple[int, ...], np.dtype[Any]]
    """Object ids, or 0 and 1 of a mask."""
    steps: tuple[PreviewStep, ...]
    """What each step left, in the order of the recipe."""
    axis: str
    """Axis that the slice is across."""
    index: int
    """Voxel along it."""
    size: int
    """Voxels along that axis."""
    position_nm: float
    """Where the slice lies along that axis."""
    is_whole: bool
    """Whether the whole crop was computed, so that the labels are those that `process` writes."""
    elapsed_s: float
    """How long it took."""


@dataclass(frozen=True, slots=True)
class PreviewStep:
    """What one step of the recipe left in the slab around the slice."""

    words: str
    """The step in words."""
    foreground: int | None
    """Voxels of the class; None before there is a mask."""
    objects: int | None
    """Objects; None before there are any."""
