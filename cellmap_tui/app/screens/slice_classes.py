"""Which classes a slice draws: a list with a mark for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList

from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.choices import Choices
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class ChooseClasses(BaseModal[tuple[str, ...]]):
    """Mark classes; ``enter`` draws those that are marked, or all where none is.

    Parameters
    ----------
    classes
        Classes that there are.
    chosen
        Classes that are drawn now; empty: all.
    """

    AUTO_FOCUS = "Choices"
    DEFAULT_CSS = """
    ChooseClasses Choices { height: auto; max-height: 30; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.mark", "mark", help="Draw the class under the cursor, or do not."),
        bind("do.mark_all", "mark_all", help="Mark all classes, or none."),
    ]

    def __init__(self, classes: tuple[str, ...], chosen: tuple[str, ...]) -> None:
        super().__init__()
        self._names = classes
        self._chosen = set(chosen)

    def compose(self) -> ComposeResult:
        """Yield the list."""
        with Vertical(classes="window") as window:
            window.border_title = "classes that are drawn"
            window.border_subtitle = "space marks   a all or none   enter draws them   esc leaves as it was"
            yield Choices(*(self._line(name) for name in self._names))

    def _line(self, name: str) -> Content:
        mark = sign("marked") if name in self._chosen else " "
        return Content(f"{mark} {printable(name)}")

    def action_mark(self) -> None:
        """Mark the class under the cursor, or take the mark away; go to the next."""
        choices = self.query_one(Choices)
        index = choices.highlighted
        if index is None:
            return
        self._chosen ^= {self._names[index]}
        choices.replace_option_prompt_at_index(index, self._line(self._names[index]))
        choices.action_cursor_down()

    def action_mark_all(self) -> None:
        """Mark all, or none."""
        self._chosen = set() if len(self._chosen) == len(self._names) else set(self._names)
        choices = self.query_one(Choices)
        for index, name in enumerate(self._names):
            choices.replace_option_prompt_at_index(index, self._line(name))

    @on(OptionList.OptionSelected)
    def _answer(self, event: OptionList.OptionSelected) -> None:
        """Draw what is marked; with no mark the class under the cursor alone."""
        chosen = tuple(name for name in self._names if name in self._chosen)
        if not chosen:
            chosen = (self._names[event.option_index],)
        self.dismiss(() if len(chosen) == len(self._names) else chosen)
