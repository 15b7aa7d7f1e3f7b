"""Plan a fetch in a thread: tells how far the listing is, and ends when nobody waits for it any more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cellmap_tui.app.fetch_words import listing_words
from cellmap_tui.errors import Stopped
from cellmap_tui.services.report import SilentReporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.app.fetch_form import FetchForm
    from cellmap_tui.services.fetch_model import FetchPlan
    from cellmap_tui.services.listing_cache import ListingCache
    from cellmap_tui.services.settings import Settings

TELL_S = 0.25
"""How often a count is told; every count costs a paint."""


class PlanReporter(SilentReporter):
    """Passes on how far the listing is.

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
        self._started_s = time.monotonic()
        self._told_s = 0.0

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Tell how many objects are listed."""
        self.checkpoint()
        now_s = time.monotonic()
        if now_s - self._told_s >= TELL_S:
            self._told_s = now_s
            elapsed_s = now_s - self._started_s
            self._tell(listing_words(done, total, unit, done / elapsed_s if elapsed_s > 0.5 else None))

    def note(self, message: str) -> None:
        """Tell it at once."""
        self._tell(message)

    def warning(self, message: str) -> None:
        """Tell it at once, such as that the bucket does not answer and is waited for."""
        self._tell(message)

    def checkpoint(self) -> None:
        """End the work when another plan is wanted.

        Raises
        ------
        Stopped
            When it is.
        """
        if self._is_cancelled():
            raise Stopped("another plan is wanted")


def make_plan(form: FetchForm, settings: Settings, report: PlanReporter, listings: ListingCache) -> FetchPlan:
    """Return what a fetch would do; the bucket is asked for what is not in `listings`.

    Raises
    ------
    CellmapError
        Why it cannot be known or would be refused, and which option allows it.
    Stopped
        When the plan is not wanted any more.
    """
    from cellmap_tui.services.fetch_plan import plan_fetch  # obstore comes with it, 15 ms

    return plan_fetch(form.request(settings), report, listings)


def find_starter(settings: Settings) -> tuple[str, ...]:
    """Return the starter set of the catalog in use."""
    from cellmap_tui.app.browsing import browse
    from cellmap_tui.app.starter_set import starter_crops

    return starter_crops(item.crop for item in browse(settings).items if item.share < 1)
