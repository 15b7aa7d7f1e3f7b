"""What a pane shows in place of its content when that could not be had."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from cellmap_tui.app.keys import bind
from cellmap_tui.app.signs import sign
from cellmap_tui.errors import CellmapError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from textual.binding import BindingType


def describe(error: BaseException) -> tuple[str, str]:
    """Return what went wrong and what to do next, safe to show.

    An error that is not a user's is a bug in this program and says so.
    """
    if isinstance(error, CellmapError):
        return printable(error.message), printable(error.remedy)
    what = printable(f"{type(error).__name__}: {error}")
    return f"unexpected error: {what}", "this is a bug in cellmap-tui; `r` tries again"


class ErrorView(Static, can_focus=True):
    """An error in a pane: what, what to do next, and ``r`` to try again."""

    DEFAULT_CSS = """
    ErrorView { width: 1fr; height: 1fr; padding: 1 2; }
    ErrorView:focus { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [bind("do.reload", "retry", "retry")]

    class RetryAsked(Message):
        """The user wants what failed to be tried again."""

    def __init__(self, error: BaseException) -> None:
        message, remedy = describe(error)
        parts: list[Content | tuple[str, str]] = [(f"{sign('error')} ", "bold $error"), Content(message)]
        if remedy:
            parts += [("\n\n", ""), (remedy, "$foreground-muted")]
        parts += [("\n\n", ""), ("r", "bold $accent"), (" to try again", "")]
        super().__init__(Content.assemble(*parts), markup=False)

    def action_retry(self) -> None:
        """Ask for another try."""
        self.post_message(self.RetryAsked())
