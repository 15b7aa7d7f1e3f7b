"""What `pack-results` is asked, what it plans, and what it answers; the coverage matrix the app shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - requests are read by their annotations
from typing import Literal

from cellmap_tui.challenge.grid import Vec3  # noqa: TC001 - likewise
from cellmap_tui.errors import RequestError
from cellmap_tui.text import triple

CellState = Literal["present", "resampled", "wrong-shape", "outside", "empty", "unreadable", "missing"]
"""``resampled``: there at another voxel size. ``wrong-shape``: cut off or filled with zeros. ``outside``: shares no
voxel with the crop, so it cannot be packed. ``empty``: holds nothing. ``unreadable``: cannot be packed as it is."""

PACKED_STATES: tuple[CellState, ...] = ("present", "resampled", "wrong-shape", "empty")
"""States of which a volume goes into the zip."""
WRONG_STATES: tuple[CellState, ...] = ("outside", "unreadable")
"""States that keep a zip from being written, unless such volumes may be left out."""

FixStep = Literal["fetch-data", "predict", "process", "pack-results", "none"]
"""The command that fills a gap."""

FillMissing = Literal["zeros", "none"]


@dataclass(frozen=True, slots=True)
class PackRequest:
    """Which predictions become which zip.

    Raises
    ------
    RequestError
        If a figure makes no sense.
    """

    input: str | None = None
    """Folder, template with ``{dataset}``, ``{crop}`` and ``{label}``, zip, stack, or folder of stacks; None:
    ``<data root>/processed/{dataset}.zarr/{crop}``."""
    output: Path | None = None
    """The zip; None: ``<data root>/submission.zip``."""
    overwrite: bool = False
    """Whether a zip that is there already may be replaced."""
    workers: int | None = None
    """Volumes packed at once; None: as many as processors and memory allow, ``MAX_WORKERS`` at most."""
    memory_bytes: int | None = None
    """Memory for voxels; None: 900 MB, or less where less is free."""
    fill_missing: FillMissing = "none"
    """``zeros``: an empty volume for each that is not predicted."""
    skip_wrong: bool = False
    """Whether volumes that cannot be packed are left out, in place of writing no zip."""
    threshold: float | None = None
    """Semantic predictions are foreground above it; None: above 0, as they are scored."""
    classes: tuple[str, ...] = ()
    """The class of stacks that hold one, or the classes to take of those that hold several."""
    labels: dict[str, int] = field(default_factory=dict)
    """Class to its value in stacks that hold several classes."""
    mapping: Path | None = None
    """JSON file with ``labels`` (class to value) and ``cases`` (file name to crop) of stacks."""
    voxel_size_nm: Vec3 | None = None
    """Voxel size of stacks that do not say it."""
    translation_nm: Vec3 | None = None
    """Centre of voxel 0 of stacks that do not say it."""
    axes: str | None = None
    """Order of a stack's axes where the file does not say it."""
    checkpoints: tuple[Path, ...] = ()
    """Checkpoints behind the predictions; their hashes go into the zip."""
    configs: tuple[Path, ...] = ()
    """Configurations behind the predictions; their hashes go into the zip."""
    data_root: Path | None = None
    """Data root with the predictions."""
    state_dir: Path | None = None
    """Folder of what the tool remembers; None: as the settings say."""
    test_manifest: str | None = None
    """Test volumes in place of the published ones."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise RequestError(f"{self.workers} workers", "give 1 or more")
        if self.voxel_size_nm is not None and min(self.voxel_size_nm) <= 0:
            raise RequestError(f"voxel size {triple(self.voxel_size_nm)} nm", "every axis is above 0")
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise RequestError(f"a threshold of {self.threshold}", "give a number such as 0.5")


@dataclass(frozen=True, slots=True)
class Fix:
    """What fills a gap."""

    step: FixStep
    """The command; ``none``: nothing has to be done."""
    command: str
    """The command line, without the program's name in front; empty where there is nothing to do."""
    words: str
    """What it does about it, in one line."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One required volume of the coverage matrix."""

    crop: str
    """Name of the crop, such as ``crop557``."""
    dataset: str
    """Its dataset."""
    label: str
    """The class."""
    kind: Literal["instance", "semantic"]
    """How it is scored."""
    state: CellState
    """What there is."""
    voxels: int
    """Voxels of the volume."""
    share_of_class: float
    """Its share of the voxels of the class over all test crops, 0 to 1."""
    words: str
    """What there is to say about its state; empty where it is as it should be."""
    cost: str
    """What leaving it like this costs, in words; empty where it costs nothing."""
    loss: float
    """Largest loss of the mean score over the classes of its kind, 0 to 1, if it stays like this."""
    fix: Fix
    """What fills the gap."""
    path: str = ""
    """Where the prediction lies, for people; empty where there is none."""

    @property
    def is_packed(self) -> bool:
        """Whether a volume of it goes into the zip."""
        return self.state in PACKED_STATES


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which of the required volumes are there: the matrix of crops and classes."""

    input: str
    """Where predictions were looked for."""
    crops: tuple[str, ...]
    """Names of the crops, as in the manifest."""
    classes: tuple[str, ...]
    """Names of the classes that are required somewhere."""
    cells: tuple[Cell, ...]
    """Every required volume, by crop and class; a pair that is not here is not required."""
    notes: tuple[str, ...] = ()
    """What is worth knowing."""

    @property
    def required(self) -> int:
        """How many volumes are required."""
        return len(self.cells)

    def count(self, *states: CellState) -> int:
        """Return how many volumes are in one of these states."""
        return sum(cell.state in states for cell in self.cells)

    def by_pair(self) -> dict[tuple[str, str], Cell]:
        """Return the cells by crop and class."""
        return {(cell.crop, cell.label): cell for cell in self.cells}


@dataclass(frozen=True, slots=True)
class PackPlan:
    """What packing would do."""

    output: Path
    """The zip."""
    coverage: Coverage
    """What is there."""
    to_pack: int
    """Volumes to align and compress now."""
    kept: int
    """Volumes that an earlier, interrupted packing has finished."""
    filled: int
    """Volumes that become zeros."""
    left_out: int
    """Volumes that will not be in the zip."""
    voxels: int
    """Voxels to pack now."""
    unpacked_bytes: int
    """About how large the submission is unpacked."""
    limit_bytes: int
    """Largest unpacked size that the challenge takes."""
    free_bytes: int
    """Room on the disk of the zip."""
    workers: int
    """Volumes at once."""
    memory_bytes: int
    """Memory for voxels, at most."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""


@dataclass(frozen=True, slots=True)
class PackedVolume:
    """One volume of the zip."""

    crop: str
    """Name of the crop."""
    label: str
    """The class."""
    state: CellState
    """What there was; ``missing``: filled with zeros, or left out."""
    dtype: str
    """Type of its voxels in the zip; empty where it is not in it."""
    max_value: int
    """Largest value: 0 of an empty volume, 1 of a semantic one, else the largest id."""
    stored_bytes: int
    """What it takes in the zip."""
    warnings: tuple[str, ...] = ()
    """What to look at."""
    problem: str = ""
    """Why it could not be packed; empty where it could."""
    fix: str = ""
    """What to do about that."""


@dataclass(frozen=True, slots=True)
class PackResult:
    """What was packed."""

    zip: Path | None
    """The zip; None where none was written because volumes could not be packed."""
    sha256: str
    """Hash of the zip; empty where none was written."""
    size_bytes: int
    """Its size."""
    unpacked_bytes: int
    """Its size unpacked."""
    required: int
    """Volumes that are scored."""
    present: int
    """Of those, volumes that came from a prediction and hold something."""
    empty: int
    """Of those, volumes that are all zeros, those filled in included."""
    filled: int
    """Of those, volumes that were not predicted and filled with zeros."""
    missing: int
    """Of those, volumes that are not in the zip."""
    failed: int
    """Of those, volumes that could not be packed."""
    volumes: tuple[PackedVolume, ...]
    """Every required volume, by crop and class."""
    kept: int = 0
    """Volumes taken over from an interrupted packing."""
    elapsed_s: float = 0.0
    """How long it took."""
    log_id: str = ""
    """Under which name it stands in the log of submissions; empty where none was written."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""

    @property
    def exit_code(self) -> int:
        """1 when a volume could not be packed."""
        return 1 if self.failed else 0
