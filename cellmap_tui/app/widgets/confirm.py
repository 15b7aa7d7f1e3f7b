"""A question before something is stopped or removed: what, at what cost, and No unless told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.app.widgets.choices import Choices

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class Confirm(BaseModal[bool]):
    """Ask one question; ``y`` or the second line says yes, everything else says no.

    Parameters
    ----------
    question
        Names the thing: ``Stop demo at 45 %?``
    cost
        What it costs or keeps: ``What is made so far is kept; resume goes on from there.``
    yes, no
        The answers in words.
    """

    AUTO_FOCUS = "Choices"
    DEFAULT_CSS = """
    Confirm .window { height: auto; padding: 1 2 0 2; }
    Confirm .cost { color: $text-muted; margin: 0 0 1 0; max-height: 12; overflow-y: auto; height: auto; }
    Confirm Choices { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("answer.yes", "answer(True)"),
        bind("answer.no", "answer(False)"),
    ]

    def __init__(self, question: str, cost: str, *, yes: str, no: str) -> None:
        super().__init__()
        self._question = question
        self._cost = cost
        self._answers = (no, yes)

    def compose(self) -> ComposeResult:
        """Yield the question and its two answers."""
        with Vertical(classes="window"):
            yield Static(Content.styled(self._question, "bold"), markup=False)
            yield Static(Content(self._cost), classes="cost", markup=False)
            yield Choices(*(Option(_answer(key, text)) for key, text in zip("ny", self._answers, strict=True)))

    def action_answer(self, answer: bool) -> None:
        """Close with an answer."""
        self.dismiss(answer)

    def action_close(self) -> None:
        """Close with No."""
        self.dismiss(False)

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_index == 1)


def _answer(key: str, text: str) -> Content:
    return Content.assemble((f"{key}  ", "bold $accent"), text)
