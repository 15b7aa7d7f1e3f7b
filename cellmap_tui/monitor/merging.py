"""What holds when steps are told twice, late, or again after a resume.

One rule between two rows of a metric: a later row voids an earlier one if its step is the same, or if its step
is not above and it was told at a later time (or nobody knows when). So a resumed run takes back the steps that it
runs again, a line that comes late finds its place, and a block that was copied twice changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.monitor.points import FIELDS, Points, joined

if TYPE_CHECKING:
    from numpy.typing import NDArray


def in_order(rows: Points) -> Points:
    """Return what holds of rows that stand in the order of their file, ordered by step."""
    if len(rows) < 2 or bool(np.all(rows.step[1:] > rows.step[:-1])):
        return rows
    cuts = np.flatnonzero(rows.step[1:] <= rows.step[:-1]) + 1
    # Garbage has as many cuts as rows: halves merge in n log² n where one after the other took n².
    parts = [rows.taken(slice(start, stop)) for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    while len(parts) > 1:
        pairs = [merged(*parts[index : index + 2]) for index in range(0, len(parts) - 1, 2)]
        parts = [*pairs, parts[-1]] if len(parts) % 2 else pairs
    return parts[0]


def merged(older: Points, newer: Points) -> Points:
    """Return what holds of two sets of points, each ordered by step, of which one was told before the other."""
    if not len(older) or not len(newer):
        return newer if len(newer) else older
    if older.step[-1] < newer.step[0]:
        return joined([older, newer])
    both = joined([older.taken(surviving(older, newer)), newer])
    order = np.argsort(both.step, kind="stable")
    return Points(*(getattr(both, name)[order] for name in FIELDS))


def surviving(older: Points, newer: Points) -> NDArray[np.bool_]:
    """Return which of the older points the newer ones leave."""
    times = np.where(np.isnan(newer.time_s), np.inf, newer.time_s)
    latest = np.concatenate([[-np.inf], np.maximum.accumulate(times)])
    # How many of the newer rows have a step not above, and when the last of these was told.
    count = np.searchsorted(newer.step, older.step, side="right")
    told = latest[count]
    is_voided = (told > older.time_s) | (np.isnan(older.time_s) & (count > 0))
    is_told_again = (count > 0) & (newer.step[np.maximum(count - 1, 0)] == older.step)
    survives: NDArray[np.bool_] = ~(is_voided | is_told_again)
    return survives
