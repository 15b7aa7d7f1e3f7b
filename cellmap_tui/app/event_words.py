"""What a run has said, as lines for people: its events and the text it printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui import text

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    said = _WORDS.get(event.kind, _other_words)(event.fields)
    parts = [part for line in said if line for part in line.splitlines()]
    return [LogLine(event.time_s, event.kind, text.printable(part)) for part in parts]


def output_lines(raw: bytes) -> list[LogLine]:
    """Return lines that a job printed; what is no UTF-8 is replaced."""
    return [
        LogLine(None, "output", text.printable(line.expandtabs(4)))
        for line in raw.decode("utf-8", "replace").splitlines()
    ]


def _progress_words(fields: Mapping[str, Any]) -> list[str]:
    done, total, unit = fields.get("done"), fields.get("total"), fields.get("unit") or ""
    return [f"{_figure(done)} of {_figure(total)} {unit}" if total is not None else f"{_figure(done)} {unit}"]


def _metric_words(fields: Mapping[str, Any]) -> list[str]:
    values = fields.get("values")
    shown = [f"{name} {_measure(value)}" for name, value in values.items()] if isinstance(values, dict) else []
    return [f"step {_figure(fields.get('step'))}  {'  '.join(shown)}"]


def _message_words(fields: Mapping[str, Any]) -> list[str]:
    return [str(fields.get("message", ""))]


def _error_words(fields: Mapping[str, Any]) -> list[str]:
    return [str(fields.get("message", "")), str(fields.get("remedy") or "")]


def _artefact_words(fields: Mapping[str, Any]) -> list[str]:
    return [f"wrote {fields.get('kind', 'file')} {fields.get('path', '')}"]


def _state_words(fields: Mapping[str, Any]) -> list[str]:
    by = fields.get("by")
    return [f"{fields.get('state', '?')}{f', asked by {by}' if by else ''}"]


def _result_words(_fields: Mapping[str, Any]) -> list[str]:
    return ["result written"]


def _other_words(fields: Mapping[str, Any]) -> list[str]:
    return ["  ".join(f"{name} {value}" for name, value in fields.items()) or "-"]


_WORDS = {
    "progress": _progress_words,
    "metric": _metric_words,
    "note": _message_words,
    "warning": _message_words,
    "error": _error_words,
    "artefact": _artefact_words,
    "state": _state_words,
    "result": _result_words,
}


def _measure(value: object) -> str:
    return _figure(value.get("mean")) if isinstance(value, dict) else _figure(value)


def _figure(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-" if value is None else str(value)
    return text.count(int(value)) if float(value).is_integer() else f"{value:.4g}"
