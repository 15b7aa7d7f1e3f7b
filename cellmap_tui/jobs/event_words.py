"""An event in words, the same for everybody who follows a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellmap_tui import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellmap_tui.jobs.events import Event


def event_words(event: Event) -> list[str]:
    """Return what an event says: mostly one text, two where an error says what to do next.

    The texts come from the run and are not yet safe to show; see `text.printable`.
    """
    return [words for words in _WORDS.get(event.kind, _other_words)(event.fields) if words]


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
