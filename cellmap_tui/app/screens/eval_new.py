"""A new evaluation: what is scored against what, by which rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from cellmap_tui.app.eval_form import FIELDS, EvalForm, Field, problem
from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.app.widgets.edit_line import EditLine
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected
from cellmap_tui.errors import CellmapError
from cellmap_tui.services.evaluate_model import EvaluateRequest
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.services.settings import Settings


class FieldTable(VirtualTable[Field]):
    """The fields; ``enter`` changes one."""

    BINDINGS: ClassVar[list[BindingType]] = [bind("do.open", "select", "change", help="Change this field.")]

    def __init__(self) -> None:
        super().__init__((), row_key=lambda one: one.name, markable=False)

    def show(self, form: EvalForm) -> None:
        """Show the values of a form."""
        self._columns = (
            Column("label", "", 12, lambda one: one.label),
            Column(
                "value", "", 20, form.words, max_width=70, look=lambda one: "strong" if form.typed(one) else "dim"
            ),
        )
        self._layout_of_columns = (-1, [])
        self.refresh() if self.index.rows else self.set_rows(FIELDS)


class NewEvaluation(BaseModal[EvaluateRequest]):
    """Fill in an evaluation; ``n`` goes on to its plan, ``esc`` leaves.

    Parameters
    ----------
    settings
        Where the data lie.
    form
        What is filled in already.
    """

    AUTO_FOCUS = "FieldTable"
    DEFAULT_CSS = """
    NewEvaluation > .window { width: 90; }
    NewEvaluation FieldTable { height: 10; }
    NewEvaluation Static { height: auto; min-height: 2; color: $text-muted; }
    NewEvaluation .verdict { min-height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [bind("do.new", "plan", "plan it")]

    def __init__(self, settings: Settings, form: EvalForm | None = None) -> None:
        super().__init__()
        self.form = form or EvalForm()
        self._settings = settings

    def compose(self) -> ComposeResult:
        """Yield the fields, the help of one, and what is missing."""
        with Vertical(classes="window") as window:
            window.border_title = "new evaluation"
            window.border_subtitle = "enter changes   n shows the plan   esc leaves"
            yield FieldTable()
            yield Static(classes="help", markup=False)
            yield Static(classes="verdict", markup=False)

    def on_mount(self) -> None:
        """Show the empty form."""
        self._show()

    @property
    def table(self) -> FieldTable:
        """The fields."""
        return self.query_one(FieldTable)

    def _show(self) -> None:
        self.table.show(self.form)
        missing = self._missing()
        words = (
            (f"{sign('queued')} {missing}", "") if missing else (f"{sign('ok')} n shows the plan", "$text-success")
        )
        self.query_one(".verdict", Static).update(Content.assemble(words))

    def _missing(self) -> str:
        try:
            self.form.request(self._settings)
        except CellmapError as error:
            return printable(str(error))
        return ""

    @on(RowHighlighted)
    def _help(self) -> None:
        row = self.table.highlighted
        self.query_one(".help", Static).update(Content(row.help if row is not None else ""))

    @on(RowSelected)
    def _change(self, event: RowSelected) -> None:
        one: Field = event.row
        if one.kind == "choice":
            self._take(self.form.with_next_profile())
            return
        form = self.form

        def keep(typed: str | None) -> None:
            if typed is not None:
                self._take(form.with_text(one, typed))

        words = f"{one.help} An empty line takes it back."
        self.app.push_screen(
            EditLine(one.label, words, form.typed(one), lambda typed: problem(form, one, typed)), keep
        )

    def _take(self, form: EvalForm) -> None:
        self.form = form
        self._show()

    def action_plan(self) -> None:
        """Go on to the plan when nothing is missing."""
        if missing := self._missing():
            self.app.notify(missing, severity="warning")
        else:
            self.dismiss(self.form.request(self._settings))
