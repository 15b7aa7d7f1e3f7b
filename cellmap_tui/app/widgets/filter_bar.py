"""The filter line over a list: what is typed, how much of the list is left, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import Reactive, reactive
from textual.widgets import Input, Static

from cellmap_tui.app.keys import bind
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.errors import CellmapError


class FilterInput(Input, inherit_bindings=True):
    """One line of filter text; ``enter`` keeps it, ``esc`` clears it, the arrows move in the list below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "keep", "keep the filter"),
        bind("do.close", "clear", "clear the filter"),
        bind("move.down", "move(1)", show=False),
        bind("move.up", "move(-1)", show=False),
    ]

    virtual_size = Reactive(Size(0, 0), layout=False)
    """Width of the text; in a plain `Input` each key makes a new layout of the screen, 5 to 10 ms."""

    class Left(Message):
        """The user is done typing."""

    class Moved(Message):
        """The user moves in the list while typing."""

        def __init__(self, rows: int) -> None:
            self.rows = rows
            super().__init__()

    def __init__(self, placeholder: str = "", *, id: str | None = None) -> None:
        super().__init__(placeholder=placeholder, id=id, compact=True)
        self.cursor_blink = False

    def action_keep(self) -> None:
        """Leave the line as it is."""
        self.post_message(self.Left())

    def action_clear(self) -> None:
        """Empty the line and leave it."""
        self.value = ""
        self.post_message(self.Left())

    def action_move(self, rows: int) -> None:
        """Move the cursor of the list below."""
        self.post_message(self.Moved(rows))


class FilterBar(Vertical):
    """A filter line with a count at its right and room for an error under it.

    A screen watches `text` rather than a message: so the list changes before the line is painted, and one
    frame shows both. A message would come after the line's own frame, and Textual's next one is up to 33 ms later.
    `FilterInput.Left` and `FilterInput.Moved` pass through.
    """

    DEFAULT_CSS = """
    FilterBar {
        height: auto;

        & > Horizontal { height: 1; }
        & .filter--sign { width: 3; padding: 0 1; color: $text-muted; }
        & FilterInput { width: 3fr; background: transparent; }
        & .filter--count { width: 4fr; max-width: 48; padding: 0 1 0 0; text-align: right; color: $text-muted; }
        & > .filter--error { display: none; height: auto; padding: 0 1 0 3; color: $text-error; }
        &.-bad > .filter--error { display: block; }
        &:focus-within .filter--sign { color: $text-primary; text-style: bold; }
    }
    """

    text: reactive[str] = reactive("", repaint=False)
    """What is typed."""

    def __init__(self, placeholder: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.input = FilterInput(placeholder)
        self._count = Static("", classes="filter--count")
        self._error = Static("", classes="filter--error")

    def compose(self) -> ComposeResult:
        """Put the sign, the line and the count into one row, the error under it."""
        with Horizontal():
            yield Static("/", classes="filter--sign")
            yield self.input
            yield self._count
        yield self._error

    def on_mount(self) -> None:
        """Follow the line."""
        self.watch(self.input, "value", self._follow, init=False)

    def watch_text(self, text: str) -> None:
        """Write into the line what the screen sets."""
        self.input.value = text

    def _follow(self, value: str) -> None:
        self.text = value

    def show_count(self, text: str) -> None:
        """Show how much of the list is left."""
        if text != self._count.content:
            # The place has a fixed width: a new layout of the screen for each key would cost 10 ms.
            self._count.update(Content(text), layout=False)

    def show_error(self, error: CellmapError | None) -> None:
        """Show what is wrong with the filter, or nothing."""
        self.set_class(error is not None, "-bad")
        if error is not None:
            self._error.update(Content(printable(str(error))))
