"""A window with the fields of a form; ``enter`` changes one, ``n`` goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.app.signs import sign
from cellmap_tui.app.split_form import Option
from cellmap_tui.app.typed_form import TypedForm
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.app.widgets.edit_line import EditLine
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected
from cellmap_tui.errors import CellmapError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class FormTable(VirtualTable[Option]):
    """The fields; ``enter`` changes one."""

    BINDINGS: ClassVar[list[BindingType]] = [bind("do.open", "select", "change", help="Change this field.")]

    def __init__(self) -> None:
        super().__init__((), row_key=lambda option: option.name, markable=False)

    def show(self, form: TypedForm) -> None:
        """Show the values of a form."""
        self._columns = (
            Column("label", "", 13, lambda option: option.label),
            Column("value", "", 20, form.words, max_width=70,
                   look=lambda option: "strong" if form.is_set(option) else "dim"),
        )  # fmt: skip
        self._layout_of_columns = (-1, [])
        self.refresh() if self.index.rows else self.set_rows(form.OPTIONS)


class FillIn(BaseModal[TypedForm]):
    """Fill in a form; ``n`` answers with it when it is right, ``esc`` leaves everything as it was.

    Parameters
    ----------
    title
        What it is about.
    form
        What is filled in already.
    go_on
        What ``n`` does, in a few words.
    """

    AUTO_FOCUS = "FormTable"
    DEFAULT_CSS = """
    FillIn > .window { width: 92; }
    FillIn FormTable { height: 10; }
    FillIn Static { height: auto; min-height: 2; color: $text-muted; }
    FillIn .verdict { min-height: 1; max-height: 4; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [bind("do.new", "go_on", "go on")]

    def __init__(self, title: str, form: TypedForm, go_on: str) -> None:
        super().__init__()
        self.form = form
        self._title = title
        self._go_on = go_on

    def compose(self) -> ComposeResult:
        """Yield the fields, the help of one, and what is wrong."""
        with Vertical(classes="window") as window:
            window.border_title = Content(printable(self._title))
            window.border_subtitle = Content(f"enter changes   n {self._go_on}   esc leaves")
            yield FormTable()
            yield Static(classes="help", markup=False)
            yield Static(classes="verdict", markup=False)

    def on_mount(self) -> None:
        """Show the form."""
        table = self.query_one(FormTable)
        table.styles.height = len(self.form.OPTIONS) + 1
        self._show()

    def action_go_on(self) -> None:
        """Answer, if nothing is wrong."""
        if not self.form.problem(self.cellmap.settings):
            self.dismiss(self.form)

    def _show(self) -> None:
        self.query_one(FormTable).show(self.form)
        problem = self.form.problem(self.cellmap.settings)
        words = (f"{sign('error')} {problem}", "$text-error") if problem else (f"{sign('ok')} n {self._go_on}", "")
        self.query_one(".verdict", Static).update(Content.assemble((printable(words[0]), words[1])))

    @on(RowHighlighted, "FormTable")
    def _show_help(self, event: RowHighlighted) -> None:
        self.query_one(".help", Static).update(Content(event.row.help if event.row is not None else ""))

    @on(RowSelected, "FormTable")
    def _change(self, event: RowSelected) -> None:
        option: Option = event.row
        if option.choices:
            self.form = self.form.with_next(option)
            self._show()
            return
        form = self.form

        def problem(typed: str) -> str:
            try:
                return form.with_text(option, typed).problem(self.cellmap.settings)
            except CellmapError as error:
                return ": ".join(filter(None, (error.message, error.remedy)))

        def keep(typed: str | None) -> None:
            if typed is not None:
                self.form = form.with_text(option, typed)
                self._show()

        help_text = f"{option.help} An empty line takes it back."
        self.app.push_screen(EditLine(option.label, help_text, form.typed(option), problem), keep)
