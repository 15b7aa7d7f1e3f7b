"""Words of a pane that change often."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.content import Content
    from textual.widgets import Static


def show_words(place: Static, words: Content) -> None:
    """Show words; the same as before cost neither layout nor paint."""
    if place.content != words:
        place.update(words)
