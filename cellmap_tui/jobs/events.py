"""The event log: one JSON object a line, appended whole, the single source of truth about a run.

This module owns the format of a line and how one is written. It does not know when to write which
event (`recorder`) nor how to follow a growing log (`tail`).
"""

from __future__ import annotations

import json
import os
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cellmap_tui.jobs.files import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FORMAT_VERSION = 1
"""Version of the run directory's files; raised only when an older reader would misread a newer file."""

END_STATES = frozenset({"stopped", "done", "failed"})
"""States after which a job writes nothing more."""

MAX_WAITING_LINES = 10_000
"""Lines kept in memory while the disk takes none: about 2 MB, an hour of a busy training."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of an event log. Its texts come from files: pass them through `text.printable` before showing them."""

    kind: str
    """``progress``, ``metric``, ``note``, ``warning``, ``artefact``, ``state``, ``result``, ``error``, or newer."""
    time_s: float
    """When it was written, Unix seconds of the writer's clock."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The fields of its kind, and whatever else the line held."""
    version: int = FORMAT_VERSION
    """Version of the format it was written in."""

    def to_dict(self) -> dict[str, Any]:
        """Return the event as printed by ``--json``: everything but the version."""
        return {"time": self.time_s, "event": self.kind, **self.fields}

    def to_line(self) -> bytes:
        """Return the event as a line of ``events.jsonl``; NaN and infinity become null."""
        import msgspec

        line = {"v": self.version, **self.to_dict()}
        try:
            return msgspec.json.encode(line, enc_hook=_plain) + b"\n"
        except UnicodeEncodeError:
            return msgspec.json.encode(_cleaned(line), enc_hook=_plain) + b"\n"


def decode_line(line: bytes) -> Event | None:
    """Return the event of a whole line, or None when the line is not an event.

    Unknown kinds and fields are kept. ``NaN`` and ``Infinity`` as other writers put them are read.
    """
    import msgspec

    line = line.strip(b"\0 \t\r\n")  # a power cut leaves zero bytes on some file systems
    try:
        values = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        values = _decode_leniently(line)
    if not isinstance(values, dict):
        return None
    kind, time_s, version = values.pop("event", None), values.pop("time", None), values.pop("v", FORMAT_VERSION)
    if not isinstance(kind, str) or isinstance(time_s, bool) or not isinstance(time_s, int | float):
        return None
    return Event(kind, time_s, values, version if isinstance(version, int) else FORMAT_VERSION)


def decode_lines(lines: Iterable[bytes]) -> list[Event]:
    """Return the events among whole lines."""
    return [event for event in map(decode_line, lines) if event is not None]


class EventLog:
    """The one writer of an event log.

    A line is written by one `os.write` to a file opened for appending. What a killed writer left
    unterminated is closed by a line break first. Lines that the disk refuses wait in memory and are
    tried again with the next one; the work goes on.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        self._descriptor = os.open(path, flags, 0o666)
        self._waiting: deque[bytes] = deque()
        self.dropped = 0
        """Lines given up because too many waited."""
        self.failure: OSError | None = None
        """Why the last attempt to write failed; None when everything is written."""
        if _ends_within_a_line(self._descriptor):
            self._waiting.append(b"\n")

    def write(self, event: Event) -> None:
        """Append an event, after those that wait."""
        self._waiting.append(event.to_line())
        if len(self._waiting) > MAX_WAITING_LINES:
            # The first may be written in part, so the second goes.
            del self._waiting[1]
            self.dropped += 1
        self.flush()

    def flush(self) -> bool:
        """Write what waits; True when nothing waits any more."""
        while self._waiting:
            line = self._waiting.popleft()
            try:
                written = os.write(self._descriptor, line)
            except OSError as error:
                self._waiting.appendleft(line)
                self.failure = error
                return False
            if written < len(line):
                self._waiting.appendleft(line[written:])
        self.failure = None
        return True

    @property
    def waiting(self) -> int:
        """How many lines wait in memory for the disk."""
        return len(self._waiting)

    def close(self) -> None:
        """Write what can be written and let the file go."""
        self.flush()
        os.close(self._descriptor)


def _ends_within_a_line(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def _decode_leniently(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _plain(value: object) -> object:
    item = getattr(value, "item", None)
    if callable(item):  # numpy and torch scalars
        return item()
    return str(value)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return value
