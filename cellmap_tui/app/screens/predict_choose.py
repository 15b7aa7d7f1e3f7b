"""Which networks predict, and which crops: lists with marks, and a line to type what is not in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.predict_form import PredictForm, option_of
from cellmap_tui.app.predict_networks import NetworkItem, known_network, trained_networks, typed_network
from cellmap_tui.app.predict_words import network_columns
from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.app.widgets.edit_line import EditLine
from cellmap_tui.app.widgets.error_view import describe
from cellmap_tui.app.widgets.filter_bar import FilterBar, FilterInput
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected
from cellmap_tui.errors import CellmapError
from cellmap_tui.text import count, printable, triple, voxel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.browsing import CropItem

ENSEMBLE = "ensemble"
_TYPE_A_PATH = "A run's folder, a folder of checkpoints, a .pth file, a configuration, or an ensemble.toml."


class NetworkTable(VirtualTable[NetworkItem]):
    """The networks."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "take", help="Take the marked networks, or the one under the cursor.")
    ]

    def __init__(self) -> None:
        super().__init__(network_columns(), row_key=lambda item: item.place, empty="looking…")


class ChooseNetworks(BaseModal[PredictForm]):
    """Mark networks; ``enter`` takes those that are marked, or the one under the cursor.

    Parameters
    ----------
    form
        What is chosen now.
    """

    AUTO_FOCUS = "NetworkTable"
    DEFAULT_CSS = """
    ChooseNetworks > .window { width: 120; }
    ChooseNetworks NetworkTable { height: 14; }
    ChooseNetworks Static { height: auto; min-height: 2; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.new", "type", "type a path", help="Type the path of a run, a checkpoint or an ensemble."),
        bind("predict.which", "which", help="Take the best checkpoint of runs, or the latest."),
    ]

    class Found(Message):
        """The networks were looked at."""

        def __init__(self, items: tuple[NetworkItem, ...]) -> None:
            self.items = items
            super().__init__()

    def __init__(self, form: PredictForm) -> None:
        super().__init__()
        self.form = form
        self._items: tuple[NetworkItem, ...] = ()

    def compose(self) -> ComposeResult:
        """Yield the list and what is known of one network."""
        with Vertical(classes="window") as window:
            window.border_title = "networks that predict"
            window.border_subtitle = "space marks  enter takes  n a path  m best or latest  esc leaves"
            yield NetworkTable()
            yield Static(markup=False)

    def on_mount(self) -> None:
        """Look at the trainings and at what is chosen."""
        self._look()

    @property
    def table(self) -> NetworkTable:
        """The list."""
        return self.query_one(NetworkTable)

    @work(thread=True, exclusive=True, group="networks", exit_on_error=False)
    def _look(self) -> None:
        trained = trained_networks(self.cellmap.runs)
        known = {item.place for item in trained}
        chosen = [self.form.ensemble] if self.form.ensemble else self.form.networks
        typed = tuple(known_network(place) for place in chosen if place not in known)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Found((*typed, *trained)))

    @on(Found)
    def _take_found(self, event: Found) -> None:
        self._items = (*(item for item in self._items if item not in event.items), *event.items)
        self.table.empty = "No training has a checkpoint yet. n takes a path; 4 trains."
        self.table.set_rows(self._items)
        chosen = {self.form.ensemble} if self.form.ensemble else set(self.form.networks)
        self.table.set_marks(frozenset[object](chosen & {item.place for item in self._items}))
        if chosen:
            self.table.go_to(next(iter(chosen)))
        self._show()

    @on(RowHighlighted, "NetworkTable")
    def _show(self) -> None:
        item = self.table.highlighted
        lines = [Content(f"{self.form.which} checkpoint of each; several are averaged")]
        if item is not None and item.problem:
            lines = [Content.styled(f"{sign('error')} {printable(item.problem)}", "$text-error")]
        if item is not None:
            lines.append(Content(printable(item.place)))
        self.query_one(Static).update(Content("\n").join(lines))

    def action_which(self) -> None:
        """Change between the best and the latest checkpoint."""
        self.form = self.form.with_next(option_of("which"))
        self._show()

    def action_type(self) -> None:
        """Let a path be typed; what it leads to is marked."""

        def problem(typed: str) -> str:
            try:
                typed_network(typed)
            except CellmapError as error:
                return ": ".join(filter(None, (error.message, error.remedy)))
            return ""

        def keep(typed: str | None) -> None:
            if typed is not None:
                self._add(typed_network(typed))

        self.app.push_screen(EditLine("network", _TYPE_A_PATH, "", problem), keep)

    def _add(self, item: NetworkItem) -> None:
        if item.kind == ENSEMBLE:
            self.dismiss(self.form.with_networks((), item.place))
            return
        marks = {*self.table.marks, item.place}
        self._items = (item, *(other for other in self._items if other.place != item.place))
        self.table.set_rows(self._items)
        self.table.set_marks(marks)
        self.table.go_to(item.place)

    @on(RowSelected, "NetworkTable")
    def _take(self, event: RowSelected) -> None:
        marked = [item for item in self._items if item.place in self.table.marks]
        chosen = marked or [event.row]
        broken = next((item for item in chosen if item.problem), None)
        if broken is not None:
            self.app.notify(f"{broken.name}: {broken.problem}", severity="warning")
            return
        ensemble = next((item.place for item in chosen if item.kind == ENSEMBLE), "")
        self.dismiss(self.form.with_networks(tuple(item.place for item in chosen), ensemble))


class CropTable(VirtualTable["CropItem"]):
    """The crops."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "take", help="Take the marked crops, or the one under the cursor.")
    ]

    def __init__(self) -> None:
        super().__init__(
            (
                Column("crop", "crop", 5, lambda item: str(item.crop.id), align="right", max_width=7,
                       sort_key=lambda item: item.crop.id),
                Column("dataset", "dataset", 14, lambda item: item.crop.dataset, max_width=24,
                       sort_key=lambda item: item.crop.dataset),
                Column("split", "split", 5, lambda item: item.crop.split, sort_key=lambda item: item.crop.split),
                Column("nm", "nm", 9, lambda item: voxel(item.crop.grid.voxel_size_nm), align="right",
                       max_width=12, priority=2),
                Column("shape", "shape", 11, lambda item: triple(item.crop.grid.shape), align="right",
                       max_width=15, priority=3),
                Column("classes", "cls", 3, lambda item: str(len(item.crop.classes)), align="right", priority=1),
                Column("local", "here", 6, _here_words, sort_key=lambda item: -item.share,
                       look=lambda item: "good" if item.share >= 1 else "dim"),
            ),
            row_key=lambda item: item.crop.ref,
            search_text=lambda item: f"{item.crop.ref} {item.crop.split} {'local' if item.share > 0 else 'remote'}",
            empty="looking…",
        )  # fmt: skip


class ChooseCrops(BaseModal[str]):
    """Mark crops; ``enter`` answers with those that are marked, or the one under the cursor, as of ``--crops``.

    Parameters
    ----------
    chosen
        What is chosen now, as of ``--crops``.
    """

    AUTO_FOCUS = "CropTable"
    DEFAULT_CSS = """
    ChooseCrops > .window { width: 92; }
    ChooseCrops CropTable { height: 16; }
    ChooseCrops FilterBar { height: 1; }
    ChooseCrops > .window > Static { height: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.new", "type", "type", help="Type crops: 234,236 or 200-210 or test or a filter."),
        bind("do.filter", "filter"),
    ]

    class Found(Message):
        """The crops were looked at."""

        def __init__(self, items: tuple[CropItem, ...], chosen: frozenset[str]) -> None:
            self.items = items
            self.chosen = chosen
            super().__init__()

    def __init__(self, chosen: str) -> None:
        super().__init__()
        self._chosen = chosen
        self._marked: frozenset[str] = frozenset()

    def compose(self) -> ComposeResult:
        """Yield the filter, the list and what is chosen."""
        with Vertical(classes="window") as window:
            window.border_title = "crops to predict"
            window.border_subtitle = "space marks  a all  / filter  enter takes  n types  esc leaves"
            yield FilterBar("part of a name, test, train, local")
            yield CropTable()
            yield Static(markup=False)

    def on_mount(self) -> None:
        """Look at the crops."""
        self.watch(self.query_one(FilterBar), "text", self._filter, init=False)
        self._look()

    @property
    def table(self) -> CropTable:
        """The list."""
        return self.query_one(CropTable)

    @work(thread=True, exclusive=True, group="crops", exit_on_error=False)
    def _look(self) -> None:
        from cellmap_tui.app.browsing import browse

        browsed = browse(self.cellmap.settings)
        # Those on this disk first: they can be predicted now.
        items = tuple(sorted(browsed.items, key=lambda item: (item.share <= 0, item.crop.split != "test")))
        try:
            chosen = frozenset(crop.ref for crop in browsed.catalog.select(self._chosen))
        except CellmapError:
            chosen = frozenset()
        if not get_current_worker().is_cancelled:
            self.post_message(self.Found(items, chosen))

    @on(Found)
    def _take_found(self, event: Found) -> None:
        self._marked = event.chosen
        self.table.empty = "no crop"
        self.table.set_rows(event.items)
        self.table.set_marks(event.chosen)
        self._show()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say why there are no crops."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.table.empty = ": ".join(filter(None, describe(event.worker.error)))
            self.table.refresh()

    @on(VirtualTable.MarksChanged)
    def _show(self) -> None:
        marked = len(self.table.marks)
        words = f"{count(marked)} marked" if marked else "none marked: enter takes the one under the cursor"
        self.query_one(".window > Static", Static).update(Content(words))

    def action_filter(self) -> None:
        """Filter the list while typing."""
        self.query_one(FilterBar).input.focus()

    def _filter(self, text: str) -> None:
        self.table.search(text)

    @on(FilterInput.Left)
    def _leave_filter(self) -> None:
        self.table.focus()

    @on(FilterInput.Moved)
    def _move(self, event: FilterInput.Moved) -> None:
        self.table.action_move(event.rows)

    def action_type(self) -> None:
        """Let crops be typed."""
        option = option_of("crops")

        def keep(typed: str | None) -> None:
            if typed is not None:
                self.dismiss(typed.strip() or PredictForm().crops)

        self.app.push_screen(
            EditLine("crops", f"{option.help} An empty line: test.", self._chosen, lambda _: ""), keep
        )

    @on(RowSelected, "CropTable")
    def _take(self, event: RowSelected) -> None:
        # Untouched marks are still what was asked for, in its own words.
        same = bool(self._marked) and self.table.marks == self._marked
        self.dismiss(self._chosen if same else refs_words(self.table.marks) or event.row.crop.ref)


def refs_words(refs: Iterable[object]) -> str:
    """Return references of crops as of ``--crops``."""
    return ",".join(sorted(map(str, refs)))


def _here_words(item: CropItem) -> str:
    return "full" if item.share >= 1 else f"{100 * item.share:.0f} %" if item.share > 0 else "-"
