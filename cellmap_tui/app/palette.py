"""The command palette: every action, screen, run and theme by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.fuzzy import Matcher
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from cellmap_tui.app.keys import KEYS, bind, display
from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.app.signs import ascii_only
from cellmap_tui.app.widgets.choices import Choices
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.screen import Screen

    from cellmap_tui.app.app import CellmapApp


_NOT_LISTED = ("move.", "pane.", "app.commands", "do.close", "do.open")


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that the palette can do."""

    title: str
    """What is searched and shown."""
    note: str
    """Its key, or where it comes from."""
    run: Callable[[], object]
    """Does it, after the palette has closed."""
    preview: Callable[[], object] | None = None
    """Shows it while it is highlighted."""
    label: str = ""
    """The same in a word; searched too."""


def entries(app: CellmapApp, screen: Screen[object]) -> list[Entry]:
    """Return everything that can be done from a screen, its own actions first."""
    return [*_actions(app, screen), *_runs(app), *_themes(app)]


def _actions(app: CellmapApp, screen: Screen[object]) -> Iterator[Entry]:
    seen: set[tuple[str, str]] = set()
    for key, active in screen.active_bindings.items():
        binding = active.binding
        title = binding.tooltip or binding.description
        if binding.id not in KEYS or binding.id.startswith(_NOT_LISTED):
            continue
        if (binding.action, title) in seen or not active.enabled:
            continue
        seen.add((binding.action, title))
        run = partial(app.call_later, app.run_action, binding.action, active.node)
        yield Entry(title.rstrip("."), display(key, ascii_only=ascii_only()), run, label=binding.description)


def _runs(app: CellmapApp) -> Iterator[Entry]:
    for run in app.runs:
        title = f"Run {printable(run.run_id)}"
        yield Entry(
            title,
            f"{printable(run.command)}, {printable(run.state)}",
            partial(app.open_mode, "runs", {"run": run.run_id}),
        )


def _themes(app: CellmapApp) -> Iterator[Entry]:
    for name in sorted(app.available_themes, key=lambda name: (not name.startswith("cellmap"), name)):
        yield Entry(
            f"Theme {printable(name)}",
            "in use" if name == app.theme else "",
            partial(app.keep_theme, name),
            partial(setattr, app, "theme", name),
        )


def ranked(found: Sequence[Entry], query: str) -> list[Entry]:
    """Return the entries that match a query, the best first; all of them for none."""
    if not query.strip():
        return list(found)
    matcher = Matcher(query.strip())
    scored = [(matcher.match(f"{entry.title} {entry.label}"), index, entry) for index, entry in enumerate(found)]
    return [entry for score, _index, entry in sorted(scored, key=lambda item: (-item[0], item[1])) if score > 0]


class Palette(BaseModal[Entry]):
    """A search line over a list; themes show themselves while they are highlighted."""

    AUTO_FOCUS = "Input"
    DEFAULT_CSS = """
    Palette { align: center top; background: $background 40%; }
    Palette .window { width: 90; margin: 2 0 0 0; }
    Palette Input { margin: 0 0 1 0; background: $panel; }
    Palette Choices { height: auto; max-height: 16; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [bind("app.commands", "close", show=False, priority=True)]

    def __init__(self, screen: Screen[object]) -> None:
        super().__init__()
        self._entries = entries(self.cellmap, screen)
        self._shown: list[Entry] = []
        self._theme = self.cellmap.theme

    def compose(self) -> ComposeResult:
        """Yield the search line and the list."""
        with Vertical(classes="window") as window:
            window.border_title = "commands"
            search = Input(placeholder="an action, screen, run or theme", select_on_focus=False, compact=True)
            search.cursor_blink = False
            yield search
            found = Choices()
            found.can_focus = False
            yield found

    def on_mount(self) -> None:
        """Show everything."""
        self._show("")

    @on(Input.Changed)
    def _search(self, event: Input.Changed) -> None:
        self._show(event.value)

    @on(Input.Submitted)
    def _take(self) -> None:
        index = self.query_one(OptionList).highlighted
        if index is not None and self._shown:
            self._finish(self._shown[index])

    @on(OptionList.OptionSelected)
    def _click(self, event: OptionList.OptionSelected) -> None:
        self._finish(self._shown[event.option_index])

    @on(OptionList.OptionHighlighted)
    def _preview(self, event: OptionList.OptionHighlighted) -> None:
        entry = self._shown[event.option_index] if event.option_index < len(self._shown) else None
        if entry is not None and entry.preview is not None:
            entry.preview()
        else:
            self._restore()

    def on_key(self, event: object) -> None:
        """Move in the list while the search line has the focus."""
        move = {"up": "cursor_up", "down": "cursor_down", "pageup": "page_up", "pagedown": "page_down"}
        action = move.get(getattr(event, "key", ""))
        if action is not None:
            getattr(self.query_one(OptionList), f"action_{action}")()

    def action_close(self) -> None:
        """Leave everything as it was."""
        self._restore()
        self.dismiss(None)

    def _restore(self) -> None:
        if self.cellmap.theme != self._theme:
            self.cellmap.theme = self._theme

    def _finish(self, entry: Entry) -> None:
        self._restore()
        self.dismiss(entry)
        self.app.call_later(entry.run)

    def _show(self, query: str) -> None:
        self._shown = ranked(self._entries, query)
        found = self.query_one(OptionList)
        found.clear_options()
        found.add_options([Option(_line(entry)) for entry in self._shown])
        if self._shown:
            found.highlighted = 0
        else:
            self._restore()


def _line(entry: Entry) -> Content:
    note = f"  {entry.note}" if entry.note else ""
    return Content.assemble(entry.title, (note, "$foreground-muted"))
