"""Plan: which classes are learned together, at which scale, by which network, before it is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.plan_form import GPUS, PlanForm
from cellmap_tui.app.proposal_words import GROUP_COLUMNS, group_words, head_words, out_words, toml_words
from cellmap_tui.app.screens.fill_in import FillIn
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.split_planning import PlanReporter
from cellmap_tui.app.widgets.ask_text import AskText
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.pick import Pick
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected
from cellmap_tui.errors import RefusedError, Stopped
from cellmap_tui.services.propose_model import GroupProposal
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.typed_form import TypedForm
    from cellmap_tui.services.propose_model import ProposeRequest, ProposeResult

FOLDER = "plans"
LOOKING = "looking at the labels…"
THIS_MACHINE = "this machine's, else 24 GB"


class GroupTable(VirtualTable[GroupProposal]):
    """The groups; ``enter`` shows the configuration of one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "configuration", help="Show the configuration of this group with its comments.")
    ]

    def __init__(self) -> None:
        super().__init__(GROUP_COLUMNS, row_key=lambda group: group.name, markable=False, empty=LOOKING)


class PlanScreen(SubScreen):
    """Proposed trainings.

    Parameters
    ----------
    form
        For what they are proposed.
    """

    MODE = "train"
    AUTO_FOCUS = "GroupTable"
    CSS_PATH = "plan.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"plan.propose": "#groups"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.save", "write", "write", help="Write a configuration for each group; asks for the folder."),
        bind("plan.gpu", "gpu"),
        bind("do.new", "options", "options", help="Choose split, crops, classes, hours and how many groups."),
        bind("do.reload", "reload", show=False, help="Look at the labels again."),
    ]

    class Told(Message):
        """The labels are looked at this far."""

        def __init__(self, words: str) -> None:
            self.words = words
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest count matters."""
            return isinstance(message, PlanScreen.Told)

    class Proposed(Message):
        """It is known what is proposed."""

        def __init__(self, form: PlanForm, result: ProposeResult, texts: Mapping[Path, str]) -> None:
            self.form = form
            self.result = result
            self.texts = texts
            super().__init__()

    class Written(Message):
        """Configurations are on disk, or some that are there must not be lost."""

        def __init__(self, request: ProposeRequest, paths: tuple[Path, ...], refusal: str = "") -> None:
            self.request = request
            self.paths = paths
            self.refusal = refusal
            super().__init__()

    def __init__(self, form: PlanForm) -> None:
        super().__init__()
        self.form = form
        self.result: ProposeResult | None = None
        self._texts: Mapping[Path, str] = {}
        self._folder = Path(FOLDER)

    def compose_body(self) -> ComposeResult:
        """Yield groups, reasons, and what is left out."""
        with Pane(id="groups") as pane:
            pane.set_title("plan: groups of targets")
            yield GroupTable()
        with Pane(id="reasons") as pane:
            pane.set_title("why")
            with VerticalScroll():
                yield Static(markup=False)
        with Pane(id="out") as pane:
            pane.set_title("left out, and notes")
            with VerticalScroll():
                yield Static(markup=False)

    def on_mount(self) -> None:
        """Propose for the form as it is."""
        self._take(self.form)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if action == "write":
            return self.result is not None
        return super().check_action(action, parameters)

    # Propose

    def _take(self, form: PlanForm) -> None:
        self.form, self.result = form, None
        self.workers.cancel_group(self, "plan.propose")
        pane = self.query_one("#groups", Pane)
        pane.clear_error()
        pane.set_title("plan: groups of targets", LOOKING)
        self.refresh_bindings()
        self._propose(form)

    @work(thread=True, exclusive=True, group="plan.propose", exit_on_error=False)
    def _propose(self, form: PlanForm) -> None:
        from cellmap_tui.services.propose import drafts

        worker = get_current_worker()

        def tell(words: str) -> None:
            self.post_message(self.Told(words))

        report = PlanReporter(tell, lambda: worker.is_cancelled)
        try:
            result, texts = drafts(form.request(self.cellmap.settings), report)
        except Stopped:
            return
        if not worker.is_cancelled:
            self.post_message(self.Proposed(form, result, texts))

    @on(Told)
    def _tell(self, event: Told) -> None:
        if self.result is None:
            self.query_one("#groups", Pane).set_title("plan: groups of targets", event.words)

    @on(Proposed)
    def _show(self, event: Proposed) -> None:
        if event.form != self.form:
            return
        self.result, self._texts = event.result, event.texts
        self.query_one("#groups", Pane).set_title("plan: groups of targets", head_words(event.result))
        self.query_one(GroupTable).set_rows(event.result.groups)
        self.query_one("#out Static", Static).update(out_words(event.result))
        self._show_reasons()
        self.refresh_bindings()

    @on(RowHighlighted, "GroupTable")
    def _show_reasons(self) -> None:
        group = self.query_one(GroupTable).highlighted
        self.query_one("#reasons Static", Static).update(group_words(group) if group is not None else Content(""))
        self.query_one("#reasons VerticalScroll").scroll_home(animate=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Take away what an earlier proposal has shown when there is none any more."""
        if event.worker.group == "plan.propose" and event.state is WorkerState.ERROR:
            self.query_one("#groups", Pane).set_title("plan: groups of targets")
            self.query_one(GroupTable).set_rows(())
            self.query_one("#reasons Static", Static).update("")
            self.query_one("#out Static", Static).update("")
        super().on_worker_state_changed(event)

    # Keys

    def action_reload(self) -> None:
        """Propose again."""
        self._take(self.form)

    @on(Pane.RetryAsked, "#groups")
    def _retry(self) -> None:
        self._take(self.form)

    def action_gpu(self) -> None:
        """Choose the memory of the GPU that is planned for."""
        lines = [THIS_MACHINE, *(f"{memory} GB" for memory in GPUS[1:])]

        def take(answer: str | None) -> None:
            if answer is not None:
                self._take(replace(self.form, gpu=GPUS[lines.index(answer)]))

        self.app.push_screen(Pick("GPU memory", lines, lines[GPUS.index(self.form.gpu)]), take)

    def action_options(self) -> None:
        """Choose for what is planned."""

        def take(form: TypedForm | None) -> None:
            if isinstance(form, PlanForm):
                self._take(form)

        self.app.push_screen(FillIn("plan for", self.form, "proposes"), take)

    @on(RowSelected, "GroupTable")
    def _open(self, event: RowSelected) -> None:
        group: GroupProposal = event.row
        if group.path is not None and group.path in self._texts:
            self.app.push_screen(ConfigText(group.path.name, self._texts[group.path]))

    # Write

    def action_write(self) -> None:
        """Ask for the folder and write the configurations."""
        question = "Train with: cellmap-tui train FILE. Look at one with: cellmap-tui config check FILE."
        folder = str(self._folder.absolute())
        self.app.push_screen(AskText("Write configurations into", question, FOLDER, value=folder), self._write_into)

    def _write_into(self, answer: str | None) -> None:
        if answer:
            self._folder = Path(answer).expanduser().absolute()
            self._write(replace(self.form.request(self.cellmap.settings), output=self._folder))

    @work(thread=True, exclusive=True, group="plan.write", exit_on_error=False)
    def _write(self, request: ProposeRequest) -> None:
        from cellmap_tui.services.propose import propose
        from cellmap_tui.services.report import SilentReporter

        try:
            result = propose(request, SilentReporter())
        except RefusedError as error:
            if request.overwrite:
                raise
            self.post_message(self.Written(request, (), error.message))
            return
        self.post_message(self.Written(request, result.written))

    @on(Written)
    def _tell_written(self, event: Written) -> None:
        if not event.refusal:
            names = ", ".join(path.name for path in event.paths)
            self.app.notify(f"{names} written to {event.request.output}", title="plan")
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._write(replace(event.request, overwrite=True))

        question = Confirm("Replace configurations?", event.refusal + ".", yes="replace them", no="leave them")
        self.app.push_screen(question, answered)


class ConfigText(SubScreen):
    """A configuration before it is written.

    Parameters
    ----------
    name
        Of its file.
    text
        TOML.
    """

    MODE = "train"
    AUTO_FOCUS = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.copy", "copy", help="Copy the text to the clipboard of the terminal."),
        bind("move.down", "scroll(1)", show=False),
        bind("move.up", "scroll(-1)", show=False),
    ]

    def __init__(self, name: str, text: str) -> None:
        super().__init__()
        self._file = name
        self._text = text

    def compose_body(self) -> ComposeResult:
        """Yield the text."""
        with Pane() as pane:
            pane.set_title(printable(self._file), "not written yet: w on the plan writes it")
            with VerticalScroll():
                yield Static(toml_words(self._text), markup=False)

    def action_copy(self) -> None:
        """Copy the text."""
        self.app.copy_to_clipboard(self._text)

    def action_scroll(self, lines: int) -> None:
        """Move by a line."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)
