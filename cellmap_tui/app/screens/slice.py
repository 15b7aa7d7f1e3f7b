"""Slices of one crop on the whole screen, with a legend."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.protocol_image import protocol_problem
from cellmap_tui.app.widgets.slice_state import Look
from cellmap_tui.app.widgets.slice_view import SliceView
from cellmap_tui.text import number, printable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

    from cellmap_tui.app.browsing import Browsed, CropItem
    from cellmap_tui.app.screens.base import BaseScreen
    from cellmap_tui.app.widgets.slice_state import Drawing, LegendEntry, SliceSource

_STATES = {"absent": "not in this slice", "unknown": "not annotated in this crop"}


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

    source = CropSlices(data_root, item.crop, browsed.catalog)
    look = Look.at_middle(item.crop.grid)
    if only_class in source.classes:
        look = replace(look, only_class=only_class)
    screen.app.push_screen(SliceScreen(source, look, item.crop.ref))


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
    """

    MODE = "data"
    AUTO_FOCUS = "SliceView"
    CSS_PATH = "slice.tcss"

    def __init__(self, source: SliceSource, look: Look, title: str) -> None:
        super().__init__()
        self._source = source
        self._look = look
        self._title = title
        self._toast: Timer | None = None

    def compose_body(self) -> ComposeResult:
        """Yield the slice and the legend."""
        with Pane(id="slice") as pane:
            pane.set_title(self._title)
            yield SliceView(images=self.cellmap.settings.images)
        with Pane(id="legend") as pane:
            pane.set_title("legend")
            yield Static(markup=False)

    def on_mount(self) -> None:
        """Draw the first slice."""
        self.query_one(SliceView).show(self._source, self._look)
        problem = protocol_problem(self.cellmap.settings.images, self.app.console.color_system)
        if problem:
            self.cellmap.notify_once(problem, severity="warning", timeout=10)

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
        is_column = not self.has_class("-narrow")
        self.query_one("#legend Static", Static).update(legend(event.drawing, column=is_column))
        self.query_one("#slice", Pane).set_title(self._title, event.drawing.level)


def legend(drawing: Drawing, *, column: bool) -> Content:
    """Return the classes of a slice with their colours; in a column also what is not in it, and remarks."""
    present = [entry for entry in drawing.legend if entry.state == "present"]
    if not column:
        return Content("  ").join([_entry(entry) for entry in present] or [Content("no label in this slice")])
    lines = [_entry(entry, with_value=True) for entry in present]
    for state, words in _STATES.items():
        names = " ".join(entry.name for entry in drawing.legend if entry.state == state)
        if names:
            lines += [
                Content(""),
                Content.styled(words, "bold $foreground-muted"),
                Content.styled(names, "$foreground-muted"),
            ]
    if drawing.unknown_share:
        share = number(float(f"{100 * drawing.unknown_share:.3g}"))
        lines += [Content(""), Content(f"hatched: {share} % of the picture is unknown")]
    lines += [Content.styled(f"{sign('warning')} {printable(note)}", "$text-warning") for note in drawing.notes]
    return Content("\n").join(lines)


def _entry(entry: LegendEntry, *, with_value: bool = False) -> Content:
    colour = "" if entry.colour is None else "#{:02x}{:02x}{:02x}".format(*entry.colour)
    swatch = ("▒▒" if entry.colour is None else "██", colour)
    words = f" {entry.letter} {entry.name}"
    if with_value and entry.value:
        words += "  here" if entry.value == 1 else f"  {entry.value} here"
    return Content.assemble(swatch, printable(words))
