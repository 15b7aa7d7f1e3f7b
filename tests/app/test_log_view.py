"""The view of a log: what its scroll bar says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App

from cellmap_tui.app.event_words import LogLine
from cellmap_tui.app.widgets.log_view import LogView

if TYPE_CHECKING:
    from textual.app import ComposeResult


class Holder(App[None]):
    """An app that is a log."""

    def compose(self) -> ComposeResult:
        """Yield the log."""
        yield LogView()


async def test_a_scroll_bar_that_appears_with_the_lines_stands_at_their_end() -> None:
    async with Holder().run_test(size=(40, 10)) as pilot:
        view = pilot.app.query_one(LogView)

        view.add([LogLine(None, "output", f"line {number}") for number in range(100)])
        await pilot.pause()

        assert view.scroll_y == 90
        assert view.vertical_scrollbar.position == 90
