"""Whether a job still lives: what can be seen from outside, in order of evidence.

An end in the log is an end. On the job's own host its lock tells for certain. Elsewhere there is
only the age of its last sign of life, which is told by two clocks that may differ and by disks that
may show an old time; so an observer that keeps looking trusts what it sees change.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.jobs.events import END_STATES
from cellmap_tui.jobs.lock import is_locked
from cellmap_tui.jobs.process import host_name

if TYPE_CHECKING:
    from cellmap_tui.jobs.recorder import Clock
    from cellmap_tui.jobs.rundir import RunDir
    from cellmap_tui.jobs.state import RunState

QUIET_AFTER_S = 30.0
"""Six missed heartbeats: worth telling, and no more than a busy disk can cause."""

LOST_AFTER_S = 120.0
"""Network disks may show a file as it was a minute ago."""

_CLOCK_TOLERANCE_S = 5.0

_MOST_CLOCK_ERROR_S = 86_400.0
"""A heartbeat this much older than its file is no wrong clock or time zone: the file is a copy."""


@dataclass(frozen=True, slots=True)
class Sign:
    """What one look at a run told about its being alive."""

    is_locked: bool | None
    """Whether a process on this host holds the lock; None when it cannot be told from here."""
    silent_s: float
    """How long ago the last sign of life is, as far as can be told."""
    last_s: float | None
    """When that was, Unix seconds."""


class Pulse:
    """Remembers what earlier looks at a run saw: a change is a sign of life, whatever the clocks say."""

    def __init__(self) -> None:
        self._seen: tuple[object, ...] | None = None
        self._since_s = 0.0
        self._has_changed = False

    def look(self, run: RunDir, state: RunState | None, said_s: float | None, clock: Clock = time) -> Sign:
        """Look at lock, heartbeat and file times; `said_s` is the time of the last event."""
        is_here = state is None or state.host is None or state.host == host_name()
        locked = is_locked(run.lock_path) if is_here else None
        signs = _signs(run, state, said_s)
        now_s = clock.time()
        past = [sign for sign in signs if sign <= now_s + _CLOCK_TOLERANCE_S]
        silent_s = max(0.0, now_s - max(past)) if past else 0.0
        watched_s = self._watched_s(tuple(signs), clock.monotonic())
        # A change under one's own eyes tells the time exactly; without one, watching only tells "at least so long".
        silent_s = watched_s if self._has_changed else max(silent_s, watched_s)
        return Sign(locked, silent_s, max(past, default=None))

    def _watched_s(self, seen: tuple[object, ...], now_s: float) -> float:
        """Return for how long this observer has seen nothing change."""
        if seen != self._seen:
            self._has_changed = self._seen is not None
            self._seen, self._since_s = seen, now_s
        return now_s - self._since_s


def judged_state(state: str, sign: Sign) -> str:
    """Return the state to show for what the files say and what the signs tell."""
    if state in END_STATES:
        return state
    silent_s = sign.silent_s
    if sign.is_locked:
        return "quiet" if silent_s > QUIET_AFTER_S else state
    if sign.is_locked is False and state != "queued":
        return "lost"
    if state == "queued":
        # Its process is still starting; it takes the lock before anything else.
        return "lost" if silent_s > QUIET_AFTER_S else state
    if silent_s > LOST_AFTER_S:
        return "lost"
    return "quiet" if silent_s > QUIET_AFTER_S else state


def _signs(run: RunDir, state: RunState | None, said_s: float | None) -> list[float]:
    told = [sign for sign in (state.heartbeat_s if state else None, said_s) if sign is not None]
    stamps = []
    for path in (run.state_path, run.events_path):
        with contextlib.suppress(OSError):
            stamps.append(path.stat().st_mtime)
    if told:
        stamps = [stamp for stamp in stamps if stamp - max(told) < _MOST_CLOCK_ERROR_S]
    return [*told, *stamps]
