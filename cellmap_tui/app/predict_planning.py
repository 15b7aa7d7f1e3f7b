"""Plan a prediction in a process of its own, which is kept for the next plan and ended when nobody waits."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError, Stopped
from cellmap_tui.text import count, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cellmap_tui.services.predict_model import PredictPlan, PredictRequest

LISTEN_S = 0.1
"""How soon a plan that nobody wants any more ends."""
TELL_S = 0.25
"""How often a count is told; every count costs a paint."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan and what stands in its way."""

    plan: PredictPlan
    """What would be done."""
    conflicts: tuple[str, ...] = ()
    """Volumes that are there from other networks or settings."""


class Planner:
    """Makes plans, one at a time; called in threads."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def plan(self, request: PredictRequest, tell: Callable[[str], None], is_cancelled: Callable[[], bool]) -> Planned:
        """Return what a prediction would do.

        Parameters
        ----------
        request
            What is asked.
        tell
            Called with how far the plan is, in words.
        is_cancelled
            Whether the plan is still wanted.

        Raises
        ------
        CellmapError
            Why there is none.
        Stopped
            When it is not wanted any more.
        """
        from cellmap_tui.services.models import to_json

        with self._turn:
            if is_cancelled():
                raise Stopped("another plan is wanted")
            child = self._ready_child()
            try:
                _write(child, to_json(request))
                told_s = 0.0
                for told in _answers(child, is_cancelled):
                    if "told" in told:
                        tell(printable(told["told"]))
                        continue
                    if "progress" not in told:
                        return _planned(told)
                    now_s = time.monotonic()
                    if now_s - told_s >= TELL_S or told["progress"][0] == told["progress"][1]:
                        told_s = now_s
                        tell(_progress_words(*told["progress"]))
            except Stopped:
                self._end()
                raise
            self._end()
            if is_cancelled():
                raise Stopped("nobody waits for the plan")
            raise CellmapError("the process that plans has ended", "r tries again; D checks this machine")

    def close(self) -> None:
        """End the process; whoever waits for a plan gets none."""
        child = self._child
        if child is not None:
            child.kill()
        if self._turn.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._turn.release()

    def _ready_child(self) -> subprocess.Popen[bytes]:
        child = self._child
        if child is None or child.poll() is not None:
            self._end()
            child = self._child = subprocess.Popen(
                [sys.executable, "-m", "cellmap_tui.services.predict_look"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()


def _write(child: subprocess.Popen[bytes], request: bytes) -> None:
    try:
        assert child.stdin is not None
        child.stdin.write(request.replace(b"\n", b" ") + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        # It has just lost its patience; that there is no answer says so.
        return


def _answers(child: subprocess.Popen[bytes], is_cancelled: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """Yield what the process answers, until it ends."""
    assert child.stdout is not None
    source, unread = child.stdout.fileno(), b""
    while True:
        if is_cancelled():
            raise Stopped("another plan is wanted")
        if not select.select([source], [], [], LISTEN_S)[0]:
            continue
        piece = os.read(source, 65536)
        if not piece:
            return
        *lines, unread = (unread + piece).split(b"\n")
        yield from map(json.loads, lines)


def _progress_words(done: float, total: float | None, unit: str) -> str:
    of = f" of {count(int(total))}" if total else ""
    words = f"{count(int(done))}{of} {printable(unit)}"
    return "timing a tile…" if total and done >= total else f"planning… {words}"


def _planned(told: dict[str, Any]) -> Planned:
    from cellmap_tui.services.models import from_mapping
    from cellmap_tui.services.predict_model import PredictPlan

    if "error" in told:
        raise CellmapError(*told["error"])
    plan = from_mapping(told["plan"], PredictPlan, source="the plan")
    return Planned(plan, tuple(told["conflicts"]))
