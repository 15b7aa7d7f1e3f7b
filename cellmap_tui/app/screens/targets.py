"""Targets: which classes a network should produce as one, with live counts; the file drives everything after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.class_tree import WHOLE
from cellmap_tui.app.keys import bind
from cellmap_tui.app.run_words import progress_words
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.target_rows import (
    SPLIT_COLUMNS,
    TARGET_COLUMNS,
    check_lines,
    coverage,
    mapped_classes,
)
from cellmap_tui.app.targets_draft import TargetsDraft, here
from cellmap_tui.app.widgets.ask_text import AskText
from cellmap_tui.app.widgets.filter_bar import FilterBar, FilterInput
from cellmap_tui.app.widgets.heat_map import HeatMap
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.pick import Pick
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.target_tables import MappedTree, TargetTable
from cellmap_tui.challenge import target_edits as edits
from cellmap_tui.challenge.datasplit import Split, read_split
from cellmap_tui.challenge.targets import Targets, read_targets
from cellmap_tui.errors import CellmapError
from cellmap_tui.services.class_facts import class_rows
from cellmap_tui.services.target_facts import TargetFacts, target_checks, target_facts
from cellmap_tui.text import count, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.content import LabelContent

FILE = "targets.toml"
SPLIT_FILE = "datasplit.csv"
NEW = "a new target…"
IGNORE = "ignore: unknown for every target"
NONE = "no target"


class TargetsScreen(SubScreen):
    """Edit targets; every change can be undone, and what was done stays when the screen is left.

    Parameters
    ----------
    catalog
        Classes and crops.
    draft
        Where to go on.
    """

    MODE = "classes"
    AUTO_FOCUS = "MappedTree"
    CSS_PATH = "targets.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.new", "new", "new target"),
        bind("do.undo", "undo"),
        bind("do.save", "save", "save", help="Write the targets into a file."),
        bind("targets.load", "load"),
        bind("targets.scan", "scan"),
        bind("targets.split", "split", show=False),
        bind("do.filter", "filter", show=False),
    ]

    class Counted(Message):
        """What earlier scans found is known."""

        def __init__(
            self, contents: dict[tuple[str, str], LabelContent], split: Split | None, split_path: Path | None
        ) -> None:
            self.contents = contents
            self.split = split
            self.split_path = split_path
            super().__init__()

    def __init__(self, catalog: Catalog, draft: TargetsDraft) -> None:
        super().__init__()
        self._catalog = catalog
        self._draft = draft
        self._labels = {
            name for crop in catalog.crops for name in crop.classes if catalog.classes.named(name) is None
        }
        self._rows = class_rows(catalog)
        self._folded = {WHOLE}
        self._contents: dict[tuple[str, str], LabelContent] = {}
        self._facts: tuple[TargetFacts, ...] = ()
        self._split: Split | None = None
        self._split_path: Path | None = None
        self._scan_run = ""

    def compose_body(self) -> ComposeResult:
        """Yield the panes."""
        with Pane(id="classes") as pane:
            pane.set_title("classes")
            yield FilterBar("name or id")
            yield MappedTree()
        with Vertical(id="right"):
            with Pane(id="targets") as pane:
                pane.set_title("targets")
                yield TargetTable()
            with Pane(id="checks") as pane:
                pane.set_title("checks")
                with VerticalScroll():
                    yield Static(markup=False)
        with Pane(id="coverage") as pane:
            pane.set_title("training crops: target × dataset")
            yield HeatMap()

    def on_mount(self) -> None:
        """Show the draft, and look for what earlier scans have counted."""
        self.watch(self.query_one(FilterBar), "text", self._list_classes, init=False)
        self._show()
        self._count()
        self.watch(self.app, "split_path", self._count_again, init=False)
        self.watch(self.app, "runs", self._see_runs, init=False)

    # What is shown

    def _show(self) -> None:
        self._facts = target_facts(self._draft.targets, self._catalog, self._contents, self._split)
        self.query_one(TargetTable).update_rows(self._facts)
        self._list_classes()
        self.query_one(HeatMap).show(coverage(self._facts))
        self._title()

    def _list_classes(self) -> None:
        text = self.query_one(FilterBar).text.strip()
        rows = mapped_classes(self._rows, self._draft.targets, self._folded, text)
        taken = len(self._draft.targets.classes)
        self.query_one(FilterBar).show_count(f"{count(taken)} of {count(len(self._rows))} in targets")
        self.query_one(MappedTree).update_rows(rows)

    def _title(self) -> None:
        draft = self._draft
        state = "" if draft.targets == draft.saved else ", not saved"
        file = draft.path.name if draft.path is not None else "no file"
        title = f"targets {count(len(draft.targets.targets))}"
        if self._split_path is not None:
            title += f", by {self._split_path.name}"
        self.query_one("#targets", Pane).set_title(title, f"{printable(file)}{state}")
        hand = self._in_hand()
        checks = target_checks(draft.targets, self._facts, self._catalog.classes)
        self.query_one("#checks Static", Static).update(check_lines(checks, hand, draft.targets.ignored))

    def _in_hand(self) -> TargetFacts | None:
        return self.query_one(TargetTable).highlighted

    @on(VirtualTable.RowHighlighted)
    def _name_target(self) -> None:
        self._title()

    @work(thread=True, exclusive=True, group="targets.count", exit_on_error=False)
    def _count(self) -> None:
        from cellmap_tui.services.target_files import known_contents

        worker = get_current_worker()
        settings = self.cellmap.settings
        contents = known_contents(
            settings.data_root, settings.state_dir, self._catalog, lambda: not worker.is_cancelled
        )
        path = self.cellmap.split_path or here(SPLIT_FILE)
        split = None
        if path is not None:
            try:
                split = read_split(path)
            except CellmapError as error:
                path = None
                self.app.call_from_thread(self.tell_error, error)
        if not worker.is_cancelled:
            self.post_message(self.Counted(contents, split, path))

    def _count_again(self) -> None:
        self._count()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Counts are an extra: without them the screen works."""
        if event.worker.group == "targets.count" and event.state is WorkerState.ERROR:
            event.prevent_default()

    @on(Counted)
    def _take_counts(self, event: Counted) -> None:
        columns_before = self._split is None
        self._contents, self._split, self._split_path = event.contents, event.split, event.split_path
        if columns_before != (self._split is None):
            self.query_one(TargetTable).set_columns(TARGET_COLUMNS if self._split is None else SPLIT_COLUMNS)
        self._show()

    # The scan

    def action_scan(self) -> None:
        """Ask, then look through the labels of the targets' classes, as a job."""
        from cellmap_tui.app.screens.start import StartWork
        from cellmap_tui.services.counts_model import CountsRequest

        settings = self.cellmap.settings
        request = CountsRequest(
            data_root=settings.data_root,
            classes=self._draft.targets.classes,
            state_dir=settings.state_dir.absolute(),
        )
        self.app.push_screen(StartWork("get-counts", request), self._follow_scan)

    def _follow_scan(self, run_id: str | None) -> None:
        if run_id is not None:
            self._scan_run = run_id
            self._see_runs()

    def _see_runs(self) -> None:
        """Count again when the job has ended, however far it came; a stopped one has kept what it saw."""
        run = next((run for run in self.cellmap.runs if run.run_id == self._scan_run), None)
        if run is not None and run.is_live:
            self.query_one("#checks", Pane).set_title("checks", f"counting {progress_words(run)}")
        elif run is not None:
            self._scan_run = ""
            self.query_one("#checks", Pane).set_title("checks")
            self._count()

    def action_split(self) -> None:
        """Choose the split that is counted by."""
        path = self._split_path or Path(SPLIT_FILE).absolute()
        question = "Crops and foreground are counted for its two sides. 4 makes a split."
        self.app.push_screen(AskText("Count by the split", question, SPLIT_FILE, value=str(path)), self._take_split)

    def _take_split(self, answer: str | None) -> None:
        if not answer:
            return
        path = Path(answer).expanduser().absolute()
        try:
            read_split(path)
        except CellmapError as error:
            self.tell_error(error)
            return
        self.cellmap.split_path = path

    # Changes

    def _change(self, new: Callable[[Targets], Targets], *, go_to: str | None = None) -> None:
        """Make one change, or say why it cannot be made."""
        draft = self._draft
        try:
            targets = new(draft.targets)
        except CellmapError as error:
            self.notify(printable(str(error)), severity="warning")
            return
        if targets == draft.targets:
            return
        self._draft = TargetsDraft(targets, (*draft.past, draft.targets), draft.path, draft.saved)
        self._show()
        if go_to is not None:
            self.query_one(TargetTable).go_to(go_to)

    def action_turn_class(self) -> None:
        """Make the class a target of its own, or take it out of the one that it is in."""
        row = self.query_one(MappedTree).highlighted
        if row is None:
            return
        if row.target is None:
            self._change(lambda targets: edits.added(targets, row.name, (row.name,)), go_to=row.name)
        elif row.target == row.name and self._draft.targets.get(row.name).classes == (row.name,):
            self._change(lambda targets: edits.removed(targets, row.name))
        else:
            self._change(lambda targets: edits.removed_class(targets, row.name))
        self.query_one(MappedTree).go_to(row.key)

    def action_add_class(self) -> None:
        """Put the class into the target in hand."""
        row, hand = self.query_one(MappedTree).highlighted, self._in_hand()
        if row is not None and hand is not None:
            self._change(lambda targets: edits.moved(targets, row.name, hand.target.name))
            self.query_one(MappedTree).go_to(row.key)
        elif row is not None:
            self.action_turn_class()

    def action_move(self) -> None:
        """Choose the target that the class goes to."""
        row = self.query_one(MappedTree).highlighted
        if row is None:
            return
        names = [*self._draft.targets.names, NEW, IGNORE, NONE]

        def take(answer: str | None) -> None:
            if answer == NEW:
                self._ask_name(row.name, lambda name: self._new(name, (row.name,)))
            elif answer == NONE:
                self._change(lambda targets: edits.removed_class(targets, row.name))
            elif answer is not None:
                place = "ignore" if answer == IGNORE else answer
                self._change(lambda targets: edits.moved(targets, row.name, place))

        hand = self._in_hand()
        self.app.push_screen(Pick(f"Move {row.name} to", names, hand.target.name if hand else ""), take)

    def action_new(self) -> None:
        """Ask for a name and make a target."""
        row = self.query_one(MappedTree).highlighted
        self._ask_name(row.name if row is not None and row.target is None else "", self._new)

    def _new(self, name: str, classes: tuple[str, ...] = ()) -> None:
        known = self._catalog.classes.named(name)
        if not classes and known is not None and edits.owner(self._draft.targets, known.name) is None:
            classes = (known.name,)
        self._change(lambda targets: edits.added(targets, name, classes), go_to=name)

    def action_rename(self) -> None:
        """Ask for another name of the target in hand."""
        hand = self._in_hand()
        if hand is not None:
            old = hand.target.name
            self._ask_name(old, lambda new: self._change(lambda t: edits.renamed(t, old, new), go_to=new))

    def _ask_name(self, value: str, then: Callable[[str], None]) -> None:
        def take(answer: str | None) -> None:
            if answer:
                then(answer)

        question = "Its name is also that of its folder and channel: letters, digits and . _ + -"
        self.app.push_screen(AskText("Name of the target", question, "mitochondria", value=value), take)

    def action_kind(self) -> None:
        """Tell objects apart, or no longer."""
        hand = self._in_hand()
        if hand is not None:
            self._change(lambda targets: edits.with_other_kind(targets, hand.target.name))

    def action_core(self) -> None:
        """Learn cores too, or no longer."""
        hand = self._in_hand()
        if hand is not None:
            self._change(lambda targets: edits.with_core_turned(targets, hand.target.name))

    def action_remove(self) -> None:
        """Remove the target in hand; undo brings it back."""
        hand = self._in_hand()
        if hand is not None:
            self._change(lambda targets: edits.removed(targets, hand.target.name))

    def action_undo(self) -> None:
        """Take the last change back."""
        draft = self._draft
        if not draft.past:
            self.notify("nothing to undo")
            return
        self._draft = TargetsDraft(draft.past[-1], draft.past[:-1], draft.path, draft.saved)
        self._show()

    # Files

    def action_save(self) -> None:
        """Ask where and write the file."""
        path = self._draft.path or Path(FILE).absolute()
        question = "Use it with --targets, in map-labels, export, make-datasplit and training."
        self.app.push_screen(AskText("Save targets to", question, FILE, value=str(path)), self._save_to)

    def _save_to(self, answer: str | None) -> None:
        if not answer:
            return
        path = Path(answer).expanduser().absolute()
        if path.exists() and path != self._draft.path:
            from cellmap_tui.app.widgets.confirm import Confirm

            cost = f"There is such a file in {printable(str(path.parent))}."
            question = Confirm(f"Replace {printable(path.name)}?", cost, yes="replace it", no="leave it")
            self.app.push_screen(question, lambda yes: self._write(path) if yes else None)
        else:
            self._write(path)

    def _write(self, path: Path) -> None:
        from cellmap_tui.services.target_files import save_targets

        draft = self._draft
        try:
            save_targets(path, draft.targets, self._catalog.classes, labels=self._labels)
        except CellmapError as error:
            self.notify(printable(str(error)), severity="error")
            return
        self._draft = TargetsDraft(draft.targets, draft.past, path, draft.targets)
        self._title()
        self.notify(f"saved to {printable(str(path))}")

    def action_load(self) -> None:
        """Ask for a file and show its targets."""
        path = self._draft.path or Path(FILE).absolute()
        question = "What is shown now can be brought back with u."
        self.app.push_screen(AskText("Open targets from", question, FILE, value=str(path)), self._load_from)

    def _load_from(self, answer: str | None) -> None:
        if not answer:
            return
        path = Path(answer).expanduser().absolute()
        draft = self._draft
        try:
            targets = read_targets(path, self._catalog.classes, labels=self._labels)
        except CellmapError as error:
            self.notify(printable(str(error)), severity="error")
            return
        self._draft = TargetsDraft(targets, (*draft.past, draft.targets), path, targets)
        self._show()

    # Keys

    def action_fold(self, is_closed: bool) -> None:
        """Hide or show the members of a group."""
        row = self.query_one(MappedTree).highlighted
        if row is None or self.query_one(FilterBar).text.strip():
            return
        group = row.node.group or row.name
        self._folded = self._folded | {group} if is_closed else self._folded - {group}
        self._list_classes()
        self.query_one(MappedTree).go_to(("", group))

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one(FilterBar).input.focus()

    @on(FilterInput.Left)
    def _back_to_the_tree(self) -> None:
        self.query_one(MappedTree).focus()

    @on(FilterInput.Moved)
    def _move_while_typing(self, event: FilterInput.Moved) -> None:
        self.query_one(MappedTree).action_move(event.rows)

    def action_close(self) -> None:
        """Restore an enlarged pane, clear the filter, or go back; the draft is kept."""
        if self.maximized is not None:
            self.minimize()
        elif self.query_one(FilterBar).text:
            self.query_one(FilterBar).text = ""
        else:
            self.leave(self._draft)
