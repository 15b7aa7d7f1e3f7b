"""Slices of one crop on the whole screen, with a legend; a second picture of the same place beside it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.slice_classes import ChooseClasses
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.slice_words import legend
from cellmap_tui.app.widgets.ask_text import AskText
from cellmap_tui.app.widgets.header import Header
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.protocol_image import protocol_problem
from cellmap_tui.app.widgets.slice_state import Look, kind_cycle, kinds_words
from cellmap_tui.app.widgets.slice_view import SliceView
from cellmap_tui.challenge.layout import label_path, local_classes

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.events import DescendantFocus
    from textual.timer import Timer

    from cellmap_tui.app.browsing import Browsed, CropItem
    from cellmap_tui.app.crop_slices import CropSlices
    from cellmap_tui.app.screens.base import BaseScreen
    from cellmap_tui.app.widgets.slice_state import Drawing, Kind, SliceSource
    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.find_object import Place

WHERE = "120 40 33 is a voxel, 980 640 528 nm a position, z 12 a slice, mito a class, mito 7 an object."


def view_crop(screen: BaseScreen, browsed: Browsed, item: CropItem, *, only_class: str | None = None) -> None:
    """Open the slices of a crop, or say why there are none."""
    data_root = browsed.catalog.data_root
    if data_root is None or item.share <= 0:
        screen.app.notify(
            f"{item.crop.ref} is not on this disk. The home screen (0) makes demo data and tells how to import.",
            severity="warning",
        )
        return
    from cellmap_tui.app.crop_slices import CropSlices

    open_slices(screen, CropSlices(data_root, item.crop, browsed.catalog), only_class=only_class)


def view_class(screen: BaseScreen, catalog: Catalog, class_name: str) -> None:
    """Open the slices of a crop on this disk that has a class, at its largest section; or say there is none.

    For a group that no crop here is annotated for, one of its members is shown.
    """
    found = crop_with_class(catalog, class_name)
    if found is None or catalog.data_root is None:
        screen.app.notify(
            f"No crop on this disk is annotated for {class_name}; 1 lists those in the bucket.", severity="warning"
        )
        return
    from cellmap_tui.app.crop_slices import CropSlices

    crop, name = found
    open_slices(screen, CropSlices(catalog.data_root, crop, catalog), only_class=name, go_to=name)


def open_slices(
    screen: BaseScreen,
    source: CropSlices,
    *,
    only_class: str | None = None,
    go_to: str = "",
    kind: Kind | None = None,
) -> None:
    """Open slices: of `kind` where that is there, else the truth, else what was predicted."""
    look = Look.at_middle(source.grid)
    if only_class in source.classes:
        look = replace(look, only_class=only_class)
    if kind in source.kinds:
        look = replace(look, kinds=(kind,))
    elif "gt" not in source.kinds:
        look = replace(look, kinds=source.kinds[:1])
    screen.app.push_screen(SliceScreen(source, look, source.crop.ref, go_to, screen.MODE))


def crop_with_class(catalog: Catalog, class_name: str) -> tuple[Crop, str] | None:
    """Return a local crop that has a class, and which class that is: itself, or a member of the group."""
    data_root, info = catalog.data_root, catalog.classes.named(class_name)
    if data_root is None:
        return None
    members = [catalog.classes.by_id(member) for member in info.member_ids] if info is not None else []
    names = (class_name, *(member.name for member in members if member is not None))
    local = [(crop, local_classes(data_root, crop)) for crop in catalog.crops if (data_root / crop.dataset).is_dir()]
    found = [(crop, name) for name in names for crop, present in local if name in present]
    # Where a class is absent, its array has no chunk.
    return next((pair for pair in found if has_chunks(data_root / label_path(*pair))), found[0] if found else None)


def has_chunks(group: Path) -> bool:
    """Return whether anything was written into the finest array of a label group, or into an array."""
    for folder in (group / "s0", group):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            if any(entry.name[0].isdigit() for entry in entries):
                return True
    return False


class SliceScreen(SubScreen):
    """A slice view and what its colours mean.

    Parameters
    ----------
    source
        What is shown.
    look
        Where to begin.
    title
        Name of the crop.
    go_to
        Where to go from there, in the words of `find_place`.
    mode
        The screen that it was opened from, for the header.
    """

    MODE = "data"
    AUTO_FOCUS = "SliceView"
    CSS_PATH = "slice.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("slice.compare", "compare"),
        bind("slice.goto", "go_to"),
        bind("slice.choose", "choose", show=False),
    ]

    class Found(Message):
        """A place was found."""

        def __init__(self, place: Place) -> None:
            self.place = place
            super().__init__()

    def __init__(self, source: SliceSource, look: Look, title: str, go_to: str = "", mode: str = MODE) -> None:
        super().__init__()
        self._mode = mode
        self._source = source
        self._look = look
        self._title = title
        self._begin_at = go_to
        self._toast: Timer | None = None
        self._drawings: dict[str, Drawing] = {}

    def compose_body(self) -> ComposeResult:
        """Yield the slice and the legend."""
        with Horizontal(id="views"), Pane(id="slice") as pane:
            pane.set_title(self._title)
            yield SliceView(images=self.cellmap.settings.images, draws_ahead=True, id="first")
        with Pane(id="legend") as pane:
            pane.set_title("legend")
            yield Static(markup=False)

    def on_mount(self) -> None:
        """Draw the first slice."""
        self.query_one(Header).active = self._mode
        self.view.show(self._source, self._look)
        if self._begin_at:
            self._find(self._begin_at, self._look)
        problem = protocol_problem(self.cellmap.settings.images, self.app.console.color_system)
        if problem:
            self.cellmap.notify_once(problem, severity="warning", timeout=10)

    @property
    def view(self) -> SliceView:
        """The first picture."""
        return self.query_one("#first", SliceView)

    @property
    def other(self) -> SliceView | None:
        """The second picture, if it stands beside the first."""
        return next(iter(self.query("#second").results(SliceView)), None)

    @property
    def focused_view(self) -> SliceView:
        """The picture that keys are about."""
        return self.focused if isinstance(self.focused, SliceView) else self.view

    def on_screen_suspend(self) -> None:
        """Draw half cells below what opens over the slice."""
        self.add_class("-covered")

    def on_screen_resume(self) -> None:
        """Draw the picture again."""
        self.remove_class("-covered")
        self.toasted()

    def toasted(self) -> None:
        """Draw half cells below the toasts as long as they stand."""
        left_s = self.cellmap.toasts_end_s - monotonic()
        if self._toast is not None:
            self._toast.stop()
        self.set_class(left_s > 0, "-toasted")
        if left_s > 0:
            self._toast = self.set_timer(left_s + 0.1, self.toasted)

    def on_slice_view_drawn(self, event: SliceView.Drawn) -> None:
        """Say what is seen."""
        view = event.view
        self._drawings[view.id or ""] = event.drawing
        if view is self.focused_view:
            self._show_legend(event.drawing)
        pane = self.query_one("#slice" if view is self.view else "#beside", Pane)
        kinds = view.look.kinds if view.look is not None else ()
        words = "" if kinds == ("gt",) and self.other is None else f"  {kinds_words(kinds)}"
        pane.set_title(f"{self._title}{words}", event.drawing.level)

    def _show_legend(self, drawing: Drawing) -> None:
        is_column = not self.has_class("-narrow")
        shown = self.query_one("#legend Static", Static)
        words = legend(drawing, column=is_column)
        if shown.content != words:
            shown.update(words)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Explain the picture that has the focus."""
        if isinstance(event.widget, SliceView) and (drawing := self._drawings.get(event.widget.id or "")):
            self._show_legend(drawing)

    # Two pictures

    async def action_compare(self) -> None:
        """Put a second picture beside the first, or take it away."""
        if self.other is not None:
            self.view.focus()
            self._drawings.pop("second", None)
            await self.query_one("#beside", Pane).remove()
            if self._look_again:
                self.view.post_message(SliceView.Drawn(self.view, self._look_again))
            return
        view = SliceView(images=self.cellmap.settings.images, draws_ahead=True, id="second")
        pane = Pane(view, id="beside")
        await self.query_one("#views", Horizontal).mount(pane)
        look = self.view.look or self._look
        view.show(self._source, replace(look, kinds=other_kinds(look.kinds, self._source.kinds)))
        view.focus()

    @property
    def _look_again(self) -> Drawing | None:
        return self._drawings.get("first")

    @on(SliceView.Moved)
    def _follow(self, event: SliceView.Moved) -> None:
        """Keep both pictures at one place; what is drawn in each stays its own."""
        follower = self.other if event.view is self.view else self.view
        if follower is not None and follower.look is not None and self.other is not None:
            follower.look_at(replace(event.look, kinds=follower.look.kinds))

    # Places and classes

    def action_go_to(self) -> None:
        """Ask where to go."""
        if self.focused_view.look is not None:
            self.app.push_screen(AskText(f"go to, in {self._title}", WHERE, "z y x"), self._search)

    def _search(self, wish: str | None) -> None:
        look = self.focused_view.look
        if wish and look is not None:
            self._find(wish, look)

    @work(thread=True, exclusive=True, group="slice.find", exit_on_error=False)
    def _find(self, wish: str, look: Look) -> None:
        from cellmap_tui.services.find_object import find_place

        worker = get_current_worker()
        source = cast("CropSlices", self._source)
        place = find_place(
            wish,
            source.crop,
            source.data_root,
            source.catalog,
            at=look.point,
            class_name=look.only_class or (look.classes[0] if len(look.classes) == 1 else None),
            axis=look.axis,
            is_stale=lambda: worker.is_cancelled,
        )
        self.post_message(self.Found(place))

    @on(Found)
    def _go_there(self, event: Found) -> None:
        look = self.focused_view.look
        if look is None:
            return
        place = event.place
        look = replace(look, point=place.voxel, pointed=True)
        if place.class_name in self._source.classes:
            look = replace(look, only_class=place.class_name)
        self._look_everywhere(look)
        if place.words:
            self.app.notify(place.words)

    def action_choose(self) -> None:
        """Choose which classes are drawn."""
        look = self.focused_view.look
        if look is None or not self._source.classes:
            return
        chosen = (look.only_class,) if look.only_class else look.classes
        self.app.push_screen(ChooseClasses(self._source.classes, chosen), self._take_classes)

    def _take_classes(self, chosen: tuple[str, ...] | None) -> None:
        look = self.focused_view.look
        if chosen is not None and look is not None:
            self._look_everywhere(replace(look, classes=chosen, only_class=None))

    def _look_everywhere(self, look: Look) -> None:
        self.focused_view.look_at(look)
        follower = self.other if self.focused_view is self.view else self.view
        if follower is not None and follower.look is not None:
            follower.look_at(replace(look, kinds=follower.look.kinds))


def other_kinds(kinds: tuple[Kind, ...], there: tuple[Kind, ...]) -> tuple[Kind, ...]:
    """Return what the second picture shows first: what the first one does not."""
    if "error" in there and kinds != ("error",) and len(kinds) > 1:
        return ("error",)
    cycle = [one for one in kind_cycle(there) if len(one) == 1 and one != kinds]
    return cycle[0] if cycle else kinds
