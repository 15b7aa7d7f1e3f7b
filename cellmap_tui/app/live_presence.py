"""What of the crops is on disk while a fetch goes on, asked again at most every two seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.app.fetch_feed import FETCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.app.browsing import Browsed
    from cellmap_tui.jobs.summary import RunSummary

LOOK_S = 2.0
"""A look asks the disk a few dozen times a crop, which a network disk feels."""
_FETCHES = 3
"""Fetches into one data root whose crops are looked at; more at once nobody runs."""


class PresenceWatch:
    """Tells when it is time for another look: a fetch has made progress since the last one."""

    def __init__(self) -> None:
        self._seen: frozenset[tuple[str, float | None]] = frozenset()
        self._looked_s = float("-inf")

    def is_due(self, runs: Sequence[RunSummary], now_s: float) -> bool:
        """Return whether to look now; the caller then does."""
        seen = frozenset((run.run_id, run.done) for run in runs if run.command == FETCH and run.is_live)
        if not seen or seen == self._seen or now_s - self._looked_s < LOOK_S:
            return False
        self._seen, self._looked_s = seen, now_s
        return True


def shares_now(browsed: Browsed) -> dict[str, float]:
    """Return how much is on disk of the crops of the newest fetches into this data root, where that has changed.

    Asks the disk: call it in a thread.
    """
    from cellmap_tui.challenge.layout import local_share
    from cellmap_tui.services.fetch_state import read_state, state_folders

    data_root = browsed.catalog.data_root
    if data_root is None:
        return {}
    states = [read_state(folder) for folder in state_folders(data_root)[:_FETCHES]]
    refs = {crop.ref for state in states if state is not None for crop in state.crops if crop.done}
    items = [browsed.by_ref[ref] for ref in refs if ref in browsed.by_ref]
    shares = {item.crop.ref: local_share(data_root, item.crop) for item in items if item.share < 1}
    return {ref: share for ref, share in shares.items() if share != browsed.by_ref[ref].share}
