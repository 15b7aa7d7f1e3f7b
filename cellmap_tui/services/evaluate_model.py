"""What `evaluate` is asked, what it plans and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - requests are read by their annotations
from typing import Literal

from cellmap_tui.challenge.grid import Vec3  # noqa: TC001 - likewise
from cellmap_tui.errors import RequestError

Kind = Literal["instance", "semantic"]
"""How a pair is scored: object by object, or voxel by voxel."""

PairState = Literal["score", "kept", "missing", "error"]
"""What a plan will do with a pair: score it, take the kept score, count it as missing, or nothing: it is wrong."""


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """What to score against what.

    Raises
    ------
    RequestError
        If it names neither a submission nor predictions, or both, or a figure makes no sense.
    """

    submission: Path | None = None
    """Submission: a zip, a folder, or a folder around one."""
    truth: Path | None = None
    """Ground truth of the test crops: a zarr store of ``crop<N>/<class>`` arrays."""
    predictions: str | None = None
    """Prediction or processed folder, template with ``{dataset}``, ``{crop}`` and ``{label}``, or a stack."""
    crops: str | None = None
    """Crops that `predictions` belong to, as ``--crops`` takes them."""
    datasplit: Path | None = None
    """Datasplit CSV whose crops `predictions` belong to, in place of `crops`."""
    split: Literal["validate", "train"] = "validate"
    """Which rows of the datasplit."""
    profile: str = "2026-06"
    """Name of the rules."""
    classes: tuple[str, ...] = ()
    """Only these classes; empty: all."""
    instance_classes: tuple[str, ...] | None = None
    """Classes that are scored object by object; None: as the challenge does."""
    voxel_size_nm: Vec3 | None = None
    """Voxel size of stacks that do not say it."""
    translation_nm: Vec3 | None = None
    """Centre of voxel 0 of stacks that do not say it."""
    axes: str | None = None
    """Order of a stack's axes where the file does not say it."""
    labels: dict[str, int] = field(default_factory=dict)
    """Class to its value in stacks that hold several classes."""
    mapping: Path | None = None
    """JSON file with ``labels`` (class to value) and ``cases`` (file name to crop) of such stacks."""
    result_file: Path | None = None
    """Where the result goes as JSON; ``<name>_extended.json`` is written beside it."""
    csv: Path | None = None
    """Where the pairs go as CSV."""
    markdown: Path | None = None
    """Where the tables go as Markdown."""
    workers: int | None = None
    """Processes; 0: this one; None: as many as processors and memory allow, ``MAX_WORKERS`` at most."""
    memory_bytes: int | None = None
    """Memory of all processes together; None: from the machine's and the container's."""
    store: Path | None = None
    """Folder in which finished pairs are kept; None: below the state folder."""
    rescore: bool = False
    """Score pairs again whose score is kept."""
    data_root: Path | None = None
    """Data root with the ground truth of `crops`."""
    state_dir: Path | None = None
    """Folder of what the tool remembers; None: as the settings say."""
    manifest: str | None = None
    """Training crops in place of the published ones."""
    train_manifest: str | None = None
    """Their annotations."""
    test_manifest: str | None = None
    """Test volumes in place of the published ones."""

    def __post_init__(self) -> None:
        if (self.submission is None) == (self.predictions is None):
            raise RequestError(
                "either a submission or predictions are scored",
                "give --submission-path with --truth-path, or --predictions with --crops or --datasplit",
            )
        if self.submission is not None and self.truth is None:
            raise RequestError("the ground truth of the submission is not named", "give --truth-path")
        if self.predictions is not None and (self.crops is None) == (self.datasplit is None):
            raise RequestError("which crops the predictions belong to is not clear", "give --crops or --datasplit")
        if self.workers is not None and self.workers < 0:
            raise RequestError(f"{self.workers} workers", "give 0 (this process) or more")


@dataclass(frozen=True, slots=True)
class PairPlan:
    """What will be done about one class of one crop."""

    crop: str
    """Crop, as results name it."""
    label: str
    """Class."""
    kind: Kind
    """How it is scored."""
    state: PairState
    """What will be done."""
    voxels: int
    """Voxels of the truth."""
    memory_bytes: int
    """What scoring it takes at most."""
    eta_s: float
    """About how long it takes on one processor."""
    true_objects: int | None = None
    """Objects of the truth, where they were counted."""
    predicted_objects: int | None = None
    """Objects predicted, where they were counted; before ids in several places become several objects."""
    most_objects: int | None = None
    """More predicted objects than this, and the crop is not scored for the class."""
    words: str = ""
    """Why it is missing or wrong."""


@dataclass(frozen=True, slots=True)
class EvaluatePlan:
    """What an evaluation would do."""

    profile: str
    """Name of the rules."""
    provisional: bool
    """Whether the rules are not published in full."""
    pairs: tuple[PairPlan, ...]
    """Every pair, the largest first."""
    voxels: int
    """Voxels to score; kept and missing pairs do not count."""
    workers: int
    """Processes; 0: this one."""
    budget_bytes: int
    """Memory that may be used."""
    budget_origin: str
    """What decided that."""
    peak_bytes: int
    """Memory that will be used at most, by the estimates."""
    eta_s: float
    """About how long it takes."""
    total_evals: int
    """Pairs that the manifest lists."""
    notes: tuple[str, ...] = ()
    """What is worth knowing."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""


@dataclass(frozen=True, slots=True)
class PairResult:
    """The score of one class of one crop."""

    crop: str
    """Crop."""
    label: str
    """Class."""
    kind: Kind
    """How it was scored."""
    status: str
    """``scored``, ``missing``, ``skipped_too_many_instances`` or another of the official words; ``error``."""
    score: float | None
    """Score of this pair alone, 0 to 1; None where it was skipped or failed."""
    tp: int | None = None
    """True positives: voxels, or objects."""
    fp: int | None = None
    """False positives."""
    fn: int | None = None
    """False negatives."""
    iou: float | None = None
    """Semantic: intersection over union."""
    dice: float | None = None
    """Semantic: Dice coefficient."""
    f1: float | None = None
    """Instances: F1 over objects."""
    normalized_hausdorff_distance: float | None = None
    """Instances: mean boundary score."""
    hausdorff_norm_sum: float | None = None
    """Instances: sum of the boundary scores."""
    n_hausdorff: int | None = None
    """Instances: number of boundary scores."""
    mean_matched_iou: float | None = None
    """Instances: mean overlap of the matched pairs; one voxel of overlap is a match."""
    pq: float | None = None
    """Instances: panoptic quality, matches at IoU > 0.5."""
    n_true: int | None = None
    """Objects of the truth."""
    n_predicted: int | None = None
    """Objects predicted."""
    voxels: int = 0
    """Voxels of the truth."""
    voxel_size_nm: Vec3 | None = None
    """Voxel size of the truth."""
    elapsed_s: float = 0.0
    """How long scoring took; 0 for kept and missing pairs."""
    kept: bool = False
    """Whether an earlier evaluation had scored it."""
    message: str = ""
    """What there is to say about it."""


@dataclass(frozen=True, slots=True)
class ClassResult:
    """The score of one class over all crops."""

    label: str
    """Class."""
    kind: Kind
    """How it was scored."""
    score: float | None
    """What enters the overall score."""
    iou: float | None = None
    """Semantic: pooled intersection over union."""
    dice: float | None = None
    """Semantic: pooled Dice coefficient."""
    f1: float | None = None
    """Instances: pooled F1."""
    normalized_hausdorff_distance: float | None = None
    """Instances: mean boundary score."""
    mean_matched_iou: float | None = None
    """Instances: mean overlap of matched pairs."""
    pq: float | None = None
    """Instances: panoptic quality."""
    crops: int = 0
    """Crops that count."""
    missing: int = 0
    """Crops without a prediction."""
    skipped: int = 0
    """Crops that are not scored for too many objects."""


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """What an evaluation found."""

    profile: str
    """Name of the rules."""
    provisional: bool
    """Whether the rules are not published in full."""
    overall_score: float | None
    """Overall score; None when a label could not be scored: the official scorer gives no result then either."""
    overall_instance_score: float | None
    """Mean over instance classes."""
    overall_semantic_score: float | None
    """Mean over semantic classes."""
    num_evals_done: int
    """Pairs that count."""
    total_evals: int
    """Pairs that the manifest lists."""
    classes: tuple[ClassResult, ...]
    """A row per class, the worst first."""
    pairs: tuple[PairResult, ...]
    """A row per crop and class, the worst first."""
    missing: tuple[str, ...]
    """``crop/class`` of volumes that are not there."""
    errors: tuple[str, ...]
    """What could not be scored, and why."""
    warnings: tuple[str, ...]
    """What may need attention."""
    result_file: Path | None
    """The result as JSON."""
    extended_file: Path | None
    """The same with every crop and class."""
    csv: Path | None
    """The pairs as CSV."""
    markdown: Path | None
    """The tables as Markdown."""
    kept: int
    """Pairs that were scored before."""
    elapsed_s: float
    """How long it took."""

    @property
    def exit_code(self) -> int:
        """1 when a label could not be scored; missing volumes are scored, so they do not count."""
        return 1 if self.errors else 0


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One object behind a number."""

    what: str
    """``matched``, ``missed`` or ``hallucinated``."""
    true_id: int | None
    """Id in the truth."""
    predicted_id: int | None
    """Id in the prediction, where one id may be several objects."""
    iou: float | None
    """Overlap of a matched pair."""
    distance_nm: float | None
    """Hausdorff distance; the cap where there is no match."""
    boundary_score: float | None
    """What it adds to the boundary sum."""
    voxels: int | None
    """Its size in voxels: the truth's, or of a hallucinated one its own."""
    position_nm: Vec3 | None
    """A voxel of it near its middle, z, y, x."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The objects behind the score of one class of one crop."""

    crop: str
    """Crop."""
    label: str
    """Class."""
    kind: Kind
    """How it was scored."""
    pair: PairResult
    """The score; its totals are those of the rows."""
    objects: tuple[ObjectRow, ...]
    """The objects, the worst first; empty for a semantic class."""
    words: tuple[str, ...]
    """What decided the score, in sentences."""
