"""The crops that a datasplit names: the official five-column CSV, read for its ground truth.

A row is ``usage, raw file, raw path, truth file, truth path``; the truth path ends with the crop and,
in brackets, its classes: ``recon-1/labels/groundtruth/crop234/[mito,er]``. There is no header.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.text import printable

_TRUTH = re.compile(r"(?P<folder>.*?crop(?P<crop>\d+))/?(?:\[(?P<classes>[^\]]*)\])?/?")
_MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class DatasplitCrop:
    """One row of a datasplit."""

    usage: str
    """``train`` or ``validate``."""
    dataset: str
    """Name of the dataset."""
    crop: int
    """Number of the crop."""
    truth: Path
    """Folder of the crop's label groups."""
    classes: tuple[str, ...]
    """Classes of the row; empty: all."""


def read_datasplit(path: Path, usage: str) -> tuple[DatasplitCrop, ...]:
    """Return the rows with this usage.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it is no datasplit; names the line.
    RequestError
        If it has no row with this usage.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise MissingDataError(f"datasplit {path} cannot be read: {error.strerror}", "check the path") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8") from None
    rows = [_row(path, number, row) for number, row in enumerate(csv.reader(text.splitlines()), 1) if row]
    chosen = tuple(row for row in rows if row.usage == usage)
    if not chosen:
        raise RequestError(f"{path} has no row for {usage!r}", "choose another with --split")
    return chosen


def _row(path: Path, number: int, row: list[str]) -> DatasplitCrop:
    if len(row) not in (3, 5):
        raise DataError(f"{path}, line {number}: {len(row)} columns, a datasplit has 5")
    truth = "/".join(part.strip().rstrip("/") for part in row[3:]) if len(row) == 5 else row[2].strip()
    match = _TRUTH.fullmatch(truth)
    if match is None:
        shown = printable(truth)[:120]
        raise DataError(f"{path}, line {number}: {shown!r} does not end with crop<N>/[classes]")
    folder = Path(match["folder"])
    classes = tuple(name.strip() for name in (match["classes"] or "").split(",") if name.strip())
    return DatasplitCrop(row[0].strip().lower(), _dataset(folder), int(match["crop"]), folder, classes)


def _dataset(folder: Path) -> str:
    """Return the dataset's name: that of the innermost store, ``jrc_cos7-1a.zarr``."""
    store = next((part for part in reversed(folder.parts) if part.endswith((".zarr", ".n5"))), folder.parts[0])
    return store.removesuffix(".zarr").removesuffix(".n5")
