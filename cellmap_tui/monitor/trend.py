"""When something that fills up will be full, by its last hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.monitor import thresholds as at

if TYPE_CHECKING:
    from cellmap_tui.monitor.windows import Known


def full_at(values: Known, limit: float) -> float | None:
    """Return when values reach a limit if they go on as in the last hour, Unix seconds.

    None: they do not move towards it steadily. A single jump, such as a bank that is read or a checkpoint that
    replaces another, is no trend; what goes up and down by as much as it moves is none either.
    """
    is_recent = values.time_s >= values.time_s[-1] - at.TREND_S if len(values.time_s) else np.zeros(0, bool)
    time_s, value = values.time_s[is_recent], values.value[is_recent]
    if len(value) < 4 * at.TREND_PARTS or time_s[-1] - time_s[0] < at.TREND_MIN_S:
        return None
    moments = [float(np.median(part)) for part in np.array_split(time_s, at.TREND_PARTS)]
    levels = [float(np.median(part)) for part in np.array_split(value, at.TREND_PARTS)]
    middle = at.TREND_PARTS // 2
    change = levels[-1] - levels[0]
    way = limit - float(value[-1])
    if change == 0 or way == 0 or (change > 0) != (way > 0):
        return None
    halves = (levels[middle] - levels[0], levels[-1] - levels[middle])
    expected = (moments[middle] - moments[0], moments[-1] - moments[middle])
    total_s = moments[-1] - moments[0]
    if any(part / change < at.TREND_EVEN * wanted / total_s for part, wanted in zip(halves, expected, strict=True)):
        return None
    return float(time_s[-1]) + way / change * total_s
