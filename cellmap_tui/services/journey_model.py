"""What `run` is asked for and what it answers: a plan file, its steps, and how each went."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - msgspec resolves the fields' types
from typing import Any, Literal

from cellmap_tui.services.settings import BUCKET

StepState = Literal["skipped", "done", "failed", "stopped", "waiting"]
"""What became of a step in this call; ``waiting``: its turn did not come, or it is only planned."""


@dataclass(frozen=True, slots=True)
class JourneyRequest:
    """What `run` is asked to do."""

    plan: Path
    """The plan file."""
    until: str = ""
    """Last step to carry out; empty: all."""
    redo: tuple[str, ...] = ()
    """Steps to carry out even where they are done."""
    dry_run: bool = False
    """Only say which steps would run and which are done, with the reasons."""
    data_root: Path | None = None
    """Data root of steps that name none; None: they must."""
    state_dir: Path | None = None
    """Where catalogs and records of the user lie."""
    endpoint_url: str = ""
    """Address of the bucket's server for steps that name none."""
    bucket: str = BUCKET
    """Bucket for steps that name none."""


@dataclass(frozen=True, slots=True)
class JourneyStep:
    """One step of a plan, as the file has it."""

    name: str
    """Name within the plan; the command's where the file gives none."""
    command: str
    """Command of the registry."""
    options: dict[str, Any]
    """Options as the file gives them, shared ones included; paths are absolute."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """How one step went."""

    name: str
    """Name within the plan."""
    command: str
    """Its command."""
    state: StepState
    """What became of it."""
    words: str
    """Why it was carried out or skipped, or what went wrong."""
    elapsed_s: float = 0.0
    """Time that it took in this call."""
    result: dict[str, Any] = field(default_factory=dict)
    """The command's result; empty where there is none."""


@dataclass(frozen=True, slots=True)
class JourneyResult:
    """How a plan went."""

    plan: Path
    """The plan file."""
    steps: tuple[StepResult, ...]
    """The steps in order."""
    state_file: Path
    """Where the plan's progress is kept."""
    elapsed_s: float
    """Time that this call took."""
    dry_run: bool = False
    """Whether nothing was carried out."""
