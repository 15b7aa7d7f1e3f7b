"""The keys of the screen and of the focused pane, made from the bindings, searchable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import App
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static

from cellmap_tui.app.keys import KEYS, bind, display
from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.app.signs import ascii_only

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.app import ComposeResult
    from textual.binding import Binding, BindingType
    from textual.dom import DOMNode

KEYS_WIDTH = 14


@dataclass(frozen=True, slots=True)
class HelpRow:
    """One line of the help."""

    section: str
    """Where the key works."""
    keys: str
    """The keys, as they are written on screen."""
    text: str
    """What they do."""
    label: str = ""
    """The same in a word, as in the key bar; searched too."""


def help_rows(screen: Screen[object]) -> list[HelpRow]:
    """Return what the keys do at this moment, nearest the focus first.

    Keys that cannot be used now are left out, as the footer does.
    """
    grouped: dict[tuple[str, str, str, str], list[str]] = {}
    for key, active in screen.active_bindings.items():
        text = _text(active.binding)
        if text:
            shown = display(key, ascii_only=ascii_only())
            entry = (_section(active.node), active.binding.action, text, active.binding.description)
            grouped.setdefault(entry, []).append(shown)
    rows = [
        HelpRow(section, " ".join(keys), text, label) for (section, _action, text, label), keys in grouped.items()
    ]
    order = list(dict.fromkeys(row.section for row in rows))
    return sorted(rows, key=lambda row: order.index(row.section))


def _section(node: DOMNode) -> str:
    if isinstance(node, App):
        return "Everywhere"
    return "This screen" if isinstance(node, Screen) else "The focused pane"


def _text(binding: Binding) -> str:
    # What Textual's own widgets bind beside our grammar carries no id; a list of it would hide ours.
    return binding.tooltip if binding.id in KEYS else ""


def matching(rows: Iterable[HelpRow], query: str) -> list[HelpRow]:
    """Return the rows that hold every word of a query, in their keys or their text."""
    words = query.lower().split()
    return [row for row in rows if all(word in f"{row.keys} {row.label} {row.text}".lower() for word in words)]


def rows_content(rows: Sequence[HelpRow]) -> Content:
    """Return the rows under the names of their sections."""
    if not rows:
        return Content.styled("No key does this here.", "$foreground-muted")
    parts: list[tuple[str, str]] = []
    section = ""
    for row in rows:
        if row.section != section:
            parts.append((f"{chr(10) if section else ''}{row.section}\n", "bold $primary"))
            section = row.section
        parts += [(f"  {row.keys:<{KEYS_WIDTH}} ", "bold $footer-key-foreground"), (f"{row.text}\n", "")]
    return Content.assemble(*parts).rstrip()


class HelpScreen(BaseModal[None]):
    """A window with the keys; typing narrows them."""

    AUTO_FOCUS = "Input"
    DEFAULT_CSS = """
    HelpScreen .window { width: 90; height: 90%; }
    HelpScreen Input { margin: 0 0 1 0; background: $panel; }
    HelpScreen VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("move.half_up", "scroll(-1)", show=False, priority=True),
        bind("move.half_down", "scroll(1)", show=False, priority=True),
    ]

    def __init__(self, rows: Sequence[HelpRow]) -> None:
        super().__init__()
        self._rows = rows

    def compose(self) -> ComposeResult:
        """Yield the search line and the keys."""
        with Vertical(classes="window") as window:
            window.border_title = "keys"
            window.border_subtitle = "type to search   esc close"
            search = Input(placeholder="search the keys", select_on_focus=False, compact=True)
            search.cursor_blink = False
            yield search
            with VerticalScroll(can_focus=False):
                yield Static(rows_content(self._rows), markup=False)

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        self.query_one("VerticalScroll > Static", Static).update(rows_content(matching(self._rows, event.value)))

    def on_key(self, event: object) -> None:
        """Scroll with the arrows while the search line has the focus."""
        key = getattr(event, "key", "")
        if key in {"up", "down"}:
            self.query_one(VerticalScroll).scroll_relative(y=1 if key == "down" else -1, animate=False)

    def action_scroll(self, pages: int) -> None:
        """Scroll by half a page."""
        area = self.query_one(VerticalScroll)
        area.scroll_relative(y=pages * max(1, area.size.height // 2), animate=False)
