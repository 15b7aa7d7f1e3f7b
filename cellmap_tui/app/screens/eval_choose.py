"""Which evaluation to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from cellmap_tui.app.eval_rows import figure
from cellmap_tui.app.eval_words import profile_words
from cellmap_tui.app.evaluations import EvaluationItem  # noqa: TC001 - Textual reads the annotation
from cellmap_tui.app.run_words import clock_words
from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.app.widgets.choices import Choices
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult


class ChooseEvaluation(BaseModal["EvaluationItem | str"]):
    """Choose an evaluation, or ``none`` to compare with nothing.

    Parameters
    ----------
    items
        What there is to choose from, the newest first.
    is_compared
        Whether there is a comparison to end.
    """

    AUTO_FOCUS = "Choices"
    DEFAULT_CSS = """
    ChooseEvaluation Choices { height: auto; max-height: 14; margin: 1 0; }
    """

    def __init__(self, items: Sequence[EvaluationItem], *, is_compared: bool) -> None:
        super().__init__()
        self._answers: list[EvaluationItem | str] = [*items]
        if is_compared:
            self._answers.insert(0, "none")

    def compose(self) -> ComposeResult:
        """Yield the choices."""
        with Vertical(classes="window") as window:
            window.border_title = "compare with"
            window.border_subtitle = "enter chooses   esc leaves as it was"
            yield Choices(*(Option(_line(answer)) for answer in self._answers))

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._answers[event.option_index])


def _line(answer: EvaluationItem | str) -> Content:
    if isinstance(answer, str):
        return Content("nothing: end the comparison")
    name = f"{cut_middle(printable(answer.name), 30):<30}"
    started = clock_words(answer.run.started_s or answer.run.created_s)
    return Content.assemble(
        (name, "bold"), f"  {figure(answer.overall)}  {printable(profile_words(answer))}  {started}"
    )
