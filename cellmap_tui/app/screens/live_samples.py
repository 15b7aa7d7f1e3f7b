"""Example slices of a training: raw, truth, prediction and error, scrubbed through the epochs.

They are read from small arrays in the run directory and drawn here; a run copied from elsewhere shows the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Container
from textual.message import Message
from textual.widgets import Static

from cellmap_tui.app.sample_slices import SampleFolder
from cellmap_tui.app.sample_words import (
    FOREIGN,
    NONE_KEPT,
    NOTHING_YET,
    ClassFigures,
    class_columns,
    class_figures,
    classes_words,
    figures_words,
    note_words,
    scrub_words,
    title_words,
)
from cellmap_tui.app.screens.live_base import LivePage
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.sample_view import SampleView
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowSelected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.content import Content

    from cellmap_tui.app.live_run import LiveRun
    from cellmap_tui.app.sample_slices import SampleIndex

TITLE = "example slices"


class SliceClassTable(VirtualTable[ClassFigures]):
    """The classes of the slice that is shown, the worst first."""

    def __init__(self) -> None:
        super().__init__(class_columns(), row_key=lambda row: row.name, markable=False, empty="")


class LiveSamplesScreen(LivePage):
    """Slices of the run in hand.

    Parameters
    ----------
    live
        What is looked at.
    class_name
        A class to show alone; None: all.
    epoch
        The epoch to begin with, or the nearest that left slices; None: the newest, also as new ones come.
    """

    AUTO_FOCUS = "SampleView"
    CSS_PATH = "live_samples.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"samples.look": "#picture", "samples.draw": "#picture"}

    class Found(Message):
        """The disk was looked at."""

        def __init__(self, index: SampleIndex) -> None:
            self.index = index
            super().__init__()

    def __init__(self, live: LiveRun, class_name: str | None = None, epoch: int | None = None) -> None:
        super().__init__(live)
        self._class_name, self._epoch = class_name, epoch
        self._folder = SampleFolder(live.path)

    def compose_body(self) -> ComposeResult:
        """Yield the pictures, a line about them, and the classes beside."""
        with Pane(id="picture") as pane:
            pane.set_title(TITLE)
            yield SampleView(self._class_name, self._epoch)
            with Container(id="facts"):
                yield Static(markup=False, id="scrub")
                yield Static(markup=False, id="figures")
                yield Static(markup=False, id="worst")
        with Pane(id="classes") as pane:
            pane.set_title("in this slice", "⏎ alone")
            yield SliceClassTable()

    @property
    def view(self) -> SampleView:
        """The pictures."""
        return self.query_one(SampleView)

    def on_mount(self) -> None:
        """Say that the disk is looked at."""
        self.view.say("looking for slices…")

    def show_live(self) -> None:
        """Look whether there are new slices."""
        self._search()

    @work(thread=True, exclusive=True, group="samples.look", exit_on_error=False)
    def _search(self) -> None:
        self.post_message(self.Found(self._folder.look()))

    @on(Found)
    def _take_found(self, event: Found) -> None:
        event.stop()
        if not event.index.epochs:
            is_run = self.live.main.kind == "run"
            self.view.say((NOTHING_YET if self.live.is_live else NONE_KEPT) if is_run else FOREIGN)
        self.view.show(event.index)

    @on(SampleView.Looked)
    def _tell(self, event: SampleView.Looked) -> None:
        shown = event.shown
        if shown is None:
            self.query_one("#picture", Pane).set_title(TITLE)
            for name in ("#scrub", "#figures", "#worst"):
                self.query_one(name, Static).update("")
            self.query_one(SliceClassTable).update_rows(())
            return
        self.query_one("#picture", Pane).set_title(title_words(shown), note_words(shown, self.view.index))
        width = max(10, self.view.size.width - 50)
        told: dict[str, str | Content] = {
            "#scrub": scrub_words(shown, self.view.index, width),
            "#figures": figures_words(shown),
            "#worst": classes_words(shown),
        }
        for name, words in told.items():
            part = self.query_one(name, Static)
            if part.content != words:
                part.update(words)
        self.query_one(SliceClassTable).update_rows(class_figures(shown))

    @on(RowSelected, "SliceClassTable")
    def _alone(self, event: RowSelected) -> None:
        if isinstance(event.row, ClassFigures):
            is_alone = self.view.look.class_name == event.row.name
            self.view.go_to(None if is_alone else event.row.name)
