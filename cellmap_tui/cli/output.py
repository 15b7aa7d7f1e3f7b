"""The owner of stdout: tables, JSON documents, JSON lines. Nothing else writes there."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from cellmap_tui.text import number, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray


def write(text: str) -> None:
    """Write a line for people."""
    sys.stdout.write(text + "\n")


def write_json(document: object) -> None:
    """Write one JSON document, indented where a person looks."""
    import json

    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=indent) + "\n")


def write_event(event: str, *, time_s: float | None = None, **fields: object) -> None:
    """Write one JSON line of the event stream, at once; NaN and infinity become null."""
    from cellmap_tui.services.models import to_json

    stamp = round(time.time(), 3) if time_s is None else time_s
    sys.stdout.write(to_json({"event": event, "time": stamp, **fields}).decode() + "\n")
    sys.stdout.flush()


def write_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV with a header; lists are joined by semicolons."""
    import csv

    if not rows:
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(rows[0].keys())
    writer.writerows([_cell(value, separator=";") for value in row.values()] for row in rows)


def write_table(rows: Sequence[Mapping[str, Any]], *, right: Sequence[str] = ()) -> None:
    """Write rows as aligned columns with a header; columns in `right` are aligned to the right.

    Formatted here and not by a table library, whose import costs more than the whole command.
    """
    if not rows:
        return
    names = list(rows[0])
    cells = [[printable(_cell(row[name], separator=" ")) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    for line in [names, *cells]:
        padded = (
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(line, widths, names, strict=True)
        )
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def write_picture(rgb: NDArray[np.uint8]) -> None:
    """Write a picture ``[height, width, 3]`` as half cells, two pixels a cell, in 24-bit colours."""
    if len(rgb) % 2:
        rgb = rgb[:-1]
    for upper, lower in zip(rgb[::2].tolist(), rgb[1::2].tolist(), strict=True):
        cells = [f"\x1b[38;2;{_rgb(a)};48;2;{_rgb(b)}m▀" for a, b in zip(upper, lower, strict=True)]
        sys.stdout.write("".join(cells) + "\x1b[0m\n")


def flush() -> None:
    """Send what was written on its way, for a reader that follows."""
    sys.stdout.flush()


def end_quietly() -> None:
    """Send what is left of stdout nowhere, so that a closed pipe does not end in a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _rgb(pixel: Sequence[int]) -> str:
    red, green, blue = pixel
    return f"{red};{green};{blue}"


def _cell(value: object, *, separator: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list | tuple):
        return separator.join(_cell(item, separator=separator) for item in value)
    return str(value)
