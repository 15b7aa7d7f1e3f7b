"""A list of choices that moves by the app's own keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widgets import OptionList

from cellmap_tui.app.keys import bind
from cellmap_tui.app.signs import sign

if TYPE_CHECKING:
    from textual.binding import BindingType


class Choices(OptionList, inherit_bindings=False):
    """Textual's option list with the keys of the grammar; text is never read as markup."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "choose", help="Take what is under the cursor."),
        bind("move.down", "cursor_down", show=False),
        bind("move.up", "cursor_up", show=False),
        bind("move.top", "first", show=False),
        bind("move.bottom", "last", show=False),
        bind("move.page_down", "page_down", show=False),
        bind("move.page_up", "page_up", show=False),
    ]
    DEFAULT_CSS = """
    Choices, Choices:focus {
        border: none; padding: 0; background: transparent; text-wrap: nowrap; text-overflow: ellipsis;

        & > .option-list--option { padding: 0 0 0 2; }
    }
    """

    def __init__(self, *content: object, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(*content, id=id, classes=classes, markup=False)  # type: ignore[arg-type]

    def render_line(self, y: int) -> Strip:
        """Return one line; the cursor is a sign as well as a colour."""
        strip = super().render_line(y)
        highlighted = self.highlighted
        if highlighted is None or not self._is_first_line_of(self.scroll_offset.y + y, highlighted):
            return strip
        style = next((segment.style for segment in strip if segment.style), None)
        return Strip([Segment(sign("cursor"), style), *strip.crop(1)])

    def _is_first_line_of(self, line: int, option: int) -> bool:
        return line < len(self._lines) and self._lines[line] == (option, 0)
