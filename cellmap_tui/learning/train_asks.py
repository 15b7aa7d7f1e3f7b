"""What is wanted between two updates: stop, save, validate, another step size, an end; the same in every process."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import Stopped

if TYPE_CHECKING:
    from cellmap_tui.learning.ranks import Ranks
    from cellmap_tui.learning.train_listener import TrainListener

POLL_S = 0.05
"""How often the listener is asked at most: it may look at a disk."""
SAVE_EVERY_S = 900.0
"""An epoch that takes longer leaves a checkpoint within it."""


@dataclass(slots=True)
class Wanted:
    """What is wanted now."""

    stop: bool = False
    """Stop, with a checkpoint."""
    save: bool = False
    """Write a checkpoint."""
    validate: bool = False
    """Validate."""
    lr: float | None = None
    """A new step size."""
    time_is_up: bool = False
    """The hours are over."""


class Asks:
    """Asks the listener and the clock.

    Parameters
    ----------
    listener
        Says what is asked.
    ranks
        All processes do what the first one is asked.
    max_hours
        After how many hours training ends.
    """

    def __init__(self, listener: TrainListener, ranks: Ranks, max_hours: float | None) -> None:
        self.stop_after_epoch = False
        self.stopped: Stopped | None = None
        self._listener = listener
        self._ranks = ranks
        self._end_s = math.inf if max_hours is None else time.monotonic() + 3600 * max_hours
        self._asked_s = -math.inf
        self.saved()

    def saved(self) -> None:
        """Hear that a checkpoint was written."""
        self._save_s = time.monotonic() + SAVE_EVERY_S

    def look(self) -> Wanted:
        """Return what is wanted."""
        wanted = self._look() if self._ranks.is_first else Wanted()
        if self._ranks.count == 1:
            return wanted
        lr = math.nan if wanted.lr is None else wanted.lr
        said = (wanted.stop, wanted.save, wanted.validate, lr, wanted.time_is_up, self.stop_after_epoch)
        stop, save, validate, lr, time_is_up, last = self._ranks.told([float(one) for one in said])
        self.stop_after_epoch = bool(last)
        if stop and self.stopped is None:
            self.stopped = Stopped("stopped with the first process")
        return Wanted(bool(stop), bool(save), bool(validate), None if math.isnan(lr) else lr, bool(time_is_up))

    def _look(self) -> Wanted:
        now_s = time.monotonic()
        wanted = Wanted(save=now_s > self._save_s, time_is_up=now_s > self._end_s)
        if now_s - self._asked_s < POLL_S:
            return wanted
        self._asked_s = now_s
        try:
            self._listener.checkpoint()
        except Stopped as stopped:
            self.stopped = stopped
            wanted.stop = True
        for ask in self._listener.asked():
            self._take(ask.action, ask.by, ask.value, wanted)
        return wanted

    def _take(self, action: str, by: str, value: float | None, wanted: Wanted) -> None:
        if action == "checkpoint":
            wanted.save = True
            self._listener.note(f"{by} asked for a checkpoint")
        elif action == "validate":
            wanted.validate = True
            self._listener.note(f"{by} asked for a validation")
        elif action == "lr" and value is not None and math.isfinite(value) and value > 0:
            wanted.lr = float(value)
            self._listener.note(f"{by} set the step size to {value:g}")
        elif action == "stop_after_epoch":
            self.stop_after_epoch = True
            self._listener.note(f"{by} asked to stop after this epoch")
        else:
            told = action if value is None else f"{action} {value}"
            self._listener.warning(f"{by} asked for {told!r}, which training does not know")
