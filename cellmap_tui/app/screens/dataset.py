"""One dataset: its crops with their sizes, and a map of where they lie."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from textual.content import Content
from textual.widgets import Static

from cellmap_tui.app.browsing import CropItem
from cellmap_tui.app.crop_columns import LOOKS, presence_state, presence_words
from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.slice import view_crop
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.widgets.box_map import Box, BoxMap
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.services.dataset_facts import dataset_summary
from cellmap_tui.text import count, triple, voxel

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.browsing import Browsed
    from cellmap_tui.services.dataset_facts import DatasetSummary

COLUMNS: tuple[Column[CropItem], ...] = (
    Column("crop", "crop", 5, lambda item: str(item.crop.id), align="right", sort_key=lambda item: item.crop.id),
    Column("split", "split", 5, lambda item: item.crop.split, priority=2, sort_key=lambda item: item.crop.split),
    Column("extent", "size nm", 16, lambda item: triple(item.crop.grid.extent_nm), max_width=26,
           sort_key=lambda item: math.prod(item.crop.grid.extent_nm)),
    Column("shape", "voxels", 14, lambda item: triple(item.crop.grid.shape),
           sort_key=lambda item: item.crop.grid.voxels),
    Column("nm", "voxel nm", 11, lambda item: voxel(item.crop.grid.voxel_size_nm), align="right",
           sort_key=lambda item: math.prod(item.crop.grid.voxel_size_nm)),
    Column("cls", "cls", 4, lambda item: str(len(item.crop.classes)), align="right",
           sort_key=lambda item: len(item.crop.classes)),
    Column("local", "local", 8, presence_words, priority=1, look=lambda item: LOOKS[presence_state(item)]),
)  # fmt: skip


class DatasetCrops(VirtualTable[CropItem]):
    """The crops of one dataset."""

    BINDINGS: ClassVar[list[BindingType]] = [bind("do.open", "select", "go to crop")]


class DatasetScreen(SubScreen):
    """What a dataset holds; ``enter`` goes back to the list with the cursor on the crop.

    Parameters
    ----------
    browsed
        The catalog with what is on disk.
    name
        The dataset.
    """

    MODE = "data"
    AUTO_FOCUS = "DatasetCrops"
    DEFAULT_CSS = """
    DatasetScreen Static { height: auto; }
    DatasetScreen BoxMap { height: 28%; min-height: 5; margin: 1 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [bind("do.view", "view")]

    def __init__(self, browsed: Browsed, name: str) -> None:
        super().__init__()
        self._browsed = browsed
        self._summary = dataset_summary(browsed.catalog, name, browsed.presence)

    def compose_body(self) -> ComposeResult:
        """Yield words, map and table."""
        with Pane() as pane:
            pane.set_title(self._summary.name, "esc back")
            yield Static(Content(summary_words(self._summary)), markup=False)
            yield BoxMap([Box(box.ref, box.lower_nm, box.upper_nm) for box in self._summary.crops])
            yield DatasetCrops(COLUMNS, row_key=lambda item: item.crop.ref, markable=False)

    def on_mount(self) -> None:
        """Fill the table."""
        self.query_one(DatasetCrops).set_rows([self._browsed.by_ref[box.ref] for box in self._summary.crops])

    def on_virtual_table_row_highlighted(self, event: VirtualTable.RowHighlighted) -> None:
        """Show where the crop lies."""
        self.query_one(BoxMap).choose(event.row.crop.ref if event.row else "")

    def on_virtual_table_row_selected(self, event: VirtualTable.RowSelected) -> None:
        """Go to the crop."""
        self.leave(event.row.crop.ref)

    def action_view(self) -> None:
        """View slices of the crop."""
        item = self.query_one(DatasetCrops).highlighted
        if item is not None:
            view_crop(self, self._browsed, item)


def summary_words(summary: DatasetSummary) -> str:
    """Return what a dataset holds in one line."""
    parts = [f"{count(summary.training_crops)} training crops"]
    parts += [f"{count(summary.test_crops)} test crops"] if summary.test_crops else []
    parts += [f"{count(summary.class_count)} classes", f"{count(summary.annotations)} annotations"]
    parts.append(f"{count(summary.local_crops)} on disk")
    return " · ".join(parts)
