"""How the command line tells people of work in progress: one line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time

from cellmap_tui.cli import diagnostics
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.text import count, duration, size

LOG_EVERY_S = 10.0
PAINT_EVERY_S = 0.25


class Pace:
    """Rate and remaining time from the progress told so far."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._first_done: float | None = None
        self._counted: tuple[float | None, str] | None = None

    def describe(self, done: float, total: float | None, unit: str) -> str:
        """Return ``12 of 40 arrays  30 %  1.2 arrays/s  ETA 24 s``."""
        if self._first_done is None or self._counted != (total, unit):
            # Another count has another pace.
            self._first_done, self._counted, self._started_s = done, (total, unit), time.monotonic()
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


def _amount(value: float, unit: str) -> str:
    return size(value) if unit == "bytes" else count(round(value))


def _rate(value: float, unit: str) -> str:
    if unit == "bytes":
        return size(value)
    return f"{count(round(value)) if value >= 10 else f'{value:.1f}'} {unit}"
