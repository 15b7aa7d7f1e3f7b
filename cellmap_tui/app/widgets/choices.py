"""A list of choices that moves by the app's own keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.widgets import OptionList

from cellmap_tui.app.keys import bind

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
    }
    """

    def __init__(self, *content: object, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(*content, id=id, classes=classes, markup=False)  # type: ignore[arg-type]
