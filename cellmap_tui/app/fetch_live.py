"""What a fetch has done so far, crop by crop, gathered from its events alone.

So a fetch looks the same whoever started it, and whenever the viewer came. The names of the measured
values stand in ``docs/formats.md``: ``<dataset>/crop<id>:bytes`` and the like, always sums since the start.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.jobs.events import Event

SPEED_WINDOW_S = 8.0
"""The speed of a crop is taken over this last time; a crop that got nothing in it stands still."""
KEPT_S = 620.0
"""How long rates are remembered for the chart: ten minutes and a column."""

CropState = Literal["queued", "fetching", "verified", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class PartProgress:
    """One EM level or one class of a crop."""

    name: str
    """``em/s0``, or the class."""
    objects: int
    """Objects that are here."""
    total_objects: int | None
    """Objects there are; None while not known."""


@dataclass(frozen=True, slots=True)
class CropProgress:
    """How far one crop is."""

    ref: str
    """Dataset and crop."""
    bytes_done: int
    """Bytes that are here and checked."""
    total_bytes: int | None
    """Bytes there are; None while not known."""
    objects: int
    """Objects that are here and checked."""
    total_objects: int | None
    """Objects there are."""
    failed: int
    """Objects that were given up."""
    rate: float | None
    """Bytes a second just now; None while it stands still."""
    state: CropState
    """Where it stands."""
    problem: str = ""
    """The first thing that went wrong with it."""
    parts: tuple[PartProgress, ...] = ()
    """Its EM levels and classes, where the fetch tells of them."""

    @property
    def share(self) -> float | None:
        """How much of it is here, 0 to 1."""
        if self.total_bytes:
            return min(1.0, self.bytes_done / self.total_bytes)
        return 1.0 if self.state == "verified" else None


@dataclass(slots=True)
class _Crop:
    values: dict[str, float] = field(default_factory=dict)
    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    trace: deque[tuple[float, float]] = field(default_factory=deque)
    problem: str = ""


class FetchTally:
    """Sums up the events of one fetch."""

    def __init__(self) -> None:
        self._crops: dict[str, _Crop] = {}
        self._values: dict[str, float] = {}
        self._trace: deque[tuple[float, float]] = deque()
        self.phase = ""
        """What is counted before bytes are: ``objects`` while listing."""
        self.counted = 0.0
        """How many of them so far."""
        self.latest_s = 0.0
        """Time of the newest event."""

    @property
    def refs(self) -> tuple[str, ...]:
        """The crops that the fetch has told of, in its order."""
        return tuple(self._crops)

    def value(self, name: str) -> float | None:
        """Return a value of the whole fetch, such as ``width``."""
        return self._values.get(name)

    def take(self, events: Iterable[Event]) -> None:
        """Take new events."""
        for event in events:
            self.latest_s = max(self.latest_s, event.time_s)
            if event.kind == "progress":
                self._take_progress(event)
            elif event.kind == "metric":
                self._take_values(event)
            elif event.kind == "warning":
                self._take_warning(str(event.fields.get("message", "")))
            elif event.kind == "state" and event.fields.get("state") == "queued":
                self._forget_speed()

    def crops(self, *, is_live: bool, now_s: float | None = None) -> tuple[CropProgress, ...]:
        """Return every crop as it stands.

        Parameters
        ----------
        is_live
            Whether the job goes on; otherwise what is unfinished has stopped.
        now_s
            Against which speeds are told; None: the time of the newest event.
        """
        now_s = self.latest_s if now_s is None else now_s
        return tuple(_progress(ref, crop, is_live, now_s) for ref, crop in self._crops.items())

    def rates(self, span_s: float, columns: int) -> list[float | None]:
        """Return the mean rate, bytes a second, in each of `columns` equal pieces of the last `span_s` seconds.

        None where the fetch was not running.
        """
        if not self._trace or columns < 1:
            return [None] * max(0, columns)
        piece_s = span_s / columns
        # Whole pieces since the epoch: so a column keeps its value while the chart moves on.
        end = int(self._trace[-1][0] // piece_s) + 1
        gained = [0.0] * columns
        covered = [0.0] * columns
        before = None
        for sample in self._trace:
            if before is not None and sample[0] > before[0]:
                _spread(before, sample, (end - columns) * piece_s, piece_s, gained, covered)
            before = sample
        return [gain / time if time > 0 else None for gain, time in zip(gained, covered, strict=True)]

    @property
    def age_s(self) -> float:
        """Seconds that the remembered rates cover."""
        return self._trace[-1][0] - self._trace[0][0] if self._trace else 0.0

    # Events

    def _take_progress(self, event: Event) -> None:
        done, unit = event.fields.get("done"), event.fields.get("unit")
        if not isinstance(done, int | float):
            return
        if unit != "bytes":
            self.phase, self.counted = str(unit), float(done)
            return
        self.phase = ""
        self._trace.append((event.time_s, float(done)))
        while self._trace[-1][0] - self._trace[0][0] > KEPT_S:
            self._trace.popleft()

    def _take_values(self, event: Event) -> None:
        values = event.fields.get("values")
        if not isinstance(values, dict):
            return
        for name, told in values.items():
            value = _latest(told)
            if value is None:
                continue
            owner, colon, what = str(name).rpartition(":")
            if not colon:
                self._values[what] = value
            elif "|" in owner:
                ref, _, part = owner.partition("|")
                self._crop(ref).parts.setdefault(part, {})[what] = value
            else:
                self._take_crop(owner, what, value, event.time_s)

    def _take_crop(self, ref: str, what: str, value: float, time_s: float) -> None:
        crop = self._crop(ref)
        crop.values[what] = value
        if what == "bytes":
            crop.trace.append((time_s, value))
            while time_s - crop.trace[0][0] > SPEED_WINDOW_S:
                crop.trace.popleft()

    def _take_warning(self, message: str) -> None:
        ref, colon, problem = message.partition(": ")
        if colon and ref in self._crops and not self._crops[ref].problem:
            self._crops[ref].problem = problem

    def _forget_speed(self) -> None:
        """A run that is taken up again counts anew; its old speed and its old failures say nothing."""
        for crop in self._crops.values():
            crop.trace.clear()
            crop.problem = ""
            crop.values.pop("failed", None)

    def _crop(self, ref: str) -> _Crop:
        return self._crops.setdefault(ref, _Crop())


def _progress(ref: str, crop: _Crop, is_live: bool, now_s: float) -> CropProgress:
    values = crop.values
    rate = _speed(crop, now_s) if is_live else None
    objects, failed = int(values.get("objects", 0)), int(values.get("failed", 0))
    total = values.get("total_objects")
    return CropProgress(
        ref=ref,
        bytes_done=int(values.get("bytes", 0)),
        total_bytes=None if "total_bytes" not in values else int(values["total_bytes"]),
        objects=objects,
        total_objects=None if total is None else int(total),
        failed=failed,
        rate=rate,
        state=_state(objects, None if total is None else int(total), failed, is_live),
        problem=crop.problem,
        parts=tuple(
            PartProgress(
                name, int(part.get("objects", 0)), int(part["total_objects"]) if "total_objects" in part else None
            )
            for name, part in crop.parts.items()
        ),
    )


def _state(objects: int, total: int | None, failed: int, is_live: bool) -> CropState:
    if total is not None and objects >= total:
        return "verified"
    if failed and (not is_live or (total is not None and objects + failed >= total)):
        return "failed"
    if not is_live:
        return "stopped"
    return "fetching" if objects else "queued"


def _speed(crop: _Crop, now_s: float) -> float | None:
    trace = [sample for sample in crop.trace if now_s - sample[0] <= SPEED_WINDOW_S]
    if len(trace) < 2 or trace[-1][0] <= trace[0][0]:
        return None
    gained = trace[-1][1] - trace[0][1]
    return gained / (trace[-1][0] - trace[0][0]) if gained > 0 else None


def _latest(told: Any) -> float | None:
    """Return the latest of a window of sums: its largest."""
    value = told.get("max") if isinstance(told, dict) else told
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _spread(
    before: tuple[float, float],
    sample: tuple[float, float],
    start_s: float,
    piece_s: float,
    gained: list[float],
    covered: list[float],
) -> None:
    """Share what came between two looks among the pieces of time that lie between them."""
    seconds = sample[0] - before[0]
    rate = max(0.0, sample[1] - before[1]) / seconds
    first = max(0, int((before[0] - start_s) // piece_s))
    last = min(len(gained) - 1, int((sample[0] - start_s) // piece_s))
    for piece in range(first, last + 1):
        low = max(before[0], start_s + piece * piece_s)
        high = min(sample[0], start_s + (piece + 1) * piece_s)
        if high > low:
            gained[piece] += rate * (high - low)
            covered[piece] += high - low
