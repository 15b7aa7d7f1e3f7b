"""Classes: groups and members, what is scored and how, where each is annotated and at which voxel sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import VerticalScroll
from textual.events import Resize
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.class_tree import TREE_COLUMNS, WHOLE, ClassNode, flat, matches, tree
from cellmap_tui.app.class_words import class_page
from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.filtering import Filtering
from cellmap_tui.app.widgets.filter_bar import FilterBar
from cellmap_tui.app.widgets.heat_map import HeatMap
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.services.class_facts import class_dataset_counts, class_rows, class_voxel_sizes, resolve
from cellmap_tui.text import count

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.targets_draft import TargetsDraft
    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.services.class_facts import ClassCounts, ClassRow


NOTHING = "No class has this name or id: esc clears the filter."


class ClassTree(VirtualTable[ClassNode]):
    """Groups and their members."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "list crops"),
        bind("move.right", "screen.fold(False)", "open group", show=False, help="Show the members of the group."),
        bind("move.left", "screen.fold(True)", "close group", show=False, help="Hide the members of the group."),
    ]

    def __init__(self) -> None:
        super().__init__(
            TREE_COLUMNS,
            row_key=lambda node: node.key,
            markable=False,
            empty="…",
        )


class ClassesScreen(Filtering):
    """The classes of the challenge, and those that it leaves out."""

    MODE = "classes"
    AUTO_FOCUS = "ClassTree"
    CSS_PATH = "classes.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("classes.targets", "targets"),
        bind("classes.resolve", "resolve"),
        bind("classes.heat", "heat"),
        bind("do.view", "view", show=False, help="View a slice of a crop on this disk that has the class."),
        bind("do.filter", "filter"),
        bind("do.close", "close", show=False),
        bind("do.reload", "reload", show=False, help="Look at the catalog again."),
    ]

    class Loaded(Message):
        """The catalog was looked at."""

        def __init__(self, catalog: Catalog, rows: tuple[ClassRow, ...], counts: ClassCounts) -> None:
            self.catalog = catalog
            self.rows = rows
            self.counts = counts
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._catalog: Catalog | None = None
        self._rows: tuple[ClassRow, ...] = ()
        self._counts: ClassCounts | None = None
        self._folded = {WHOLE}
        self._draft: TargetsDraft | None = None

    def compose_body(self) -> ComposeResult:
        """Yield the panes."""
        with Pane(id="classes") as pane:
            pane.set_title("classes")
            yield FilterBar("name or id")
            yield ClassTree()
        with Pane(id="class") as pane:
            pane.set_title("class")
            with VerticalScroll():
                yield Static(markup=False)
        with Pane(id="heat") as pane:
            pane.set_title("training crops: class × dataset")
            yield HeatMap()

    def on_mount(self) -> None:
        """Look at the catalog, again when the data root changes."""
        self.watch(self.filter_bar, "text", self._refilter, init=False)
        self.watch(self.app, "settings", self._load, init=False)
        self._load()

    def on_screen_resume(self) -> None:
        """Look again when the user comes back: crops may have been imported meanwhile."""
        if self._catalog is not None:
            self._load()

    @property
    def table(self) -> ClassTree:
        """The tree."""
        return self.query_one(ClassTree)

    # Loading

    def _load(self) -> None:
        self.query_one("#classes", Pane).clear_error()
        self._look()

    @work(thread=True, exclusive=True, group="classes.load", exit_on_error=False)
    def _look(self) -> None:
        from cellmap_tui.services.catalog import CatalogSource, open_catalog

        settings = self.cellmap.settings
        catalog = open_catalog(CatalogSource(data_root=settings.data_root, state_dir=settings.state_dir))
        rows, counts = class_rows(catalog), class_dataset_counts(catalog)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Loaded(catalog, rows, counts))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show in the pane of the classes why they cannot be listed."""
        if event.worker.group == "classes.load" and event.state is WorkerState.ERROR and event.worker.error:
            self.query_one("#classes", Pane).show_error(event.worker.error)
            event.prevent_default()  # Textual calls the base screen's handler by itself; it would add a toast

    @on(Pane.RetryAsked, "#classes")
    def action_reload(self) -> None:
        """Look at the catalog again."""
        self._load()

    @on(Loaded)
    def _take(self, event: Loaded) -> None:
        self._catalog, self._rows, self._counts = event.catalog, event.rows, event.counts
        self.query_one(HeatMap).show(event.counts)
        self.table.empty = NOTHING
        self._refilter()

    # The tree

    def _refilter(self) -> None:
        text = self.filter_bar.text.strip()
        if text:
            nodes = tuple(node for node in flat(self._rows) if matches(node.row, text))
            self.filter_bar.show_count(f"{count(len(nodes))} of {count(len(self._rows))}")
        else:
            nodes = tree(self._rows, self._folded)
            scored = sum(row.scoring is not None for row in self._rows)
            self.filter_bar.show_count(f"{count(len(self._rows))} classes, {scored} scored")
        self.table.set_rows(nodes)

    def action_fold(self, is_closed: bool) -> None:
        """Hide or show the members of the group under the cursor, or of the one it belongs to."""
        node = self.table.highlighted
        if node is None or self.filter_bar.text.strip():
            return
        group = node.group or node.row.name
        if is_closed:
            self._folded.add(group)
        else:
            self._folded.discard(group)
        self.table.set_rows(tree(self._rows, self._folded))
        self.table.go_to(("", group))

    def action_close(self) -> None:
        """Restore an enlarged pane, else clear the filter."""
        if self.maximized is not None:
            self.minimize()
        else:
            self.filter_bar.text = ""

    # The class in hand

    @on(VirtualTable.RowHighlighted)
    def _show_class(self) -> None:
        node, catalog = self.table.highlighted, self._catalog
        if node is None or catalog is None:
            return
        row = node.row
        by_dataset = catalog.counts().get(row.name, {}) if row.training_crops else {}
        page = self.query_one("#class Static", Static)
        sizes = class_voxel_sizes(catalog, row.name)
        page.update(class_page(resolve(catalog, row.id), sizes, by_dataset, max(24, page.content_size.width)))
        self.query_one("#class", Pane).set_title(row.name)
        self.query_one("#class VerticalScroll").scroll_home(animate=False)
        self.query_one(HeatMap).go_to(row.name)

    @on(Resize)
    def _fit_class(self) -> None:
        """Wrap the words to the new width, once it is known."""
        self.call_after_refresh(self._show_class)

    @on(VirtualTable.RowSelected)
    def _list_crops(self, event: VirtualTable.RowSelected) -> None:
        self._go_to_crops(event.row.row.name, "")

    @on(HeatMap.CellOpened)
    def _list_cell(self, event: HeatMap.CellOpened) -> None:
        self._go_to_crops(event.class_name, event.dataset)

    def _go_to_crops(self, class_name: str, dataset: str) -> None:
        query = f"class={class_name}" + (f" dataset={dataset}" if dataset else "")
        self.cellmap.open_mode("data", {"query": query})

    @on(HeatMap.CellHighlighted)
    def _name_cell(self, event: HeatMap.CellHighlighted) -> None:
        note = f"{event.class_name} × {event.dataset}: {count(event.crops)} crops"
        self.query_one("#heat", Pane).set_title("training crops: class × dataset", note)

    # Keys

    def action_view(self) -> None:
        """View a slice of a crop on this disk that has the class under the cursor."""
        from cellmap_tui.app.screens.slice import view_class

        if self.table.highlighted is not None and self._catalog is not None:
            view_class(self, self._catalog, self.table.highlighted.row.name)

    def action_heat(self) -> None:
        """Go to the heat map; where there is no room for it, on a page of its own."""
        if self.query_one("#heat").display:
            self.query_one(HeatMap).focus()
        elif self._counts is not None:
            from cellmap_tui.app.screens.heat import HeatScreen

            node = self.table.highlighted
            self.app.push_screen(HeatScreen(self._counts, node.row.name if node else ""), self._take_cell)

    def _take_cell(self, cell: tuple[str, str] | None) -> None:
        if cell is not None:
            self._go_to_crops(*cell)

    def action_targets(self) -> None:
        """Edit targets, where they were left."""
        from cellmap_tui.app.screens.targets import TargetsScreen
        from cellmap_tui.app.targets_draft import TargetsDraft

        if self._catalog is not None:
            draft = self._draft or TargetsDraft()
            self.app.push_screen(TargetsScreen(self._catalog, draft), self._keep_draft)

    def _keep_draft(self, draft: TargetsDraft | None) -> None:
        self._draft = draft or self._draft

    def action_resolve(self) -> None:
        """Ask for an id and tell what it means."""
        from cellmap_tui.app.widgets.resolve_id import ResolveId

        if self._catalog is not None:
            self.app.push_screen(ResolveId(self._catalog), self._go_to_class)

    def _go_to_class(self, name: str | None) -> None:
        if not name:
            return
        self.filter_bar.text = ""
        self._refilter()
        if not self.table.go_to(("", name)):
            group = next(row.name for row in self._rows if name in row.members)
            self._folded.discard(group)
            self.table.set_rows(tree(self._rows, self._folded))
            self.table.go_to((group, name))
        self.table.focus()
