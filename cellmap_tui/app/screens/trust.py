"""The question whether a Python configuration may run: what it would load, and its text."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.text import count, printable

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.learning.config_python import PythonFacts

MOST_LINES = 5000
MOST_BYTES = 512 * 1024


class TrustQuestion(BaseModal[bool]):
    """Ask before code runs; ``y`` says yes, ``esc`` and ``n`` say no.

    Parameters
    ----------
    facts
        What can be said about the file without running it.
    """

    AUTO_FOCUS = "VerticalScroll"
    DEFAULT_CSS = """
    TrustQuestion > .window { width: 110; height: 90%; padding: 0 2; }
    TrustQuestion Static { height: auto; }
    TrustQuestion .facts { margin: 0 0 1 0; }
    TrustQuestion VerticalScroll { height: 1fr; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("answer.yes", "answer(True)", "let it run"),
        bind("answer.no", "answer(False)", "no"),
        bind("move.down", "scroll(1)", show=False),
        bind("move.up", "scroll(-1)", show=False),
        bind("move.half_down", "scroll(10)", show=False),
        bind("move.half_up", "scroll(-10)", show=False),
    ]

    class Loaded(Message):
        """The text of the file is read."""

        def __init__(self, words: str) -> None:
            self.words = words
            super().__init__()

    def __init__(self, facts: PythonFacts) -> None:
        super().__init__()
        self._facts = facts

    def compose(self) -> ComposeResult:
        """Yield what is known, and the text."""
        from cellmap_tui.services.trust import facts_in_words

        facts = self._facts
        with Vertical(classes="window") as window:
            window.border_title = Content(f"May {printable(facts.path.name)} run?")
            window.border_subtitle = Content("y lets it run   n or esc: no   j k read on")
            words = (
                f"{printable(str(facts.path))} is Python: it can do all that you can. It {facts_in_words(facts)}."
                " A yes holds for this content, and for what it imports beside it; a change is asked about again."
            )
            yield Static(Content(words), classes="facts", markup=False)
            with VerticalScroll():
                yield Static(markup=False, id="code")

    def on_mount(self) -> None:
        """Read the text."""
        self._load()

    @work(thread=True, exclusive=True, exit_on_error=False)
    def _load(self) -> None:
        files = (self._facts.path, *self._facts.siblings)
        self.post_message(self.Loaded("\n\n".join(_numbered(path, names=len(files) > 1) for path in files)))

    def on_trust_question_loaded(self, event: Loaded) -> None:
        """Show the text."""
        self.query_one("#code", Static).update(Content(event.words))

    def action_answer(self, answer: bool) -> None:
        """Close with an answer."""
        self.dismiss(answer)

    def action_close(self) -> None:
        """Close with No."""
        self.dismiss(False)

    def action_scroll(self, lines: int) -> None:
        """Read on, or back."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def _numbered(path: Path, *, names: bool) -> str:
    try:
        with path.open("rb") as file:
            lines = file.read(MOST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    width = len(str(min(len(lines), MOST_LINES)))
    shown = [
        f"{number:>{width}}  {printable(line.expandtabs(4))}" for number, line in enumerate(lines[:MOST_LINES], 1)
    ]
    if len(lines) > MOST_LINES:
        shown.append(f"and {count(len(lines) - MOST_LINES)} lines more")
    return "\n".join([f"{path.name}:", *shown] if names else shown)
