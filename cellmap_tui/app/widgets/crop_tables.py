"""The tables of the data screen: crops, annotations, datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cellmap_tui.app.browsing import CropItem, DatasetItem
from cellmap_tui.app.crop_columns import CROP_COLUMNS, DATASET_COLUMNS
from cellmap_tui.app.keys import bind
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.challenge.crops import Annotation

if TYPE_CHECKING:
    from textual.binding import BindingType

NOTHING = "Nothing matches: esc clears the filter."
NOTHING_LOCAL = (
    "Nothing is on this disk yet: on the home screen (0) you can make demo data or see how to import your own."
)


class CropTable(VirtualTable[CropItem]):
    """Crops, one a row."""

    BINDINGS: ClassVar[list[BindingType]] = [bind("do.open", "select", "details")]

    def __init__(self) -> None:
        super().__init__(CROP_COLUMNS, row_key=lambda item: item.crop.ref, empty="…")


class AnnotationTable(VirtualTable[Annotation]):
    """Annotations, a row per crop and class; marks are those of the crops."""

    BINDINGS: ClassVar[list[BindingType]] = [bind("do.open", "select", "details")]

    def __init__(self) -> None:
        super().__init__(
            (),
            row_key=lambda row: (row.crop.ref, row.class_name),
            mark_key=lambda row: row.crop.ref,
            empty=NOTHING,
        )


class DatasetTable(VirtualTable[DatasetItem]):
    """Datasets; the one under the cursor is the one whose crops are shown."""

    BINDINGS: ClassVar[list[BindingType]] = [bind("do.open", "select", "dataset page")]

    def __init__(self) -> None:
        super().__init__(DATASET_COLUMNS, row_key=lambda item: item.name, markable=False)
