"""What a run has said that people read: notes, warnings, checkpoints, validations, states. The last thousand."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.jobs.event_words import event_words
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.jobs.events import Event

MOST_LINES = 1000


@dataclass(frozen=True, slots=True)
class LogLine:
    """One thing a run has said, safe to show."""

    time_s: float | None
    """When, Unix seconds of the job's clock; None: not known."""
    kind: str
    """Kind of the event: ``note``, ``warning``, ``artefact``, ``state``, ``error``, ``result``, ``validation``."""
    text: str
    """What was said."""
    step: int | None = None
    """Step it belongs to; None: not known."""


class LogLines:
    """The last lines, filled at both ends."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=MOST_LINES)

    def lines(self) -> list[LogLine]:
        """Return the lines, oldest first."""
        return list(self._lines)

    def add_newer(self, lines: Sequence[LogLine]) -> None:
        """Take lines that follow on all that are there."""
        self._lines.extend(lines)

    def add_older(self, lines: Sequence[LogLine]) -> None:
        """Take lines that precede all that are there, as far as there is room."""
        room = MOST_LINES - len(self._lines)
        self._lines.extendleft(reversed(lines[-room:] if room else ()))

    def clear(self) -> None:
        """Forget all lines."""
        self._lines.clear()


def event_lines(event: Event) -> list[LogLine]:
    """Return an event as lines; two where an error says what to do next."""
    parts = [part for said in event_words(event) for part in said.splitlines()]
    return [LogLine(event.time_s, event.kind, printable(part)) for part in parts]


def validation_line(
    time_s: float, step: int | None, epoch: int | None, dice: float | None, loss: float | None
) -> LogLine:
    """Return a validation as a line."""
    told = [f"{name} {value:.4g}" for name, value in (("Dice", dice), ("loss", loss)) if value is not None]
    where = f"epoch {epoch}" if epoch is not None else f"step {step}"
    return LogLine(time_s, "validation", f"validated {where}: {', '.join(told) or 'no value'}", step)
