"""The objects behind the score of one class of one crop: matched, missed, hallucinated, and where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.eval_view import EvalViewing
from cellmap_tui.app.screens.filtering import Filtering
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.widgets.eval_tables import ObjectTable
from cellmap_tui.app.widgets.filter_bar import FilterBar
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table_messages import RowSelected, RowsShown
from cellmap_tui.app.widgets.words import show_words
from cellmap_tui.errors import Stopped
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.evaluations import EvaluationItem
    from cellmap_tui.services.evaluate_model import Explanation, PairResult


class PairObjects(EvalViewing, SubScreen, Filtering):
    """What decided one score, and every object of it.

    Parameters
    ----------
    item
        The evaluation.
    scored
        The pair.
    """

    MODE = "eval"
    AUTO_FOCUS = "ObjectTable"
    FAILURES: ClassVar[Mapping[str, str]] = {"eval.explain": "#objects"}
    DEFAULT_CSS = """
    PairObjects #words { height: auto; max-height: 6; margin: 0 0 1 0; }
    PairObjects.-narrow #objects, PairObjects.-narrow #objects:focus-within { border: none; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.view", "view", help="View the slice at the object under the cursor."),
        bind("do.filter", "filter"),
    ]

    class Explained(Message):
        """The objects are known."""

        def __init__(self, explanation: Explanation) -> None:
            self.explanation = explanation
            super().__init__()

    class Told(Message):
        """It is done this far."""

        def __init__(self, share: float) -> None:
            self.share = share
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest share matters."""
            return isinstance(message, PairObjects.Told)

    def __init__(self, item: EvaluationItem, scored: PairResult) -> None:
        super().__init__()
        self.item = item
        self.explanation: Explanation | None = None
        self._scored = scored
        self._pair_name = f"{scored.crop}/{scored.label}"

    def compose_body(self) -> ComposeResult:
        """Yield the words and the objects."""
        with Pane(id="objects") as pane:
            pane.set_title(self._pair_name, "esc back")
            yield Static("finding the objects…", id="words", markup=False)
            yield FilterBar("missed, hallucinated, matched, an id")
            yield ObjectTable()

    def on_mount(self) -> None:
        """Find the objects."""
        self.watch(self.filter_bar, "text", self._refilter, init=False)
        self.table.empty = "…"
        self._explain()

    @property
    def table(self) -> ObjectTable:
        """The objects."""
        return self.query_one(ObjectTable)

    @on(Pane.RetryAsked, "#objects")
    def _explain_again(self) -> None:
        self._explain()

    @work(thread=True, exclusive=True, group="eval.explain", exit_on_error=False)
    def _explain(self) -> None:
        from cellmap_tui.app import eval_explain

        worker = get_current_worker()

        def tell(share: float) -> None:
            self.post_message(self.Told(share))

        try:
            found = eval_explain.explain_pair(self.item.run.path, self._pair_name, lambda: worker.is_cancelled, tell)
        except Stopped:
            return
        self.post_message(self.Explained(found))

    @on(Told)
    def _tell(self, event: Told) -> None:
        if self.explanation is None:
            show_words(self.query_one("#words", Static), Content(f"finding the objects… {100 * event.share:.0f} %"))

    @on(Explained)
    def _take(self, event: Explained) -> None:
        found = self.explanation = event.explanation
        lines = [printable(line) for line in found.words]
        first = Content.styled(lines[0], "bold") if lines else Content("")
        show_words(self.query_one("#words", Static), Content("\n").join([first, *map(Content, lines[1:])]))
        is_voxels = found.kind == "semantic"
        self.table.empty = "This class is scored voxel by voxel: it has no objects." if is_voxels else "No objects."
        self.table.set_rows(found.objects)
        self.refresh_bindings()

    @on(RowsShown, "ObjectTable")
    def _count(self) -> None:
        shown, every = len(self.table.index), len(self.table.index.rows)
        self.filter_bar.show_count(f"{shown} of {every} objects" if self.explanation else "")

    # Keys

    def _refilter(self) -> None:
        self.table.search(self.filter_bar.text)

    def action_close(self) -> None:
        """Clear the filter, else go back."""
        if self.maximized is None and self.filter_bar.text:
            self.filter_bar.text = ""
        else:
            super().action_close()

    @on(RowSelected, "ObjectTable")
    def action_view(self) -> None:
        """View the slice at the object under the cursor."""
        row = self.table.highlighted
        self.view_pair(self._scored.crop, self._scored.label, row.position_nm if row is not None else None)
