"""What `make-datasplit` is asked, what it would do with each crop, and what it made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - models are read by their annotations
from typing import Literal

from cellmap_tui.challenge.datasplit import SplitRow, Usage  # noqa: TC001
from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001
from cellmap_tui.errors import RequestError
from cellmap_tui.services.settings import BUCKET

ForceAll = Literal["none", "all", "train", "validate"]
"""Crops that lack a class: used anyway; left out; used for validation alone; used for training alone."""
CoarseLabels = Literal["drop", "upsample"]
"""Labels coarser than the scale: left out, or used as they are."""
GroupBy = Literal["crop", "dataset"]
"""What stays together on one side; crops that overlap always do."""
TargetState = Literal["present", "absent", "annotated", "part", "unknown", "coarse", "missing", "broken"]
"""How a target stands in a crop.

present: known, with voxels of it; absent: known, without one; annotated: known, content not looked at; part: only
some of its members are annotated, and none of them is there; unknown: not annotated; coarse: its labels are
coarser than the scale; missing: annotated but not fetched; broken: not readable.
"""
DropKind = Literal["excluded", "unknown", "missing", "coarse", "empty", "resin", "em", "incomplete", "broken"]
"""Why a crop is left out."""

DROP_WORDS: dict[DropKind, str] = {
    "excluded": "set aside by hand",
    "unknown": "none of the classes is annotated",
    "missing": "labels are not on disk",
    "coarse": "labels are coarser than the scale",
    "empty": "too little foreground",
    "resin": "every annotated class is absent (empty resin)",
    "em": "no EM on disk that is fine enough",
    "incomplete": "a class is not annotated",
    "broken": "labels cannot be read",
}
MAX_FOLDS = 100
EVERY_CLASS = ("*",)
"""As classes: every class that one of the crops annotates."""
ALL_TARGETS = ""
"""Name that stands for every target in `SplitRequest.min_foreground`."""


@dataclass(frozen=True, slots=True)
class SplitRequest:
    """Which crops to divide, and how.

    Raises
    ------
    RequestError
        If a number is out of range, or options contradict each other.
    """

    csv_path: Path
    """File to write; with folds, ``_fold1`` and so on is put before its ending."""
    data_root: Path | None = None
    """Folder of the data."""
    classes: tuple[str, ...] = ("nuc", "er")
    """Classes, each a target of its own, ``*`` for every annotated one; not used when `targets` is given."""
    targets: Path | None = None
    """File of targets."""
    scale_nm: Vec3 | None = None
    """Voxel size to train at; crops that cannot serve it are left out."""
    coarse_labels: CoarseLabels = "drop"
    """What to do with labels coarser than the scale."""
    datasets: tuple[str, ...] = ()
    """Only these datasets, patterns such as ``jrc_mus*`` allowed; none: all."""
    crops: str = "all"
    """Only these crops, as in ``--crops``."""
    validate_ratio: float = 0.1
    """Share of the crops that validates; 0: none."""
    force_all_classes: ForceAll = "none"
    """What becomes of crops in which a target is not wholly known."""
    seed: int = 42
    """The same seed and the same data give the same split."""
    group_by: GroupBy = "crop"
    """What stays together."""
    k_folds: int | None = None
    """Make this many splits, each crop validating once, in place of one."""
    min_foreground: tuple[tuple[str, float], ...] = ()
    """Target (empty: any) and the least share of known voxels; a crop below it in every target is left out."""
    train_crops: tuple[str, ...] = ()
    """Crops that are learned from, whatever the draw."""
    validate_crops: tuple[str, ...] = ()
    """Crops that are checked on, whatever the draw."""
    leave_out: tuple[str, ...] = ()
    """Crops that are left out of this split."""
    search_path: str = ""
    """Where datasets are searched, with ``{dataset}`` and ``{name}``, in place of the catalog."""
    raw_name: str = ""
    """What ``{name}`` is for the EM."""
    crop_name: str = ""
    """What ``{name}`` is for labels, with ``{crop}`` and ``{label}``."""
    use_s3: bool = False
    """Write addresses in the bucket; nothing needs to be on disk."""
    endpoint_url: str = ""
    """S3 endpoint; empty: the public one."""
    bucket: str = BUCKET
    """Name of the bucket."""
    profile: str = ""
    """AWS profile; empty: anonymous."""
    scan: bool = True
    """Look at what the labels hold; without it, only which classes are annotated counts."""
    force: bool = False
    """Go on although nothing can be learned of a target."""
    dry_run: bool = False
    """Say what would be done and write nothing."""
    state_dir: Path | None = None
    """Folder of what the tool remembers."""
    manifest: str | None = None
    """Path or address of a list of training crops, in place of the published one."""
    train_manifest: str | None = None
    """Path or address of the annotations of those crops."""
    test_manifest: str | None = None
    """Path or address of the test volumes, in place of the published ones."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.validate_ratio) and 0 <= self.validate_ratio < 1):
            raise RequestError(f"--validate-ratio {self.validate_ratio:g} is out of range", "give 0 or more, below 1")
        if self.scale_nm is not None and not all(math.isfinite(s) and s > 0 for s in self.scale_nm):
            raise RequestError("--scale needs positive numbers", "as in -s 8 or -s 8 8 8")
        if self.targets is None and not self.classes:
            raise RequestError("no classes are named", "give -c nuc,er or --targets FILE")
        for name, share in self.min_foreground:
            if not (math.isfinite(share) and 0 <= share <= 1):
                where = f" of {name}" if name else ""
                raise RequestError(f"--min-foreground{where} is out of range", "give a share: 0.001 or 0.1%")
        if self.k_folds is not None:
            self._check_folds(self.k_folds)
        if self.use_s3 and (self.search_path or self.raw_name or self.crop_name):
            raise RequestError("--use-s3 and --search-path contradict each other", "give one of them")
        if self.data_root is None and not self.use_s3 and not self.search_path:
            raise RequestError("where the data are is not said", "give --data-root, --search-path or --use-s3")

    def _check_folds(self, folds: int) -> None:
        if not 2 <= folds <= MAX_FOLDS:
            raise RequestError(f"--k-folds {folds} is out of range", f"give 2 to {MAX_FOLDS}")
        if self.validate_crops or self.force_all_classes == "train":
            flag = "--validate-crops" if self.validate_crops else "--force-all-classes-train"
            raise RequestError(f"--k-folds and {flag} contradict each other", "every crop validates in one fold")


@dataclass(frozen=True, slots=True)
class TargetStand:
    """One target in one crop."""

    name: str
    """The target."""
    state: TargetState
    """How it stands with it."""
    share: float | None = None
    """Share of the known voxels that is of it; None where it was not looked at."""
    voxels: int | None = None
    """Voxels of it."""


@dataclass(frozen=True, slots=True)
class SplitCrop:
    """One crop, and what becomes of it."""

    ref: str
    """The crop, as ``dataset/crop234``."""
    dataset: str
    """Its dataset."""
    usage: Usage | None
    """What it is for; None: left out."""
    voxel_size_nm: Vec3
    """Voxel size of its labels."""
    shape: Shape3
    """Voxels of its labels."""
    targets: tuple[TargetStand, ...]
    """Every target, in order."""
    row: SplitRow | None = None
    """Its line in the CSV; None where it is left out."""
    fold: int | None = None
    """Fold in which it validates, from 1; None without folds, or if it never does."""
    is_resin: bool = False
    """Whether every annotated class is absent: empty resin, a true negative."""
    together: tuple[str, ...] = ()
    """Crops of the same dataset that it overlaps; they are on its side."""
    dropped: DropKind | None = None
    """Why it is left out; None where it is used."""
    reason: str = ""
    """The reason in words, with what helps."""

    @property
    def is_negative(self) -> bool:
        """Whether it is known to show none of the targets."""
        states = {stand.state for stand in self.targets}
        return "absent" in states and not states & {"present", "annotated"}


@dataclass(frozen=True, slots=True)
class TargetCounts:
    """One target over all crops that are used: a row of the class × split matrix."""

    name: str
    """The target."""
    train: int
    """Training crops with voxels of it (annotated ones, where content was not looked at)."""
    train_known: int
    """Training crops in which it is known at all, those without a voxel of it included."""
    train_voxels: int | None
    """Voxels of it in training; None where content was not looked at."""
    validate: int
    """Validation crops with voxels of it."""
    validate_known: int
    """Validation crops in which it is known at all."""
    validate_voxels: int | None
    """Voxels of it in validation."""
    dropped: int
    """Crops with it (as far as known) that are left out."""


@dataclass(frozen=True, slots=True)
class FoldCounts:
    """One fold."""

    fold: int
    """Its number, from 1."""
    train: int
    """Training crops."""
    validate: int
    """Validation crops."""
    targets: tuple[TargetCounts, ...]
    """A row per target."""


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """What a split would be."""

    targets: tuple[str, ...]
    """Names of the targets."""
    crops: tuple[SplitCrop, ...]
    """Crops that are used, by name."""
    dropped: tuple[SplitCrop, ...]
    """Crops that are left out, with reasons."""
    counts: tuple[TargetCounts, ...]
    """The class × split matrix; with folds, of the first one."""
    folds: tuple[FoldCounts, ...]
    """The folds; empty without."""
    not_local: int
    """Training crops of the catalog of which no label is on disk."""
    is_scanned: bool
    """Whether content was looked at."""
    notes: tuple[str, ...]
    """What is worth knowing."""
    warnings: tuple[str, ...]
    """What needs attention, such as a target that no crop validates."""

    @property
    def train(self) -> int:
        """Number of training crops."""
        return sum(crop.usage == "train" for crop in self.crops)

    @property
    def validate(self) -> int:
        """Number of validation crops."""
        return sum(crop.usage == "validate" for crop in self.crops)

    @property
    def unvalidated(self) -> tuple[str, ...]:
        """Targets that no validation crop shows."""
        return tuple(counts.name for counts in self.counts if not counts.validate)

    @property
    def unlearned(self) -> tuple[str, ...]:
        """Targets that no training crop shows."""
        return tuple(counts.name for counts in self.counts if not counts.train)


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What `make-datasplit` made."""

    csv_paths: tuple[Path, ...]
    """Files that were written, one per fold; empty for a dry run."""
    digests: tuple[str, ...]
    """SHA-256 of each."""
    seed: int
    """Seed of the draw."""
    plan: SplitPlan
    """Every crop, the matrix, what is left out and why."""
