"""The tables of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cellmap_tui.app.eval_rows import ClassRow, PairRow, class_columns, object_columns, pair_columns
from cellmap_tui.app.eval_words import NOTHING
from cellmap_tui.app.keys import bind
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.services.evaluate_model import ObjectRow

if TYPE_CHECKING:
    from textual.binding import BindingType


class ClassTable(VirtualTable[ClassRow]):
    """A class a row, the worst first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "by crop", help="List the crops of this class, the worst first.")
    ]

    def __init__(self) -> None:
        super().__init__(
            class_columns(),
            row_key=lambda row: row.result.label,
            search_text=lambda row: f"{row.result.label} {row.result.kind}",
            markable=False,
            empty=NOTHING,
        )
        self._is_compared = False

    def compare(self, compared: bool) -> None:
        """Show or hide the columns of another evaluation."""
        if compared != self._is_compared:
            self._is_compared = compared
            self.set_columns(class_columns(compared=compared))


class PairTable(VirtualTable[PairRow]):
    """A crop and class a row, the worst first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind(
            "do.open", "select", "objects", help="List the objects behind this score: matched, missed, hallucinated."
        )
    ]

    def __init__(self, *, with_class: bool, id: str | None = None) -> None:
        super().__init__(
            pair_columns(with_class=with_class),
            row_key=lambda row: row.key,
            search_text=lambda row: f"{row.pair.crop} {row.pair.label} {row.pair.kind} {row.pair.status}",
            markable=False,
            empty=NOTHING,
            id=id,
        )
        self._with_class = with_class
        self._is_compared = False

    def compare(self, compared: bool) -> None:
        """Show or hide the columns of another evaluation."""
        if compared != self._is_compared:
            self._is_compared = compared
            self.set_columns(pair_columns(with_class=self._with_class, compared=compared))


class ObjectTable(VirtualTable[ObjectRow]):
    """An object a row, what went wrong first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "view slice", show=False, help="View the slice at this object.")
    ]

    def __init__(self) -> None:
        super().__init__(
            object_columns(),
            row_key=lambda row: (row.what, row.true_id, row.predicted_id, row.position_nm),
            search_text=lambda row: f"{row.what} {row.true_id} {row.predicted_id}",
            markable=False,
            empty=NOTHING,
        )
