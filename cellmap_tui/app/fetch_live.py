"""What a fetch has done so far: its rate from the events, its crops from the state that it writes beside the data.

So a fetch looks the same whoever started it, and whenever the viewer came.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.jobs.events import Event
    from cellmap_tui.services.fetch_model import FetchFailure
    from cellmap_tui.services.fetch_state import CropState, FetchState, PartState

SPEED_WINDOW_S = 8.0
"""The speed of a crop is taken over this last time; a crop that got nothing in it stands still."""
KEPT_S = 620.0
"""How long rates are remembered for the chart: ten minutes and a column."""

CropWork = Literal["queued", "fetching", "verified", "failed", "stopped"]
_WORK: dict[str, CropWork] = {
    "queued": "queued",
    "fetching": "fetching",
    "complete": "verified",
    "incomplete": "failed",
}


@dataclass(frozen=True, slots=True)
class CropProgress:
    """How far one crop is."""

    ref: str
    """Dataset and crop."""
    what: str
    """Its parts in a few words."""
    bytes_done: int
    """Bytes that are here and checked."""
    total_bytes: int
    """Bytes there are."""
    objects: int
    """Objects that are here and checked."""
    total_objects: int
    """Objects there are."""
    failed: int
    """Objects that were given up."""
    rate: float | None
    """Bytes a second just now; None while it stands still."""
    state: CropWork
    """Where it stands."""
    problems: tuple[str, ...] = ()
    """What went wrong with it."""
    parts: tuple[PartState, ...] = ()
    """Its classes and EM levels, while it is fetched."""

    @property
    def share(self) -> float:
        """How much of it is here, 0 to 1."""
        if self.total_bytes:
            return min(1.0, self.bytes_done / self.total_bytes)
        return 1.0 if self.state == "verified" else 0.0


class FetchTally:
    """Sums up what one fetch tells."""

    def __init__(self) -> None:
        self.state: FetchState | None = None
        """How far it is, as it has written last."""
        self.failures: tuple[FetchFailure, ...] = ()
        """What is missing at its end."""
        self.phase = ""
        """What is counted before bytes are, such as ``crops planned``."""
        self.counted: tuple[float, float | None] = (0.0, None)
        """How many of them so far, of how many."""
        self._traces: dict[str, deque[tuple[float, float]]] = {}
        self._problems: dict[str, list[str]] = {}
        self._trace: deque[tuple[float, float]] = deque()

    def take(self, events: Iterable[Event]) -> None:
        """Take new events."""
        for event in events:
            if event.kind == "progress":
                self._take_progress(event)
            elif event.kind == "warning":
                self._take_warning(str(event.fields.get("message", "")))
            elif event.kind == "state" and event.fields.get("state") == "queued":
                self._begin_anew()

    def take_state(self, state: FetchState) -> None:
        """Take the state as it is now."""
        self.state = state
        for crop in state.crops:
            if crop.state != "fetching":
                self._traces.pop(crop.ref, None)
                continue
            trace = self._traces.setdefault(crop.ref, deque())
            trace.append((state.time, crop.done_bytes))
            while state.time - trace[0][0] > SPEED_WINDOW_S:
                trace.popleft()

    def crops(self, *, is_live: bool) -> tuple[CropProgress, ...]:
        """Return every crop as it stands.

        Parameters
        ----------
        is_live
            Whether the job goes on; otherwise what is unfinished has stopped.
        """
        crops = self.state.crops if self.state is not None else ()
        return tuple(self._crop(crop, is_live=is_live) for crop in crops)

    def _crop(self, crop: CropState, *, is_live: bool) -> CropProgress:
        work = _WORK[crop.state]
        # What several crops need is told with each that misses something.
        mine = {crop.ref, ""} if crop.done < crop.objects else {crop.ref}
        ended = [failure_words(failure) for failure in self.failures if failure.crop in mine]
        return CropProgress(
            ref=crop.ref,
            what=crop.what,
            bytes_done=crop.done_bytes,
            total_bytes=crop.bytes,
            objects=crop.done,
            total_objects=crop.objects,
            failed=crop.failed,
            rate=_speed(self._traces.get(crop.ref, ())) if is_live else None,
            state="stopped" if not is_live and work in {"queued", "fetching"} else work,
            problems=tuple(ended or self._problems.get(crop.ref, ())),
            parts=crop.parts,
        )

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
        done, total, unit = (event.fields.get(name) for name in ("done", "total", "unit"))
        if not isinstance(done, int | float):
            return
        if unit != "bytes":
            self.phase, self.counted = str(unit), (float(done), total if isinstance(total, int | float) else None)
            return
        self.phase = ""
        self._trace.append((event.time_s, float(done)))
        while self._trace[-1][0] - self._trace[0][0] > KEPT_S:
            self._trace.popleft()

    def _take_warning(self, message: str) -> None:
        ref, colon, problem = message.partition(": ")
        if colon and "/" in ref and " " not in ref:
            self._problems.setdefault(ref, []).append(problem)

    def _begin_anew(self) -> None:
        """A run that is taken up again counts anew; its old speeds and failures say nothing."""
        self._traces.clear()
        self._problems.clear()
        self.failures = ()


REMEDIES = {
    "denied": "the bucket is read without a name: check bucket and endpoint under 9",
    "missing": "the bucket has no such object: check the list of crops",
    "offline": "r goes on when the server is back",
    "fatal": "check endpoint and bucket under 9",
    "disk": "check the data root, then r goes on",
    "disk_full": "make room, then r goes on",
    "key": "nothing is written outside the data root",
}
"""What to do about a failure, by its kind."""


def failure_words(failure: FetchFailure) -> str:
    """Return a failure with what to do about it."""
    remedy = REMEDIES.get(failure.kind, "r tries again")
    return f"{failure.key}: {failure.message}; {remedy}"


def _speed(trace: Iterable[tuple[float, float]]) -> float | None:
    samples = list(trace)
    if len(samples) < 2 or samples[-1][0] <= samples[0][0]:
        return None
    gained = samples[-1][1] - samples[0][1]
    return gained / (samples[-1][0] - samples[0][0]) if gained > 0 else None


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
