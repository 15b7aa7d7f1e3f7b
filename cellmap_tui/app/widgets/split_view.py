"""The split before it is written: class × split matrix, crops with side and reason, options."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from cellmap_tui.app.keys import bind
from cellmap_tui.app.split_form import OPTIONS, SIDES, Option, Side, SplitForm
from cellmap_tui.app.split_words import (
    NOTHING,
    crop_columns,
    crop_lines,
    matrix_columns,
    note_lines,
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

    from cellmap_tui.services.split_model import SplitCrop, SplitPlan, TargetCounts

PLANNING = "looking at the labels…"


class MatrixTable(VirtualTable["TargetCounts"]):
    """The classes; the one under the cursor is shown in the crops."""

    opens_rows = False

    def __init__(self) -> None:
        super().__init__(matrix_columns(), row_key=lambda row: row.name, markable=False, empty=PLANNING)


class SplitCropTable(VirtualTable["SplitCrop"]):
    """The crops; ``m`` moves one to the other side, ``x`` leaves it out."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.sort", "sort", show=False),
        bind("split.move", "move_side"),
        bind("do.stop", "leave_out", "leave out", help="Leave this crop out of the split; again to take it back."),
        bind("do.open", "select", "crop", help="Open the page of this crop."),
    ]

    class SideAsked(Message):
        """The user wants a crop on a side."""

        def __init__(self, ref: str, side: Side) -> None:
            self.ref = ref
            self.side: Side = side
            super().__init__()

    def __init__(self, view: SplitView) -> None:
        columns = crop_columns(lambda: view.form, lambda: view.target)
        super().__init__(columns, row_key=lambda crop: crop.ref, markable=False, empty=NOTHING)
        self._view = view

    def action_move_side(self) -> None:
        """Bind the crop to training, then to validation, then let it be drawn."""
        if (crop := self.highlighted) is not None:
            side = self._view.form.side_of(crop.ref)
            following = SIDES[(SIDES.index(side) + 1) % len(SIDES)] if side in SIDES else "train"
            if side == "drawn" and crop.usage == "train":
                following = "validate"  # binding it to where it is would change nothing
            elif side == "validate" and crop.usage == "validate":
                following = "drawn"
            self.post_message(self.SideAsked(crop.ref, following))

    def action_leave_out(self) -> None:
        """Leave the crop out, or take it back."""
        if (crop := self.highlighted) is not None:
            is_out = self._view.form.side_of(crop.ref) == "out"
            self.post_message(self.SideAsked(crop.ref, "drawn" if is_out else "out"))


class OptionTable(VirtualTable[Option]):
    """The options; ``enter`` changes one."""

    BINDINGS: ClassVar[list[BindingType]] = [bind("do.open", "select", "change", help="Change this option.")]

    def __init__(self) -> None:
        super().__init__((), row_key=lambda option: option.name, markable=False)

    def show(self, form: SplitForm) -> None:
        """Show the values of a form."""
        self._columns = (
            Column("name", "option", 13, lambda option: option.label),
            Column("value", "value", 14, form.words, max_width=44,
                   look=lambda option: "strong" if form.is_set(option) else "dim"),
        )  # fmt: skip
        self._layout_of_columns = (-1, [])
        self.refresh() if self.index.rows else self.set_rows(OPTIONS)


class SplitView(Container):
    """Matrix, crops, options, and what is known about the crop under the cursor."""

    class FormChanged(Message):
        """The user has changed an option or a crop."""

        def __init__(self, form: SplitForm) -> None:
            self.form = form
            super().__init__()

    class CropOpened(Message):
        """The user wants the page of a crop."""

        def __init__(self, ref: str) -> None:
            self.ref = ref
            super().__init__()

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.form = SplitForm()
        self.plan: SplitPlan | None = None
        self.target = ""

    def compose(self) -> ComposeResult:
        """Yield the panes."""
        with Container(id="left"):
            with Pane(id="matrix") as pane:
                pane.set_title("class × split")
                yield Static(id="sum", markup=False)
                yield MatrixTable()
                yield Static(id="notes", markup=False)
            with Pane(id="crops") as pane:
                pane.set_title("crops")
                yield SplitCropTable(self)
                yield Static(id="crop", markup=False)
        with Pane(id="options") as pane:
            pane.set_title("options", "enter changes")
            yield OptionTable()
            yield Static(id="hint", markup=False)

    @property
    def matrix(self) -> MatrixTable:
        """The classes."""
        return self.query_one(MatrixTable)

    @property
    def crops(self) -> SplitCropTable:
        """The crops."""
        return self.query_one(SplitCropTable)

    @property
    def options(self) -> OptionTable:
        """The options."""
        return self.query_one(OptionTable)

    @property
    def pane(self) -> Pane:
        """Where the matrix stands, or why there is none."""
        return self.query_one("#matrix", Pane)

    def show_form(self, form: SplitForm) -> None:
        """Show the options; the matrix stays until there is another."""
        self.form = form
        self.options.show(form)
        self.crops.refresh()
        self.show_progress(PLANNING)

    def show_progress(self, words: str) -> None:
        """Say how far the look at the labels is."""
        self.pane.set_title("class × split", words)
        if self.plan is None:
            show_words(self.query_one("#sum", Static), Content.styled(words, "$foreground-muted"))

    def show_plan(self, plan: SplitPlan) -> None:
        """Show what the split would be."""
        self.plan = plan
        self.pane.set_title("class × split")
        show_words(self.query_one("#sum", Static), sum_words(plan, self.form))
        notes = note_lines(plan)
        show_words(self.query_one("#notes", Static), notes)
        self.query_one("#notes").display = bool(notes.plain)
        self.matrix.update_rows(plan.counts)
        rows = sorted((*plan.crops, *plan.dropped), key=lambda crop: crop.ref)
        self.crops.update_rows(rows)
        self._show_target()
        self._show_crop()

    def show_failure(self, error: BaseException) -> None:
        """Show in place of the matrix why there is none; the options stay."""
        self.plan = None
        self.show_progress("")
        self.crops.set_rows(())
        self.pane.show_error(error)

    @on(RowHighlighted, "MatrixTable")
    def _show_target(self) -> None:
        row: TargetCounts | None = self.matrix.highlighted
        self.target = row.name if row is not None else ""
        shown = f"share of {self.target}" if self.target else ""
        self.query_one("#crops", Pane).set_title("crops", shown)
        self.crops.refresh()

    @on(RowHighlighted, "SplitCropTable")
    def _show_crop(self) -> None:
        crop: SplitCrop | None = self.crops.highlighted
        show_words(self.query_one("#crop", Static), crop_lines(crop, self.form) if crop is not None else Content(""))

    @on(RowSelected, "SplitCropTable")
    def _open(self, event: RowSelected) -> None:
        self.post_message(self.CropOpened(event.row.ref))

    @on(SplitCropTable.SideAsked)
    def _move(self, event: SplitCropTable.SideAsked) -> None:
        self.post_message(self.FormChanged(self.form.with_side(event.ref, event.side)))

    # Options

    @on(RowHighlighted, "OptionTable")
    def _show_hint(self) -> None:
        option = self.options.highlighted
        if option is not None:
            show_words(self.query_one("#hint", Static), Content(option.help))

    @on(RowSelected, "OptionTable")
    def _change(self, event: RowSelected) -> None:
        option: Option = event.row
        if option.choices:
            self.post_message(self.FormChanged(self.form.with_next(option)))
            return
        form = self.form

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
