"""Reporters of the command line: a progress line for a terminal, plain lines for a log, JSON lines for a program."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.text import count, duration, size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cellmap_tui.services.report import Reporter

LOG_EVERY_S = 10.0
PAINT_EVERY_S = 0.25
JSON_EVERY_S = 0.5


def reporter_for(*, json: bool, quiet: bool) -> Reporter:
    """Return the reporter that suits how the command was called."""
    if json:
        return JsonReporter(quiet=quiet)
    return SilentReporter() if quiet else LineReporter()


class Pace:
    """Rate and remaining time from the progress told so far."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._first_done: float | None = None

    def describe(self, done: float, total: float | None, unit: str) -> str:
        """Return ``12 of 40 arrays  30 %  1.2 arrays/s  ETA 24 s``."""
        if self._first_done is None:
            self._first_done = done
        elapsed_s = max(time.monotonic() - self._started_s, 1e-9)
        rate = (done - self._first_done) / elapsed_s
        parts = [_amount(done, unit) if total is None else f"{_amount(done, unit)} of {_amount(total, unit)}"]
        if unit != "bytes":
            parts[0] += f" {unit}"
        if total:
            parts.append(f"{100 * done / total:.0f} %")
        if rate > 0 and elapsed_s > 1:
            parts.append(f"{_rate(rate, unit)}/s")
            if total is not None and done < total:
                parts.append(f"ETA {duration((total - done) / rate)}")
        return "  ".join(parts)


class LineReporter(SilentReporter):
    """Talks to people on stderr: one line that is rewritten on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._pace = Pace()
        self._next_s = 0.0
        self._open_line = False

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Show how far the work is."""
        now_s = time.monotonic()
        finished = total is not None and done >= total
        if now_s < self._next_s and not finished:
            self._pace.describe(done, total, unit)
            return
        self._next_s = now_s + (PAINT_EVERY_S if self._terminal else LOG_EVERY_S)
        line = self._pace.describe(done, total, unit)
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
            self._open_line = True
        else:
            sys.stderr.write(line + "\n")

    def note(self, message: str) -> None:
        """Say something worth knowing."""
        self.close()
        diagnostics.note(message)

    def warning(self, message: str) -> None:
        """Say something that may need attention."""
        self.close()
        diagnostics.warning(message)

    def close(self) -> None:
        """End the progress line, so that what follows starts on its own."""
        if self._open_line:
            sys.stderr.write("\n")
            self._open_line = False


class JsonReporter(SilentReporter):
    """Talks to programs: an event a line on stdout."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._next_s = 0.0

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Write a progress event, at most twice a second."""
        now_s = time.monotonic()
        finished = total is not None and done >= total
        if self._quiet or (now_s < self._next_s and not finished):
            return
        self._next_s = now_s + JSON_EVERY_S
        output.write_event("progress", done=done, total=total, unit=unit)

    def metric(self, step: int, values: Mapping[str, float], epoch: int | None = None) -> None:
        """Write a metric event; values that are not finite are null."""
        finite = {name: value if abs(value) < float("inf") else None for name, value in values.items()}
        output.write_event("metric", step=step, epoch=epoch, values=finite)

    def note(self, message: str) -> None:
        """Write a note event."""
        if not self._quiet:
            output.write_event("note", message=message)

    def warning(self, message: str) -> None:
        """Write a warning event."""
        output.write_event("warning", message=message)

    def artefact(self, path: Path, kind: str) -> None:
        """Write an artefact event."""
        output.write_event("artefact", path=str(path), kind=kind)


def _amount(value: float, unit: str) -> str:
    return size(value) if unit == "bytes" else count(round(value))


def _rate(value: float, unit: str) -> str:
    if unit == "bytes":
        return size(value)
    return f"{count(round(value)) if value >= 10 else f'{value:.1f}'} {unit}"
