"""The curves of a chart as a file: CSV, JSON, SVG or PNG, whichever the file's ending says."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import RefusedError, RequestError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

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
    kind = path.suffix.lower().removeprefix(".")
    makers = {"csv": _csv, "json": _json, "svg": _svg, "png": _png}
    if kind not in makers:
        endings = ", ".join(f".{ending}" for ending in KINDS)
        raise RequestError(f"{path.name} has no ending that says what to write", f"end it in {endings}")
    from cellmap_tui.jobs.files import replace_file

    data = makers[kind](view)
    try:
        replace_file(path, data)
    except OSError as error:
        raise RefusedError(f"cannot write {path}: {error.strerror}", "choose another file") from None
    return path


def _csv(view: ViewData) -> bytes:
    """Return a row a point; broken values are empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("line", view.axis, "value", "smoothed", "low", "high"))
    for name, _, curve in view.lines:
        columns = (_texts(column) for column in (curve.x, curve.raw, curve.y, curve.low, curve.high))
        writer.writerows((name, *row) for row in zip(*columns, strict=True))
    return stream.getvalue().encode("utf-8", "backslashreplace")


def _json(view: ViewData) -> bytes:
    """Return everything as one document; broken values are null."""
    import msgspec

    lines = [
        {
            "name": name.encode("utf-8", "backslashreplace").decode(),
            "x": _numbers(curve.x),
            "value": _numbers(curve.raw),
            "smoothed": _numbers(curve.y),
            "low": _numbers(curve.low),
            "high": _numbers(curve.high),
        }
        for name, _, curve in view.lines
    ]
    return msgspec.json.encode({"title": view.title, "axis": view.axis, "log_y": view.log_y, "lines": lines}) + b"\n"


def _svg(view: ViewData) -> bytes:
    from cellmap_tui.monitor.chart_layout import lay_out
    from cellmap_tui.monitor.picture import to_svg

    return to_svg(lay_out(view))


def _png(view: ViewData) -> bytes:
    from cellmap_tui.monitor.chart_layout import lay_out
    from cellmap_tui.monitor.picture import to_png

    return to_png(lay_out(view))


def _numbers(column: NDArray[np.float64]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in column.astype(float).tolist()]


def _texts(column: NDArray[np.float64]) -> list[str]:
    """Return numbers with every figure that they have, so that they are those of the log again."""
    return ["" if value is None else repr(value).removesuffix(".0") for value in _numbers(column)]
