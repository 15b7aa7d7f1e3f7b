"""Plan a split in a thread: tells how far the look at the labels is, and ends when nobody waits for it any more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cellmap_tui.errors import Stopped
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.text import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.app.split_form import SplitForm
    from cellmap_tui.services.settings import Settings
    from cellmap_tui.services.split_model import SplitPlan

TELL_S = 0.25
"""How often a count is told; every count costs a paint."""


class PlanReporter(SilentReporter):
    """Passes on how far the look at the labels is.

    Parameters
    ----------
    tell
        Called with what is done in words, at most four times a second.
    is_cancelled
        Whether the plan is still wanted.
    """

    def __init__(self, tell: Callable[[str], None], is_cancelled: Callable[[], bool]) -> None:
        self._tell = tell
        self._is_cancelled = is_cancelled
        self._told_s = time.monotonic()

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Tell how many label arrays are looked at."""
        now_s = time.monotonic()
        if now_s - self._told_s >= TELL_S:
            self._told_s = now_s
            of = f" of {count(int(total))}" if total else ""
            self._tell(f"{count(int(done))}{of} {unit}")

    def checkpoint(self) -> None:
        """End the work when another plan is wanted.

        Raises
        ------
        Stopped
            When it is.
        """
        if self._is_cancelled():
            raise Stopped("another plan is wanted")


def plan_form(
    form: SplitForm, settings: Settings, tell: Callable[[str], None], is_cancelled: Callable[[], bool]
) -> SplitPlan:
    """Return what a split would be.

    Raises
    ------
    CellmapError
        Why there can be none.
    Stopped
        When it is not wanted any more.
    """
    from cellmap_tui.services.split import plan_split

    return plan_split(form.request(settings), PlanReporter(tell, is_cancelled))
