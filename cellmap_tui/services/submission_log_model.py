"""What the log of submissions holds: what was packed, uploaded and scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - read by their annotations
from typing import Any, Literal

ScoreOrigin = Literal["local", "returned"]
"""``local``: this tool's, on truth that is at hand. ``returned``: the challenge's answer to an upload."""


@dataclass(frozen=True, slots=True)
class ScoreNote:
    """A score of a submission."""

    origin: ScoreOrigin
    """Whose it is."""
    overall: float
    """Overall score, 0 to 1."""
    instance: float | None
    """Mean over instance classes; None: not said."""
    semantic: float | None
    """Mean over semantic classes; None: not said."""
    profile: str
    """Name of the rules; empty where nothing says it."""
    time_s: float
    """When it was noted, in seconds since 1970 (UTC)."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A submission that was handed in."""

    time_s: float
    """When, in seconds since 1970 (UTC)."""
    note: str
    """What the user said about it."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One zip: what was packed, and what became of it."""

    id: str
    """First eight figures of its hash."""
    sha256: str
    """Its hash."""
    path: Path
    """Where it was last seen."""
    size_bytes: int
    """Its size."""
    packed_s: float | None
    """When it was packed, in seconds since 1970 (UTC); None: not by this tool."""
    required: int
    """Volumes that are scored; 0: not known."""
    present: int
    """Of those, volumes with a prediction in it."""
    empty: int
    """Of those, volumes of zeros."""
    missing: int
    """Of those, volumes that are not in it."""
    provenance: dict[str, Any]
    """What the zip says about where it comes from."""
    uploads: tuple[Upload, ...]
    """When it was handed in, the latest last."""
    scores: tuple[ScoreNote, ...]
    """Its scores, the latest last."""
    note: str = ""
    """What the user said about it."""

    def score(self, origin: ScoreOrigin) -> ScoreNote | None:
        """Return the latest score of an origin."""
        return next((score for score in reversed(self.scores) if score.origin == origin), None)


@dataclass(frozen=True, slots=True)
class VolumeChange:
    """A volume that differs between two submissions."""

    volume: str
    """Crop and class."""
    change: Literal["added", "removed", "changed"]
    """What happened to it."""


@dataclass(frozen=True, slots=True)
class SubmissionDiff:
    """What changed from one submission to a later one."""

    before: str
    """Id of the earlier one."""
    after: str
    """Id of the later one."""
    volumes: tuple[VolumeChange, ...]
    """Volumes that differ."""
    same: int
    """Volumes that are alike."""
    provenance: tuple[str, ...]
    """What differs in where they come from, a line each."""
    scores: dict[str, tuple[float | None, float | None]]
    """Latest scores of both by origin."""
