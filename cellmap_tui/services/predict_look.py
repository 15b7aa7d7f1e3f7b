"""Plans predictions in a process of its own: whoever waits for a plan neither loads torch nor stands still.

``python -m cellmap_tui.services.predict_look`` reads a request a line, as JSON, and answers in lines:
``progress`` and ``told`` any number of times, then ``plan`` or ``error``. It ends with its input,
or when nothing was asked for a minute.
"""

from __future__ import annotations

import json
import os
import select
import sys
from contextlib import ExitStack
from typing import IO, Any

from cellmap_tui.errors import CellmapError
from cellmap_tui.services.predict_model import PredictRequest
from cellmap_tui.services.report import SilentReporter

PATIENCE_S = 60.0
"""How long it waits for another request, with torch in memory."""


class _Progress(SilentReporter):
    def __init__(self, answers: IO[str]) -> None:
        self._answers = answers

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Pass on how far the plan is."""
        _answer(self._answers, progress=[done, total, unit])

    def warning(self, message: str) -> None:
        """Pass on that the bucket is waited for."""
        _answer(self._answers, told=message)


def look(request: PredictRequest, answers: IO[str]) -> None:
    """Write what a prediction would do, or why it cannot.

    Parameters
    ----------
    request
        What is asked.
    answers
        Gets the lines.
    """
    from cellmap_tui.services.models import to_builtins
    from cellmap_tui.services.predict_plan import prepare
    from cellmap_tui.services.predict_remote import RemoteEm

    report = _Progress(answers)
    try:
        with ExitStack() as closing:
            remote = closing.enter_context(RemoteEm(request, report)) if request.remote else None
            ready = prepare(request, report, remote)
            _answer(answers, plan=to_builtins(ready.plan()), conflicts=ready.conflicts)
    except CellmapError as error:
        _answer(answers, error=[error.message, error.remedy])
    except (OSError, RuntimeError, MemoryError) as error:
        _answer(answers, error=[" ".join(f"{type(error).__name__}: {error}".split())[:400], ""])


def serve(requests: int, answers: IO[str], patience_s: float = PATIENCE_S) -> None:
    """Answer request after request.

    Parameters
    ----------
    requests
        File descriptor that they are read from.
    answers
        Gets the lines.
    patience_s
        How long to wait for another one.
    """
    from cellmap_tui.services.models import from_json

    unread = b""
    while True:
        line, found, rest = unread.partition(b"\n")
        if found:
            unread = rest
            look(from_json(line, PredictRequest, source="the request"), answers)
            continue
        if not select.select([requests], [], [], patience_s)[0]:
            return
        piece = os.read(requests, 65536)
        if not piece:
            return
        unread += piece


def _answer(answers: IO[str], **told: Any) -> None:
    answers.write(json.dumps(told) + "\n")
    answers.flush()


def main() -> None:
    """Serve on the standard streams; what libraries print goes nowhere."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout = sys.stderr
        try:
            serve(0, answers)
        except BrokenPipeError:
            # Nobody waits any more.
            os._exit(0)


if __name__ == "__main__":
    main()
