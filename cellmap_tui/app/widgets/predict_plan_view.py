"""The plan of a prediction with its options, before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from cellmap_tui.app.keys import bind
from cellmap_tui.app.predict_form import OPTIONS, Option, PredictForm
from cellmap_tui.app.predict_words import crop_words, plan_columns, plan_notes, sum_words
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.app.widgets.edit_line import EditLine
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.predict_planning import Planned
    from cellmap_tui.services.predict_model import PredictedCrop

PLANNING = "planning…"


class PredictedTable(VirtualTable["PredictedCrop"]):
    """The crops of a plan."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "crop", help="Show classes, EM and place of a crop, or why it is left out."),
        bind("do.sort", "sort", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(plan_columns(), row_key=lambda crop: crop.crop, markable=False, empty="")


class PredictOptions(VirtualTable[Option]):
    """The options; ``enter`` changes one."""

    BINDINGS: ClassVar[list[BindingType]] = [bind("do.open", "select", "change", help="Change this option.")]

    def __init__(self) -> None:
        super().__init__((), row_key=lambda option: option.name, markable=False)

    def show(self, form: PredictForm) -> None:
        """Show the values of a form."""
        self._columns = (
            Column("name", "option", 11, lambda option: option.label),
            Column("value", "value", 18, form.words, max_width=50,
                   look=lambda option: "strong" if form.is_set(option) else "dim"),
        )  # fmt: skip
        self._layout_of_columns = (-1, [])
        self.refresh() if self.index.rows else self.set_rows(OPTIONS)


class PredictPlanView(Container):
    """Sums, crops, options, and what is planned for the crop under the cursor."""

    class FormChanged(Message):
        """The user has changed an option."""

        def __init__(self, form: PredictForm) -> None:
            self.form = form
            super().__init__()

    class CropsAsked(Message):
        """The user wants to choose crops."""

    class CropOpened(Message):
        """The user wants to see what is planned for a crop."""

        def __init__(self, crop: PredictedCrop) -> None:
            self.crop = crop
            super().__init__()

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._form = PredictForm()
        self._planned: Planned | None = None

    def compose(self) -> ComposeResult:
        """Yield the panes."""
        with Pane(id="plan") as pane:
            pane.set_title("plan")
            yield Static(id="sum", markup=False)
            yield PredictedTable()
            yield Static(id="notes", markup=False)
        with Container(id="beside"):
            with Pane(id="options") as pane:
                pane.set_title("options", "enter changes")
                yield PredictOptions()
                yield Static(id="hint", markup=False)
            with Pane(id="planned") as pane, VerticalScroll(can_focus=False):
                pane.set_title("crop")
                yield Static(id="crop", markup=False)

    @property
    def table(self) -> PredictedTable:
        """The crops."""
        return self.query_one(PredictedTable)

    @property
    def options(self) -> PredictOptions:
        """The options."""
        return self.query_one(PredictOptions)

    @property
    def pane(self) -> Pane:
        """Where the plan stands, or why there is none."""
        return self.query_one("#plan", Pane)

    def show_form(self, form: PredictForm, *, keep_plan: bool) -> None:
        """Show the options; a plan that was made for others of them turns grey, one of other crops goes."""
        self._form = form
        self.options.show(form)
        if not keep_plan:
            self._take(None)
        self.show_waiting(PLANNING if form.has_networks else "")

    def show_waiting(self, words: str) -> None:
        """Say how far a new plan is."""
        self.table.empty = words
        if self._planned is None:
            self.table.refresh()
        self._write("#sum", sum_words(self._form, self._planned, words))

    def show_plan(self, planned: Planned) -> None:
        """Show what would be done."""
        self._take(planned)
        self.show_waiting("")

    def _take(self, planned: Planned | None) -> None:
        self._planned = planned
        notes = plan_notes(planned) if planned is not None else Content("")
        self._write("#notes", notes)
        self.query_one("#notes").display = bool(notes.plain)
        self.table.set_rows(planned.plan.crops if planned is not None else ())

    @on(RowHighlighted, "PredictedTable")
    def _show_crop(self, event: RowHighlighted) -> None:
        crop: PredictedCrop | None = event.row
        self.query_one("#planned", Pane).set_title(crop.crop if crop else "crop")
        self._write("#crop", crop_words(crop))

    @on(RowSelected, "PredictedTable")
    def _open(self, event: RowSelected) -> None:
        self.post_message(self.CropOpened(event.row))

    # Options

    @on(RowHighlighted, "PredictOptions")
    def _show_hint(self, event: RowHighlighted) -> None:
        option: Option | None = event.row
        self._write("#hint", Content(option.help if option is not None else ""))

    @on(RowSelected, "PredictOptions")
    def _change(self, event: RowSelected) -> None:
        option: Option = event.row
        if option.name == "crops":
            self.post_message(self.CropsAsked())
        elif option.choices:
            self.post_message(self.FormChanged(self._form.with_next(option)))
        else:
            self.ask(option)

    def ask(self, option: Option) -> None:
        """Let an option be typed."""
        form = self._form

        def problem(typed: str) -> str:
            return form.problem(option, typed, self.app.settings)  # type: ignore[attr-defined]

        def keep(typed: str | None) -> None:
            if typed is not None:
                self.post_message(self.FormChanged(form.with_text(option, typed)))

        help_text = f"{option.help} An empty line takes it back."
        self.app.push_screen(EditLine(option.label, help_text, form.typed(option), problem), keep)

    def _write(self, selector: str, words: Content) -> None:
        shown = self.query_one(selector, Static)
        if shown.content != words:
            shown.update(words)
