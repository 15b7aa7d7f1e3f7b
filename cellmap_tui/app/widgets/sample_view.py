"""An example slice on screen: grey values, truth, prediction and error beside each other, through the epochs.

Reading and drawing happen in a thread; the newest wish wins. Equal frames are not painted again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from rich.segment import Segment
from textual import on, work
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import get_current_worker

from cellmap_tui.app.crop_slices import class_letters
from cellmap_tui.app.keys import bind
from cellmap_tui.app.sample_pictures import GROUND, LOOKS, PANELS, Figures, draw_panel, figures, layout, letter_places
from cellmap_tui.app.sample_slices import SampleIndex, read_slice
from cellmap_tui.app.widgets.columns import fitted
from cellmap_tui.app.widgets.half_cells import LETTER_STYLE, has_colours, with_letters
from cellmap_tui.app.widgets.slice_ahead import strips_of
from cellmap_tui.errors import DataError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from textual.binding import BindingType
    from textual.events import Resize
    from textual.geometry import Size

    from cellmap_tui.app.sample_pictures import Layout, Panel
    from cellmap_tui.app.sample_pictures import Look as Overlay
    from cellmap_tui.learning.samples import Sample

CHOICES: tuple[tuple[Panel, ...], ...] = (PANELS, ("truth", "prediction"), ("raw", "error"), ("error",))
"""Pictures that are shown together."""
KEPT = 12
"""Slices that stay read: as many as a hand scrubs back and forth."""


@dataclass(frozen=True, slots=True)
class SampleLook:
    """What of the slices is looked at."""

    name: str = ""
    """Which slice, by the name of its file without ending; empty: the first."""
    epoch: int | None = None
    """Which epoch; None: the newest, whichever that is."""
    class_name: str | None = None
    """One class, or all."""
    panels: tuple[Panel, ...] = PANELS
    """Which pictures."""
    overlay: Overlay = "tint"
    """How classes are drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What is on screen now."""

    look: SampleLook
    """What was wished."""
    epoch: int
    """The epoch that it is from."""
    sample: Sample
    """The slice."""
    column: int | None
    """Number of the class that is shown alone."""
    classes: tuple[Figures, ...]
    """How prediction and truth differ, for each class."""
    overall: Figures
    """The same over what is shown."""
    has_letters: bool = False
    """Whether classes are told by letters, as the terminal has no colours."""


class SampleReader:
    """Reads slices, and keeps the last ones; for a thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, int], tuple[Sample, tuple[Figures, ...]]] = OrderedDict()

    def read(self, path: Path) -> tuple[Sample, tuple[Figures, ...]]:
        """Return a slice and how each class differs in it.

        Raises
        ------
        DataError
            As `read_slice`.
        """
        try:
            key = (path, path.stat().st_mtime_ns)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
        found = self._kept.pop(key, None)
        if found is None:
            sample = read_slice(path)
            found = (sample, tuple(figures(sample, number) for number in range(len(sample.names))))
        self._kept[key] = found
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found


class SampleView(Widget, can_focus=True):
    """Pictures of one slice of one epoch."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("samples.before", "scrub(-1)"),
        bind("samples.next", "go(1)"),
        bind("slice.classes", "classes", "class", help="Show the next class alone; after the last, all."),
        bind("samples.panels", "panels"),
        bind("slice.overlay", "overlay", help="Draw classes as tints, outlines, the probability itself, or not."),
        bind("chart.follow", "follow", "newest", help="Show the newest epoch, and go on with every new one."),
        bind("samples.after", "scrub(1)", show=False),
        bind("samples.previous", "go(-1)", show=False),
        bind("slice.previous_ten", "scrub(-10)", show=False, help="Show the slice ten epochs back."),
        bind("slice.next_ten", "scrub(10)", show=False, help="Show the slice ten epochs on."),
        bind("move.top", "scrub(-100000)", show=False, help="Show the first epoch."),
        bind("move.bottom", "scrub(100000)", show=False, help="Show the last epoch."),
        bind("move.down", "go(1)", show=False, help="Show the next slice."),
        bind("move.up", "go(-1)", show=False, help="Show the slice before."),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"sample--message", "sample--title"}
    DEFAULT_CSS = """
    SampleView {
        height: 1fr; width: 1fr; overflow: hidden; background: $surface; color: $foreground;

        & > .sample--message { color: $text-muted; }
        & > .sample--title { color: $text-muted; }
    }
    """

    class Looked(Message):
        """Something else is on screen; None: no slice is."""

        def __init__(self, shown: Shown | None) -> None:
            self.shown = shown
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest counts."""
            return isinstance(message, SampleView.Looked)

    class _Drawn(Message):
        def __init__(self, asked: object, shown: Shown, laid: Layout, rows: list[list[Strip]]) -> None:
            self.asked = asked
            self.shown = shown
            self.laid = laid
            self.rows = rows
            super().__init__()

    class _Failed(Message):
        def __init__(self, asked: object, error: DataError) -> None:
            self.asked = asked
            self.error = error
            super().__init__()

    def __init__(self, class_name: str | None = None, epoch: int | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.index = SampleIndex()
        self.look = SampleLook(epoch=epoch, class_name=class_name)
        self.shown: Shown | None = None
        self._reader = SampleReader()
        self._message = ""
        self._strips: list[Strip] = []

    def say(self, message: str) -> None:
        """Show words as long as there is no slice."""
        if message != self._message:
            self._message = message
            if self.shown is None:
                self.refresh()

    def show(self, index: SampleIndex) -> None:
        """Show these slices; what is looked at stays as far as it is there."""
        if index is self.index:
            return
        self.index = index
        if index.names and self.look.name not in index.names:
            self.look = replace(self.look, name=index.names[0])
        self._draw_soon()

    @property
    def epoch(self) -> int | None:
        """The epoch that is wished for, as far as it is there."""
        if not self.index.epochs:
            return None
        wished = self.index.epochs[-1] if self.look.epoch is None else self.look.epoch
        return self.index.near(wished, self.look.name)

    # Keys

    def action_scrub(self, steps: int) -> None:
        """Show an epoch before or after this one; beyond the last, the newest is followed."""
        having = [one for one in self.index.epochs if (one, self.look.name) in self.index.paths]
        epoch = self.epoch
        if epoch is None:
            return
        place = having.index(epoch) + steps
        self._take(replace(self.look, epoch=None if place >= len(having) else having[max(0, place)]))

    def action_go(self, steps: int) -> None:
        """Show the slice after or before this one, at the same epoch."""
        if self.index.names:
            place = self.index.names.index(self.look.name) + steps
            self._take(replace(self.look, name=self.index.names[max(0, min(len(self.index.names) - 1, place))]))

    def action_classes(self) -> None:
        """Show the next class alone; after the last, all."""
        if self.shown is not None:
            names = (None, *self.shown.sample.names)
            place = names.index(self.look.class_name) if self.look.class_name in names else 0
            self.go_to(names[(place + 1) % len(names)])

    def go_to(self, class_name: str | None) -> None:
        """Show one class alone, or all."""
        self._take(replace(self.look, class_name=class_name))

    def action_panels(self) -> None:
        """Show all four pictures, or fewer and larger ones."""
        place = CHOICES.index(self.look.panels)
        self._take(replace(self.look, panels=CHOICES[(place + 1) % len(CHOICES)]))

    def action_overlay(self) -> None:
        """Draw classes in the next way."""
        self._take(replace(self.look, overlay=LOOKS[(LOOKS.index(self.look.overlay) + 1) % len(LOOKS)]))

    def action_follow(self) -> None:
        """Show the newest epoch from now on."""
        self._take(replace(self.look, epoch=None))

    def _take(self, look: SampleLook) -> None:
        if look != self.look:
            self.look = look
            self._draw_soon()

    # Pictures

    def on_resize(self, _event: Resize) -> None:
        """Draw at the new size."""
        self._draw_soon()

    def _draw_soon(self) -> None:
        epoch = self.epoch
        if epoch is None:
            if self.shown is not None:
                self.shown, self._strips = None, []
                self.refresh()
                self.post_message(self.Looked(None))
        elif self.size.width > 4 and self.size.height > 2:
            self._draw(self.look, epoch, self.index.paths[epoch, self.look.name], self.size)

    @work(thread=True, exclusive=True, group="samples.draw", exit_on_error=False)
    def _draw(self, look: SampleLook, epoch: int, path: Path, size: Size) -> None:
        worker = get_current_worker()
        asked = (look, epoch, size)
        try:
            sample, classes = self._reader.read(path)
        except DataError as error:
            self.post_message(self._Failed(asked, error))
            return
        if worker.is_cancelled:
            return
        column = sample.names.index(look.class_name) if look.class_name in sample.names else None
        overall = figures(sample, None) if column is None else classes[column]
        laid = layout(len(look.panels), sample, size.width, size.height)
        rows = draw_rows(sample, look, column, laid, is_coloured=has_colours(self.app.console))
        if not worker.is_cancelled:
            has_letters = not has_colours(self.app.console)
            shown = Shown(look, epoch, sample, column, classes, overall, has_letters)
            self.post_message(self._Drawn(asked, shown, laid, rows))

    @on(_Drawn)
    def _paint(self, event: _Drawn) -> None:
        """Paint, unless the user has gone on."""
        event.stop()
        if event.asked != (self.look, self.epoch, self.size):
            return
        self.shown = event.shown
        strips: list[Strip] = []
        for number, row in enumerate(event.rows):
            first = number * event.laid.columns
            names = event.shown.look.panels[first : first + event.laid.columns]
            strips += [self._title(names, event.laid.width), *row]
        self._strips = strips
        self.refresh()
        self.post_message(self.Looked(event.shown))

    @on(_Failed)
    def _tell(self, event: _Failed) -> None:
        event.stop()
        if event.asked == (self.look, self.epoch, self.size):
            self.shown, self._strips = None, []
            self._message = f"{event.error.message}\n{event.error.remedy or ''}"
            self.refresh()
            self.post_message(self.Looked(None))

    def _title(self, names: tuple[Panel, ...], width: int) -> Strip:
        style = self.get_component_rich_style("sample--title")
        words = [f"{fitted(name, width)} " for name in names]
        return Strip([Segment("".join(words), style)])

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        width = self.size.width
        if self.shown is None:
            style = self.get_component_rich_style("sample--message")
            lines = [part for line in self._message.split("\n") for part in wrap(printable(line), max(1, width))]
            return Strip([Segment(fitted(lines[y] if y < len(lines) else "", width), style)], width)
        if y < len(self._strips):
            return self._strips[y].adjust_cell_length(width, self.rich_style)
        return Strip.blank(width, self.rich_style)


def draw_rows(
    sample: Sample, look: SampleLook, column: int | None, laid: Layout, *, is_coloured: bool = True
) -> list[list[Strip]]:
    """Return the pictures of a slice as lines of cells, row of pictures by row.

    Without colours classes are outlined in place of tinted, and have their letters at their centres.
    """
    overlay = "outline" if look.overlay == "tint" and not is_coloured else look.overlay
    letters = {} if is_coloured or overlay != "outline" else class_letters(sample.names)
    shape = (laid.height, laid.width)
    rows = []
    for first in range(0, len(look.panels), laid.columns):
        panels = look.panels[first : first + laid.columns]
        drawn = [draw_panel(sample, panel, column, overlay, shape) for panel in panels]
        strips = strips_of(_side_by_side(drawn), coarse=False)
        for place, panel in enumerate(panels if letters else ()):
            for row, across, letter in letter_places(sample, panel, column, shape, letters):
                at = place * (laid.width + 1) + across
                strips[row // 2] = with_letters(strips[row // 2], [(at, letter)], LETTER_STYLE)
        rows.append(strips)
    return rows


def _side_by_side(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    gap = np.full((len(pictures[0]), 1, 3), GROUND, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)][:-1]
    joined: NDArray[np.uint8] = np.concatenate(parts, axis=1)
    return joined
