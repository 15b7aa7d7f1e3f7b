"""What the look before a training has told so far, read from its run directory; called in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, DataError

if TYPE_CHECKING:
    from cellmap_tui.jobs.rundir import RunDir
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.config_check import ConfigFinding
    from cellmap_tui.services.train_model import ClassPatches, Preflight, TrainRequest

KEYS = {
    "crops": "datasplit_path",
    "left out": "datasplit_path",
    "classes": "classes",
    "small crops": "input_array_info",
    "host memory": "batch_size",
    "loader": "workers",
    "cache": "cache_gb",
    "device": "device",
    "devices": "devices",
    "GPU memory": "batch_size",
    "disk": "keep_checkpoints",
    "time": "epochs",
    "a step": "learning_rate",
    "targets": "classes",
    "patches": "input_array_info",
    "network": "model_name",
    "objects": "model",
    "file": "config",
}
"""Finding to the key of the form that mends it."""
_ORDER = {"problem": 0, "warning": 1, "note": 2, "ok": 3}


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One thing that was looked at."""

    name: str
    """What."""
    status: str
    """``ok``, ``note``, ``warning`` or ``problem``."""
    value: str
    """What was found."""
    remedy: str = ""
    """What to do about it."""

    @property
    def key(self) -> str:
        """The key of the form that mends it."""
        return KEYS.get(self.name, self.name)


@dataclass(frozen=True, slots=True)
class LookState:
    """How far a look is."""

    run: RunSummary
    """Where its job stands."""
    look: Preflight | None = None
    """What it found, once it is done."""
    error: CellmapError | None = None
    """Why it came to no end."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes."""
        return self.look is not None or self.error is not None


def read_look(run: RunDir) -> LookState:
    """Return how far a look is.

    Raises
    ------
    CellmapError
        If its directory is gone.
    """
    from cellmap_tui.jobs.summary import summarise

    summary = summarise(run)
    if summary.is_live:
        return LookState(summary)
    if summary.state == "done":
        return LookState(summary, look=_found(run))
    what = {"stopped": "the look was stopped", "lost": "the look ended without a word"}.get(summary.state)
    message = what or summary.message or f"the look is {summary.state}"
    remedy = summary.remedy or ("r looks again" if what else f"its output is in {run.log_path}")
    return LookState(summary, error=CellmapError(message, remedy))


def quick_rows(request: TrainRequest) -> tuple[FindingRow, ...]:
    """Return what can be said in a moment, without torch and without looking at data.

    Raises
    ------
    CellmapError
        If the configuration cannot be read.
    """
    from cellmap_tui.services.config import ConfigSource
    from cellmap_tui.services.config_check import check_config

    source = ConfigSource(
        request.config,
        sets=request.sets,
        state_dir=request.state_dir,
        data_root=request.data_root,
        trust=request.trust,
    )
    return tuple(_quick(finding) for finding in check_config(source).findings)


def merged_rows(quick: tuple[FindingRow, ...], look: Preflight | None) -> tuple[FindingRow, ...]:
    """Return everything that was found, problems first."""
    found = () if look is None else look.findings
    rows = [FindingRow(finding.name, finding.status, finding.value, finding.remedy) for finding in found]
    return tuple(sorted((*rows, *quick), key=lambda row: _ORDER.get(row.status, 0)))


def _quick(finding: ConfigFinding) -> FindingRow:
    return FindingRow(finding.name, finding.status, finding.value, finding.remedy)


def class_rows(look: Preflight | None) -> tuple[ClassPatches, ...]:
    """Return what there is to learn each channel from, the rarest first."""
    rows = () if look is None else look.classes
    return tuple(sorted(rows, key=lambda row: (row.train_voxels, row.name)))


def _found(run: RunDir) -> Preflight:
    from cellmap_tui.jobs.files import read_json_object
    from cellmap_tui.services.models import from_mapping
    from cellmap_tui.services.train_model import TrainResult

    value = (read_json_object(run.result_path) or {}).get("value")
    if not isinstance(value, dict):
        raise DataError(f"{run.result_path} holds no result", "r looks again")
    return from_mapping(value, TrainResult, source=str(run.result_path)).preflight
