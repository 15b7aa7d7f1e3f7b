"""What a pause of the pilot waits for, so that a test tells the same on a machine that is busy with other things.

The pilot holds an app for idle when the process hardly used its processor for 20 ms. A process that is not given the
processor looks the same; then a screen is judged, or drawn, before it is whole. Here an app is calm when nothing
waits in any queue, nothing has to be painted, and no other thread of the process works or wants to. The keys at the
bottom have to be those of that moment.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from textual._context import active_app

from cellmap_tui.app.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import App
    from textual.message_pump import MessagePump

ROUND_S = 0.005
ROUNDS = 4
"""As many calm rounds in a row; a message may be on its way from one queue to the next."""
LONGEST_S = 3.0
"""An app that never rests is not waited for: tests of such wait for what they want to see."""
NOISE_S = 0.0005
TASKS = Path("/proc/self/task")


async def wait_until_calm(min_sleep: float = 0.0, max_sleep: float = LONGEST_S) -> None:
    """Wait until the app of this test is calm; takes what Textual's ``wait_for_idle`` takes."""
    app = active_app.get()
    begin_s = time.monotonic()
    calm_rounds = 0
    while calm_rounds < ROUNDS and time.monotonic() - begin_s < LONGEST_S:
        others_s = _others_s()
        await asyncio.sleep(ROUND_S)
        works = _others_s() - others_s > NOISE_S or _has_runnable_thread()
        calm_rounds = 0 if works or _has_work(app) else calm_rounds + 1
    if calm_rounds == ROUNDS:
        _check_keys(app)


def _has_work(app: App[object]) -> bool:
    if any(not pump._message_queue.empty() or pump._next_callbacks for pump in _pumps(app)):
        return True
    screen = app.screen
    wants = screen._layout_required or screen._repaint_required or screen._recompose_required
    return bool(wants or screen._dirty_widgets or screen._callbacks)


def _pumps(app: App[object]) -> Iterator[MessagePump]:
    yield app
    for screen in app.screen_stack:
        yield from screen.walk_children(with_self=True)


def _check_keys(app: App[object]) -> None:
    """Hold every key bar to what the keys do; one that missed a change stays wrong until the next one."""
    for bar in app.screen.query(KeyBar):
        assert bar.line == bar.line_now(), "the key bar shows the keys of another moment"


def _others_s() -> float:
    """Return the processor time of all threads but this one."""
    return time.process_time() - time.thread_time()


def _has_runnable_thread() -> bool:
    """Tell whether another thread runs, waits for a processor, or for the disk; where the system tells it."""
    here = str(threading.get_native_id())
    try:
        with os.scandir(TASKS) as entries:
            names = [entry.name for entry in entries if entry.name != here]
    except OSError:
        return False
    return any(_state(name) in "RD" for name in names)


def _state(task: str) -> str:
    try:
        told = (TASKS / task / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended
        return "X"
    return told.rpartition(")")[2].split()[0]
