"""One evaluation: classes, their crops, a slice, how scores spread; beside another one where asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from cellmap_tui.app import eval_words
from cellmap_tui.app.eval_compare import comparison
from cellmap_tui.app.eval_rows import ClassRow, PairRow, class_rows, pair_rows, so_far
from cellmap_tui.app.evaluations import EvaluationItem
from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.eval_reading import EvalReading
from cellmap_tui.app.screens.eval_view import EvalViewing
from cellmap_tui.app.screens.filtering import Filtering
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.widgets.eval_tables import ClassTable, PairTable
from cellmap_tui.app.widgets.filter_bar import FilterBar
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.slice_view import SliceView
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected, RowsShown
from cellmap_tui.app.widgets.words import show_words
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.screens.eval import EvalScreen
    from cellmap_tui.services.compare_runs import CompareResult
    from cellmap_tui.services.evaluate_model import EvaluateResult


class EvaluationScreen(EvalReading, EvalViewing, SubScreen, Filtering):
    """The scores of one evaluation, or of its pairs so far.

    Parameters
    ----------
    item
        The evaluation.
    above
        The list it was opened from, which follows the runs.
    """

    MODE = "eval"
    AUTO_FOCUS = "ClassTable"
    CSS_PATH = "evaluation.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"eval.result": "#classes"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.view", "view", "slice", help="View the slice of the crop in hand; of a class, of its worst crop."),
        bind("eval.compare", "compare"),
        bind("do.export", "export", help="Write the pairs as CSV, or everything as JSON or Markdown."),
        bind("do.filter", "filter"),
        bind("eval.turn", "turn(True)"),
        bind("eval.turn", "turn(False)", "classes"),
        bind("do.pause", "pause", help="Pause the evaluation, or let it go on."),
        bind("do.stop", "stop", help="Stop the evaluation; asks first. Finished pairs are kept."),
        bind("do.reload", "resume", "resume", help="Go on with it: finished pairs are not scored again."),
        bind("do.log", "full_log"),
        bind("do.close", "close", show=False, help="Close the innermost thing; at last go to all evaluations."),
    ]

    def __init__(self, item: EvaluationItem, above: EvalScreen) -> None:
        super().__init__(item)
        self.compared: CompareResult | None = None
        self._other: tuple[EvaluationItem, EvaluateResult] | None = None
        self._above = above
        self._pairs: tuple[PairRow, ...] = ()
        self._of_class = ""

    def compose_body(self) -> ComposeResult:
        """Yield tables, slice and spread."""
        with Container(id="left"):
            yield Static(id="head", markup=False)
            yield Static(id="remarks", markup=False)
            with Pane(id="classes"):
                yield FilterBar("a class, a crop, missing, …")
                yield ClassTable()
                yield PairTable(with_class=True, id="pairs")
            with Pane(id="crops"):
                yield PairTable(with_class=False, id="of-class")
            yield Static(id="brief", markup=False)
        with Container(id="right"):
            with Pane(id="slice"):
                yield SliceView(message="move to a class or a crop")
            with Pane(id="spread"):
                yield Static(markup=False)

    def on_mount(self) -> None:
        """Read what is there and follow the run."""
        self.set_class(not self.item.has_result, "-pairs")
        self.watch(self.filter_bar, "text", self._refilter, init=False)
        if not self.item.has_result:
            self.pairs.focus()

    # Parts

    @property
    def class_table(self) -> ClassTable:
        """The classes."""
        return self.query_one(ClassTable)

    @property
    def pairs(self) -> PairTable:
        """All pairs, or those of a class."""
        return self.query_one("#pairs", PairTable)

    @property
    def crops(self) -> PairTable:
        """The crops of the class in hand, where there is room."""
        return self.query_one("#of-class", PairTable)

    @property
    def table(self) -> ClassTable | PairTable:
        """The main table as it is shown."""
        return self.pairs if self.has_class("-pairs") else self.class_table

    @property
    def pair(self) -> PairRow | None:
        """The pair in hand; of a class, its worst crop."""
        if self.table is self.pairs:
            return self.pairs.highlighted
        return self.crops.highlighted

    @property
    def label(self) -> str:
        """The class in hand."""
        if self.table is self.pairs:
            row = self.pairs.highlighted
            return row.pair.label if row is not None else ""
        class_row = self.class_table.highlighted
        return class_row.result.label if class_row is not None else ""

    # What is known

    def items(self) -> tuple[EvaluationItem, ...]:
        """Return the evaluations that the list knows."""
        return self._above.items

    def run_changed(self) -> None:
        """Show where the run stands."""
        self._show_head()
        self.refresh_bindings()

    def pairs_changed(self) -> None:
        """Show the pairs so far."""
        self._show_rows()

    def result_read(self, item: EvaluationItem, result: EvaluateResult, *, is_other: bool) -> None:
        """Show a result: its own, or one to compare with."""
        if is_other:
            self._other = (item, result)
        else:
            was_live = self.result is None and self.has_class("-pairs")
            self.item, self.result = item, result
            if was_live and not self.filter_bar.text:
                self.action_turn(False)
        self._compare()

    @on(Pane.RetryAsked, "#classes")
    def _retry(self) -> None:
        self.read_result(self.item)

    # Showing

    def _compare(self) -> None:
        self.compared = None
        if self._other is not None and self.result is not None:
            other, its_result = self._other
            self.compared = comparison(self.result, self.item.name, its_result, other.name)
        for table in (self.class_table, self.pairs, self.crops):
            table.compare(self.compared is not None)
        self._show_rows()
        self._show_head()
        self.refresh_bindings()

    def _show_rows(self) -> None:
        pairs = self.scored()
        profile = self.result.profile if self.result is not None else self.item.profile
        found = self.result.classes if self.result is not None else so_far(pairs)
        self._pairs = pair_rows(pairs, profile, self.compared)
        self.class_table.update_rows(class_rows(found, pairs, profile, self.compared))
        self._show_pairs()
        self._show_class()

    def _show_pairs(self) -> None:
        rows = [row for row in self._pairs if not self._of_class or row.pair.label == self._of_class]
        waiting = "No pair is finished yet." if self.item.run.is_live else "No pair was finished."
        self.pairs.empty = eval_words.NOTHING if rows else waiting
        self.pairs.update_rows(rows)

    def _show_head(self) -> None:
        show_words(self.query_one("#head", Static), eval_words.head_words(self.item, self.result, self.compared))
        lines = eval_words.remarks(self.item, self.result, self.compared)
        most = 1 if self.has_class("-narrow") else 3
        room = 98 if self.has_class("-wide") else self.size.width - 2
        show_words(self.query_one("#remarks", Static), eval_words.remark_lines(lines, room, most))
        self.query_one("#remarks").display = bool(lines)

    @on(RowHighlighted, "ClassTable, #pairs")
    def _show_class(self) -> None:
        label = self.label
        of_class = [row for row in self._pairs if row.pair.label == label]
        self.crops.update_rows(of_class)
        spread = self.query_one("#spread Static", Static)
        lines = eval_words.spread_lines(of_class, max(30, spread.size.width), 10)
        show_words(spread, Content("\n".join(lines)))
        self.query_one("#spread", Pane).set_title(
            f"score over {len(of_class)} crop{'s' if len(of_class) != 1 else ''}" if label else "score over crops"
        )
        self._show_titles()
        self._show_pair()

    @on(RowsShown, "ClassTable, #pairs")
    def _show_titles(self) -> None:
        if self.table is self.class_table:
            title = "scores by class" if self.result is not None else "classes so far: plain means over crops"
            note = eval_words.overall_words(self.result, self.compared) if self.result is not None else ""
            count = f"{len(self.class_table.index)} of {len(self.class_table.index.rows)} classes"
        else:
            title = f"{self._of_class} by crop" if self._of_class else "all pairs, the worst first"
            note = "esc classes" if self._of_class else ""
            count = f"{len(self.pairs.index)} of {len(self.pairs.index.rows)} pairs"
        self.query_one("#classes", Pane).set_title(title, note)
        self.filter_bar.show_count(count)

    @on(RowHighlighted, "#of-class")
    def _show_pair(self) -> None:
        crop, label = self.crops.highlighted, self.label
        title = f"{label} by crop" if label else "by crop"
        self.query_one("#crops", Pane).set_title(title, eval_words.pair_brief(crop).plain)
        show_words(self.query_one("#brief", Static), self._brief_words())
        self.show_slice(self.pair)

    def _brief_words(self) -> Content:
        if self.table is self.pairs:
            first = eval_words.pair_brief(self.pairs.highlighted)
        else:
            first = eval_words.class_brief(self.class_table.highlighted, self._pairs)
        if self.compared is not None:
            return Content("\n").join([first, eval_words.compared_words(self.compared, self.size.width - 2)])
        overall = eval_words.overall_words(self.result) if self.result is not None else ""
        return Content("\n").join([first, Content.styled(printable(overall), "$foreground-muted")])

    def on_resize(self, event: object) -> None:
        """Show what has room now."""
        self.call_after_refresh(self._show_head)
        self.call_after_refresh(self._show_class)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if action == "turn":
            return self.has_class("-pairs") != bool(parameters and parameters[0])
        if action in {"compare", "export"}:
            return self.result is not None
        return super().check_action(action, parameters)

    def _refilter(self) -> None:
        self.table.search(self.filter_bar.text)

    def action_turn(self, to_pairs: bool, label: str = "") -> None:
        """Change between classes and pairs; of one class where it is named."""
        self._of_class = label
        self.filter_bar.text = ""
        self.set_class(to_pairs, "-pairs")
        self._show_pairs()
        self.table.focus()
        self._show_class()
        self.refresh_bindings()

    def action_close(self) -> None:
        """Close the innermost thing: enlarged pane, filter, crops of a class, this evaluation."""
        if self.maximized is not None:
            self.minimize()
        elif self.filter_bar.text:
            self.filter_bar.text = ""
        elif self._of_class:
            self.action_turn(False)
        elif self.focused is self.crops:
            self.class_table.focus()
        else:
            self.leave(None)

    @on(RowSelected, "ClassTable")
    def _open_class(self, event: RowSelected) -> None:
        row: ClassRow = event.row
        if self.query_one("#crops").display:
            self.crops.focus()
        else:
            self.action_turn(True, row.result.label)

    @on(RowSelected, "PairTable")
    def _open_pair(self, event: RowSelected) -> None:
        from cellmap_tui.app.screens.eval_objects import PairObjects

        self.app.push_screen(PairObjects(self.item, event.row.pair))

    def action_compare(self) -> None:
        """Choose the evaluation to compare with, or none."""
        from cellmap_tui.app.screens.eval_choose import ChooseEvaluation

        others = [item for item in self._above.items if item.has_result and item.run.path != self.item.run.path]
        if not others:
            self.app.notify("There is no other finished evaluation to compare with; n on the list starts one.")
            return

        def chosen(item: EvaluationItem | str | None) -> None:
            if isinstance(item, EvaluationItem):
                self.read_result(item, is_other=True)
            elif item == "none":
                self._other = None
                self._compare()

        self.app.push_screen(ChooseEvaluation(others, is_compared=self._other is not None), chosen)

    def action_export(self) -> None:
        """Ask for a file and write the scores there."""
        from cellmap_tui.app.eval_export import ask_export

        if self.result is not None:
            ask_export(self, self.item, self.result)
