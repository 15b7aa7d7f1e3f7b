"""What `train` is asked, what a look before the first step finds, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - models are read by their annotations
from typing import Literal

from cellmap_tui.errors import RequestError

MAX_DEVICES = 64

PreflightStatus = Literal["ok", "note", "warning", "problem"]
"""``problem``: training would fail or do harm, and does not start."""
EndReason = Literal["epochs", "early_stop", "max_hours", "asked", "dry_run"]
"""Why a training came to its end: all epochs; no better for long; the time; asked to stop after an epoch."""


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """A configuration to train, and what is set on top of it.

    In a run directory that has checkpoints already, training goes on with its newest one.

    Raises
    ------
    RequestError
        If a number is out of range.
    """

    config: Path | None = None
    """A ``.toml`` or ``.py`` file, or the folder of a run; None: the defaults."""
    sets: tuple[str, ...] = ()
    """``key=value`` on top of it."""
    name: str = ""
    """Name of the model in files, in place of the configuration's; empty: as it says."""
    devices: int | None = None
    """Devices to train on; None: as the configuration says."""
    max_hours: float | None = None
    """Stop after so many hours, with a checkpoint; None: as the configuration says."""
    init_from: Path | None = None
    """Checkpoint, or folder of a run, whose weights are the first ones; layers that do not fit start fresh."""
    score_every: int | None = None
    """Epochs between official scores of the validation crops; None: never."""
    score_profile: str = "2026-06"
    """Rules of these scores."""
    dry_run: bool = False
    """Look at everything, time a step, and stop there."""
    force: bool = False
    """Train although the look before found a problem."""
    trust: bool = False
    """Whether a Python configuration may run without asking."""
    data_root: Path | None = None
    """Folder of the data, to make a split where there is none."""
    state_dir: Path | None = None
    """Folder for what is kept between runs."""
    cache_dir: Path | None = None
    """Folder of banks; None: ``banks`` in the state folder."""
    folder: Path | None = None
    """Where to write when no job's run directory is given; None: ``training`` in the current directory."""

    def __post_init__(self) -> None:
        if self.devices is not None and not 1 <= self.devices <= MAX_DEVICES:
            raise RequestError(f"--devices {self.devices} is out of range", f"1 to {MAX_DEVICES}, on one machine")
        if self.max_hours is not None and not 0 < self.max_hours < 1e5:
            raise RequestError(f"--max-hours {self.max_hours:g} is out of range", "give a number above 0")
        if self.score_every is not None and self.score_every < 1:
            raise RequestError(f"a score every {self.score_every} epochs", "give 1 or more")
        if self.name and (self.name.strip(".") == "" or any(part in self.name for part in "/\\\0{}")):
            raise RequestError(f"{self.name!r} cannot be part of a file's name", "letters, digits, - and _")


@dataclass(frozen=True, slots=True)
class PreflightFinding:
    """One thing that was looked at before the first step."""

    name: str
    """What."""
    status: PreflightStatus
    """How it is."""
    value: str
    """What was found, in words and numbers."""
    remedy: str = ""
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class ClassPatches:
    """What there is to learn a channel from."""

    name: str
    """The target, or ``<target>/core``."""
    train_crops: int
    """Training crops in which it is known."""
    train_voxels: int
    """Voxels of it in them, at the patch's scale."""
    validate_crops: int
    """Validation crops in which it is known."""
    patches_per_epoch: float | None
    """Patches an epoch that hold it, as those tell that were drawn to look; None: none was drawn."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """What a look before the first step found."""

    findings: tuple[PreflightFinding, ...]
    """Everything that was looked at, problems first."""
    classes: tuple[ClassPatches, ...]
    """A row a channel."""
    device: str
    """Where it trains."""
    parameters: int
    """Numbers that the network learns."""
    step_s: float | None
    """Seconds of a step, all of it; None where none was timed."""
    data_s: float | None
    """Seconds to make its batch, on one thread."""
    steps_left: int
    """Batches from here to the end."""
    eta_s: float | None
    """Seconds of all steps that are left, without validations."""
    checkpoint_bytes: int
    """Size of one checkpoint with its state."""
    disk_bytes: int
    """Most that checkpoints take at a time."""

    @property
    def problems(self) -> tuple[PreflightFinding, ...]:
        """What stands in the way."""
        return tuple(finding for finding in self.findings if finding.status == "problem")


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came of a training."""

    folder: Path
    """The run directory, or the folder that stood in for one."""
    model_name: str
    """Name of the model in files."""
    ended: EndReason
    """Why it came to its end."""
    epochs: int
    """Epochs that are done, earlier parts of the same run included."""
    steps: int
    """Batches that were learned from, likewise."""
    best_epoch: int | None
    """Epoch of the best checkpoint; None without a validation."""
    best_value: float | None
    """What made it the best."""
    best_metric: str
    """What that measures."""
    dice: dict[str, float | None]
    """Dice of each channel at the best epoch; null: not in the validation crops."""
    best_checkpoint: Path | None
    """Weights of the best epoch."""
    last_checkpoint: Path | None
    """Newest weights."""
    seconds: float
    """Time that this part of the run took."""
    preflight: Preflight
    """What the look before the first step found."""
    validation: dict[str, float | None] = field(default_factory=dict)
    """What the last validation found, by the names of events."""

    @property
    def exit_code(self) -> int:
        """1 where a look alone was asked for and found a problem."""
        return int(self.ended == "dry_run" and bool(self.preflight.problems))
