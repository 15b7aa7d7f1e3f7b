"""What the pages over a live training share: reading in a thread at a fixed pace, painting once for what is new."""

from __future__ import annotations

import gc
import os
import sys
import time
from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message
from textual.worker import get_current_worker

from cellmap_tui.app.screens.base import BaseScreen
from cellmap_tui.app.screens.sub import SubScreen

if TYPE_CHECKING:
    from textual.timer import Timer

    from cellmap_tui.app.live_run import LiveRun

NEAR_S, FAR_S = 0.25, 0.5
"""Time between two frames at most: 4 a second, 2 over SSH."""
SELDOM_S = 5.0
"""Time between two looks while the screen is left alone, so that a training has the processors; and while the
terminal has no focus: nothing is drawn then, but the bell may ring."""
LONG_S, FORGOTTEN_S = 30.0, 600.0
"""For so long nobody has pressed a key then: while all processors work, and in any case."""
FULL = 0.9
"""The share of the processors' time from which all of them are said to work."""
SWITCH_S = 0.001
"""For so long a key waits for the thread that reads to let go of the interpreter; by itself 5 ms, several times."""


def now_s() -> float:
    """Return the time by which it is told how long nobody was there."""
    return time.monotonic()


def processors_share() -> float:
    """Return the share of the processors' time that was used since the last call; 0 at the first."""
    import psutil  # 10 ms that the first paint need not wait for

    return float(psutil.cpu_percent()) / 100


def frame_s() -> float:
    """Return the time between two frames."""
    return FAR_S if os.environ.get("SSH_CONNECTION") else NEAR_S


class LiveWatch(BaseScreen):
    """Reads the runs of `live` while the screen is shown, and calls `show_live` once for each change."""

    live: LiveRun | None = None
    """What is looked at."""
    _shown: tuple[object, ...] | None = None
    _prepared: tuple[LiveRun, int] | None = None
    _often: Timer | None = None
    _touched_s = float("-inf")
    _is_settled = False
    _is_full = False

    class Read(Message):
        """There is something new, or everything was read."""

        def __init__(self, live: LiveRun) -> None:
            self.live = live
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest counts."""
            return isinstance(message, LiveWatch.Read)

    def prepare_live(self, live: LiveRun) -> None:
        """Compute what `show_live` will need; called from the thread that reads, so that keys need not wait."""

    def hear_live(self) -> None:
        """Take note of what is new without painting: the terminal has no focus."""

    def show_live(self) -> None:
        """Paint what is known now; a page says how. `live` is there when this is called."""

    def watch_live(self, live: LiveRun | None) -> None:
        """Look at other runs from now on."""
        self.live = live
        self._shown = None
        if live is not None:
            self._show_new()
            self._look()

    @property
    def is_left_alone(self) -> bool:
        """Whether nobody has touched this screen for long; who watches on a free machine is not disturbed."""
        alone_s = now_s() - self._touched_s
        return alone_s >= FORGOTTEN_S or (alone_s >= LONG_S and self._is_full)

    def touch(self) -> None:
        """Take note that somebody is there, and look often for a while."""
        self._touched_s = now_s()
        if self._often is not None:
            self._often.resume()

    def on_key(self) -> None:
        """Take note of the key."""
        self.touch()

    def on_mouse_down(self) -> None:
        """Take note of the button."""
        self.touch()

    def on_mount(self) -> None:
        """Begin to read."""
        sys.setswitchinterval(SWITCH_S)
        self._often = self.set_interval(frame_s(), self._tick)
        self.set_interval(SELDOM_S, self._tick_seldom)
        self.touch()
        self.watch(self.app, "app_focus", self._focus_changed, init=False)
        if self.live is not None:
            self.call_after_refresh(self._show_new)
            self._look()

    def on_screen_resume(self) -> None:
        """Catch up with what was told while another screen was shown."""
        self.touch()
        self._look()
        self._show_new()

    def _focus_changed(self, has_focus: bool) -> None:
        if has_focus and self.is_current:
            self.touch()
            self._look()
            self._show_new()

    def _tick(self) -> None:
        if self.is_current and self.app.app_focus and not self.is_left_alone:
            self._look()
        elif self._often is not None:
            self._often.pause()

    def _tick_seldom(self) -> None:
        self._is_full = processors_share() >= FULL
        if self._often is not None and not self.is_left_alone:
            self._often.resume()
        if self.is_current:
            self._look()

    def _look(self) -> None:
        if self.live is not None and not any(w.group == "live.read" and w.is_running for w in self.workers):
            self._read(self.live)

    @work(thread=True, group="live.read", exit_on_error=False)
    def _read(self, live: LiveRun) -> None:
        worker = get_current_worker()
        painted_s = float("-inf")
        while not worker.is_cancelled:
            changed = live.poll()
            has_news = changed or self._prepared != (live, live.version)
            # A long history comes in many pieces; the terminal gets no more frames for that.
            is_due = time.monotonic() - painted_s >= frame_s() or live.at_end or not changed
            if has_news and is_due:
                painted_s = time.monotonic()
                now = (live, live.version)
                self.prepare_live(live)
                self._prepared = now
                self.post_message(self.Read(live))
            if live.at_end or not changed:
                return

    @on(Read)
    def _take_read(self, event: Read) -> None:
        event.stop()
        if event.live is self.live:
            self._show_new()
            if event.live.at_end and not self._is_settled:
                self._is_settled = True
                self.call_after_refresh(gc.freeze)  # else a collection amid a key looks at it all: 50 ms

    def _show_new(self) -> None:
        if self.live is None or not self.is_mounted or not self.is_current:
            return
        if not self.app.app_focus:
            self.hear_live()
            return
        now = (self.live, self.live.version, self._prepared)
        if now != self._shown:
            self._shown = now
            self.show_live()


class LivePage(LiveWatch, SubScreen):
    """A page over one live training; ``esc`` goes back.

    Parameters
    ----------
    live
        What is looked at.
    """

    MODE = "train"

    def __init__(self, live: LiveRun) -> None:
        super().__init__()
        self.live: LiveRun = live
