"""What a run has said, as lines for people: its events and the text it printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui import text
from cellmap_tui.jobs.event_words import event_words

if TYPE_CHECKING:
    from cellmap_tui.jobs.events import Event

QUIET_KINDS = frozenset({"progress", "metric"})
"""Kinds that come many times a minute; only the full log has them."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log view, made safe to show."""

    time_s: float | None
    """When it was said, Unix seconds; None for plain output."""
    kind: str
    """Kind of the event, or ``output``."""
    text: str
    """What was said."""


def event_lines(event: Event) -> list[LogLine]:
    """Return an event as lines: mostly one, two where an error says what to do next."""
    parts = [part for said in event_words(event) for part in said.splitlines()]
    return [LogLine(event.time_s, event.kind, text.printable(part)) for part in parts]


def output_lines(raw: bytes) -> list[LogLine]:
    """Return lines that a job printed; what is no UTF-8 is replaced."""
    return [
        LogLine(None, "output", text.printable(line.expandtabs(4)))
        for line in raw.decode("utf-8", "replace").splitlines()
    ]
