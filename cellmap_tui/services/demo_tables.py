"""The demo's manifests, in the columns and spelling of the published ones."""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import crop_em_path, crop_path
from cellmap_tui.services.settings import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid

CROP_COLUMNS = ("crop_number", "collection", "alignment", "crop_url", "em_url")
ANNOTATION_COLUMNS = ("crop_name", "dataset", "class_label", "voxel_size", "translation", "shape")


def write_crop_manifest(path: Path, crops: Iterable[Crop]) -> None:
    """Write where each training crop and its EM lie in the bucket."""
    rows = (
        (c.id, c.dataset, c.alignment, f"s3://{BUCKET}/{crop_path(c)}", f"s3://{BUCKET}/{crop_em_path(c)}")
        for c in crops
    )
    _write(path, CROP_COLUMNS, rows)


def write_annotation_manifest(path: Path, crops: Iterable[Crop]) -> None:
    """Write a row per crop and class: voxel size, translation and shape of that label volume."""
    rows = (
        (crop.id, crop.dataset, note.class_name, *map(_triple, _place(note.grid)))
        for crop in crops
        for note in crop.annotations()
    )
    _write(path, ANNOTATION_COLUMNS, rows)


def _place(grid: Grid) -> tuple[Sequence[float], Sequence[float], Sequence[int]]:
    return (grid.voxel_size_nm, grid.translation_nm, grid.shape)


def _triple(values: Sequence[float]) -> str:
    return f"[{';'.join(str(value) for value in values)}]"


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    if path.is_file() and path.read_bytes() == temporary.read_bytes():
        temporary.unlink()  # a file with a new time would make the steps of the plan undone
    else:
        temporary.replace(path)
