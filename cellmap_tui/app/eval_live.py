"""The pairs that an evaluation has finished so far, from its events alone.

The names of the measured values stand in ``docs/formats.md``: ``<crop>/<class>:score`` and the like.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from cellmap_tui.services.evaluate_model import PairResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cellmap_tui.jobs.events import Event

_TOLD = frozenset({"metric", "state"})
_KNOWN = frozenset(
    {"score", "tp", "fp", "fn", "voxels", "seconds", "kept", "missing", "instance", "boundary", "matched_iou", "pq"}
)


class EvalTally:
    """Sums up the events of one evaluation."""

    def __init__(self) -> None:
        self._pairs: dict[str, dict[str, float | None]] = {}

    def take(self, events: Iterable[Event]) -> bool:
        """Take new events and return whether a pair has changed."""
        has_changed = False
        for event in events:
            values = event.fields.get("values") if event.kind == "metric" else None
            for name, value in values.items() if isinstance(values, dict) else ():
                has_changed |= self._take_value(str(name), _latest(value))
        return has_changed

    def pairs(self) -> tuple[PairResult, ...]:
        """Return the finished pairs in the order in which they were finished."""
        return tuple(_pair(name, values) for name, values in self._pairs.items() if "score" in values)

    def _take_value(self, name: str, value: float | None) -> bool:
        pair, _, what = name.rpartition(":")
        if "/" not in pair or what not in _KNOWN:
            return False
        self._pairs.setdefault(pair, {})[what] = value
        return True


class EvalFeed:
    """Follows one evaluation; used from one thread at a time."""

    def __init__(self, path: Path) -> None:
        from cellmap_tui.jobs.rundir import RunDir
        from cellmap_tui.jobs.watch import RunReader

        self.path = path
        """Its run directory."""
        self._reader = RunReader(RunDir(path))
        self._restarts = 0

    def poll(self) -> tuple[list[Event], bool]:
        """Return the new events of at most a chunk, and whether all before them are void."""
        events = [event for event in self._reader.poll() if event.kind in _TOLD]
        is_new = self._reader.restarts != self._restarts
        self._restarts = self._reader.restarts
        return events, is_new

    @property
    def at_end(self) -> bool:
        """Whether the last look reached the end."""
        return self._reader.at_end


def _latest(value: Any) -> float | None:
    """Return a measured value; of a window the largest, None where it is not finite."""
    number = value.get("max") if isinstance(value, dict) else value
    if not isinstance(number, int | float) or isinstance(number, bool) or not math.isfinite(number):
        return None
    return float(number)


def _pair(name: str, values: Mapping[str, float | None]) -> PairResult:
    crop, _, label = name.rpartition("/")
    is_instance = bool(values.get("instance"))
    tp, fp, fn = (_whole(values.get(key)) for key in ("tp", "fp", "fn"))
    iou = f1 = None
    if tp is not None and fp is not None and fn is not None:
        iou = tp / (tp + fp + fn) if tp + fp + fn else 1.0
        f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0
    return PairResult(
        crop=crop,
        label=label,
        kind="instance" if is_instance else "semantic",
        status="missing" if values.get("missing") else "scored" if values["score"] is not None else "not scored",
        score=values["score"],
        tp=tp,
        fp=fp,
        fn=fn,
        iou=None if is_instance else iou,
        dice=None if is_instance else f1,
        f1=f1 if is_instance else None,
        normalized_hausdorff_distance=values.get("boundary"),
        mean_matched_iou=values.get("matched_iou"),
        pq=values.get("pq"),
        voxels=_whole(values.get("voxels")) or 0,
        elapsed_s=values.get("seconds") or 0.0,
        kept=bool(values.get("kept")),
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
