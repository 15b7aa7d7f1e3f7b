"""The line at the bottom: the keys of the focused pane, and how to get help and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from cellmap_tui.app.keys import KEYS, display
from cellmap_tui.app.signs import ascii_only

if TYPE_CHECKING:
    from textual.screen import Screen

MOST_KEYS = 6
"""More than these and nobody reads them; the rest stands in the help."""


def pane_keys(screen: Screen[object]) -> list[tuple[str, str]]:
    """Return key and label of what the focused pane offers, the nearest first.

    Keys of the app are left out: they stand at the right of the bar.
    """
    named: dict[tuple[str, str], tuple[str, str]] = {}
    for key, active in screen.active_bindings.items():
        binding = active.binding
        if not binding.show or not active.enabled or isinstance(active.node, App):
            continue
        shown = binding.key_display or display(key, ascii_only=ascii_only())
        named.setdefault((binding.action, binding.description), (shown, binding.description))
    return list(named.values())


def app_keys(screen: Screen[object], width: int) -> list[tuple[str, str]]:
    """Return the keys at the right, read from the bindings so that changed keys show."""
    wanted = ("app.help", "app.quit") if width < 100 else ("app.commands", "app.help", "app.quit")
    found: dict[str, tuple[str, str]] = {}
    for key, active in screen.active_bindings.items():
        key_id = active.binding.id or ""
        shown = active.binding.key_display or display(key, ascii_only=ascii_only())
        if key_id in wanted and len(shown) < len(found.get(key_id, (shown + " ", ""))[0]):
            found[key_id] = (shown, KEYS[key_id].label)
    return [found[key_id] for key_id in wanted if key_id in found]


class KeyBar(Widget):
    """One line of keys; draws itself again only when its text changes."""

    DEFAULT_CSS = """
    KeyBar { dock: bottom; height: 1; width: 100%; background: $panel; color: $foreground; }
    """
    ALLOW_SELECT = False
    line: reactive[Content] = reactive(Content(""), layout=False)
    """The line as it is shown."""

    def on_mount(self) -> None:
        """Follow the bindings of the screen."""
        self.screen.bindings_updated_signal.subscribe(self, self._follow)
        self.line = self.line_now()

    def on_resize(self) -> None:
        """Fit the line to the new width."""
        self.line = self.line_now()

    def render(self) -> Content:
        """Return the line."""
        return self.line

    def _follow(self, _screen: Screen[object]) -> None:
        self.line = self.line_now()

    def line_now(self) -> Content:
        """Return the line that the keys of this moment make."""
        width = self.size.width
        right = _spans(app_keys(self.screen, width))
        right_width = sum(len(text) for text, _style in right)
        left: list[tuple[str, str]] = [(" ", "")]
        room = width - right_width - 3
        for pair in pane_keys(self.screen)[:MOST_KEYS]:
            spans = _spans([pair])
            if sum(len(text) for text, _style in (*left, *spans)) + 2 > room:
                break
            left += [*spans, ("  ", "")]
        gap = width - sum(len(text) for text, _style in left) - right_width - 1
        return Content.assemble(*left, (" " * max(0, gap), ""), *right)


def _spans(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    spans: list[tuple[str, str]] = []
    for index, (key, label) in enumerate(pairs):
        if index:
            spans.append(("  ", ""))
        spans += [(key, "bold $footer-key-foreground"), (f" {label}", "")]
    return spans
