"""What `tune` is asked and what it answers: the table that justifies a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - requests are read by their annotations
from typing import Literal

from cellmap_tui.errors import RequestError

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
SIZES = (0, 50, 200, 1000, 5000)


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """Which predictions are tuned on which crops.

    Raises
    ------
    RequestError
        If it does not say which crops, or a value to try makes no sense.
    """

    predictions: tuple[str, ...] = ()
    """Folders or templates with ``{dataset}`` and ``{crop}``, one a run; empty: ``predictions`` of the data root."""
    crops: str | None = None
    """Crops with ground truth, as ``--crops`` takes them."""
    datasplit: Path | None = None
    """Datasplit CSV whose validation crops are taken, in place of `crops`."""
    classes: tuple[str, ...] = ()
    """Only these classes; empty: all that are predicted and annotated."""
    recipe: Path | None = None
    """Recipe to start from; None: the built-in one."""
    thresholds: tuple[float, ...] = THRESHOLDS
    """Probabilities to try."""
    sizes: tuple[int, ...] = SIZES
    """Smallest objects to try, in voxels of the prediction."""
    smoothings_nm: tuple[float, ...] = (0.0,)
    """Widths of smoothing to try, in nm; 0: none."""
    output: Path | None = None
    """Recipe that is written; None: ``recipe.toml`` in the current directory."""
    table: Path | None = None
    """CSV of everything that was tried; None: beside the recipe."""
    overwrite: bool = False
    """Whether a recipe that is there may be replaced."""
    profile: str = "2026-06"
    """Name of the scoring rules."""
    seed: int = 0
    """Decides which crops are in which half."""
    workers: int | None = None
    """Crops at once; None: as many as processors and memory allow."""
    memory_bytes: int | None = None
    """Memory for voxels; None: 1.2 GB, or less where less is free."""
    data_root: Path | None = None
    """Data root with ground truth."""
    state_dir: Path | None = None
    """Folder of what the tool remembers; None: as the settings say."""
    manifest: str | None = None
    """Training crops in place of the published ones."""
    train_manifest: str | None = None
    """Their annotations."""
    test_manifest: str | None = None
    """Test volumes in place of the published ones."""

    def __post_init__(self) -> None:
        if (self.crops is None) == (self.datasplit is None):
            raise RequestError("which crops to tune on is not clear", "give --crops or --datasplit")
        if not self.thresholds or not all(0 <= value < 1 for value in self.thresholds):
            raise RequestError("thresholds are probabilities from 0 to below 1", "for example 0.3,0.5,0.7")
        if not self.sizes or not all(value >= 0 for value in self.sizes):
            raise RequestError("sizes are numbers of voxels from 0", "for example 0,100,1000")
        if not self.smoothings_nm or not all(value >= 0 for value in self.smoothings_nm):
            raise RequestError("smoothings are widths in nm from 0", "for example 0,8")


@dataclass(frozen=True, slots=True)
class TuneRow:
    """One recipe that was tried for a class."""

    label: str
    """The class."""
    run: str
    """Where the predictions came from."""
    method: Literal["components", "cores", "watershed", "mask"]
    """How objects were told apart; ``mask``: a semantic class."""
    threshold: float
    """Probability above which a voxel is of the class."""
    min_voxels: int
    """Objects or pieces that are smaller were removed."""
    smoothing_nm: float
    """Width of smoothing; 0: none."""
    score: float | None
    """Official score on the crops that the recipe is chosen on; None where every crop was skipped."""
    iou: float | None = None
    """Semantic: pooled IoU there."""
    f1: float | None = None
    """Instances: pooled F1 there."""
    boundary: float | None = None
    """Instances: mean boundary score there."""
    skipped: int = 0
    """Crops there that are not scored for too many objects."""
    is_start: bool = False
    """Whether it is the recipe that tuning started from."""
    is_best: bool = False
    """Whether it was chosen."""
    reported: float | None = None
    """Official score on the other crops; of the start and the chosen one only."""
    seed_voxels: int | None = None
    """Smallest piece of core that is a seed; None where there are no cores."""


@dataclass(frozen=True, slots=True)
class TunedClass:
    """What tuning a class came to."""

    label: str
    """The class."""
    kind: Literal["instance", "semantic"]
    """How it is scored."""
    run: str
    """The best run."""
    method: str
    """How objects are told apart."""
    threshold: float
    """The best one."""
    min_voxels: int
    """The best one."""
    smoothing_nm: float
    """The best one."""
    chosen_before: float | None
    """Score of the recipe that tuning started from, on the crops that the recipe is chosen on."""
    chosen_after: float | None
    """Score of the chosen recipe there."""
    reported_before: float | None
    """Score of the recipe that tuning started from, on the other crops."""
    reported_after: float | None
    """Score of the chosen recipe there: the figure to expect elsewhere."""
    chosen_on: tuple[str, ...]
    """Crops that it was chosen on."""
    reported_on: tuple[str, ...]
    """Crops that it is reported on."""
    tried: int
    """Recipes that were tried."""
    words: str = ""
    """What there is to say, such as that one crop served for both."""


@dataclass(frozen=True, slots=True)
class TuneResult:
    """What tuning found."""

    recipe: Path
    """The recipe that was written."""
    table: Path
    """CSV of everything that was tried."""
    profile: str
    """Scoring rules."""
    classes: tuple[TunedClass, ...]
    """A row per class."""
    rows: tuple[TuneRow, ...]
    """Everything that was tried."""
    reported_before: float | None
    """Mean over classes of the score of the start on the reported crops."""
    reported_after: float | None
    """The same of the chosen recipes."""
    errors: tuple[str, ...] = ()
    """What could not be scored, and why."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""
    elapsed_s: float = 0.0
    """How long it took."""

    @property
    def exit_code(self) -> int:
        """1 when something could not be scored."""
        return 1 if self.errors else 0
