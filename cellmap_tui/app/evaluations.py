"""The evaluations below the runs root: what each was asked, and what it found.

Reads run directories alone, so an evaluation looks the same whoever made it, here or elsewhere. What is
read is kept: a run that is done does not change any more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RequestError
from cellmap_tui.services.evaluate_model import EvaluateResult  # noqa: TC001 - msgspec reads the annotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.evaluate_model import ClassResult, EvaluateRequest

EVALUATE = "evaluate"
"""Name of the command."""
_ENDED = frozenset({"done", "failed", "stopped"})


@dataclass(frozen=True, slots=True)
class EvaluationItem:
    """One evaluation in the list."""

    run: RunSummary
    """The run as it stands."""
    asked: dict[str, Any] = field(default_factory=dict, compare=False)
    """The request's fields as plain values; empty where they cannot be read."""
    overall: float | None = None
    """Overall score."""
    instance: float | None = None
    """Mean over instance classes."""
    semantic: float | None = None
    """Mean over semantic classes."""
    profile: str = ""
    """Name of the rules."""
    provisional: bool = False
    """Whether they are not published in full."""
    classes: tuple[ClassResult, ...] = ()
    """A row per class, the worst first."""
    pairs: int | None = None
    """Pairs that were scored or count as missing; None before it is done."""
    missing: int = 0
    """Of those, volumes that are not there."""
    errors: int = 0
    """Pairs that could not be scored."""
    problem: str = ""
    """Why its result cannot be read."""

    @property
    def name(self) -> str:
        """What was scored, in few words: the end of its path."""
        return scored_name(self.asked) or self.run.run_id

    @property
    def has_result(self) -> bool:
        """Whether there are scores to show."""
        return self.pairs is not None


@dataclass(frozen=True, slots=True)
class _ResultFile:
    value: EvaluateResult


class Evaluations:
    """Reads evaluations and keeps what it has read; used from one thread at a time."""

    def __init__(self) -> None:
        self._asked: dict[Path, dict[str, Any]] = {}
        self._items: dict[Path, EvaluationItem] = {}

    def items(self, runs: Sequence[RunSummary]) -> tuple[EvaluationItem, ...]:
        """Return the evaluations among runs, in their order."""
        return tuple(self._item(run) for run in runs if run.command == EVALUATE)

    def _item(self, run: RunSummary) -> EvaluationItem:
        kept = self._items.get(run.path)
        if kept is not None and kept.run == run:
            return kept
        item = self._read(run)
        if run.state in _ENDED:
            self._items[run.path] = item
        return item

    def _read(self, run: RunSummary) -> EvaluationItem:
        asked = self._asked.get(run.path)
        if asked is None:
            asked = self._asked[run.path] = asked_of(run.path)
        profile = str(asked.get("profile") or "")
        if run.state != "done":
            return EvaluationItem(run, asked, profile=profile)
        try:
            result = read_result(run.path)
        except CellmapError as error:
            return EvaluationItem(run, asked, profile=profile, problem=str(error))
        return EvaluationItem(
            run,
            asked,
            overall=result.overall_score,
            instance=result.overall_instance_score,
            semantic=result.overall_semantic_score,
            profile=result.profile,
            provisional=result.provisional,
            classes=result.classes,
            pairs=len(result.pairs),
            missing=len(result.missing),
            errors=len(result.errors),
        )


def read_result(run_path: Path) -> EvaluateResult:
    """Return what an evaluation found.

    Raises
    ------
    MissingDataError
        If it has no result.
    DataError
        If the result cannot be read.
    """
    from cellmap_tui.services.models import from_json  # msgspec, 10 ms

    path = run_path / "result.json"
    try:
        document = path.read_bytes()
    except FileNotFoundError:
        raise MissingDataError(f"{path} does not exist", "the run has no result; `r` goes on with it") from None
    except OSError as error:
        raise MissingDataError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return from_json(document, _ResultFile, source=str(path)).value
    except RequestError as error:
        raise DataError(error.message, "it was written by another version, or is damaged") from None


def asked_of(run_path: Path) -> dict[str, Any]:
    """Return the fields of a run's request as plain values; empty where they cannot be read."""
    try:
        document = json.loads((run_path / "request.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    values = document.get("request") if isinstance(document, dict) else None
    return values if isinstance(values, dict) else {}


def request_of(run_path: Path) -> EvaluateRequest:
    """Return a run's request, its relative paths taken from where the run was started.

    Raises
    ------
    CellmapError
        If it cannot be read.
    """
    from cellmap_tui.jobs.rundir import RunDir, read_request
    from cellmap_tui.services.evaluate_model import EvaluateRequest
    from cellmap_tui.services.models import from_mapping

    asked = read_request(RunDir(run_path))
    base = Path(asked.working_dir or "")
    paths = ("submission", "truth", "predictions", "datasplit", "mapping", "data_root", "state_dir", "store")
    values = {name: str(base / value) if value and name in paths else value for name, value in asked.values.items()}
    return from_mapping(values, EvaluateRequest, source=str(run_path / "request.json"))


def scored_name(asked: dict[str, Any]) -> str:
    """Return the end of the path that was scored: ``mito-s0/best``, ``submission.zip``."""
    scored = asked.get("predictions") or asked.get("submission")
    if not scored:
        return ""
    return "/".join([part for part in str(scored).replace("\\", "/").split("/") if part][-2:])
