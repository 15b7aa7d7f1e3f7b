"""Data: datasets, crops or their annotations under one filter, and what there is to know about the crop in hand."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.browsing import Browsed, CropItem
from cellmap_tui.app.crop_columns import annotation_columns
from cellmap_tui.app.crop_words import brief, selection_words
from cellmap_tui.app.keys import bind
from cellmap_tui.app.live_presence import PresenceWatch, shares_now
from cellmap_tui.app.screens.filtering import Filtering
from cellmap_tui.app.widgets.crop_panes import CropPanes
from cellmap_tui.app.widgets.crop_tables import NOTHING, NOTHING_LOCAL, AnnotationTable, CropTable, DatasetTable
from cellmap_tui.app.widgets.filter_bar import FilterBar
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.errors import CellmapError
from cellmap_tui.text import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.timer import Timer


REST_S = 0.1
"""Details of a crop are looked up when the cursor has rested on it this long."""


class DataScreen(Filtering):
    """Browse the whole challenge, and what was imported or made here."""

    MODE = "data"
    AUTO_FOCUS = "CropTable"
    CSS_PATH = "data.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.view", "view"),
        bind("data.fetch", "fetch"),
        bind("do.filter", "filter"),
        bind("data.annotations", "annotations"),
        bind("data.exclude", "exclude"),
        bind("data.dataset", "dataset"),
        bind(
            "do.copy", "copy('path')", show=False, help="Copy the crop's path, or its S3 address while it is remote."
        ),
        bind("data.copy_address", "copy('address')", show=False),
        bind("do.reload", "reload", show=False, help="Look at the catalog and the disk again."),
        bind("slice.previous", "slice('step', -1)", show=False),
        bind("slice.next", "slice('step', 1)", show=False),
        bind("slice.previous_ten", "slice('step', -10)", show=False),
        bind("slice.next_ten", "slice('step', 10)", show=False),
        bind("slice.overlay", "slice('overlay')", show=False),
        bind("do.close", "close", show=False),
    ]

    class Loaded(Message):
        """The catalog and the disk were looked at."""

        def __init__(self, browsed: Browsed) -> None:
            self.browsed = browsed
            super().__init__()

    class SharesSeen(Message):
        """More of some crops is on disk."""

        def __init__(self, browsed: Browsed, shares: Mapping[str, float]) -> None:
            self.browsed = browsed
            self.shares = shares
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._presence_watch = PresenceWatch()
        self._browsed: Browsed | None = None
        self._dataset = ""
        self._options: Mapping[str, object] = {}
        self._rest: Timer | None = None
        self._told_notes: tuple[str, ...] = ()
        self._finished_runs = 0
        self._stale_annotations = True

    def compose_body(self) -> ComposeResult:
        """Yield the panes."""
        with Pane(id="datasets") as pane:
            pane.set_title("datasets")
            yield DatasetTable()
        with Container(id="middle"):
            with Pane(id="crops") as pane:
                pane.set_title("crops")
                yield FilterBar("a class, part of a dataset's name, voxel<=4, local, …")
                yield CropTable()
                yield AnnotationTable()
            yield Static(id="brief", markup=False)
        yield CropPanes(id="side")

    def on_mount(self) -> None:
        """Look at the catalog, again when the data root changes or a run ends."""
        self.crops.set_marks(self.cellmap.marked_crops)
        self.watch(self.filter_bar, "text", self._refilter, init=False)
        self.watch(self.app, "settings", self._load, init=False)
        self.watch(self.app, "runs", self._follow_runs, init=True)
        self._load()

    def opened(self, options: Mapping[str, object]) -> None:
        """Take a filter (``query``) and a crop to put the cursor on (``crop``)."""
        self._options = options
        if self._browsed is not None:
            self._take_options()

    # Parts

    @property
    def crops(self) -> CropTable:
        """The table of crops."""
        return self.query_one(CropTable)

    @property
    def annotations(self) -> AnnotationTable:
        """The table of annotations."""
        return self.query_one(AnnotationTable)

    @property
    def table(self) -> CropTable | AnnotationTable:
        """The table that is shown."""
        return self.annotations if self.has_class("-annotations") else self.crops

    @property
    def panes(self) -> CropPanes:
        """Slice and details of the crop in hand."""
        return self.query_one(CropPanes)

    @property
    def item(self) -> CropItem | None:
        """The crop in hand."""
        row = self.table.highlighted
        if row is None or self._browsed is None:
            return None
        return row if isinstance(row, CropItem) else self._browsed.by_ref[row.crop.ref]

    @property
    def _class_name(self) -> str | None:
        """The class in hand, among annotations."""
        row = self.annotations.highlighted if self.table is self.annotations else None
        return None if row is None else row.class_name

    # Loading

    def _load(self) -> None:
        self.query_one("#crops", Pane).clear_error()
        self._look()

    @work(thread=True, exclusive=True, group="data.load", exit_on_error=False)
    def _look(self) -> None:
        from cellmap_tui.app.browsing import browse

        browsed = browse(self.cellmap.settings)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Loaded(browsed))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show in the pane of the crops why they cannot be listed."""
        if event.worker.group == "data.load" and event.state is WorkerState.ERROR and event.worker.error:
            self.query_one("#crops", Pane).show_error(event.worker.error)
            event.prevent_default()  # Textual calls the base screen's handler by itself; it would add a toast

    @on(Pane.RetryAsked, "#crops")
    def action_reload(self) -> None:
        """Look at the catalog and the disk again."""
        self._load()

    @on(Loaded)
    def _take_rows(self, event: Loaded) -> None:
        browsed = self._browsed = event.browsed
        self.query_one(DatasetTable).set_rows(browsed.datasets())
        self._stale_annotations = True
        self.crops.set_rows(browsed.items)
        self._refilter()
        self._take_options()
        for note in browsed.notes if browsed.notes != self._told_notes else ():
            self.app.notify(note, severity="warning", timeout=10)
        self._told_notes = browsed.notes
        self._show_item()
        self.refresh_bindings()

    def _take_options(self) -> None:
        options, self._options = self._options, {}
        if "query" in options:
            self.filter_bar.text = str(options["query"])
            self._refilter()
        if "crop" in options:
            self.crops.go_to(str(options["crop"]))

    def _follow_runs(self) -> None:
        finished = sum(not run.is_live for run in self.cellmap.runs)
        if finished != self._finished_runs and self._browsed is not None:
            self._load()
        elif self._browsed is not None and self._presence_watch.is_due(self.cellmap.runs, time.monotonic()):
            self._look_at_shares(self._browsed)
        self._finished_runs = finished

    @work(thread=True, exclusive=True, group="data.shares", exit_on_error=False)
    def _look_at_shares(self, browsed: Browsed) -> None:
        if shares := shares_now(browsed):
            self.post_message(self.SharesSeen(browsed, shares))

    @on(SharesSeen)
    def _take_shares(self, event: SharesSeen) -> None:
        browsed, before = event.browsed, self.item
        if browsed is not self._browsed:
            return
        browsed.take_shares(event.shares)
        self.crops.update_rows(browsed.items)
        self.query_one(DatasetTable).update_rows(browsed.datasets())
        if self.table is self.annotations:
            self.annotations.refresh()
        after = self.item
        if (
            before is not None
            and after is not None
            and (before.share > 0, before.share >= 1)
            != (
                after.share > 0,
                after.share >= 1,
            )
        ):
            self._show_item()

    # Filter

    def _refilter(self) -> None:
        if self._browsed is None:
            return
        self._fill_annotations()
        text = self.filter_bar.text
        self.table.empty = NOTHING_LOCAL if "local" in text and not self._browsed.has_local else NOTHING
        try:
            if self.table is self.annotations:
                self.annotations.filter(self._browsed.annotation_filter(text, self._dataset))
            else:
                self.crops.filter(self._browsed.crop_filter(text, self._dataset))
        except CellmapError as error:
            self.filter_bar.show_error(error)
        else:
            self.filter_bar.show_error(None)

    def _fill_annotations(self) -> None:
        """Give the annotations to their table when they are looked at for the first time."""
        browsed = self._browsed
        if browsed is None or self.table is not self.annotations or not self._stale_annotations:
            return
        self._stale_annotations = False
        self.annotations.filter(browsed.annotation_filter("", self._dataset))
        self.annotations.set_columns(annotation_columns(lambda row: browsed.by_ref[row.crop.ref]))
        self.annotations.set_rows(browsed.catalog.annotations())
        # The rows stay; looking for garbage among 100,000 of them would stop the app for 40 ms now and then.
        gc.freeze()

    @on(VirtualTable.RowsShown, "CropTable, AnnotationTable")
    def _show_counts(self) -> None:
        table, browsed = self.table, self._browsed
        if browsed is None:
            return
        more = "…" if table.index.is_filtering else ""
        if table is self.annotations:
            total = sum(len(item.crop.classes) for item in browsed.items if item.crop.split == "train")
            words = f"{count(len(table.index))}{more} of {count(total)} annotations"
        else:
            words = f"{count(len(table.index))}{more} of {count(len(browsed.items))} crops"
        words += f" · {count(len(table.marks))} marked" if table.marks else ""
        hidden = table.index.marks_hidden
        title = "annotations" if table is self.annotations else "crops"
        self.query_one("#crops", Pane).set_title(title, f"{count(hidden)} marked are hidden" if hidden else "")
        self.filter_bar.show_count(words)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what needs a catalog until there is one."""
        if action in {"view", "annotations", "exclude", "dataset", "copy", "slice"}:
            return self._browsed is not None
        return super().check_action(action, parameters)

    def action_annotations(self) -> None:
        """Change between crops and annotations."""
        item, had_focus = self.item, self.table.has_focus
        self.toggle_class("-annotations")
        self._refilter()
        if item is not None and self.table is self.crops:
            self.crops.go_to(item.crop.ref)
        self.table.set_marks(self.cellmap.marked_crops)
        if had_focus:
            self.table.focus()
        self._show_counts()
        self._show_item()

    def action_close(self) -> None:
        """Close the innermost thing: the enlarged pane, the filter, the choice of a dataset."""
        if self.maximized is not None:
            self.minimize()
        elif self.filter_bar.text:
            self.filter_bar.text = ""
        elif self._dataset:
            self.query_one(DatasetTable).cursor = 0

    @on(VirtualTable.RowHighlighted, "DatasetTable")
    def _choose_dataset(self, event: VirtualTable.RowHighlighted) -> None:
        dataset = event.row.name if event.row else ""
        if dataset != self._dataset:
            self._dataset = dataset
            self._refilter()

    # The crop in hand

    @on(VirtualTable.MarksChanged)
    def _keep_marks(self, event: VirtualTable.MarksChanged) -> None:
        self.cellmap.marked_crops = frozenset(str(ref) for ref in event.marks)
        self._show_counts()
        self._show_brief()

    @on(VirtualTable.RowHighlighted, "CropTable, AnnotationTable")
    def _show_item(self) -> None:
        self._show_brief()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_S, self._show_panes)

    def _show_brief(self) -> None:
        words = self._brief_words()
        line = self.query_one("#brief", Static)
        if line.content != words:
            line.update(words, layout=False)

    def _brief_words(self) -> Content:
        item, browsed = self.item, self._browsed
        if item is None or browsed is None:
            return Content("")
        below = f"excluded: {item.excluded}" if item.excluded is not None else ""
        marked = [browsed.by_ref[ref] for ref in self.cellmap.marked_crops if ref in browsed.by_ref]
        below = selection_words(marked, self.table.index.marks_hidden) or below
        return Content("\n").join([brief(item, self.size.width), Content(below)])

    def _show_panes(self) -> None:
        self._rest = None
        if self._browsed is not None and self.panes.display:
            self.panes.show(self._browsed, self.item)

    def on_resize(self, event: object) -> None:
        """Show what has room now."""
        self._show_item()

    @on(VirtualTable.RowSelected, "CropTable, AnnotationTable")
    def _open(self) -> None:
        from cellmap_tui.app.screens.crop import CropScreen

        if self._browsed is not None and self.item is not None:
            self.app.push_screen(CropScreen(self._browsed, self.item, self._class_name))

    @on(VirtualTable.RowSelected, "DatasetTable")
    def _open_dataset(self, event: VirtualTable.RowSelected) -> None:
        self._push_dataset(event.row.name)

    def action_dataset(self) -> None:
        """Open the page of the dataset that the crop belongs to."""
        if self.item is not None:
            self._push_dataset(self.item.crop.dataset)

    def _push_dataset(self, name: str) -> None:
        from cellmap_tui.app.screens.dataset import DatasetScreen

        if self._browsed is not None and name:
            self.app.push_screen(DatasetScreen(self._browsed, name), self._go_to_crop)

    def _go_to_crop(self, ref: str | None) -> None:
        if ref:
            self.crops.go_to(ref)

    def action_view(self) -> None:
        """View slices of the crop on the whole screen."""
        from cellmap_tui.app.screens.slice import view_crop

        if self._browsed is not None and self.item is not None:
            view_crop(self, self._browsed, self.item, only_class=self._class_name)

    def action_slice(self, action: str, *values: int) -> None:
        """Send a key of the slice pane there from anywhere on the screen."""
        if self.panes.display:
            getattr(self.panes.slice_view, f"action_{action}")(*values)

    def action_copy(self, what: str) -> None:
        """Copy where the crop lies."""
        from cellmap_tui.app.crop_actions import copy_place

        if self._browsed is not None and self.item is not None:
            copy_place(self, self._browsed, self.item, what)

    def action_fetch(self) -> None:
        """Plan a fetch of the marked crops, or of the one in hand."""
        refs = sorted(self.cellmap.marked_crops) or ([self.item.crop.ref] if self.item is not None else [])
        if refs:
            self.cellmap.open_mode("fetch", {"crops": tuple(refs)})

    def action_exclude(self) -> None:
        """Leave the crop out, with a reason, or take it back."""
        from cellmap_tui.app.crop_actions import toggle_excluded

        if self.item is not None:
            toggle_excluded(self, self.item, self._load)
