"""What `validate-submission` is asked and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - requests are read by their annotations
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""``error``: will not be scored, or not as meant. ``warning``: scored, but look at it. ``note``: harmless."""

CoverageState = Literal["present", "empty", "wrong", "missing"]
"""``wrong``: there is something, but the official scorer would not see it or would take it for something else."""


@dataclass(frozen=True, slots=True)
class ValidateRequest:
    """Which submission to look through."""

    submission: Path
    """A zip, or a folder."""
    quick: bool = False
    """Look at names and metadata alone: no NaN, no ids, no empty volumes are found."""
    state_dir: Path | None = None
    """Folder in which a refreshed catalog is looked for."""
    test_manifest: str | None = None
    """Test volumes in place of the published ones."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    severity: Severity
    """How bad it is."""
    kind: str
    """What it is about: ``format``, ``group``, ``name``, ``shape``, ``offset``, ``voxel_size``, ``dtype``, ``ids``,
    ``nan``, ``size``, ``nested``, ``unsafe``, ``missing`` or ``broken``."""
    where: str
    """Crop and class, or a path in the submission."""
    problem: str
    """What is wrong."""
    fix: str
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """One required volume."""

    crop: str
    """Crop."""
    label: str
    """Class."""
    state: CoverageState
    """What there is."""
    voxels: int
    """Voxels of the volume."""
    share_of_class: float
    """Its share of the voxels of the class over all test crops, 0 to 1."""
    cost: str
    """What a missing or wrong volume costs, in words; empty where it is there."""


@dataclass(frozen=True, slots=True)
class ValidateResult:
    """What there is in a submission, and what is wrong with it."""

    submission: Path
    """The zip or folder."""
    required: int
    """Volumes that are scored."""
    present: int
    """Of those, how many are there and right; empty ones included."""
    empty: int
    """Of those, how many hold nothing."""
    coverage: tuple[Coverage, ...]
    """Every required volume, by crop and class."""
    findings: tuple[Finding, ...]
    """What is wrong, the worst first."""
    size_bytes: int
    """Unpacked size."""
    limit_bytes: int
    """Largest unpacked size that the challenge takes."""

    @property
    def exit_code(self) -> int:
        """1 when something was found; notes do not count."""
        return 1 if any(finding.severity != "note" for finding in self.findings) else 0
