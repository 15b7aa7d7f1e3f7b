"""What `fetch-data` is asked, what it would do, and what it did."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - models are read by their annotations
from typing import Literal

from cellmap_tui.challenge.crops import Split  # noqa: TC001
from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001
from cellmap_tui.challenge.layout import checked_name
from cellmap_tui.errors import RequestError
from cellmap_tui.services.settings import BUCKET

AccessMode = Literal["append", "overwrite"]
"""Keep what is there and verified; or remove what is there of these crops, once, and fetch it again."""

WORKERS_VARIABLE = "CSC_FETCH_DATA_NUM_WORKERS"
MAX_WORKERS = 1024


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Crops to download, how much of them, and where to.

    Raises
    ------
    RequestError
        If a number is out of range, or options contradict each other.
    """

    data_root: Path
    """Folder that the data go to, laid out as the bucket is."""
    crops: str = "all"
    """``all`` (every training crop), ``test``, ids and ranges, ``dataset/crop``, or a filter."""
    classes: tuple[str, ...] = ()
    """Classes whose labels are fetched; none: all, and the array of all ids."""
    raw_padding: int = 0
    """EM around a crop, in voxels of each level."""
    raw_padding_nm: float = 0.0
    """EM around a crop in nm; the larger of the two paddings counts on each axis of a level."""
    fetch_all_em_resolutions: bool = False
    """Take every level of the EM, however fine."""
    levels: tuple[str, ...] = ()
    """Take these levels of the EM alone, such as ``s1``."""
    access_mode: AccessMode = "append"
    """What becomes of data that are there."""
    batch_size: int | None = None
    """Accepted for scripts of the official toolbox; objects are fetched one by one, many at a time."""
    num_workers: int | None = None
    """Requests in flight at most; None: as many as the link carries."""
    limit_rate: int | None = None
    """Bytes a second at most."""
    max_bytes: int | None = None
    """Refuse a plan that would download more."""
    make_levels: bool = False
    """Compute coarser EM levels that the bucket lacks from the finer ones."""
    ignore_disk: bool = False
    """Go on although the free disk space looks too small."""
    yes: bool = False
    """Overwriting is confirmed."""
    endpoint_url: str = ""
    """S3 endpoint; empty: the public one."""
    bucket: str = BUCKET
    """Name of the bucket."""
    profile: str = ""
    """AWS profile; empty: anonymous."""
    state_dir: Path | None = None
    """Folder of the refreshed catalog and of the rate measured last."""
    manifest: str | None = None
    """Path or address of a list of training crops, in place of the published one."""
    train_manifest: str | None = None
    """Path or address of the annotations of those crops; without it they are read from the bucket."""
    test_manifest: str | None = None
    """Path or address of the test volumes, in place of the published ones."""

    def __post_init__(self) -> None:
        for name in self.classes:
            checked_name(name, "class")
        for name in self.levels:
            checked_name(name, "level")
        if self.levels and self.fetch_all_em_resolutions:
            raise RequestError("--levels and --fetch-all-em-resolutions contradict each other", "give one of them")
        _check_range("--raw-padding", self.raw_padding, 0, 1_000_000)
        _check_range("--raw-padding-nm", self.raw_padding_nm, 0, 1e9)
        for flag, value in (("--limit-rate", self.limit_rate), ("--max-bytes", self.max_bytes)):
            if value is not None:
                _check_range(flag, value, 1, 1 << 62)
        if self.num_workers is not None:
            _check_range("--num-workers", self.num_workers, 1, MAX_WORKERS)
        if self.batch_size is not None:
            _check_range("--batch-size", self.batch_size, 1, 1 << 31)

    @property
    def workers(self) -> int | None:
        """Requests in flight at most: what was asked, else what the toolbox's variable says.

        Raises
        ------
        RequestError
            If the variable is no number in range.
        """
        text = os.environ.get(WORKERS_VARIABLE, "").strip()
        if self.num_workers is not None or not text:
            return self.num_workers
        if not re.fullmatch(r"[0-9]{1,6}", text):
            raise RequestError(f"{WORKERS_VARIABLE}={text} is no number", f"give 1 to {MAX_WORKERS} or unset it")
        _check_range(WORKERS_VARIABLE, int(text), 1, MAX_WORKERS)
        return int(text)


def _check_range(what: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise RequestError(f"{what} {value} is out of range", f"give {low:g} to {high:g}")


@dataclass(frozen=True, slots=True)
class Amount:
    """Objects and their bytes."""

    objects: int = 0
    """Number of objects."""
    bytes: int = 0
    """Their bytes, as the bucket lists them."""

    def __add__(self, other: Amount) -> Amount:
        """Return both together."""
        return Amount(self.objects + other.objects, self.bytes + other.bytes)

    def __sub__(self, other: Amount) -> Amount:
        """Return what is left without the other."""
        return Amount(self.objects - other.objects, self.bytes - other.bytes)


@dataclass(frozen=True, slots=True)
class LevelPlan:
    """One level of the EM, as a crop needs it."""

    name: str
    """Name of the level, such as ``s1``."""
    voxel_size_nm: Vec3
    """Its voxel size, z, y, x."""
    is_fetched: bool
    """Whether it is fetched."""
    reason: str
    """Why or why not, in one sentence."""
    voxels: Shape3 = (0, 0, 0)
    """Voxels of the level that the crop needs, padding included, z, y, x."""
    chunks: int = 0
    """Chunks that these voxels touch."""
    absent: int = 0
    """Chunks of these that the bucket does not have: all their voxels have the fill value."""
    shared: int = 0
    """Chunks of these that an earlier crop of the plan needs too, and that count there."""
    wanted: Amount = Amount()
    """The other chunks that the bucket has."""
    here: Amount = Amount()
    """What of the wanted is on disk already."""


@dataclass(frozen=True, slots=True)
class CropPlan:
    """What fetching one crop means."""

    ref: str
    """Crop, such as ``jrc_cos7-1a/crop234``."""
    split: Split
    """Training or test."""
    labels: Amount
    """Objects of its label groups, metadata included; none for a test crop."""
    labels_here: Amount
    """What of them is on disk already."""
    label_classes: int
    """Label groups among them."""
    empty_classes: tuple[str, ...]
    """Classes without a single chunk in the bucket: empty there."""
    missing_classes: tuple[str, ...]
    """Classes that the tables name and the bucket does not have."""
    levels: tuple[LevelPlan, ...]
    """Every level of the EM."""
    metadata: Amount = Amount()
    """Metadata of the groups above and of the EM, where this crop is the first that needs them."""
    metadata_here: Amount = Amount()
    """What of them is on disk already."""

    @property
    def wanted(self) -> Amount:
        """All objects of the crop."""
        return sum((level.wanted for level in self.levels), self.labels + self.metadata)

    @property
    def here(self) -> Amount:
        """What of them is on disk already."""
        return sum((level.here for level in self.levels), self.labels_here + self.metadata_here)

    @property
    def what(self) -> str:
        """Its parts in a few words, such as ``em s1-s4 + 35 labels``."""
        places = [place for place, level in enumerate(self.levels) if level.is_fetched]
        names = [self.levels[place].name for place in places]
        if len(names) > 2 and places[-1] - places[0] == len(places) - 1:
            names = [f"{names[0]}-{names[-1]}"]
        em = f"em {' '.join(names)}" if names else "no em"
        return f"{em} + {self.label_classes} labels" if self.label_classes else em


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What a fetch would do."""

    data_root: Path
    """Folder that the data go to."""
    address: str
    """Bucket and endpoint, for people."""
    crops: tuple[CropPlan, ...]
    """The crops, in the order in which they are fetched."""
    wanted: Amount
    """All objects, those that are on disk included."""
    to_fetch: Amount
    """What is not on disk yet."""
    disk_bytes: int
    """Disk space that the latter takes, whole blocks counted."""
    free_bytes: int
    """Free disk space."""
    fits: bool
    """Whether there is room for it, with a margin."""
    estimated_s: float | None
    """Time that it takes at the rate measured last with this bucket; None: not known."""
    notes: tuple[str, ...] = ()
    """What is worth knowing."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""
    problems: tuple[FetchFailure, ...] = ()
    """What is wanted and cannot be had."""


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """One object that was not fetched, or cannot be."""

    key: str
    """Object, below the bucket."""
    kind: str
    """What kind of failure it is, such as ``denied``, ``corrupt`` or ``missing``."""
    message: str
    """What went wrong."""
    crop: str = ""
    """Crop that needs it; empty where several do."""
    tries: int = 1
    """How often it was tried."""


@dataclass(frozen=True, slots=True)
class CropResult:
    """What became of one crop."""

    ref: str
    """Crop."""
    what: str
    """Its parts in a few words."""
    state: Literal["complete", "incomplete"]
    """Whether everything that was wanted is on disk and verified."""
    objects: int
    """Objects that were wanted."""
    bytes: int
    """Their bytes."""
    failed: int
    """Objects that are missing."""


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What a fetch did."""

    data_root: Path
    """Folder of the data."""
    crops: tuple[CropResult, ...]
    """What became of each crop."""
    fetched: Amount
    """Objects that were downloaded."""
    kept: Amount
    """Objects that were on disk already."""
    absent: int
    """Chunks of EM that the bucket does not have; they read as the fill value."""
    failures: tuple[FetchFailure, ...]
    """What is missing, at most 1,000 of them."""
    failed: int
    """How many objects are missing."""
    made_levels: tuple[str, ...]
    """EM levels that were computed here."""
    requests: int | None
    """Requests that were sent, retries included; None: not counted."""
    elapsed_s: float
    """Time it took."""
    waited_s: float
    """Time of that without a connection."""
    finish_command: str
    """Command that fetches what is missing; empty when nothing is."""
    notes: tuple[str, ...] = ()
    """What is worth knowing."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""

    @property
    def exit_code(self) -> int:
        """1 when a part failed."""
        return 1 if self.failed else 0
