"""What all screens share: header, key bar, breakpoints, errors of workers, a word for tiny terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual import on
from textual.containers import Container
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from cellmap_tui.app.keys import bind
from cellmap_tui.app.run_words import progress_words
from cellmap_tui.app.widgets.error_view import describe
from cellmap_tui.app.widgets.header import Header, status_words
from cellmap_tui.app.widgets.key_bar import KeyBar
from cellmap_tui.app.widgets.pane import Pane

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.events import Resize

    from cellmap_tui.app.app import CellmapApp

Answer = TypeVar("Answer")

MINIMUM = (60, 16)
"""Columns and lines below which a screen says nothing but what it needs."""

BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (140, "-wide")]
"""Columns from which a screen has a class; panes show and hide by it."""


class TooSmall(Static):
    """Covers a screen that has too little room; the screen below stays as it is."""

    DEFAULT_CSS = """
    TooSmall {
        layer: too-small; dock: top; width: 100%; height: 100%; display: none;
        background: $background; color: $foreground;
    }
    """

    def fit(self, width: int, height: int, runs: str) -> None:
        """Say what is needed at this size, and how the runs are."""
        needed = f"{width}x{height}: needs {MINIMUM[0]}x{MINIMUM[1]}"
        words = Content(f"{needed}\n{runs}" if runs else needed)
        if words != self.content:
            # It has the size of the screen whatever it says: a layout would paint everything again.
            self.update(words, layout=False)


class BaseScreen(Screen[None]):
    """A screen of the app.

    A subclass names its `MODE`, sets `AUTO_FOCUS` to its main list, and yields its panes from
    `compose_body`. Panes show and hide by the classes ``-narrow`` (below 100 columns), ``-normal``
    and ``-wide`` (from 140) in the ``.tcss`` beside it.
    """

    MODE: ClassVar[str] = ""
    """Name of the mode, as in the header."""
    FAILURES: ClassVar[Mapping[str, str]] = {}
    """Group of a worker to the selector of the pane that shows its failure; others are told in a toast."""

    HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    ALLOW_IN_MAXIMIZED_VIEW = "Header, KeyBar, TooSmall"
    DEFAULT_CSS = """
    BaseScreen { layers: base too-small; overflow: hidden hidden; }
    BaseScreen > #body { height: 1fr; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("pane.next", "app.focus_next", show=False),
        bind("pane.previous", "app.focus_previous", show=False),
        bind("do.close", "minimize", show=False),
    ]

    @property
    def cellmap(self) -> CellmapApp:
        """The app, typed."""
        return cast("CellmapApp", self.app)

    def compose(self) -> ComposeResult:
        """Yield header, body and key bar."""
        yield Header(self.MODE)
        with Container(id="body"):
            yield from self.compose_body()
        yield KeyBar()
        yield TooSmall(markup=False)

    def compose_body(self) -> ComposeResult:
        """Yield the panes; a subclass says which."""
        yield from ()

    @property
    def is_left_alone(self) -> bool:
        """Whether nobody has touched this screen for long, so that less often is looked at what it shows."""
        return False

    def opened(self, options: Mapping[str, object]) -> None:
        """Take the options of a command line or of another screen that leads here."""

    def toasted(self) -> None:
        """Know that a toast stands over the screen, until `CellmapApp.toasts_end_s`."""

    def on_mount(self) -> None:
        """Follow the runs of the app."""
        self.watch(self.app, "runs", self._show_status, init=True)
        self.watch(self.app, "app_focus", self._show_status, init=False)

    def on_resize(self, event: Resize) -> None:
        """Cover what has no room."""
        self.set_class(event.size.width < MINIMUM[0] or event.size.height < MINIMUM[1], "-tiny")
        self._show_status()

    @on(Header.TabPicked)
    def _go(self, event: Header.TabPicked) -> None:
        self.cellmap.action_go(event.mode)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show the failure of a worker in its pane, or tell of it in a toast."""
        if event.state is not WorkerState.ERROR or event.worker.error is None:
            return
        if event.worker.group in self.FAILURES:
            self.query_one(self.FAILURES[event.worker.group], Pane).show_error(event.worker.error)
        else:
            self.tell_error(event.worker.error)

    def tell_error(self, error: BaseException) -> None:
        """Show an error as a toast: what went wrong and what to do next."""
        message, remedy = describe(error)
        self.app.notify(f"{message}\n{remedy}" if remedy else message, severity="error", timeout=10)

    def _show_status(self) -> None:
        if not self.app.app_focus:
            return
        live = [(run.command, progress_words(run)) for run in self.cellmap.live_runs]
        short, long = status_words(live, self.cellmap.host)
        self.query_one(Header).show_status(short, long)
        self.query_one(TooSmall).fit(self.size.width, self.size.height, short)


class BaseModal(ModalScreen[Answer]):
    """A window over a screen; ``esc`` closes it with no answer."""

    HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    DEFAULT_CSS = """
    BaseModal { align: center middle; layers: base too-small; }
    BaseModal > .window {
        width: 72; max-width: 96%; height: auto; max-height: 90%;
        border: heavy $border; background: $surface; padding: 0 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [bind("do.close", "close", show=False)]

    @property
    def cellmap(self) -> CellmapApp:
        """The app, typed."""
        return cast("CellmapApp", self.app)

    def action_close(self) -> None:
        """Close without an answer."""
        self.dismiss(None)
