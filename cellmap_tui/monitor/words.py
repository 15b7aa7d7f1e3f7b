"""Numbers, steps and times as findings, comparisons and frames say them."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from cellmap_tui.text import count, duration, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

_DAY_S = 86_400.0


def value_words(value: float | None) -> str:
    """Return a measured value with three figures that mean something: ``0.0127``, ``1.3e-05``, ``-``."""
    if value is None or math.isnan(value):
        return "-"
    if value == 0:
        return "0"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1000 or math.isinf(value) else f"{value:.2e}"


def place_words(step: float, epoch: float = math.nan) -> str:
    """Return where in a training: ``epoch 12 (step 4 800)``, or the step alone."""
    at_step = f"step {count(int(step))}"
    return at_step if math.isnan(epoch) else f"epoch {epoch:.0f} ({at_step})"


def moment_words(time_s: float, now_s: float) -> str:
    """Return a moment as a clock shows it, with its day unless that is close."""
    form = "%H:%M" if abs(time_s - now_s) < _DAY_S / 2 else "%a %d %b %H:%M"
    return time.strftime(form, time.localtime(time_s))


def span_words(seconds: float) -> str:
    """Return a time to come, no finer than anybody can know it: ``42 s``, ``55 min``, ``3 h 22 min``."""
    return f"{round(seconds / 60)} min" if 60 <= seconds < 3570 else duration(seconds)


def names_words(names: Sequence[str], most: int) -> str:
    """Return names, the first `most` of them and how many more."""
    shown = ", ".join(printable(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
