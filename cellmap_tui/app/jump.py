"""Jump mode: a letter on each pane, and the next key goes there."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.content import Content
from textual.widgets import Label

from cellmap_tui.app.screens.base import BaseModal

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Key
    from textual.screen import Screen
    from textual.widget import Widget

LETTERS = "asdfghjklqwertyuiopzxcvbnm"
"""Letters in the order of use: the home row first."""


def jump_targets(screen: Screen[object]) -> list[tuple[str, Widget]]:
    """Return a letter for each widget that can have the focus, in the order of ``tab``."""
    return list(zip(LETTERS, screen.focus_chain, strict=False))


class JumpScreen(BaseModal[None]):
    """Shows the letters over the panes; any key closes it."""

    DEFAULT_CSS = """
    JumpScreen { align: left top; background: $background 40%; }
    JumpScreen .letter {
        width: 3; height: 1; position: absolute; background: $accent; color: $background; text-style: bold;
    }
    """
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list] = []  # type: ignore[type-arg]

    def __init__(self, screen: Screen[object]) -> None:
        super().__init__()
        self._targets = dict(jump_targets(screen))

    def compose(self) -> ComposeResult:
        """Yield a letter at the upper left corner of each target."""
        for letter, widget in self._targets.items():
            label = Label(Content(f" {letter} "), classes="letter", markup=False)
            label.styles.offset = (max(0, widget.region.x), max(0, widget.region.y))
            yield label

    def on_key(self, event: Key) -> None:
        """Go to the pane of the letter, or nowhere."""
        event.stop()
        event.prevent_default()
        target = self._targets.get(event.key)
        self.dismiss(None)
        if target is not None:
            target.focus()
