"""A pane: a part of a screen with a title, keys of its own, and an error in place of its content."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.worker import Worker, WorkerState

from cellmap_tui.app.keys import bind
from cellmap_tui.app.widgets.error_view import ErrorView
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from textual.binding import BindingType


class Pane(Container):
    """A bordered part of a screen; ``z`` enlarges it, ``ctrl+o`` jumps to it.

    A worker that a pane starts and that fails puts an `ErrorView` in the place of the content; its
    ``r`` posts `Pane.RetryAsked`, after the content is back.
    """

    DEFAULT_CSS = """
    Pane {
        width: 1fr; height: 1fr;
        border: solid $border-blurred;
        border-title-color: $text-muted;
        border-subtitle-color: $text-muted;
        padding: 0 1;
    }
    Pane:focus-within { border: heavy $border; border-title-color: $foreground; border-title-style: bold; }
    Pane.-failed > * { display: none; }
    Pane.-failed > ErrorView { display: block; }
    """
    ALLOW_MAXIMIZE = True
    BINDINGS: ClassVar[list[BindingType]] = [bind("pane.zoom", "zoom", show=False)]

    class RetryAsked(Message):
        """The user wants this pane to try again."""

        def __init__(self, pane: Pane) -> None:
            self.pane = pane
            super().__init__()

        @property
        def control(self) -> Pane:
            """The pane."""
            return self.pane

    def set_title(self, title: str, note: str = "") -> None:
        """Set the title and the note in the lower edge from plain text that may come from data."""
        shown, below = Content(printable(title)), Content(printable(note))
        if self._border_title != shown:
            self.border_title = shown
        if self._border_subtitle != below:
            self.border_subtitle = below

    def show_error(self, error: BaseException) -> None:
        """Show an error in place of the content."""
        had_focus = self.has_focus_within
        self.query_children(ErrorView).remove()
        view = ErrorView(error)
        self.mount(view)
        self.add_class("-failed")
        if had_focus:
            view.focus()

    def clear_error(self) -> None:
        """Show the content again."""
        if not self.has_class("-failed"):
            return
        had_focus = self.has_focus_within
        self.remove_class("-failed")
        self.query_children(ErrorView).remove()
        if had_focus:
            focusable = [
                widget for widget in self.query("*") if widget.focusable and not isinstance(widget, ErrorView)
            ]
            self.screen.set_focus(focusable[0] if focusable else None)

    def action_zoom(self) -> None:
        """Enlarge this pane, or restore it."""
        if self.screen.maximized is self:
            self.screen.minimize()
        else:
            self.screen.maximize(self, container=False)

    @on(ErrorView.RetryAsked)
    def _ask_again(self, event: ErrorView.RetryAsked) -> None:
        event.stop()
        self.clear_error()
        self.post_message(self.RetryAsked(self))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Turn a failed worker into an error view."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.show_error(event.worker.error)
