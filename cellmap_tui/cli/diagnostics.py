"""The owner of stderr and of exit codes: notes, warnings and one-line errors."""

from __future__ import annotations

import sys

from cellmap_tui.errors import CellmapError, Stopped
from cellmap_tui.text import printable

DONE = 0
FAILED = 1


def note(message: str) -> None:
    """Say something worth knowing."""
    sys.stderr.write(printable(message) + "\n")


def warning(message: str) -> None:
    """Say something that may need attention."""
    sys.stderr.write(f"warning: {printable(message)}\n")


def error(problem: CellmapError, *, debug: bool) -> int:
    """Say what went wrong and what to do, in one or two lines; return the exit code."""
    if debug and not isinstance(problem, Stopped):
        import traceback

        traceback.print_exception(problem)
    word = "stopped" if isinstance(problem, Stopped) else "error"
    sys.stderr.write(f"{word}: {printable(problem.message)}\n")
    if problem.remedy:
        sys.stderr.write(f"  {printable(problem.remedy)}\n")
    return problem.exit_code


def ask(question: str) -> None:
    """Ask a question whose answer is read from stdin; the default is no."""
    sys.stderr.write(f"{printable(question)} [y/N] ")
    sys.stderr.flush()
