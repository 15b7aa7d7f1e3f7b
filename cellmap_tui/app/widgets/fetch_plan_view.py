"""The plan of a fetch with its options, before anything is downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from cellmap_tui.app.fetch_form import OPTIONS, FetchForm, Option
from cellmap_tui.app.keys import bind
from cellmap_tui.app.plan_words import (
    NOTHING,
    label_words,
    level_columns,
    level_lines,
    padding_hint,
    plan_columns,
    plan_notes,
    sum_words,
)
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.app.widgets.edit_line import EditLine
from cellmap_tui.app.widgets.error_view import describe
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected
from cellmap_tui.app.widgets.words import show_words
from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.services.fetch_model import CropPlan, FetchPlan, LevelPlan


PLANNING = "planning…"


class PlanTable(VirtualTable["CropPlan"]):
    """The crops of a plan."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "levels", help="Show the EM levels of a crop.")
    ]

    def __init__(self) -> None:
        super().__init__(plan_columns(), row_key=lambda crop: crop.ref, markable=False, empty=NOTHING)


class OptionTable(VirtualTable[Option]):
    """The options; ``enter`` changes one."""

    BINDINGS: ClassVar[list[BindingType]] = [bind("do.open", "select", "change", help="Change this option.")]

    def __init__(self) -> None:
        super().__init__((), row_key=lambda option: option.name, markable=False)

    def show(self, form: FetchForm) -> None:
        """Show the values of a form."""
        self._columns = (
            Column("name", "option", 13, lambda option: option.label),
            Column("value", "value", 14, form.words, max_width=36,
                   look=lambda option: "strong" if form.is_set(option) else "dim"),
        )  # fmt: skip
        self._layout_of_columns = (-1, [])
        self.refresh() if self.index.rows else self.set_rows(OPTIONS)


class LevelTable(VirtualTable["LevelPlan"]):
    """The EM levels of one crop: fetched or not, and why."""

    opens_rows = False

    def __init__(self) -> None:
        super().__init__(level_columns(), row_key=lambda level: level.name, markable=False)


class FetchPlanView(Container):
    """Sums, crops, options, and the levels of the crop under the cursor."""

    class FormChanged(Message):
        """The user has changed an option."""

        def __init__(self, form: FetchForm) -> None:
            self.form = form
            super().__init__()

    class CropOpened(Message):
        """The user wants to see the levels of a crop."""

        def __init__(self, crop: CropPlan) -> None:
            self.crop = crop
            super().__init__()

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._form = FetchForm()
        self._plan: FetchPlan | None = None

    def compose(self) -> ComposeResult:
        """Yield the panes."""
        with Pane(id="plan") as pane:
            pane.set_title("plan")
            yield Static(id="sum", markup=False)
            yield PlanTable()
            yield Static(id="notes", markup=False)
        with Container(id="beside"):
            with Pane(id="options") as pane:
                pane.set_title("options", "enter changes")
                yield OptionTable()
                yield Static(id="hint", markup=False)
            with Pane(id="levels") as pane:
                pane.set_title("levels")
                yield LevelTable()
                yield Static(id="level", markup=False)

    @property
    def table(self) -> PlanTable:
        """The crops."""
        return self.query_one(PlanTable)

    @property
    def pane(self) -> Pane:
        """Where the plan stands, or why there is none."""
        return self.query_one("#plan", Pane)

    def show_form(self, form: FetchForm, *, keep_plan: bool) -> None:
        """Show the options; a plan that was made for others of them turns grey, one for other crops goes."""
        self._form = form
        self.query_one(OptionTable).show(form)
        if not keep_plan:
            self._take(None)
        self.show_listing(PLANNING if form.crops or form.is_starter else "")

    def show_listing(self, words: str) -> None:
        """Say how far the bucket is listed."""
        title = "plan: a small starter set, as nothing is marked" if self._form.is_starter else "plan"
        self.pane.set_title(title, words or (self._plan.address if self._plan is not None else ""))
        self.table.empty = words or NOTHING
        if self._plan is None:
            self.table.refresh()
        show_words(self.query_one("#sum", Static), sum_words(self._form, self._plan, words))

    def show_plan(self, plan: FetchPlan) -> None:
        """Show what would be done."""
        self._take(plan)
        self.show_listing("")

    def _take(self, plan: FetchPlan | None) -> None:
        self._plan = plan
        notes = plan_notes(plan) if plan is not None else Content("")
        show_words(self.query_one("#notes", Static), notes)
        self.query_one("#notes").display = bool(notes.plain)
        self.table.set_rows(plan.crops if plan is not None else ())
        self._show_hint()

    @on(RowHighlighted, "PlanTable")
    def _show_levels(self, event: RowHighlighted) -> None:
        crop: CropPlan | None = event.row
        self.query_one("#levels", Pane).set_title(crop.ref if crop else "levels", crop.what if crop else "")
        self.query_one(LevelTable).set_rows(crop.levels if crop else ())
        self._show_level()

    @on(RowHighlighted, "LevelTable")
    def _show_level(self) -> None:
        level: LevelPlan | None = self.query_one(LevelTable).highlighted
        crop = self.table.highlighted
        words = [level_lines(level)] if level is not None else []
        words += [label_words(crop)] if crop is not None else []
        show_words(self.query_one("#level", Static), Content("\n\n").join(words))

    @on(RowSelected, "PlanTable")
    def _open(self, event: RowSelected) -> None:
        self.post_message(self.CropOpened(event.row))

    # Options

    @on(RowHighlighted, "OptionTable")
    def _show_hint(self) -> None:
        option = self.query_one(OptionTable).highlighted
        if option is None:
            return
        hint = padding_hint(self._plan) if option.name == "raw_padding" else ""
        show_words(self.query_one("#hint", Static), Content("\n".join(filter(None, (option.help, hint)))))

    @on(RowSelected, "OptionTable")
    def _change(self, event: RowSelected) -> None:
        option: Option = event.row
        if option.kind == "toggle":
            self.post_message(self.FormChanged(self._form.toggled(option)))
            return
        form = self._form

        def problem(typed: str) -> str:
            try:
                form.with_text(option, typed).request(self.app.settings)  # type: ignore[attr-defined]
            except CellmapError as error:
                return ": ".join(filter(None, describe(error)))
            return ""

        def keep(typed: str | None) -> None:
            if typed is not None:
                self.post_message(self.FormChanged(form.with_text(option, typed)))

        help_text = f"{option.help} An empty line takes it back."
        self.app.push_screen(EditLine(option.label, help_text, form.typed(option), problem), keep)
