"""A line in which one value is typed; ``enter`` keeps it, ``esc`` leaves the value as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.geometry import Size
from textual.message import Message
from textual.reactive import Reactive
from textual.widgets import Input

from cellmap_tui.app.keys import bind

if TYPE_CHECKING:
    from textual.binding import BindingType


class ValueLine(Input, inherit_bindings=True):
    """The line; what is typed is heard as `Input.Changed`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "keep", "keep", help="Keep what is typed, also while it is wrong."),
        bind("do.close", "leave", "as it was", help="Leave the value as it was."),
    ]
    virtual_size = Reactive(Size(0, 0), layout=False)
    """Width of the text; in a plain `Input` each key makes a new layout of the screen, 5 to 10 ms."""

    class Kept(Message):
        """The user is done typing."""

        def __init__(self, value: str) -> None:
            self.value = value
            super().__init__()

    class Left(Message):
        """The user wants the value as it was."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, select_on_focus=False)
        self.cursor_blink = False

    def action_keep(self) -> None:
        """Keep what is typed."""
        self.post_message(self.Kept(self.value))

    def action_leave(self) -> None:
        """Leave the value as it was."""
        self.post_message(self.Left())
