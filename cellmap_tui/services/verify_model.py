"""What `verify` is asked, and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - models are read by their annotations
from typing import Literal

from cellmap_tui.challenge.layout import checked_name
from cellmap_tui.errors import RequestError
from cellmap_tui.services.settings import BUCKET

PartState = Literal["present", "not requested", "missing", "corrupt"]
"""The worst of a part's objects; *not requested* where it was never asked for."""

ProblemKind = Literal["missing", "corrupt"]
"""Not on disk; or on disk with another length or other bytes than the bucket says."""


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """Crops to check on disk, against the bucket or against what was recorded when they were fetched.

    Raises
    ------
    RequestError
        If options contradict each other.
    """

    data_root: Path
    """Folder of the data."""
    crops: str = "local"
    """``local`` (every crop with data on disk), ids and ranges, ``dataset/crop``, ``test``, or a filter."""
    classes: tuple[str, ...] = ()
    """Classes whose labels are checked; none: all."""
    offline: bool = False
    """Ask nothing of the bucket: check against what was recorded when the data were fetched."""
    quick: bool = False
    """Compare lengths alone and read no file."""
    repair: bool = False
    """Fetch what is missing or corrupt."""
    num_workers: int | None = None
    """Requests in flight at most; None: as many as the link carries."""
    limit_rate: int | None = None
    """Bytes a second at most while repairing."""
    endpoint_url: str = ""
    """S3 endpoint; empty: the public one."""
    bucket: str = BUCKET
    """Name of the bucket."""
    profile: str = ""
    """AWS profile; empty: anonymous."""
    state_dir: Path | None = None
    """Folder of the refreshed catalog."""
    manifest: str | None = None
    """Path or address of a list of training crops, in place of the published one."""
    train_manifest: str | None = None
    """Path or address of the annotations of those crops."""
    test_manifest: str | None = None
    """Path or address of the test volumes, in place of the published ones."""

    def __post_init__(self) -> None:
        for name in self.classes:
            checked_name(name, "class")
        if self.offline and self.repair:
            raise RequestError("--offline and --repair contradict each other", "repairing needs the bucket")


@dataclass(frozen=True, slots=True)
class PartCheck:
    """A class or an EM level of a crop."""

    name: str
    """``labels/<class>``, ``em/<level>`` or ``metadata``."""
    state: PartState
    """The worst of its objects."""
    present: int
    """Objects on disk that are right."""
    not_requested: int | None
    """Objects that were never asked for; None: not counted."""
    missing: int
    """Objects that were asked for and are not on disk."""
    corrupt: int
    """Objects on disk that are wrong."""
    absent: int = 0
    """Chunks that the bucket does not have; they read as the fill value."""


@dataclass(frozen=True, slots=True)
class CropCheck:
    """One crop."""

    ref: str
    """Crop."""
    state: Literal["complete", "incomplete"]
    """Whether everything that was asked for is on disk and right."""
    parts: tuple[PartCheck, ...]
    """Its classes and levels."""

    def total(self, what: Literal["present", "missing", "corrupt"]) -> int:
        """Return a count over all parts."""
        return sum(getattr(part, what) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Problem:
    """One object that is missing or wrong."""

    key: str
    """Object, and its path below the data root."""
    kind: ProblemKind
    """Missing or corrupt."""
    message: str
    """What is wrong with it."""
    crop: str
    """First crop that needs it."""


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What a check found."""

    data_root: Path
    """Folder of the data."""
    against: Literal["bucket", "ledger"]
    """What the files were compared with."""
    crops: tuple[CropCheck, ...]
    """The crops."""
    present: int
    """Objects that are right."""
    missing: int
    """Objects that are not on disk."""
    corrupt: int
    """Objects that are wrong."""
    repaired: int
    """Objects of the latter two that were fetched."""
    problems: tuple[Problem, ...]
    """What was found, at most 1,000 of them."""
    repair_command: str
    """Command that fetches what is missing or wrong; empty when nothing is."""
    requests: int
    """Requests that were sent."""
    elapsed_s: float
    """Time it took."""
    warnings: tuple[str, ...] = ()
    """What may need attention."""

    @property
    def exit_code(self) -> int:
        """1 when something is missing or wrong and was not repaired."""
        return 1 if self.missing + self.corrupt > self.repaired else 0
