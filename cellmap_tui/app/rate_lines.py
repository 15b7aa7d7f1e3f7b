"""A rate over time as lines of block characters: figures in, text out, no terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cellmap_tui import text

if TYPE_CHECKING:
    from collections.abc import Sequence

AXIS = 7
"""Cells of the labels at the left and the axis."""
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_ASCII = "  ..::||#"


def ceiling(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, … that is not below a value, so that labels stay put."""
    if value <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999999)


def rate_lines(rates: Sequence[float | None], height: int, *, ascii_only: bool = False) -> list[str]:
    """Return a chart of `height` lines: an axis with its highest value, and a column a rate.

    Parameters
    ----------
    rates
        Bytes a second; None leaves a column empty, anything above nothing shows.
    height
        Lines, at least 1.
    ascii_only
        Whether only ASCII can be shown.
    """
    blocks = _ASCII if ascii_only else _EIGHTHS
    top = ceiling(max((rate for rate in rates if rate), default=0.0))
    levels = [0 if not rate else max(1, round(8 * height * min(1.0, rate / top))) for rate in rates]
    lines = []
    for line in range(height):
        below = 8 * (height - 1 - line)
        cells = "".join(blocks[max(0, min(8, level - below))] for level in levels)
        lines.append(_axis(line, height, top, ascii_only=ascii_only) + cells)
    return lines


def _axis(line: int, height: int, top: float, *, ascii_only: bool) -> str:
    tick, plain = ("|", "|") if ascii_only else ("┤", "│")
    if line == 0:
        return f"{text.size(top):>{AXIS - 1}}{tick}"
    if line == height - 1:
        return f"{'0':>{AXIS - 1}}{tick}"
    return f"{'':>{AXIS - 1}}{plain}"
