"""Columns of the tables of crops, annotations and datasets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.text import count, triple, voxel

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.app.browsing import CropItem, DatasetItem
    from cellmap_tui.challenge.crops import Annotation

LOOKS = {"full": "good", "partial": "warn", "remote": "dim", "failed": "bad"}
"""Look of each state of a crop on disk."""


def presence_state(item: CropItem) -> str:
    """Return the name of the sign for how much of a crop is here."""
    if item.share >= 1:
        return "full"
    if item.share > 0:
        return "partial"
    return "remote" if item.crop.source == "challenge" else "failed"


def presence_words(item: CropItem) -> str:
    """Return how much of a crop is here: ``● full``, ``◐ 40 %``, ``○ remote``, ``✗ gone``."""
    state = presence_state(item)
    words = {"full": "full", "partial": f"{100 * item.share:.0f} %", "remote": "remote", "failed": "gone"}[state]
    return f"{sign(state)} {words}"


def _crop_cell(item: CropItem) -> str:
    return f"{sign('excluded')} {item.crop.id}" if item.excluded is not None else str(item.crop.id)


CROP_COLUMNS: tuple[Column[CropItem], ...] = (
    Column("crop", "crop", 6, _crop_cell, align="right", sort_key=lambda item: item.crop.id,
           look=lambda item: "bad" if item.excluded is not None else ""),
    Column("dataset", "dataset", 14, lambda item: item.crop.dataset, max_width=27,
           sort_key=lambda item: (item.crop.dataset, item.crop.id)),
    Column("split", "split", 5, lambda item: item.crop.split, priority=3,
           sort_key=lambda item: item.crop.split),
    Column("nm", "nm", 11, lambda item: voxel(item.crop.grid.voxel_size_nm), align="right",
           sort_key=lambda item: math.prod(item.crop.grid.voxel_size_nm)),
    Column("shape", "shape", 14, lambda item: triple(item.crop.grid.shape), priority=2,
           sort_key=lambda item: item.crop.grid.voxels),
    Column("cls", "cls", 4, lambda item: str(len(item.crop.classes)), align="right",
           sort_key=lambda item: len(item.crop.classes)),
    Column("local", "local", 8, presence_words, sort_key=lambda item: -item.share,
           look=lambda item: LOOKS[presence_state(item)]),
)  # fmt: skip
"""A crop a row."""


def annotation_columns(item_of: Callable[[Annotation], CropItem]) -> tuple[Column[Annotation], ...]:
    """Return the columns of annotations, a row per crop and class."""
    return (
        Column("crop", "crop", 6, lambda row: _crop_cell(item_of(row)), align="right",
               sort_key=lambda row: row.crop.id),
        Column("class", "class", 11, lambda row: row.class_name, max_width=16,
               sort_key=lambda row: (row.class_name, row.crop.id)),
        Column("dataset", "dataset", 14, lambda row: row.crop.dataset, max_width=27,
               sort_key=lambda row: (row.crop.dataset, row.crop.id)),
        Column("split", "split", 5, lambda row: row.crop.split, priority=3, sort_key=lambda row: row.crop.split),
        Column("nm", "nm", 11, lambda row: voxel(row.grid.voxel_size_nm), align="right",
               sort_key=lambda row: math.prod(row.grid.voxel_size_nm)),
        Column("shape", "shape", 14, lambda row: triple(row.grid.shape), priority=2,
               sort_key=lambda row: row.grid.voxels),
        Column("local", "local", 8, lambda row: presence_words(item_of(row)), priority=1,
               look=lambda row: LOOKS[presence_state(item_of(row))]),
    )  # fmt: skip


DATASET_COLUMNS: tuple[Column[DatasetItem], ...] = (
    Column("name", "dataset", 12, lambda item: item.name or "all", max_width=27, sort_key=lambda item: item.name,
           look=lambda item: "" if item.name else "strong"),
    Column("crops", "crops", 5, lambda item: count(item.crops), align="right", sort_key=lambda item: item.crops),
    Column("local", "", 1, lambda item: sign("full") if item.local else " ", look=lambda item: "good"),
)  # fmt: skip
"""A dataset a row."""
