"""The curves of a chart as a file: CSV, JSON, SVG or PNG, whichever the file's ending says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.monitor.curves import Axis, Curve

KINDS = ("csv", "json", "svg", "png")
"""Endings of files that can be written."""


@dataclass(frozen=True, slots=True)
class ViewData:
    """A chart as it is shown."""

    title: str
    """What it shows."""
    axis: Axis
    """What runs along x."""
    log_y: bool
    """Whether y is logarithmic."""
    lines: tuple[tuple[str, int, Curve], ...]
    """Name, number of the colour, and values of each line."""


def export_view(view: ViewData, path: Path) -> Path:
    """Write the chart and return the path; the file is there whole or not at all.

    Raises
    ------
    RequestError
        If the ending is none of `KINDS`.
    RefusedError
        If the file cannot be written.
    """
    raise NotImplementedError
