"""A screen over another one of the same mode: ``esc`` goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.base import BaseScreen

if TYPE_CHECKING:
    from textual.binding import BindingType


class SubScreen(BaseScreen):
    """A page that was opened from a list."""

    BINDINGS: ClassVar[list[BindingType]] = [bind("do.close", "close", "back")]

    def action_close(self) -> None:
        """Restore an enlarged pane, else go back."""
        if self.maximized is not None:
            self.minimize()
        else:
            self.leave(None)

    def leave(self, answer: Any) -> None:
        """Go back with an answer for the screen below."""
        self.dismiss(answer)
